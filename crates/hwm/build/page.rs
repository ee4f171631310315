//! The page of `hwm view --html`: a ready one is taken, else it is built with npm, else hwm is compiled without it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// What the page is made from; a directory counts with all that is in it.
const SOURCES: [&str; 6] =
    ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src"];
/// Longest wait for npm and Vite, each.
const PATIENCE: Duration = Duration::from_secs(300);

/// Writes `page.rs` into `OUT_DIR`: an expression, the page or `None`.
pub(crate) fn provide(here: &Path, out: &Path) {
    println!("cargo::rerun-if-changed=build/page.rs");
    println!("cargo::rerun-if-env-changed=HWM_PAGE");
    let expression = match find_or_build(here, out) {
        Ok(Some(page)) => format!("Some(include_str!({:?}))", page.display().to_string()),
        Ok(None) => "None".to_owned(),
        Err(why) => {
            println!("cargo::warning=hwm is built without the page of `hwm view --html`: {why}");
            "None".to_owned()
        }
    };
    let file = out.join("page.rs");
    if fs::read_to_string(&file).ok().as_ref() != Some(&expression) {
        fs::write(&file, expression).expect("OUT_DIR can be written to");
    }
}

fn find_or_build(here: &Path, out: &Path) -> Result<Option<PathBuf>, String> {
    match env::var("HWM_PAGE").as_deref() {
        Ok("none") => return Ok(None),
        Ok(named) if !named.is_empty() => {
            let page = fs::canonicalize(named).map_err(|error| format!("HWM_PAGE={named}: {error}"))?;
            println!("cargo::rerun-if-changed={}", page.display());
            return Ok(Some(page));
        }
        _ => {}
    }
    let viewer = here.join("../../viewer");
    if !viewer.join("package.json").is_file() {
        // A published crate carries the page.
        let page = here.join("page/index.html");
        return page.is_file().then_some(Some(page)).ok_or_else(|| "this package has none".to_owned());
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", viewer.join(source).display());
    }
    let changed = SOURCES.iter().filter_map(|source| newest(&viewer.join(source))).max();
    let is_fresh = |page: &Path| page.is_file() && newest(page) >= changed;

    let ready = viewer.join("dist/index.html");
    if ready.is_file() {
        // Only where it is there: Cargo takes a missing file for a changed one, each time.
        println!("cargo::rerun-if-changed={}", ready.display());
        if is_fresh(&ready) {
            return Ok(Some(ready));
        }
    }
    let built = out.join("page/index.html");
    if is_fresh(&built) {
        return Ok(Some(built));
    }
    build(&viewer, out).map(|()| Some(built))
}

/// Builds the page into `out/page`, and leaves nothing in the source tree.
fn build(viewer: &Path, out: &Path) -> Result<(), String> {
    let installed = viewer.join("node_modules/.package-lock.json");
    let lock = viewer.join("package-lock.json");
    let place = if installed.is_file() && newest(&installed) >= newest(&lock) {
        viewer.to_owned()
    } else {
        let copy = out.join("viewer");
        for source in SOURCES {
            copy_all(&viewer.join(source), &copy.join(source))
                .map_err(|error| format!("{source}: {error}"))?;
        }
        let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
        npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]);
        npm.args(["--fetch-retries=1", "--fetch-timeout=30000"]);
        if env::var("CARGO_NET_OFFLINE").is_ok_and(|offline| offline == "true") {
            npm.arg("--offline");
        }
        run(npm.current_dir(&copy), "npm ci", &out.join("npm.log"))?;
        copy
    };
    let mut vite = Command::new("node");
    vite.arg("node_modules/vite/bin/vite.js")
        .args(["build", "--emptyOutDir", "--outDir"])
        .arg(out.join("page"));
    run(vite.current_dir(&place), "vite build", &out.join("vite.log"))
}

/// Runs it with a limit of time; why it failed, in one line.
fn run(command: &mut Command, name: &str, log: &Path) -> Result<(), String> {
    let file = fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("{name}: {error}; it takes Node.js 20.19 or newer with npm"))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "{name} took more than {} s (see {})",
                    PATIENCE.as_secs(),
                    log.display()
                ));
            }
            Err(error) => return Err(format!("{name}: {error}")),
        }
    };
    if status.success() { Ok(()) } else { Err(format!("{name} failed, {status} (see {})", log.display())) }
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_dir() {
        // What is gone from the sources must go from the copy.
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

/// When it was last written to; of a directory, anything in it.
fn newest(path: &Path) -> Option<SystemTime> {
    let own = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| newest(&entry.path())).chain(own).max()
}
