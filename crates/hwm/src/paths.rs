//! Names of output files: `{pid}`, `{host}` and `{rank}` are filled in.

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, bail};

/// The variables in which launchers put a process's rank, the most specific first (Slurm, `OpenMPI`, `PMIx`, PMI,
/// torchrun).
const RANK_VARIABLES: [&str; 5] = ["SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "RANK"];

/// Fills in the placeholders. A name that is not Unicode is taken as it stands.
pub(crate) fn expand(path: &Path) -> anyhow::Result<PathBuf> {
    let Some(text) = path.to_str() else { return Ok(path.to_owned()) };
    expand_with(text, |name| match name {
        "pid" => Ok(process::id().to_string()),
        "host" => host().context("{host}: the name of this machine cannot be read"),
        "rank" => rank().with_context(|| format!("{{rank}}: none of {} is set", RANK_VARIABLES.join(", "))),
        _ => bail!("{{{name}}} is unknown in a file name; there are {{pid}}, {{host}}, {{rank}}, and of hwm run {{n}}"),
    })
    .map(PathBuf::from)
}

/// Returns the name for the run of this number.
pub(crate) fn with_number(path: &Path, number: u32) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace("{n}", &number.to_string()).into(),
        None => path.to_owned(),
    }
}

/// Replaces each `{letters}`; other braces stand for themselves.
fn expand_with(text: &str, value: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        expanded.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()) => {
                // A value must not lead into another directory.
                expanded.push_str(&value(name)?.replace(['/', '\\'], "_"));
                rest = tail;
            }
            _ => {
                expanded.push('{');
                rest = after;
            }
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn rank() -> Option<String> {
    RANK_VARIABLES.iter().find_map(|name| env::var(name).ok().filter(|rank| !rank.is_empty()))
}

#[cfg(unix)]
fn host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    env::var("COMPUTERNAME").ok()
}

/// Returns the descriptor's number in `/dev/stdout`, `/dev/stderr`, `/dev/fd/N`, `/proc/self/fd/N`.
pub(crate) fn descriptor(path: &Path) -> Option<i32> {
    let text = path.to_str()?;
    match text {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        _ => {
            let number = text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?;
            number.parse().ok().filter(|number| *number >= 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> anyhow::Result<String> {
        expand_with(text, |name| match name {
            "host" => Ok("node/7".to_owned()),
            "rank" => Ok("3".to_owned()),
            _ => bail!("unknown"),
        })
    }

    #[test]
    fn fills_in_placeholders() {
        assert_eq!(fixed("a-{host}-{rank}.json").unwrap(), "a-node_7-3.json");
        assert_eq!(fixed("{rank}{rank}").unwrap(), "33");
        assert!(fixed("{ranks}").is_err());
    }

    #[test]
    fn leaves_other_braces_alone() {
        for name in ["plain", "{", "}", "{}", "a{ b }", "{1}", "{{}"] {
            assert_eq!(fixed(name).unwrap(), name);
        }
        assert_eq!(fixed("{x {rank}").unwrap(), "{x 3");
    }

    #[test]
    fn own_pid() {
        assert_eq!(expand(Path::new("{pid}")).unwrap(), Path::new(&process::id().to_string()));
    }

    #[test]
    fn descriptors() {
        assert_eq!(descriptor(Path::new("/dev/stdout")), Some(1));
        assert_eq!(descriptor(Path::new("/dev/fd/7")), Some(7));
        assert_eq!(descriptor(Path::new("/dev/fd/x")), None);
        assert_eq!(descriptor(Path::new("out.json")), None);
    }
}
