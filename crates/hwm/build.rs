//! Puts the text of `hwm --version` together (version, commit, build date, target), and provides the page of `hwm view`.

#[path = "build/page.rs"]
mod page;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let target = env::var("TARGET").unwrap_or_default();
    let commit = commit().map_or(String::new(), |commit| format!("commit {commit}, "));
    let date = build_date();
    println!("cargo::rustc-env=HWM_VERSION={version} ({commit}built {date}, {target})");
    load_libraries_from_the_system();
    page::provide(&manifest_dir(), Path::new(&env::var_os("OUT_DIR").expect("set by Cargo")));
}

/// Keeps a DLL beside hwm.exe, as in a folder of downloads, from being loaded in place of the system's
/// (`LOAD_LIBRARY_SEARCH_SYSTEM32`). Microsoft's linker alone has the option.
fn load_libraries_from_the_system() {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "windows") && is("CARGO_CFG_TARGET_ENV", "msvc") {
        println!("cargo::rustc-link-arg-bins=/DEPENDENTLOADFLAG:0x800");
    }
}

/// Asked for when it runs: checkouts that share a target directory share the compiled script, too.
fn manifest_dir() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").expect("set by Cargo").into()
}

/// Returns the root of the checkout that this crate lies in. A package that was unpacked somewhere has none: it must not
/// look at what others put around it.
fn checkout_root(here: &Path) -> Option<PathBuf> {
    here.ends_with("crates/hwm").then(|| here.join("../.."))
}

/// The commit of this checkout, or the one that `cargo package` noted down in a published crate.
fn commit() -> Option<String> {
    let here = &manifest_dir();
    let full = if checkout_root(here).is_some_and(|root| root.join(".git").exists()) {
        // The log of HEAD changes with every commit and every checkout.
        if let Some(log) = git(here, &["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={}", here.join(log).display());
        }
        git(here, &["rev-parse", "HEAD"])?
    } else {
        let note = fs::read_to_string(here.join(".cargo_vcs_info.json")).ok()?;
        note.split("\"sha1\": \"").nth(1)?.split('"').next()?.to_owned()
    };
    full.get(..12).map(str::to_owned)
}

fn git(here: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(here).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// `SOURCE_DATE_EPOCH` where it is set, so that a build can be reproduced, else today.
fn build_date() -> String {
    let asked = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let moment = asked
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .or_else(|| jiff::Timestamp::try_from(SystemTime::now()).ok())
        .unwrap_or_default();
    moment.to_string().chars().take(10).collect()
}
