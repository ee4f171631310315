//! Runs the examples that users start from.

#![cfg(all(target_os = "linux", feature = "report"))]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the output of an example.
fn run(name: &str) -> String {
    let path = built(name);
    let output = Command::new(&path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the path of an example. `cargo test` builds the examples with the tests; if only this test is run,
/// Cargo is called.
fn built(name: &str) -> PathBuf {
    // target/PROFILE/deps/examples-...
    let own = env::current_exe().unwrap();
    let profile_dir = own.parent().and_then(Path::parent).unwrap();
    let path = profile_dir.join("examples").join(name);
    if !path.exists() {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--all-features", "--example", name, "--target-dir"]);
        cargo.arg(profile_dir.parent().unwrap());
        if profile_dir.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(path.exists(), "no {}, and {cargo:?}: {built:?}", path.display());
    }
    path
}

#[test]
fn snapshot() {
    let text = run("snapshot");
    let ram = text.strip_prefix("RAM: ").and_then(|text| text.split(' ').next()).unwrap();
    assert!(ram.parse::<u64>().unwrap() > 100 << 10, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("GPU 0"), "{text}");
}

#[test]
fn print_demo() {
    let text = run("print_demo");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[..3], lines[3..]);
    for line in lines {
        assert!(line.starts_with("  50 MiB more: "), "{line}");
    }
    let grown = text.split("RAM +").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    assert!((49..=60).contains(&grown.parse::<u32>().unwrap()), "{text}");
    assert!(text.contains("VRAM"), "{text}");
}

/// Programs written for hypomnesis expect [`Error::Ram`](highwater::Error::Ram), and not the failed system
/// call.
#[test]
fn snapshot_without_procfs() {
    let own_mounts = ["--user", "--map-root-user", "--mount"];
    let allowed = Command::new("unshare").args(own_mounts).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user may not make a mount namespace");
        return;
    }
    let hide = "mount -t tmpfs none /proc && exec \"$0\"";
    let mut unshare = Command::new("unshare");
    unshare.args(own_mounts).args(["sh", "-c", hide]).arg(built("snapshot"));
    let output = unshare.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("Error: Ram(\"cannot read /proc/self"), "{text}");
}
