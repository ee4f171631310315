//! The page built with npm and Vite, with the network. Only `HWM_PAGE=build` leads here.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::page::sources::PAGE_SOURCES;

/// Longest wait for npm and for Vite, each.
const MAX_TOOL_TIME: Duration = Duration::from_secs(300);

/// Builds the page below `out` from a copy of the sources, so that the source tree stays as it is.
pub(crate) fn build_page(viewer: &Path, out: &Path) -> Result<PathBuf, String> {
    let copy = out.join("viewer");
    for source in PAGE_SOURCES {
        copy_all(&viewer.join(source), &copy.join(source)).map_err(|error| format!("{source}: {error}"))?;
    }
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    // The lock file has a checksum of each package, and no package may run a script of its own.
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]);
    npm.args(["--fetch-retries=1", "--fetch-timeout=30000"]);
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|offline| offline == "true") {
        npm.arg("--offline");
    }
    run(npm.current_dir(&copy), "npm ci", &out.join("npm.log"))?;
    let page = out.join("page");
    let mut vite = Command::new("node");
    vite.args(["node_modules/vite/bin/vite.js", "build", "--outDir"]).arg(&page);
    run(vite.current_dir(&copy), "vite build", &out.join("vite.log"))?;
    Ok(page.join("index.html"))
}

/// Runs a command with a limit of time. The error says in one line why it failed.
fn run(command: &mut Command, name: &str, log: &Path) -> Result<(), String> {
    let file = fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("{name}: {error}; install Node.js 20.19 or newer with npm"))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < MAX_TOOL_TIME => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = MAX_TOOL_TIME.as_secs();
                return Err(format!("{name} took more than {seconds} s; see {}", log.display()));
            }
            Err(error) => return Err(format!("{name}: {error}")),
        }
    };
    if status.success() { Ok(()) } else { Err(format!("{name} failed, {status}; see {}", log.display())) }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        // A file that the sources no longer have must not stay in the copy.
        let _ = fs::remove_dir_all(to);
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::copy(from, to).map(drop)
}
