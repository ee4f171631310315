//! What can be measured on this machine, mechanism by mechanism, found by trying each one.
//!
//! Nothing is guessed from the kernel's version or configuration: each mechanism is used once, on this process
//! or on a short-lived child of its own, and undone at once.

use serde::Serialize;

use crate::Roots;

#[cfg(any(target_os = "linux", windows))]
mod gpu;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "macos", all(test, unix)))]
#[cfg_attr(not(target_os = "macos"), allow(dead_code))] // Linux tests what the answers mean.
mod macos;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
use windows as os;

/// One row of the table: name, what it gives, whether this version uses it, and how to try it.
struct Mechanism {
    name: &'static str,
    gives: &'static str,
    in_use: bool,
    /// It calls a GPU's driver.
    calls_driver: bool,
    attempt: fn(&Roots) -> State,
}

const fn used(name: &'static str, gives: &'static str, attempt: fn(&Roots) -> State) -> Mechanism {
    Mechanism { name, gives, in_use: true, calls_driver: false, attempt }
}

const fn of_driver(name: &'static str, gives: &'static str, attempt: fn(&Roots) -> State) -> Mechanism {
    Mechanism { calls_driver: true, ..used(name, gives, attempt) }
}

impl Mechanism {
    fn examined(&self, state: State) -> Examined {
        Examined { mechanism: self.name, gives: self.gives, in_use: self.in_use, state }
    }
}

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
/// Takes well under a second on Linux and about a second on Windows, where children are started one after the other; a
/// driver that wakes up may take longer. Needs no privilege, and leaves nothing behind: no process, descriptor, cgroup
/// or changed setting.
///
/// ```
/// use highwater::{Roots, doctor::{State, examine}};
///
/// for row in examine(&Roots::default()) {
///     if let State::Missing { why, .. } = &row.state {
///         println!("no {} ({}): {why}", row.mechanism, row.gives);
///     }
/// }
/// ```
pub fn examine(roots: &Roots) -> Vec<Examined> {
    os::MECHANISMS.iter().map(|mechanism| mechanism.examined((mechanism.attempt)(roots))).collect()
}

/// As [`examine`], but GPU drivers are left alone: a crash or a hang of one would be ours. `why` stands in their place.
pub fn examine_without_drivers(roots: &Roots, why: &str) -> Vec<Examined> {
    let state = |mechanism: &Mechanism| {
        if mechanism.calls_driver {
            State::missing(why).or("mend or reinstall the driver")
        } else {
            (mechanism.attempt)(roots)
        }
    };
    os::MECHANISMS.iter().map(|mechanism| mechanism.examined(state(mechanism))).collect()
}

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
