#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

use highwater::{
    Unavailable,
    gpu::{AmountKind, DeviceId, FigureScope, FigureSource, GpuUsage, PidSpace, Reading},
    listing::{HoldingDevice, ListScope},
};
use snapbox::{assert_data_eq, str};

use super::*;
use crate::{missing_part::MissingPart, process_selection::RowOrder};

const GIB: u64 = 1 << 30;
const USER: Privilege = Privilege { is_held: false, is_windows: false };
const ROOT: Privilege = Privilege { is_held: true, ..USER };

fn figure(reading: Reading, pool: Pool) -> Figure {
    Figure::new(reading, FigureScope::Process, pool, AmountKind::Resident, FigureSource::Fdinfo)
}

/// Returns a holding of a process on the one device.
fn holding(pid: u32, vram: Reading, gtt: Reading) -> GpuHolding {
    let id = DeviceId::new("0000:03:00.0");
    let usage = GpuUsage::new(pid, id.clone(), figure(vram, Pool::Dedicated), figure(gtt, Pool::System));
    let mut device = HoldingDevice::unlisted(&id);
    device.index = Some(0);
    device.name = Some("AMD Radeon RX 7900 XTX".to_owned());
    GpuHolding::new(device, usage)
}

fn row(pid: u32, name: &str, vram: Reading) -> ProcessRow {
    let mut row = ProcessRow::new(pid);
    row.name = Ok(name.to_owned());
    row.user = Ok("ann".to_owned());
    row.state = Some('S');
    row.rss_bytes = Ok(GIB / 4);
    row.gpu = Some(holding(pid, vram, Reading::Known(48 << 20)));
    row
}

fn found() -> SelectedProcesses {
    let mut busy = row(4711, "python3", Reading::Known(8 * GIB));
    busy.cpu = Some(CpuLoad { percent: 97.4, step_percent: 5.0 });
    let load = |name: &str, percent| EngineLoad { name: name.to_owned(), percent, capacity: 1 };
    busy.gpu.as_mut().unwrap().loads =
        vec![load("gfx", Some(35.2)), load("compute", Some(0.2)), load("dec", Some(0.0))];
    let mut evil = row(12, "\x1b[31mred\nrow\u{202e}", Reading::Between { lower: GIB, upper: 2 * GIB });
    evil.cpu = Some(CpuLoad { percent: 0.0, step_percent: 5.0 });
    evil.gpu.as_mut().unwrap().usage.shared_with = vec![13];
    let mut host = ProcessRow::new(99);
    host.pid_space = PidSpace::Host;
    host.name = Err(Unavailable::PidNamespace);
    let unknown = Reading::Unknown(Unavailable::DriverSaysNotAvailable);
    host.gpu = Some(holding(99, unknown, Reading::Unknown(Unavailable::NotSupported)));
    let rows = vec![busy, evil, row(13, "a-very-long-name-of-a-program-indeed", Reading::AtLeast(5)), host];
    SelectedProcesses { rows, ..SelectedProcesses::default() }
}

fn table(width: Option<usize>) -> String {
    let mut out = Vec::new();
    write(&found().rows, width, &mut out).unwrap();
    anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string()
}

