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

/// Whether what is written there may be more than ASCII, by the locale (setlocale(3): the first of these that is set
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

/// The columns that the user wants (`COLUMNS`), else those of standard output, else 80.
pub(crate) fn wanted_width() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    wanted.or_else(width).unwrap_or(80).clamp(40, 1000)
}

/// Whether we are root, who may look into every process.
pub(crate) fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}
