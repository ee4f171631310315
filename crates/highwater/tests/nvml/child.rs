//! The child of the tests: it uses the library that its environment names, and prints the results as lines.

use std::{collections::HashSet, env, fmt::Write, fs, path::PathBuf, process};

use highwater::{
    Snapshot,
    gpu::{self, Device, Figure, Gap, GpuUsage, Listing, Monitor, PidSpace, Reading},
};

/// This is not a test but the program that the tests start.
#[test]
#[ignore = "runs as the child of the other tests"]
fn as_a_child() {
    let Ok(what) = env::var("CHILD") else { return };
    let output = match what.as_str() {
        "list" => list(),
        "own" => own(),
        "often" => often(),
        "fork" => return fork(),
        "later" => later(),
        "raw" => Monitor::new().raw().join("\n"),
        other => panic!("{other}"),
    };
    write_output(&output);
}

fn write_output(output: &str) {
    fs::write(env::var_os("OUTPUT").unwrap(), output).unwrap();
}

fn list() -> String {
    let mut monitor = Monitor::new();
    let mut output = String::new();
    for device in monitor.devices() {
        output += &device_line(&device);
    }
    output + &listing_lines(&monitor.usages())
}

/// Returns the answers about this process alone: in full, and in plain numbers.
fn own() -> String {
    let mut output = listing_lines(&Monitor::new().usages_of(&HashSet::from([process::id()])));
    let snapshot = Snapshot::now(0).unwrap();
    let numbers = snapshot.gpu.map(|gpu| gpu.used_bytes);
    writeln!(
        output,
        "snapshot {numbers:?}, device {:?}",
        snapshot.gpu_device.map(|device| device.used_bytes)
    )
    .unwrap();
    match gpu::process_gpu_info(0) {
        Ok(info) => writeln!(output, "process {} {:?}", info.used_bytes, info.source).unwrap(),
        Err(error) => writeln!(output, "process: {error}").unwrap(),
    }
    for index in [1, 7] {
        match gpu::device_info(index) {
            Ok(info) => writeln!(output, "device {index}: {} free", info.free_bytes).unwrap(),
            Err(error) => writeln!(output, "device {index}: {error}").unwrap(),
        }
    }
    let mut entries = gpu::gpu_processes(0).unwrap();
    entries.sort_by_key(|entry| entry.pid == process::id());
    let rows = entries.iter().map(|entry| format!("{} {:?}", pid(entry.pid), entry.used_bytes));
    writeln!(output, "processes {}", rows.collect::<Vec<_>>().join(", ")).unwrap();
    output
}

fn often() -> String {
    for _ in 0..100 {
        Snapshot::now(0).unwrap();
    }
    drop(Monitor::new().devices());
    // This monitor gets no query, so it opens nothing.
    drop(Monitor::new());
    "100 snapshots\n".into()
}

/// Installs the driver while the process runs.
fn later() -> String {
    let library = PathBuf::from(env::var_os("LD_LIBRARY_PATH").unwrap()).join("libnvidia-ml.so.1");
    let aside = library.with_extension("aside");
    let mut output = String::new();
    let mut ask = |when: &str| {
        let snapshot = Snapshot::now(0).unwrap();
        let count = gpu::device_count().unwrap();
        writeln!(output, "{when}: {count}, {}", snapshot.device.is_some()).unwrap();
    };
    fs::rename(&library, &aside).unwrap();
    ask("not installed");
    fs::rename(&aside, &library).unwrap();
    ask("installed");
    gpu::refresh();
    ask("after a refresh");
    output
}

/// Uses the parent's monitor and the shared one in a forked child.
fn fork() {
    let mut monitor = Monitor::new();
    assert!(monitor.devices()[0].is_readable());
    Snapshot::now(0).unwrap();
    // SAFETY: no other thread does anything; the child ends without unwinding into the test's harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut output = format!("inherited monitor: {}", device_line(&monitor.devices()[0]));
        drop(monitor);
        let device = Snapshot::now(0).unwrap().device.unwrap();
        write!(output, "shared monitor: {}", device_line(&device)).unwrap();
        write_output(&output);
        // SAFETY: this ends the process.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the child belongs to this process, and `status` is a number to write to.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    assert!(monitor.devices()[0].is_readable(), "the parent's session lives on");
}

fn device_line(device: &Device) -> String {
    let mut line = format!("device {} {}", device.index, device.id);
    for (label, text) in [("", &device.name), ("driver ", &device.driver_version), ("", &device.uuid)] {
        let text = text.as_deref().unwrap_or("-");
        write!(line, ", {label}{text}").unwrap();
    }
    if let Some(parent) = &device.parent {
        write!(line, ", part of {parent}").unwrap();
    }
    if let Some(unified) = device.unified {
        write!(line, ", unified {unified}").unwrap();
    }
    line.push('\n');
    let figures = [("total", &device.total), ("used", &device.used), ("free", &device.free)];
    for (label, figure) in figures.into_iter().chain([("reserved", &device.reserved)]) {
        writeln!(line, "  {label} {} ({:?}, {:?})", reading(figure), figure.scope, figure.source).unwrap();
    }
    if let Some(contains) = device.used_contains_reserved {
        writeln!(line, "  used {} reserved", if contains { "contains" } else { "excludes" }).unwrap();
    }
    line
}

fn listing_lines(listing: &Listing) -> String {
    // Rows are in the order of pids, and this process's may be any: the table has it last on each device.
    let mut output = String::new();
    for rows in listing.usages.chunk_by(|one, other| one.device == other.device) {
        assert!(rows.is_sorted_by_key(|usage| usage.pid));
        let (own, others): (Vec<_>, Vec<_>) = rows.iter().partition(|usage| usage.pid == process::id());
        output.extend(others.into_iter().chain(own).map(usage_line));
    }
    for Gap { what, why, .. } in &listing.gaps {
        writeln!(output, "gap {what}: {why}").unwrap();
    }
    assert_eq!((listing.vanished, listing.refused.len()), (0, 0));
    output
}

fn usage_line(usage: &GpuUsage) -> String {
    let space = if usage.pid_space == PidSpace::Host { "host:" } else { "" };
    let mut line = format!("usage {space}{} on {}: {}", pid(usage.pid), usage.device, reading(&usage.vram));
    let work = [(usage.work.compute, "compute"), (usage.work.graphics, "graphics"), (usage.work.mps, "mps")];
    for (_, name) in work.into_iter().filter(|(does, _)| *does) {
        write!(line, " {name}").unwrap();
    }
    if let Some(peak) = &usage.peak {
        write!(line, ", peak {}", reading(peak)).unwrap();
    }
    line.push('\n');
    line
}

fn pid(pid: u32) -> String {
    if pid == process::id() { "self".into() } else { pid.to_string() }
}

fn reading(figure: &Figure) -> String {
    match &figure.reading {
        Reading::Known(bytes) => bytes.to_string(),
        Reading::Between { lower, upper } => format!("{lower}..{upper}"),
        Reading::Unknown(why) => format!("unknown: {why}"),
        other => format!("{other:?}"),
    }
}
