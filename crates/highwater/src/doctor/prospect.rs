//! Summary of an examination: what a measurement yields here, what would make it better, and what cannot be had.

use super::{Examined, MechanismState, os};

/// Something that users want, and the mechanisms that yield it.
#[derive(Debug)]
pub(super) struct Wish {
    /// Name of it, for what would help or what is missing.
    pub(super) name: &'static str,
    /// Ways to it, the best first.
    pub(super) ways: &'static [MechanismUse],
}

/// A mechanism that yields something.
#[derive(Debug)]
pub(super) struct MechanismUse {
    pub(super) mechanism: &'static str,
    pub(super) gives: &'static str,
    /// The option that asks for it; without one it is used by itself.
    pub(super) option: Option<&'static str>,
}

/// The measurements that this machine allows, in phrases.
///
/// ```
/// use highwater::{Roots, doctor::{Prospect, examine}};
///
/// let prospect = Prospect::of(&examine(&Roots::default()));
/// println!("you will get: {}", prospect.gets.join("; "));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prospect {
    /// Measurements that are made by default.
    pub gets: Vec<String>,
    /// Options and changes that would make them better.
    pub better_with: Vec<String>,
    /// Measurements that cannot be made here, with the reason.
    pub missing: Vec<String>,
}

impl Prospect {
    /// Returns what the results of an examination mean together.
    #[must_use]
    pub fn of(examined: &[Examined]) -> Self {
        let mut prospect = Self::default();
        for wish in os::WISHES {
            prospect.add(wish, examined);
        }
        prospect
    }

    fn add(&mut self, wish: &Wish, examined: &[Examined]) {
        let state = |way: &MechanismUse| {
            examined.iter().find(|one| one.mechanism == way.mechanism).map(|one| &one.state)
        };
        let works = |way: &MechanismUse| matches!(state(way), Some(MechanismState::Works { .. }));
        let default = wish.ways.iter().position(|way| way.option.is_none() && works(way));
        let better = &wish.ways[..default.unwrap_or(wish.ways.len())];
        self.gets.extend(default.map(|place| wish.ways[place].gives.to_owned()));
        let by_option = better.iter().find_map(|way| Some((way.option?, way)).filter(|(_, way)| works(way)));
        if let Some((option, way)) = by_option {
            self.better_with.push(format!("{option}: {}", way.gives));
            return;
        }
        match better.first().and_then(state) {
            Some(MechanismState::Missing { remedy: Some(remedy), .. }) => {
                self.better_with.push(format!("{}: {remedy}", wish.name));
            }
            Some(MechanismState::Missing { why, remedy: None }) if default.is_none() => {
                self.missing.push(format!("{}: {why}", wish.name));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        name: "the moon",
        ways: &[
            MechanismUse { mechanism: "rocket", gives: "all of it", option: None },
            MechanismUse { mechanism: "lens", gives: "a closer look", option: Some("--near") },
            MechanismUse { mechanism: "eye", gives: "a look", option: None },
        ],
    };

    fn prospect(rocket: MechanismState, lens: MechanismState, eye: MechanismState) -> Prospect {
        let row = |mechanism, state| Examined { mechanism, gives: "", in_use: true, state };
        let mut prospect = Prospect::default();
        prospect.add(&WISH, &[row("rocket", rocket), row("lens", lens), row("eye", eye)]);
        prospect
    }

    fn no() -> MechanismState {
        MechanismState::missing("too far")
    }

    fn phrases(phrases: &[&str]) -> Vec<String> {
        phrases.iter().map(|&phrase| phrase.to_owned()).collect()
    }

    #[test]
    fn the_best_way_that_works_is_taken() {
        let works = MechanismState::works;
        let best = prospect(works(), works(), works());
        assert_eq!(best, Prospect { gets: phrases(&["all of it"]), ..Prospect::default() });
        let look = prospect(no(), no(), works());
        assert_eq!(look, Prospect { gets: phrases(&["a look"]), ..Prospect::default() });
    }

    #[test]
    fn what_would_help_is_named() {
        let works = MechanismState::works;
        let by_option = prospect(no().or("fuel"), works(), works());
        assert_eq!(by_option.gets, ["a look"]);
        assert_eq!(by_option.better_with, ["--near: a closer look"]);
        let by_remedy = prospect(no().or("fuel"), no(), works());
        assert_eq!(by_remedy.better_with, ["the moon: fuel"]);
    }

    #[test]
    fn what_cannot_be_had_is_named_with_its_reason() {
        let nothing = prospect(no(), no(), no());
        assert_eq!(nothing, Prospect { missing: phrases(&["the moon: too far"]), ..Prospect::default() });
    }

    #[test]
    fn each_way_is_a_mechanism_of_this_system() {
        for way in os::WISHES.iter().flat_map(|wish| wish.ways) {
            assert!(
                os::MECHANISMS.iter().any(|mechanism| mechanism.name == way.mechanism),
                "{}",
                way.mechanism
            );
        }
    }
}
