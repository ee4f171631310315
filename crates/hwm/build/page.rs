//! The page of `hwm view --html`. A build runs no npm and uses no network unless `HWM_PAGE=build` asks for it.

mod npm;
mod sources;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Advice on how to get a page that is missing; a build without it is no error.
const HOW_TO_GET_IT: &str = "`npm ci --ignore-scripts && npm run build` in viewer/ makes it, and so does HWM_PAGE=build (with the network)";

/// The page that `HWM_PAGE` asks for.
enum Wanted {
    /// The one in `page/`, where there is one that was made from these sources (the default).
    Ready,
    /// The same, else one built with npm.
    Built,
    /// This file, whatever it was made from.
    File(PathBuf),
    /// None: hwm shall be built without it.
    Without,
}

impl Wanted {
    fn from_environment() -> Self {
        let wanted = env::var_os("HWM_PAGE").unwrap_or_default();
        match wanted.to_str() {
            Some("") => Self::Ready,
            Some("build") => Self::Built,
            Some("none") => Self::Without,
            _ => Self::File(wanted.into()),
        }
    }
}

/// Writes `page.rs` into `OUT_DIR` (an expression: the page or `None`), and sets `cfg(page)` where there is a page.
pub(crate) fn provide(here: &Path, out: &Path) {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=HWM_PAGE");
    println!("cargo::rustc-check-cfg=cfg(page)");
    let page = match Wanted::from_environment() {
        Wanted::Without => None,
        Wanted::Ready => ready_page(here)
            .inspect_err(|why| {
                println!(
                    "cargo::warning=hwm is built without the page of `hwm view --html`: {why}. {HOW_TO_GET_IT}"
                );
            })
            .ok(),
        // A page that was asked for and cannot be had ends the build.
        Wanted::Built => built_page(here, out).map_err(|why| println!("cargo::error=HWM_PAGE=build: {why}")).ok(),
        Wanted::File(file) => {
            named_page(&file).map_err(|why| println!("cargo::error=HWM_PAGE={}: {why}", file.display())).ok()
        }
    };
    let expression = page.map_or("None".to_owned(), |page| {
        println!("cargo::rustc-cfg=page");
        format!("Some(include_str!({:?}))", page.display().to_string())
    });
    let file = out.join("page.rs");
    if fs::read_to_string(&file).ok().as_ref() != Some(&expression) {
        fs::write(&file, expression).expect("OUT_DIR can be written to");
    }
}

/// Finds the page in `page/`. In a checkout it must have been made from the sources that are there.
fn ready_page(here: &Path) -> Result<PathBuf, String> {
    // The directory is always there: Cargo takes a missing file for a changed one, at each build.
    println!("cargo::rerun-if-changed=page");
    let page = here.join("page/index.html");
    match viewer_of_checkout(here) {
        Some(viewer) => check_page(&page, &viewer)?,
        // A published crate has no sources of the page. Cargo has verified the checksum of the whole crate.
        None if page.is_file() => {}
        None => return Err("this package has none".to_owned()),
    }
    Ok(page)
}

fn built_page(here: &Path, out: &Path) -> Result<PathBuf, String> {
    let why = match ready_page(here) {
        Ok(page) => return Ok(page),
        Err(why) => why,
    };
    let viewer = viewer_of_checkout(here).ok_or(why)?;
    let built = out.join("page/index.html");
    if check_page(&built, &viewer).is_err() {
        let page = npm::build_page(&viewer, out)?;
        check_page(&page, &viewer)?;
    }
    Ok(built)
}

fn named_page(file: &Path) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-changed={}", file.display());
    fs::canonicalize(file).map_err(|error| error.to_string())
}

/// Returns `viewer/` of a checkout, and lets Cargo watch the sources in it.
fn viewer_of_checkout(here: &Path) -> Option<PathBuf> {
    let viewer = crate::checkout_root(here)?.join("viewer");
    viewer.join("package.json").is_file().then(|| {
        for source in sources::PAGE_SOURCES {
            println!("cargo::rerun-if-changed={}", viewer.join(source).display());
        }
        viewer
    })
}

/// Refuses a page that was not made from these sources, whenever and by whomever it was written.
fn check_page(page: &Path, viewer: &Path) -> Result<(), String> {
    let text = match fs::read_to_string(page) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("no page was made yet".to_owned());
        }
        Err(error) => return Err(format!("{}: {error}", page.display())),
    };
    let digest = sources::sources_digest(viewer).map_err(|error| format!("{}: {error}", viewer.display()))?;
    match sources::digest_in_page(&text) {
        Some(of_page) if of_page == digest => Ok(()),
        Some(_) => Err(format!("{} was made from other sources", page.display())),
        None => Err(format!("{} does not say what it was made from, or was cut short", page.display())),
    }
}
