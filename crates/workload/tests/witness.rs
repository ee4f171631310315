//! Confirms the sizes that the workloads claim by a source that knows nothing of RSS: the kernel's charge to
//! a fresh cgroup. It needs a writable cgroup; without one it says so and passes.
#![cfg(target_os = "linux")]

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;

/// A new cgroup; removed when dropped.
struct TestGroup {
    dir: PathBuf,
    peak_file: &'static str,
}

impl TestGroup {
    fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (parent, peak_file) = memory_hierarchy()?;
        let name = format!("highwater-witness-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = parent.join(name);
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let group = Self { dir, peak_file };
        // A v2 parent that does not delegate the controller makes groups without the file (Linux before 5.19
        // has none).
        group.peak().map_err(|error| format!("no {peak_file} in a new group: {error}"))?;
        Ok(group)
    }

    fn peak(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.dir.join(self.peak_file))?;
        text.trim().parse().map_err(io::Error::other)
    }

    fn members(&self) -> String {
        fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default()
    }

    /// Waits until the last process has left: a daemon outlives its command.
    fn wait_until_empty(&self) {
        let patience = Instant::now() + Duration::from_secs(20);
        while !self.members().is_empty() {
            assert!(Instant::now() < patience, "still in the group: {}", self.members());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        eprintln!("could not remove {}", self.dir.display());
    }
}

/// Returns where groups with a memory charge are made: cgroups(7).
fn memory_hierarchy() -> Result<(PathBuf, &'static str), String> {
    let own =
        fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let path_of = |controller: &str| {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|c| c == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if let Some(path) = path_of("memory").filter(|_| v1.is_dir()) {
        return Ok((v1.join(path), "memory.max_usage_in_bytes"));
    }
    let path = path_of("").ok_or("no cgroup with a memory controller")?;
    Ok((Path::new("/sys/fs/cgroup").join(path), "memory.peak"))
}

/// Runs the situation in its own group; returns the charge's peak and what the workload reports.
fn witness(group: &TestGroup, args: &[&str]) -> (u64, String) {
    let truth = env::temp_dir().join(group.dir.file_name().expect("it has a name"));
    let procs = group.dir.join("cgroup.procs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_workload"));
    command.args(args).env("WORKLOAD_TRUTH", &truth);
    // SAFETY: the child writes its own membership with one write(2); a Rust file write takes no lock.
    unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
    let status = command.status().expect("the workload starts");
    group.wait_until_empty();
    let peak = group.peak().expect("it was there before");
    let said = fs::read_to_string(&truth);
    let _ = fs::remove_file(&truth);
    (peak, said.unwrap_or_else(|error| panic!("{args:?} ended with {status} and no truth: {error}")))
}

fn field(json: &str, name: &str) -> u64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).expect("the field is there");
    rest.split([',', '}']).next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Checks that `args` builds `charged` MiB (each shared page once) that read as `resident` MiB of RSS in
/// `processes` alive together.
fn check(args: &[&str], charged: u64, resident: u64, processes: u64) {
    let group = match TestGroup::new() {
        Ok(group) => group,
        Err(reason) => return eprintln!("SKIPPED {args:?}: {reason}"),
    };
    let (charge, said) = witness(&group, args);
    let rss = field(&said, "rss_bytes");
    eprintln!(
        "{args:?}: charge {:.2} MiB, truth {:.2} MiB",
        charge as f64 / MIB as f64,
        rss as f64 / MIB as f64
    );
    let (charged, resident) = (charged * MIB, resident * MIB);
    // Beyond what was built, the group is charged for each process: its page tables (1/512 of what it maps), its stack,
    // heap and kernel memory. It is charged once for 64 pages a CPU taken in advance (mm/memcontrol.c,
    // `MEMCG_CHARGE_BATCH`). It is charged too for the page cache of files read for the first time. Kernel memory of
    // ended processes is freed a while later (RCU): 50 quick forks of 300 MiB were seen to leave 5 MiB.
    let own = processes * (MIB + charged / 512);
    let once = 4 * MIB + 64 * 4096 * thread::available_parallelism().map_or(1, |n| n.get() as u64);
    assert!(charge >= charged, "{args:?}: charged {charge} bytes, built {charged}");
    assert!(charge <= charged + own + once, "{args:?}: charged {charge} bytes, built {charged}");
    // RSS counts code and libc in every process that maps them: up to 3 MiB each in a debug build; and 64
    // stacks.
    let stacks = if args == ["threads"] { MIB } else { 0 };
    assert!(rss >= resident, "{args:?}: said {rss} bytes, built {resident}");
    assert!(rss <= resident + processes * 3 * MIB + stacks, "{args:?}: said {rss} bytes, built {resident}");
}

