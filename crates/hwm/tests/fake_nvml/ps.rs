//! `hwm ps`, as a table and as JSON, in each situation of `ps.txt`.

use serde_json::Value;

use crate::{Fake, are_pids_of_this_namespace, printed};

const TABLE: &str = include_str!("ps.txt");

struct Expected {
    device: u64,
    /// `None`: hwm's own.
    pid: Option<u64>,
    /// MiB, and how they are shown; or the reason why they are unknown.
    vram: Result<(u64, String), String>,
}

fn expected(line: &str) -> Expected {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().expect("four words");
    let (device, pid, mib, rest) = (word(), word(), word(), word());
    let vram = match mib {
        "?" => Err(rest.to_owned()),
        mib => Ok((mib.parse().expect("MiB"), rest.to_owned())),
    };
    Expected { device: device.parse().expect("an index"), pid: pid.parse().ok(), vram }
}

#[test]
fn every_situation_is_reported_as_in_the_table() {
    if !are_pids_of_this_namespace() {
        return;
    }
    let fake = Fake::new();
    for section in TABLE.split("\n== ").skip(1) {
        let (title, lines) = section.split_once('\n').unwrap_or((section, ""));
        let (scenario, ending) = title.split_once(": ").expect("a name and an exit code");
        let (code, gap) = ending.split_once(' ').unwrap_or((ending, ""));
        let rows: Vec<Expected> = lines.lines().filter(|line| !line.is_empty()).map(expected).collect();
        as_json(&fake, scenario, code, gap, &rows);
        as_table(&fake, scenario, code, &rows);
    }
}

fn as_json(fake: &Fake, scenario: &str, code: &str, gap: &str, rows: &[Expected]) {
    let output = fake.hwm(scenario, &["ps", "--json", "--no-wait"]);
    let what = format!("{scenario}: {} {}", String::from_utf8_lossy(&output.stdout), printed(&output));
    assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(code), "{what}");
    let listing: Value = serde_json::from_slice(&output.stdout).expect("JSON in every case");
    assert_eq!(listing["complete"], gap.is_empty(), "{what}");
    assert!(listing["gaps"].to_string().contains(gap), "{what}");
    let processes = listing["processes"].as_array().expect("rows");
    assert_eq!(processes.len(), rows.len(), "{what}");
    for row in rows {
        let found = processes.iter().find(|process| {
            let is_self = process["name"] == "hwm";
            process["device"]["index"] == row.device
                && row.pid.map_or(is_self, |pid| !is_self && process["pid"] == pid)
        });
        let found = found.unwrap_or_else(|| panic!("no row {:?}: {what}", row.pid));
        match &row.vram {
            Ok((mib, _)) => assert_eq!(found["vram_bytes"], mib << 20, "{what}"),
            Err(reason) => {
                assert_eq!(found["vram_bytes"], Value::Null, "{what}");
                assert_eq!(found["unknown"]["vram"], reason.as_str(), "{what}");
            }
        }
    }
}

fn as_table(fake: &Fake, scenario: &str, code: &str, rows: &[Expected]) {
    let output = fake.hwm(scenario, &["ps", "--no-wait"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let what = format!("{scenario}: {text} {}", printed(&output));
    assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(code), "{what}");
    assert_eq!(text.lines().skip(1).count(), rows.len(), "{what}");
    for row in rows {
        let shown = row.vram.as_ref().map_or("?", |(_, shown)| shown.as_str());
        let is_it = |line: &&str| {
            let pid = line.split_ascii_whitespace().next().unwrap_or_default();
            let is_self = line.contains(" hwm ");
            row.pid.map_or(is_self, |row| !is_self && pid == row.to_string()) && line.contains(shown)
        };
        assert_eq!(text.lines().filter(is_it).count(), 1, "{:?} {shown}: {what}", row.pid);
    }
    assert!(printed(&output).starts_with("hwm: "), "{what}");
}
