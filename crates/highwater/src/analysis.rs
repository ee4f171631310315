//! Judges records: growth between two of them ([`compare()`]), and growth that continues inside one
//! ([`find_leaks`]). These are pure functions of records. `docs/compare.md` has the rules in plain words.
//!
//! ```no_run
//! use highwater::{analysis::{LeakRules, Rules, Verdict, compare, find_leaks}, record::Record};
//!
//! let before = Record::from_json(&std::fs::read("before.json")?)?;
//! let after = Record::from_json(&std::fs::read("after.json")?)?;
//! for leak in find_leaks(&after, LeakRules::default()).leaks {
//!     println!("{leak:?}");
//! }
//!
//! let comparison = compare(&[before], &[after], Rules::default());
//! if comparison.verdict == Verdict::Regression {
//!     println!("{:?}", comparison.primary().map(|total| total.change_bytes));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compare;
mod figure;
mod floor;
mod judge;
mod leak;
mod warning;

pub use self::compare::{Comparison, ComparisonRow, Quantity, compare, totals_of_runs};
pub use self::judge::{Reason, Rules, Side, Verdict};
pub use self::leak::{LeakReport, LeakRules, find_leaks, find_leaks_in};
pub use self::warning::{Warning, WarningKind};