#[test]
fn one_process() {
    check(&["hold", "200", "1000"], 200, 200, 1);
    check(&["hold", "200", "30"], 200, 200, 1);
    check(&["spike", "500", "20", "300"], 500, 500, 1);
    check(&["leak"], 300, 300, 1);
    check(&["exec"], 300, 300, 1);
    check(&["killed", "120", "9"], 120, 120, 1);
    check(&["killed", "120", "11"], 120, 120, 1);
}

#[test]
fn threads() {
    check(&["threads"], 128, 128, 1);
    check(&["leaderless"], 160, 160, 1);
}

#[test]
fn families() {
    check(&["spikes-in-turn"], 150, 150, 5);
    check(&["generations"], 170, 170, 3);
    check(&["hand-over"], 100, 100, 2);
    check(&["orphan", "120", "0"], 120, 120, 3);
    check(&["orphan", "120", "100"], 120, 120, 3);
    check(&["daemon"], 100, 100, 3);
    check(&["storm", "300"], 40, 40, 5);
}

#[test]
fn shared_pages_are_charged_once() {
    check(&["shared-workers", "cow"], 400, 9 * 400, 9);
    check(&["shared-workers", "shared"], 400, 9 * 400, 9);
    check(&["shared-workers", "memfd"], 400, 9 * 400, 9);
    check(&["shared-workers", "shm"], 400, 9 * 400, 9);
    // Workers of 20 to 150 MiB of their own (340 in all), and the 200 MiB that each of the five maps.
    check(&["pool"], 540, 1340, 5);
    check(&["pool", "4", "200", "rewrite"], 740, 1340, 5);
    check(&["fork-exec", "300", "50"], 300, 600, 2);
}

#[test]
fn two_with_one_pid() {
    if fs::OpenOptions::new().write(true).open("/proc/sys/kernel/ns_last_pid").is_err() {
        return eprintln!("SKIPPED same-pid: /proc/sys/kernel/ns_last_pid may not be written to");
    }
    check(&["same-pid"], 40, 40, 2);
}

#[test]
fn the_tiny_program_is_what_it_touches() {
    if !cfg!(target_arch = "x86_64") {
        return eprintln!("SKIPPED tiny: it speaks x86_64 only");
    }
    let file = env::temp_dir().join(format!("highwater-tiny-{}", std::process::id()));
    let made =
        Command::new(env!("CARGO_BIN_EXE_workload")).arg("tiny").arg(&file).args(["800", "2000"]).status();
    assert!(made.is_ok_and(|status| status.success()));
    let mut tiny = Command::new(&file).spawn().expect("it runs");
    thread::sleep(Duration::from_millis(500));
    let status = fs::read_to_string(format!("/proc/{}/status", tiny.id())).unwrap_or_default();
    let ended = tiny.wait();
    let _ = fs::remove_file(&file);
    assert!(ended.is_ok_and(|status| status.success()));
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has a mark");
    let kib: u64 = mark.trim().trim_end_matches(" kB").parse().expect("a number");
    // Code, stack and vdso take a few pages more than what it touches. A libc would add far more.
    assert!((800..=860).contains(&kib), "{kib} KiB");
}
