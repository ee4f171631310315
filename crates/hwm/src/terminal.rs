//! The terminals that standard output and standard error lead to.

/// Returns the columns of standard output; `None` if it is no terminal, so that nothing is cut.
pub(crate) fn width() -> Option<usize> {
    os::columns(&std::io::stdout()).filter(|&columns| columns >= NARROWEST_TERMINAL)
}

/// Returns the columns of standard error, likewise.
pub(crate) fn width_of_stderr() -> Option<usize> {
    os::columns(&std::io::stderr()).filter(|&columns| columns >= NARROWEST_TERMINAL)
}

/// Returns whether what is written there may be more than ASCII, by the locale (setlocale(3): the first of these that is set
/// decides). Consoles of Windows take UTF-8 from programs in any case.
pub(crate) fn is_utf8() -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let says_so = |locale: String| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    cfg!(windows) || locale.is_some_and(says_so)
}

/// Returns the columns that the user wants (`COLUMNS`), else those of standard output, else 80.
pub(crate) fn wanted_width() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    wanted.or_else(width).unwrap_or(80).clamp(40, 1000)
}

/// Terminals that claim less do not know.
const NARROWEST_TERMINAL: usize = 40;

#[cfg(unix)]
mod os {
    use std::os::fd::AsFd;

    pub(super) fn columns(of: &impl AsFd) -> Option<usize> {
        Some(rustix::termios::tcgetwinsize(of).ok()?.ws_col.into())
    }
}

#[cfg(windows)]
mod os {
    use std::os::windows::io::AsRawHandle;

    use windows_sys::Win32::System::Console::{CONSOLE_SCREEN_BUFFER_INFO, GetConsoleScreenBufferInfo};

    pub(super) fn columns(of: &impl AsRawHandle) -> Option<usize> {
        let mut screen = CONSOLE_SCREEN_BUFFER_INFO::default();
        // SAFETY: the handle is of this process or none, and the local is live.
        let is_known = unsafe { GetConsoleScreenBufferInfo(of.as_raw_handle(), &raw mut screen) } != 0;
        // The width is the window's, which may show only a part of the buffer.
        let columns = i32::from(screen.srWindow.Right) - i32::from(screen.srWindow.Left) + 1;
        is_known.then(|| usize::try_from(columns).ok())?
    }
}
