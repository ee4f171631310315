//! The terminal that standard output leads to.

/// Its columns; `None` where it is none, so that nothing is cut.
#[cfg(unix)]
pub(crate) fn width() -> Option<usize> {
    let columns: usize = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?.ws_col.into();
    (columns >= 40).then_some(columns)
}

#[cfg(not(unix))]
pub(crate) fn width() -> Option<usize> {
    None
}

/// Whether we are root, who may look into every process.
pub(crate) fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}
