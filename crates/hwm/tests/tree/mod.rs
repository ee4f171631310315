//! A procfs and a sysfs of files, as `--procfs` and `--sysfs` take them.
#![allow(dead_code)] // Each test program uses a part.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// A client of a GPU: what one open descriptor shows. What it shares is in `vram`.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: u32,
    pub(crate) card: u32,
    pub(crate) pci: &'static str,
    pub(crate) vram: u64,
    pub(crate) shared: u64,
    pub(crate) gtt: u64,
    /// The name that the process chose.
    pub(crate) name: &'static str,
}

impl Client {
    pub(crate) fn new(id: u32, card: u32, pci: &'static str, vram: u64) -> Self {
        Self { id, card, pci, vram, shared: 0, gtt: 0, name: "" }
    }
}

/// Deleted with the value.
pub(crate) struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    /// Returns a machine with 16 GiB of RAM, nothing that runs, and no GPU.
    pub(crate) fn new() -> Self {
        let tree = Self { root: tempfile::tempdir().expect("a directory") };
        tree.write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n");
        fs::create_dir_all(tree.root.path().join("sys/class")).expect("made");
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

    /// Returns a process of user 1000 that sleeps.
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

    /// Returns a card of AMD with `cardN` and `renderD(128+N)`.
    pub(crate) fn amdgpu(&mut self, number: u32, pci: &str, name: &str, total: u64, used: u64) -> &mut Self {
        for (node, minor) in
            [(format!("card{number}"), number), (format!("renderD{}", 128 + number), 128 + number)]
        {
            let node = format!("sys/class/drm/{node}");
            let write = |file: &str, text: &str| self.write(&format!("{node}/{file}"), format!("{text}\n"));
            write("dev", &format!("226:{minor}"));
            write("device/uevent", &format!("DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME={pci}"));
            write("device/product_name", name);
            write("device/mem_info_vram_total", &total.to_string());
            write("device/mem_info_vram_used", &used.to_string());
            write("device/mem_info_gtt_total", &(8_u64 << 30).to_string());
            write("device/mem_info_gtt_used", &(1_u64 << 28).to_string());
            // `metrics_table_header` of a card: 0x78 bytes, format 1, revision 3.
            self.write(&format!("{node}/device/gpu_metrics"), [0x78, 0, 1, 3]);
        }
        self
    }

    /// Returns a descriptor of a process: the lines of the kernel since 6.13.
    pub(crate) fn client(&mut self, pid: u32, fd: u32, client: &Client) -> &mut Self {
        let Client { id, card, pci, vram, shared, gtt, name } = client;
        let mut text = format!(
            "pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t1239\n\
             drm-driver:\tamdgpu\ndrm-client-id:\t{id}\ndrm-pdev:\t{pci}\npasid:\t32771\n"
        );
        if !name.is_empty() {
            writeln!(text, "drm-client-name:\t{name}").expect("memory");
        }
        for (region, total, shared) in [("cpu", 0, 0), ("gtt", *gtt, 0), ("vram", *vram, *shared)] {
            for (key, bytes) in [("total", total), ("shared", shared), ("active", 0), ("resident", total)] {
                writeln!(text, "drm-{key}-{region}:\t{} KiB", bytes / 1024).expect("memory");
            }
        }
        writeln!(text, "drm-engine-gfx:\t46464671 ns").expect("memory");
        self.write(&format!("proc/{pid}/fdinfo/{fd}"), text);
        let directory = self.proc().join(format!("{pid}/fd"));
        fs::create_dir_all(&directory).expect("made");
        let node = format!("/dev/dri/renderD{}", 128 + card);
        std::os::unix::fs::symlink(node, directory.join(fd.to_string())).expect("linked");
        self
    }

    /// Makes the tree pass for this machine's, in which time passes.
    pub(crate) fn is_this_machine(&self) {
        let boot_id = fs::read("/proc/sys/kernel/random/boot_id").expect("read");
        self.write("proc/sys/kernel/random/boot_id", boot_id);
    }

    /// Sets how long the engine of a client has worked.
    pub(crate) fn engine_time(&self, pid: u32, fd: u32, time: Duration) {
        let path = self.proc().join(format!("{pid}/fdinfo/{fd}"));
        let text = fs::read_to_string(&path).expect("read");
        let (before, _) = text.split_once("drm-engine-").expect("an engine, in the last line");
        let mut text = before.to_owned();
        writeln!(text, "drm-engine-gfx:\t{} ns", time.as_nanos()).expect("memory");
        let new = self.root.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, path).expect("renamed");
    }

    /// Lets only its owner see the descriptors of a process.
    pub(crate) fn lock(&self, pid: u32) {
        use std::os::unix::fs::PermissionsExt;
        let mode =
            |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        mode(self.root.path().to_owned(), 0o755);
        for directory in ["fd", "fdinfo"] {
            mode(self.proc().join(format!("{pid}/{directory}")), if is_root() { 0o700 } else { 0 });
        }
    }

    /// Runs hwm as a user that may not see locked descriptors; `None` if that user cannot reach `hwm`.
    pub(crate) fn as_other_user(&self, args: &[&str]) -> Option<Output> {
        use std::os::unix::process::CommandExt;
        const OTHER_UID: u32 = 65534;
        let mut command = self.hwm(args);
        if is_root() {
            command.uid(OTHER_UID).gid(OTHER_UID);
        }
        command.output().ok()
    }

    /// Returns `hwm` with these arguments, on this tree.
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

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
