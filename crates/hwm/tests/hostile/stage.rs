//! Users and directories for the tests.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::install::install;

/// A user without a name: the kernel knows numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Attacker,
    Victim,
}

impl User {
    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Attacker => 54_321,
            Self::Victim => 54_322,
        }
    }
}

/// A directory tree in which several users meet.
pub(crate) struct Stage {
    root: TempDir,
}

impl Stage {
    /// Sets the stage. Returns `None`, with a line on standard error, if the tests do not run as root.
    pub(crate) fn set() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can act as several users");
            return None;
        }
        let stage = Self { root: tempfile::tempdir().expect("a directory") };
        chmod(stage.root.path(), 0o755);
        // The place where it was built may be closed to other users.
        install(&assert_cmd::cargo::cargo_bin("hwm"), &stage.path("hwm"));
        stage.directory("sticky", User::Root, 0o1777);
        stage.directory("private", User::Root, 0o700);
        Some(stage)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Makes a directory.
    pub(crate) fn directory(&self, name: &str, owner: User, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("made");
        chown(&path, Some(owner.id()), Some(owner.id())).expect("given");
        chmod(&path, mode);
        path
    }

    /// Makes a file.
    pub(crate) fn file(&self, name: &str, owner: User, mode: u32, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        chown(&path, Some(owner.id()), Some(owner.id())).expect("given");
        // After the owner: chown(2) takes the set-user-ID bit away.
        chmod(&path, mode);
        path
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, name: &str, owner: User, target: &Path) -> PathBuf {
        let path = self.path(name);
        std::os::unix::fs::symlink(target, &path).expect("made");
        std::os::unix::fs::lchown(&path, Some(owner.id()), Some(owner.id())).expect("given");
        path
    }

    /// Makes a named pipe that every user may write to.
    pub(crate) fn pipe(&self, name: &str, owner: User) -> PathBuf {
        let path = self.path(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o666.into()).expect("made");
        chown(&path, Some(owner.id()), Some(owner.id())).expect("given");
        chmod(&path, 0o666);
        path
    }

    /// Returns `hwm` with these arguments, as a user, in a home of its own.
    pub(crate) fn hwm(&self, user: User, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("hwm"));
        command.args(args).env("HOME", self.path("no-home")).env_remove("XDG_DATA_HOME");
        if user != User::Root {
            command.uid(user.id()).gid(user.id());
        }
        command.current_dir(self.root.path());
        command
    }

    /// Runs hwm; returns the exit code and its standard error.
    pub(crate) fn run(&self, user: User, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.hwm(user, args).output().expect("runs");
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Returns owner and mode of a file itself.
pub(crate) fn owner_and_mode(path: &Path) -> (u32, u32) {
    let status = fs::symlink_metadata(path).expect("there");
    (status.uid(), status.mode() & 0o7777)
}
