//! A procfs and a sysfs of files, as `--procfs` and `--sysfs` take them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Deleted with the value.
pub(crate) struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    /// A machine with 16 GiB of RAM, nothing that runs, and no GPU.
    pub(crate) fn new() -> Self {
        let tree = Self { root: tempfile::tempdir().expect("a directory") };
        tree.write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n");
        fs::create_dir(tree.root.path().join("sys")).expect("made");
        tree
    }

    pub(crate) fn proc(&self) -> PathBuf {
        self.root.path().join("proc")
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("made");
        fs::write(path, text).expect("written");
    }

    /// A process of user 1000 that sleeps.
    pub(crate) fn process(&mut self, pid: u32, name: &str, rss_bytes: u64) -> &mut Self {
        self.write(&format!("proc/{pid}/stat"), stat(pid, name, 0x40_0000));
        self.write(&format!("proc/{pid}/cmdline"), format!("/usr/bin/{name}\0--fast\0"));
        let mut status = "State:\tS (sleeping)\nUid:\t1000\t1000\t1000\t1000\n".to_owned();
        writeln!(status, "VmRSS:\t{} kB\nThreads:\t1", rss_bytes / 1024).expect("memory");
        self.write(&format!("proc/{pid}/status"), status);
        self
    }

    pub(crate) fn kernel_thread(&mut self, pid: u32, name: &str) -> &mut Self {
        self.write(&format!("proc/{pid}/stat"), stat(pid, name, 0x20_8040));
        self.write(&format!("proc/{pid}/cmdline"), "");
        self.write(&format!("proc/{pid}/status"), "State:\tS (sleeping)\nUid:\t0\t0\t0\t0\nThreads:\t1\n");
        self
    }

    /// `hwm` with these arguments, on this tree.
    pub(crate) fn hwm(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("hwm"));
        command.arg("--procfs").arg(self.proc()).arg("--sysfs").arg(self.root.path().join("sys"));
        command.args(args);
        command
    }
}

fn stat(pid: u32, name: &str, flags: u32) -> String {
    let comm: String = name.chars().take(15).collect();
    format!(
        "{pid} ({comm}) S 1 {pid} {pid} 0 -1 {flags} 0 0 0 0 100 20 0 0 20 0 1 0 500 4096 1 0 1 1 1 0 0 0 0 0\n"
    )
}
