#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

use highwater::{
    Unavailable,
    gpu::{DeviceId, Kind, Reading, Scope, Source},
};
use snapbox::{assert_data_eq, str};

use super::*;
use crate::look::{DeviceRef, Missing, Order};

const GIB: u64 = 1 << 30;
const USER: Privilege = Privilege { is_held: false, is_windows: false };
const ROOT: Privilege = Privilege { is_held: true, ..USER };

fn figure(reading: Reading, pool: Pool) -> Figure {
    Figure::new(reading, Scope::Process, pool, Kind::Resident, Source::Fdinfo)
}

fn row(pid: u32, name: &str, vram: Reading) -> Row {
    Row {
        name: Ok(name.to_owned()),
        user: Some("ann".to_owned()),
        why_no_user: None,
        state: Some('S'),
        rss: Ok(GIB / 4),
        device: Some(DeviceRef {
            index: Some(0),
            id: DeviceId::new("0000:03:00.0"),
            name: Some("AMD Radeon RX 7900 XTX".to_owned()),
            unified: Some(false),
        }),
        vram: Some(figure(vram, Pool::Dedicated)),
        gtt: Some(figure(Reading::Known(48 << 20), Pool::System)),
        ..Row::without_usage(pid, false)
    }
}

fn look() -> Look {
    let mut busy = row(4711, "python3", Reading::Known(8 * GIB));
    busy.cpu = Some(Cpu { percent: 97.4, step_percent: 5.0 });
    let load = |name: &str, percent| Load { name: name.to_owned(), percent, capacity: 1 };
    busy.engines = vec![load("gfx", Some(35.2)), load("compute", Some(0.2)), load("dec", Some(0.0))];
    let mut evil = row(12, "\x1b[31mred\nrow\u{202e}", Reading::Between { lower: GIB, upper: 2 * GIB });
    evil.cpu = Some(Cpu { percent: 0.0, step_percent: 5.0 });
    evil.shared_with = vec![13];
    let mut host = Row::without_usage(99, false);
    host.is_host_pid = true;
    host.name = Err(crate::look::HOST_PID.to_owned());
    host.device = row(1, "", Reading::Known(0)).device;
    host.vram = Some(figure(Reading::Unknown(Unavailable::DriverSaysNotAvailable), Pool::Dedicated));
    host.gtt = Some(figure(Reading::Unknown(Unavailable::NotSupported), Pool::System));
    let rows = vec![busy, evil, row(13, "a-very-long-name-of-a-program-indeed", Reading::AtLeast(5)), host];
    Look { rows, ..Look::default() }
}

fn table(width: Option<usize>) -> String {
    let mut out = Vec::new();
    write(&look().rows, width, &mut out).unwrap();
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
fn what_must_be_said() {
    let mut look = look();
    look.missing.push(7);
    look.gaps.push(Missing { what: "nvidia".into(), why: "the driver fails".into() });
    assert_data_eq!(
        notes(&look).join("\n"),
        str![[r#"
pid 99: NAME unknown: host pid; run with --pid=host, or with the host's /proc and --procfs
pid 99: VRAM unknown: the driver says: not available
≥ and ≤: the truth is more or less; ~: it is between that and a lower figure, see --json
pids 12, 13 share a client; its memory is in the row of each
no process has pid 7
nvidia: the driver fails
"#]]
    );
}

#[test]
fn one_line_for_every_case() {
    let mut look = look();
    let all = Selection::default();
    let said = |look: &Look, selection: &Selection| summary(look, selection, USER);
    let mut lines = vec![said(&look, &all)];
    look.rows.truncate(1);
    look.refused = vec![1, 2];
    lines.push(said(&look, &all));
    look.gaps.push(Missing { what: "nvidia".into(), why: "the driver fails".into() });
    lines.push(summary(&look, &all, ROOT));
    let narrow = Selection { pids: [99].into(), device: Some(0), min: Some(GIB), order: Order::Pid, ..all };
    lines.push(said(&Look::default(), &narrow));
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
4 processes hold GPU memory (1 of them an unknown amount); complete
1 process holds GPU memory; incomplete: 2 protected (run as root to look into them)
1 process holds GPU memory; incomplete: 2 protected (even root may not look into them here), see nvidia
0 processes hold GPU memory matching pid=99 device=0 min=1.00GiB; complete: no GPU was found, and no driver that could tell of one
"#]]
    );
}

/// Recorded in kind: what `ps --all` has of others' processes on Windows.
#[test]
fn protected_ones() {
    let user = Privilege { is_windows: true, ..USER };
    let elevated = Privilege { is_windows: true, ..ROOT };
    let mut look = Look { rows: vec![row(4711, "python3", Reading::Known(GIB))], ..Look::default() };
    for pid in [88, 92] {
        let mut row = Row::without_usage(pid, false);
        (row.name, row.rss) = (Err("permission denied".into()), Err(Unavailable::PermissionDenied));
        look.rows.push(row);
    }
    look.nameless = [88, 92].into();
    let all = Selection { all: true, ..Selection::default() };
    let mut lines = notes(&look);
    lines.extend([summary(&look, &all, user), summary(&look, &all, elevated)]);
    look.lacks_nameless = true;
    look.rows.truncate(1);
    lines.push(summary(&look, &all, user));
    look.nameless.pop_last();
    lines.push(summary(&look, &all, elevated));
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
    let mut look = Look { rows: vec![row(4711, "python3", Reading::Known(GIB))], ..Look::default() };
    look.late = [4711].into();
    let all = Selection { all: true, ..Selection::default() };
    let mut lines = notes(&look);
    lines.push(summary(&look, &all, USER));
    look.lacks_late = true;
    lines.push(summary(&look, &all, USER));
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
fn nothing_of_a_gpu_is_shown_where_there_is_none() {
    let mut plain = Row::without_usage(1, false);
    plain.name = Ok("init".into());
    plain.rss = Ok(GIB);
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
