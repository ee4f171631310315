//! What can be measured on this machine, mechanism by mechanism, found by trying each one.
//!
//! Nothing is guessed from the kernel's version or configuration: each mechanism is used once, on this process
//! or on a short-lived child of its own, and undone at once.

use serde::Serialize;

use crate::Roots;

#[cfg(target_os = "linux")]
mod linux;

/// One mechanism, and whether it works here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examined {
    /// Its name.
    pub mechanism: &'static str,
    /// What it gives, in a few words.
    pub gives: &'static str,
    /// Whether this version of highwater uses it.
    pub in_use: bool,
    /// What trying it showed.
    #[serde(flatten)]
    pub state: State,
}

/// What trying a mechanism showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It works.
    Works {
        /// What else is worth knowing, such as a limit's value.
        detail: Option<String>,
    },
    /// It does not work.
    Missing {
        /// Why.
        why: String,
        /// What would make it possible, where that is known.
        remedy: Option<String>,
    },
}

/// Tries every mechanism this library knows, in a fixed order; each stands in the result once.
///
/// Takes well under a second, needs no privilege, and leaves nothing behind: no process, descriptor, cgroup or
/// changed setting. On systems that are not supported yet the result is empty.
pub fn examine(roots: &Roots) -> Vec<Examined> {
    #[cfg(target_os = "linux")]
    return linux::examine(roots);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = roots;
        Vec::new()
    }
}

/// As [`examine`], but GPU drivers are left alone: a crash or a hang of one would be ours. `why` stands in their place.
pub fn examine_without_drivers(roots: &Roots, why: &str) -> Vec<Examined> {
    #[cfg(target_os = "linux")]
    return linux::examine_without_drivers(roots, why);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (roots, why);
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
impl State {
    fn works() -> Self {
        Self::Works { detail: None }
    }

    fn works_with(detail: impl Into<String>) -> Self {
        Self::Works { detail: Some(detail.into()) }
    }

    fn missing(why: impl Into<String>) -> Self {
        Self::Missing { why: why.into(), remedy: None }
    }

    /// Adds what would help, where the mechanism does not work.
    fn or(self, help: &str) -> Self {
        match self {
            Self::Missing { why, remedy: None } => Self::Missing { why, remedy: Some(help.to_owned()) },
            other => other,
        }
    }
}
