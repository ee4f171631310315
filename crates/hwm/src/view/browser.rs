//! Showing a page in the user's browser.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
#[cfg(not(target_os = "macos"))]
use highwater::helper;

use crate::files::create_temporary;

/// The time in which the opener may report that it failed; some stay as long as the browser.
const BROWSER_START_TIMEOUT: Duration = Duration::from_secs(3);

/// Creates a file for a page without a name. It stays, as the browser may read it at any time.
pub(crate) fn temporary() -> io::Result<PathBuf> {
    Ok(create_temporary(".html")?.into_temp_path().keep()?)
}

/// Shows the page.
pub(crate) fn open(page: &Path) -> anyhow::Result<()> {
    let page = std::fs::canonicalize(page).unwrap_or_else(|_| page.to_owned());
    let hint = || format!("open {} in a browser", page.display());
    let mut command = opener(&page);
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        command.spawn().with_context(|| format!("no browser was started by {name}: {}", hint()))?;
    let begun = Instant::now();
    while begun.elapsed() < BROWSER_START_TIMEOUT {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{name} failed ({status}): {}", hint()),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(())
}

#[cfg(target_os = "macos")]
fn opener(page: &Path) -> Command {
    let mut command = Command::new("/usr/bin/open");
    command.arg(page);
    command
}

#[cfg(windows)]
fn opener(page: &Path) -> Command {
    let mut command = Command::new(helper::system_directory().join("rundll32.exe"));
    command.arg("url.dll,FileProtocolHandler").arg(page);
    command
}

#[cfg(not(any(target_os = "macos", windows)))]
fn opener(page: &Path) -> Command {
    // If the program is missing, the start fails and reports it.
    let program = helper::find("xdg-open", "HWM_XDG_OPEN").unwrap_or_else(|_| "/usr/bin/xdg-open".into());
    let mut command = Command::new(program);
    // It is a script, which finds browsers and other programs by PATH.
    if let Ok(path) = helper::search_path() {
        command.env("PATH", path);
    }
    command.arg(page);
    command
}
