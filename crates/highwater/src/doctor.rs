//! Tries each measuring mechanism on this machine, and reports which ones work.
//!
//! Nothing is guessed from the kernel's version or configuration. Each mechanism is used once, on this
//! process or on a short-lived child, and undone at once.

use serde::Serialize;

use crate::Roots;

pub use self::prospect::Prospect;

#[cfg(any(target_os = "linux", windows))]
mod gpu;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "macos", all(test, unix)))]
#[cfg_attr(not(target_os = "macos"), allow(dead_code))] // Linux tests what the answers mean.
mod macos;
mod prospect;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
use windows as os;

/// One row of the table: name, purpose, whether this version uses it, and how to try it.
struct Mechanism {
    name: &'static str,
    gives: &'static str,
    in_use: bool,
    /// True if the attempt calls a GPU's driver.
    calls_driver: bool,
    attempt: fn(&Roots) -> MechanismState,
}

const fn used(name: &'static str, gives: &'static str, attempt: fn(&Roots) -> MechanismState) -> Mechanism {
    Mechanism { name, gives, in_use: true, calls_driver: false, attempt }
}

const fn of_driver(
    name: &'static str,
    gives: &'static str,
    attempt: fn(&Roots) -> MechanismState,
) -> Mechanism {
    Mechanism { calls_driver: true, ..used(name, gives, attempt) }
}

impl Mechanism {
    fn examined(&self, state: MechanismState) -> Examined {
        Examined { mechanism: self.name, gives: self.gives, in_use: self.in_use, state }
    }
}

/// One mechanism, and whether it works here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examined {
    /// The name of the mechanism.
    pub mechanism: &'static str,
    /// The measurements that it makes possible, in a few words.
    pub gives: &'static str,
    /// True if this version of highwater uses it.
    pub in_use: bool,
    /// The result of the attempt.
    #[serde(flatten)]
    pub state: MechanismState,
}

/// The result of trying a mechanism.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MechanismState {
    /// The mechanism works.
    Works {
        /// A useful detail, such as a limit's value.
        detail: Option<String>,
    },
    /// The mechanism does not work.
    Missing {
        /// The reason.
        why: String,
        /// A way to make it possible, if one is known.
        remedy: Option<String>,
    },
}

/// Tries every mechanism of this library, in a fixed order; each is in the result once.
///
/// This takes well under a second on Linux. It takes about a second on Windows, which starts children one
/// after the other. A GPU driver that wakes up may take longer. It needs no privilege, and leaves nothing
/// behind: no process, descriptor, cgroup or changed setting.
///
/// ```
/// use highwater::{Roots, doctor::{MechanismState, examine}};
///
/// for row in examine(&Roots::default()) {
///     if let MechanismState::Missing { why, .. } = &row.state {
///         println!("no {} ({}): {why}", row.mechanism, row.gives);
///     }
/// }
/// ```
pub fn examine(roots: &Roots) -> Vec<Examined> {
    os::MECHANISMS.iter().map(|mechanism| mechanism.examined((mechanism.attempt)(roots))).collect()
}

/// As [`examine`], without the GPU drivers, since a crash or hang of a driver would take this process with
/// it. `why` stands in their place.
pub fn examine_without_drivers(roots: &Roots, why: &str) -> Vec<Examined> {
    let state = |mechanism: &Mechanism| {
        if mechanism.calls_driver {
            MechanismState::missing(why).or("repair or reinstall the driver")
        } else {
            (mechanism.attempt)(roots)
        }
    };
    os::MECHANISMS.iter().map(|mechanism| mechanism.examined(state(mechanism))).collect()
}

impl MechanismState {
    fn works() -> Self {
        Self::Works { detail: None }
    }

    fn works_with(detail: impl Into<String>) -> Self {
        Self::Works { detail: Some(detail.into()) }
    }

    fn missing(why: impl Into<String>) -> Self {
        Self::Missing { why: why.into(), remedy: None }
    }

    /// Adds a remedy, if the mechanism does not work.
    fn or(self, help: &str) -> Self {
        match self {
            Self::Missing { why, remedy: None } => Self::Missing { why, remedy: Some(help.to_owned()) },
            other => other,
        }
    }
}