#[test]
fn whole() {
    assert!(table(None).contains("\\x1b[31mred\\nrow\\u{202e} "), "snapshots turn backslashes round");
    assert_data_eq!(
        table(None),
        str![[r#"
 PID  USER  NAME                                        VRAM       GTT      RSS  CPU%  S  ENGINES              DEVICE
4711  ann   python3                                 8.00 GiB  48.0 MiB  256 MiB    97  S  gfx 35% compute <1%  0 AMD Radeon RX 7900 XTX
  12  ann   /x1b[31mred/nrow/u{202e}              ~ 2.00 GiB  48.0 MiB  256 MiB    <5  S  -                    0 AMD Radeon RX 7900 XTX
  13  ann   a-very-long-name-of-a-program-indeed       ≥ 5 B  48.0 MiB  256 MiB     ?  S  -                    0 AMD Radeon RX 7900 XTX
  99  ?     ?                                              ?         ?        ?     ?  ?  -                    0 AMD Radeon RX 7900 XTX

"#]]
    );
}

#[test]
fn narrow() {
    let text = table(Some(80));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_data_eq!(
        text,
        str![[r#"
 PID  USER  NAME              VRAM       GTT      RSS  CPU%  S  ENGINES   DEVICE
4711  ann   python3       8.00 GiB  48.0 MiB  256 MiB    97  S  gfx 35%…  0 AMD…
  12  ann   /x1b[31mr…  ~ 2.00 GiB  48.0 MiB  256 MiB    <5  S  -         0 AMD…
  13  ann   a-very-lo…       ≥ 5 B  48.0 MiB  256 MiB     ?  S  -         0 AMD…
  99  ?     ?                    ?         ?        ?     ?  ?  -         0 AMD…

"#]]
    );
}

#[test]
fn notes_explain_each_mark_and_gap() {
    let mut found = found();
    found.missing.push(7);
    found.gaps.push(MissingPart { what: "nvidia".into(), why: "the driver fails".into() });
    assert_data_eq!(
        notes(&found).join("\n"),
        str![[r#"
pid 99: NAME unknown: host pid; run with --pid=host, or with the host's /proc and --procfs
pid 99: VRAM unknown: the driver reports it as not available
≥ and ≤: the truth is more or less; ~: it is between that and a lower figure, see --json
pids 12, 13 share a client; its memory is in the row of each
no process has pid 7
nvidia: the driver fails
"#]]
    );
}

#[test]
fn one_line_for_every_case() {
    let mut found = found();
    let all = ProcessSelection::default();
    let line = |found: &SelectedProcesses, selection: &ProcessSelection| summary(found, selection, USER);
    let mut lines = vec![line(&found, &all)];
    found.rows.truncate(1);
    found.refused = vec![1, 2];
    lines.push(line(&found, &all));
    found.gaps.push(MissingPart { what: "nvidia".into(), why: "the driver fails".into() });
    lines.push(summary(&found, &all, ROOT));
    let mut narrow = ProcessSelection { min: Some(GIB), order: RowOrder::Pid, ..all };
    narrow.scope.pids = [99].into();
    narrow.scope.device = Some(0);
    lines.push(line(&SelectedProcesses::default(), &narrow));
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
4 processes hold GPU memory (1 of them an unknown amount); complete
1 process holds GPU memory; incomplete: 2 protected (run as root to look into them)
1 process holds GPU memory; incomplete: 2 protected (even root may not look into them here), see nvidia
0 processes hold GPU memory matching pid=99 device=0 min=1.00GiB; complete: no GPU and no GPU driver was found
"#]]
    );
}

/// Recorded in kind: what `ps --all` has of others' processes on Windows.
#[test]
fn protected_ones() {
    let user = Privilege { is_windows: true, ..USER };
    let elevated = Privilege { is_windows: true, ..ROOT };
    let rows = vec![row(4711, "python3", Reading::Known(GIB))];
    let mut found = SelectedProcesses { rows, ..SelectedProcesses::default() };
    for pid in [88, 92] {
        let mut row = ProcessRow::new(pid);
        row.name = Err(Unavailable::PermissionDenied);
        row.rss_bytes = Err(Unavailable::PermissionDenied);
        found.rows.push(row);
    }
    found.nameless = [88, 92].into();
    let all = ProcessSelection { scope: ListScope::all(), ..ProcessSelection::default() };
    let mut lines = notes(&found);
    lines.extend([summary(&found, &all, user), summary(&found, &all, elevated)]);
    found.lacks_nameless = true;
    found.rows.truncate(1);
    lines.push(summary(&found, &all, user));
    found.nameless.pop_last();
    lines.push(summary(&found, &all, elevated));
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
pids 88, 92: NAME unknown: permission denied
3 processes; complete; 2 protected: run elevated for names
3 processes; complete; 2 protected: even an elevated user may not read their names
1 process; incomplete: 2 protected: run elevated for names
1 process; incomplete: 1 protected: even an elevated user may not read its name
"#]]
    );
}

#[test]
fn late_ones() {
    let rows = vec![row(4711, "python3", Reading::Known(GIB))];
    let mut found = SelectedProcesses { rows, late: [4711].into(), ..SelectedProcesses::default() };
    let all = ProcessSelection { scope: ListScope::all(), ..ProcessSelection::default() };
    let mut lines = notes(&found);
    lines.push(summary(&found, &all, USER));
    found.lacks_late = true;
    lines.push(summary(&found, &all, USER));
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
pid 4711: NAME is the kernel's, of at most 15 bytes: the arguments could not be read in time (a process may hold its memory map locked)
1 process; complete; pid 4711 did not answer in time
1 process; incomplete: pid 4711 did not answer in time
"#]]
    );
}

#[test]
fn unread_ones() {
    let late = || Unavailable::Failed("it did not answer in time".to_owned());
    let rows = [88, 92].map(|pid| {
        let mut row = ProcessRow::new(pid);
        (row.name, row.rss_bytes) = (Err(late()), Err(late()));
        row
    });
    let pids = BTreeSet::from([88, 92]);
    let found = SelectedProcesses {
        rows: rows.into(),
        late: pids.clone(),
        unread: pids,
        lacks_late: true,
        ..SelectedProcesses::default()
    };
    let all = ProcessSelection { scope: ListScope::all(), ..ProcessSelection::default() };
    let mut lines = notes(&found);
    lines.push(summary(&found, &all, USER));
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
pids 88, 92: NAME unknown: it did not answer in time
2 processes; incomplete: pids 88, 92 did not answer in time
"#]]
    );
}

#[test]
fn nothing_of_a_gpu_is_shown_where_there_is_none() {
    let mut plain = ProcessRow::new(1);
    plain.name = Ok("init".into());
    plain.rss_bytes = Ok(GIB);
    let mut out = Vec::new();
    write(&[plain], None, &mut out).unwrap();
    let text = anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string();
    assert_data_eq!(
        text,
        str![[r#"
PID  USER  NAME       RSS  S
  1  ?     init  1.00 GiB  ?

"#]]
    );
}
