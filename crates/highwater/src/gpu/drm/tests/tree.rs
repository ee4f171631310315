//! Machines made of files.

use std::{fs, os::unix::fs::symlink};

use crate::{Roots, gpu::Monitor};

pub(in crate::gpu::drm) struct MachineTree {
    directory: tempfile::TempDir,
}

impl MachineTree {
    /// Makes a machine with a process 1 that does not use GPUs.
    pub(in crate::gpu::drm) fn new() -> Self {
        let tree = Self { directory: tempfile::tempdir().unwrap() };
        tree.write("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:        1 kB\n");
        tree.link("proc/1/fd/0", "/dev/null");
        tree.directory("sys/class/mem");
        tree
    }

    pub(in crate::gpu::drm) fn roots(&self) -> Roots {
        let at = |name| self.directory.path().join(name);
        Roots { proc: at("proc"), sys: at("sys"), cgroup: at("cgroup") }
    }

    pub(in crate::gpu::drm) fn monitor(&self) -> Monitor {
        Monitor::with_roots(self.roots())
    }

    pub(in crate::gpu::drm) fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(in crate::gpu::drm) fn link(&self, path: &str, target: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub(in crate::gpu::drm) fn directory(&self, path: &str) {
        fs::create_dir_all(self.directory.path().join(path)).unwrap();
    }

    /// Copies the links and files of a directory.
    pub(in crate::gpu::drm) fn copy(&self, from: &str, to: &str) {
        for entry in fs::read_dir(self.directory.path().join(from)).unwrap() {
            let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
            let to = format!("{to}/{}", name.to_str().unwrap());
            match fs::read_link(&from) {
                Ok(target) => self.link(&to, target.to_str().unwrap()),
                Err(_) => self.write(&to, &fs::read_to_string(&from).unwrap()),
            }
        }
    }

    pub(in crate::gpu::drm) fn remove(&self, path: &str) {
        fs::remove_dir_all(self.directory.path().join(path)).unwrap();
    }

    /// Adds a PCI device with a card node and a render node.
    pub(in crate::gpu::drm) fn card(&self, number: u32, address: &str, driver: &str) {
        let uevent = format!("DRIVER={driver}\nPCI_SLOT_NAME={address}\n");
        self.device(number, address, &uevent);
    }

    pub(in crate::gpu::drm) fn device(&self, number: u32, name: &str, uevent: &str) {
        self.write(&format!("sys/devices/{name}/uevent"), uevent);
        for (node, minor) in
            [(format!("card{number}"), number), (format!("renderD{}", 128 + number), 128 + number)]
        {
            let node = format!("sys/class/drm/{node}");
            self.write(&format!("{node}/dev"), &format!("226:{minor}\n"));
            self.link(&format!("{node}/device"), &format!("../../../devices/{name}"));
        }
    }

    /// Writes a file in the sysfs directory of a device.
    pub(in crate::gpu::drm) fn of_device(&self, name: &str, file: &str, text: &str) {
        self.write(&format!("sys/devices/{name}/{file}"), text);
    }

    /// Adds a descriptor of a process.
    pub(in crate::gpu::drm) fn fd(&self, pid: u32, fd: u32, link: &str, text: &str) {
        self.link(&format!("proc/{pid}/fd/{fd}"), link);
        self.write(&format!("proc/{pid}/fdinfo/{fd}"), text);
    }
}
