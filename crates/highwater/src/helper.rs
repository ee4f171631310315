//! Finds programs that are started beside the job, such as nvidia-smi.
//!
//! The current directory is never searched, whatever `PATH` contains: root may be in a directory of another
//! user. On Windows only the system's own directory is searched.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

/// Directories in which only root can put programs, searched before those of `PATH`.
#[cfg(unix)]
const PROGRAM_DIRECTORIES: &[&str] = &[
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/opt/bin",
    // NixOS and Guix
    "/run/current-system/sw/bin",
    "/run/current-system/profile/bin",
    // Windows' Subsystem for Linux: nvidia-smi
    "/usr/lib/wsl/lib",
];

/// Finds the program `name`. If the environment's `variable` is set, it is the program's absolute path and
/// the only candidate.
///
/// # Errors
/// Not found, or permission denied if the file exists and may not be executed.
pub fn find(name: &str, variable: &str) -> io::Result<PathBuf> {
    match env::var_os(variable).map(PathBuf::from) {
        Some(path) if path.is_absolute() => first_executable([path]),
        Some(_) => {
            let why = format!("{variable} must be an absolute path");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
        None => {
            let file = format!("{name}{}", env::consts::EXE_SUFFIX);
            first_executable(directories(env::var_os("PATH").as_deref()).map(|place| place.join(&file)))
        }
    }
}

/// Returns `PATH` without its relative elements, for a program that itself finds others. If nothing is left
/// it is the fixed places.
///
/// # Errors
/// A directory's name that cannot stand in `PATH`.
#[cfg(unix)]
pub fn search_path() -> io::Result<OsString> {
    let mut elements = absolute_elements(env::var_os("PATH").as_deref());
    if elements.is_empty() {
        // An empty PATH means the current directory (execvp(3)).
        elements = PROGRAM_DIRECTORIES.iter().map(PathBuf::from).collect();
    }
    env::join_paths(elements).map_err(io::Error::other)
}

/// Returns the fixed places, then the absolute elements of `path`.
#[cfg(unix)]
fn directories(path: Option<&OsStr>) -> impl Iterator<Item = PathBuf> {
    PROGRAM_DIRECTORIES.iter().map(PathBuf::from).chain(absolute_elements(path))
}

#[cfg(unix)]
fn absolute_elements(path: Option<&OsStr>) -> Vec<PathBuf> {
    env::split_paths(path.unwrap_or_default()).filter(|element| element.is_absolute()).collect()
}

/// Returns the system's directory alone.
#[cfg(windows)]
fn directories(_: Option<&OsStr>) -> impl Iterator<Item = PathBuf> {
    std::iter::once(system_directory())
}

/// Returns the directory of Windows' own programs, such as `C:\Windows\System32`. It is the system's answer,
/// since a user may set the environment of an elevated program.
#[cfg(windows)]
pub fn system_directory() -> PathBuf {
    use std::os::windows::ffi::OsStringExt;

    use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;

    let mut text = [0_u16; 512];
    let room = u32::try_from(text.len()).unwrap_or(0);
    // SAFETY: the buffer is live and has as many letters as `room` says.
    let length = unsafe { GetSystemDirectoryW(text.as_mut_ptr(), room) };
    // 0 is a failure. A length above the room, which no directory has, is the room that it would need.
    let letters = usize::try_from(length).ok().and_then(|length| text.get(..length));
    letters
        .filter(|letters| !letters.is_empty())
        .map_or_else(|| PathBuf::from("C:\\Windows\\System32"), |letters| OsString::from_wide(letters).into())
}

fn first_executable(candidates: impl IntoIterator<Item = PathBuf>) -> io::Result<PathBuf> {
    let mut failure = io::ErrorKind::NotFound;
    for path in candidates {
        if fs::metadata(&path).is_ok_and(|file| file.is_file()) {
            if may_execute(&path) {
                return Ok(path);
            }
            failure = io::ErrorKind::PermissionDenied;
        }
    }
    Err(failure.into())
}

#[cfg(unix)]
fn may_execute(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(windows)]
fn may_execute(_: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn no_relative_element_is_searched_and_fixed_places_come_first() {
        let searched: Vec<PathBuf> =
            directories(Some(OsStr::new(".:/home/me/bin::bin:../bin:/snap/bin:"))).collect();
        let (fixed, named) = searched.split_at(PROGRAM_DIRECTORIES.len());
        assert!(fixed.iter().eq(PROGRAM_DIRECTORIES.iter().map(PathBuf::from).collect::<Vec<_>>().iter()));
        assert_eq!(named, [PathBuf::from("/home/me/bin"), PathBuf::from("/snap/bin")]);
        assert_eq!(directories(None).count(), PROGRAM_DIRECTORIES.len());
        assert!(directories(Some(OsStr::new(""))).all(|place| place.is_absolute()));
    }

    #[test]
    fn takes_the_first_that_may_be_executed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (plain, program, absent) =
            (file("plain", 0o644), file("program", 0o755), dir.path().join("absent"));
        let directory = dir.path().to_owned();
        let kind = |candidates: &[&PathBuf]| {
            first_executable(candidates.iter().map(|&path| path.clone())).map_err(|error| error.kind())
        };
        assert_eq!(kind(&[&absent, &directory, &plain, &program]), Ok(program));
        assert_eq!(kind(&[&absent, &plain]), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(&[&absent, &directory]), Err(io::ErrorKind::NotFound));
    }
}
