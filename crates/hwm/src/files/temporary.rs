//! Temporary files that other programs read by their name.

use std::{env, io, path::PathBuf};

use tempfile::NamedTempFile;

/// Creates a file in the directory for temporary files, for its owner alone. It is removed on drop.
///
/// # Errors
/// Another user could replace it, so that its reader would get the content of another file.
pub(crate) fn create_temporary(suffix: &str) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix("hwm-").suffix(suffix).tempfile_in(trusted_directory()?)
}

/// The directory for temporary files, without a link in its path.
#[cfg(unix)]
fn trusted_directory() -> io::Result<PathBuf> {
    let directory = env::temp_dir().canonicalize()?;
    let ancestors: Vec<_> = directory.ancestors().collect();
    // From the root on: a directory that was checked keeps the next one in its place.
    for ancestor in ancestors.into_iter().rev() {
        super::trust::check_keeps_entries(&rustix::fs::lstat(ancestor)?, ancestor)?;
    }
    Ok(directory)
}

/// The directory for temporary files. Windows gives each user one of their own.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // Unix checks it.
fn trusted_directory() -> io::Result<PathBuf> {
    Ok(env::temp_dir())
}
