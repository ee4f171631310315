//! `--procfs` and `--sysfs`: this machine's, the host's as mounted in a container, or a recorded tree.

use std::path::PathBuf;

use highwater::Roots;

/// Options before or after the verb, for those verbs that read what is there.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RootsArgs {
    /// Read procfs at DIR instead of /proc (in a container: the host's, mounted there).
    #[arg(long, value_name = "DIR", value_parser = directory)]
    pub(crate) procfs: Option<PathBuf>,

    /// Read sysfs at DIR instead of /sys.
    #[arg(long, value_name = "DIR", value_parser = directory)]
    pub(crate) sysfs: Option<PathBuf>,
}

/// The same options for verbs that cannot use them; they exist for a better error message.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct UnusedRootsArgs {
    #[arg(long, value_name = "DIR", hide = true)]
    procfs: Option<PathBuf>,

    #[arg(long, value_name = "DIR", hide = true)]
    sysfs: Option<PathBuf>,
}

impl UnusedRootsArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.procfs.is_some() || self.sysfs.is_some()
    }
}

impl RootsArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.procfs.is_some() || self.sysfs.is_some()
    }

    /// Takes the options behind the verb, and fills the gaps from those before it.
    pub(crate) fn or(self, before: Self) -> Self {
        Self { procfs: self.procfs.or(before.procfs), sysfs: self.sysfs.or(before.sysfs) }
    }

    pub(crate) fn roots(&self) -> Roots {
        let mut roots = Roots::default();
        if let Some(proc) = &self.procfs {
            roots.proc.clone_from(proc);
        }
        if let Some(sys) = &self.sysfs {
            roots.sys.clone_from(sys);
            roots.cgroup = sys.join("fs/cgroup");
        }
        roots
    }
}

/// Parses the path of a directory that can be read.
fn directory(text: &str) -> Result<PathBuf, String> {
    std::fs::read_dir(text).map(|_| text.into()).map_err(|error| error.to_string())
}
