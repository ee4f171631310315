//! The privilege that looking into other users' processes needs, in the words of the system.

/// The privilege of this process on its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Privilege {
    pub(super) is_held: bool,
    pub(super) is_windows: bool,
}

impl Privilege {
    pub(crate) fn current() -> Self {
        Self { is_held: is_root(), is_windows: cfg!(windows) }
    }

    /// Returns the advice on looking into `them`: the privilege to run with, or that none would help.
    pub(super) fn to_look_into(self, them: &str) -> String {
        if self.is_held {
            format!("even {} may not look into {them} here", self.holder())
        } else {
            format!("run {} to look into {them}", self.way())
        }
    }

    /// Returns the sentence that `count` names may not be read, and the remedy.
    pub(super) fn for_names(self, count: usize) -> String {
        if self.is_held {
            let names = if count == 1 { "its name" } else { "their names" };
            format!("{count} protected: even {} may not read {names}", self.holder())
        } else {
            format!("{count} protected: run {} for names", self.way())
        }
    }

    fn way(self) -> &'static str {
        if self.is_windows { "elevated" } else { "as root" }
    }

    fn holder(self) -> &'static str {
        if self.is_windows { "an elevated user" } else { "root" }
    }
}

/// Returns whether this process runs as root, which may look into every process; on Windows, whether it runs elevated.
#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(windows)]
pub(crate) fn is_root() -> bool {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

    use windows_sys::Win32::{
        Security::{GetTokenInformation, TOKEN_ELEVATION, TOKEN_QUERY, TokenElevation},
        System::Threading::{GetCurrentProcess, OpenProcessToken},
    };

    let mut token = std::ptr::null_mut();
    // SAFETY: the first handle stands for this process; the second is written where the call works.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return false;
    }
    // SAFETY: the handle is new, and nothing else owns it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let mut elevation = TOKEN_ELEVATION::default();
    let size = u32::try_from(size_of_val(&elevation)).unwrap_or(u32::MAX);
    let mut filled = 0;
    // SAFETY: `elevation` has the size that is passed.
    let is_read = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenElevation,
            (&raw mut elevation).cast(),
            size,
            &raw mut filled,
        )
    };
    is_read != 0 && elevation.TokenIsElevated != 0
}
