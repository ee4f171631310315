//! Judgement of records: what grew between two of them ([`compare()`]), and what went on growing inside one
//! ([`find_leaks`]). Pure functions of records; they print nothing and read nothing else. `docs/compare.md` has the
//! rules in plain words.

mod compare;
mod figure;
mod floor;
mod judge;
mod leak;
mod warning;

pub use self::compare::{Comparison, Quantity, Row, compare, totals_of_runs};
pub use self::judge::{Reason, Rules, Side, Verdict};
pub use self::leak::{LeakReport, LeakRules, find_leaks, find_leaks_in};
pub use self::warning::{Warning, WarningKind};
