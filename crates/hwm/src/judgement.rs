//! What `compare` and `ci-check` share: the rules as options, the records, and the judgement of them.

use std::{path::PathBuf, time::Duration};

use highwater::{
    analysis::{Comparison, LeakReport, LeakRules, Rules, Verdict, compare, find_leaks},
    record::Record,
};
use serde::Serialize;

use crate::{exit, units};

/// What counts as growth.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RuleArgs {
    /// Growth that is allowed, in percent of the base. A regression exceeds this and --floor.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, default_value = "5%", allow_hyphen_values = true)]
    max_increase: f64,

    /// Growth that is allowed, in bytes: 10M and 10MiB are 1024-based, 10MB is 1000-based. With 0 here and 0% there
    /// every growth counts that the intervals and the spread of the runs prove.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, default_value = "10M", allow_hyphen_values = true)]
    floor: u64,

    /// Let groups of processes decide too; without it they explain, and the totals decide.
    #[arg(long)]
    groups: bool,

    /// Look for memory that went on growing while the candidate ran, in its total and in each process.
    #[arg(long)]
    detect_leaks: bool,

    /// A leak's floor grew by this much after warm-up.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, default_value = "50%", requires = "detect_leaks", allow_hyphen_values = true)]
    leak_min_growth: f64,

    /// For at least this long.
    #[arg(long, value_name = "TIME", value_parser = units::parse_time, default_value = "60s", requires = "detect_leaks", allow_hyphen_values = true)]
    leak_min_duration: Duration,
}

impl RuleArgs {
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        rules.max_increase_percent = self.max_increase;
        rules.floor_bytes = self.floor;
        rules.groups_decide = self.groups;
        rules
    }

    /// The rules for leaks, if they are looked for.
    pub(crate) fn leaks(&self) -> Option<LeakRules> {
        let mut rules = LeakRules::default();
        rules.min_growth_percent = self.leak_min_growth;
        rules.min_duration_seconds = self.leak_min_duration.as_secs_f64();
        self.detect_leaks.then_some(rules)
    }
}

/// `5%`, `0.5 %`, `5`.
fn parse_percent(text: &str) -> Result<f64, String> {
    let wrong = || "give a percentage of 0 or more, such as 5% or 0.5%".to_owned();
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    number.parse::<f64>().ok().filter(|value| is_plain && value.is_finite()).ok_or_else(wrong)
}

/// Records and what is said of them.
#[derive(Debug, Serialize)]
pub(crate) struct Judgement {
    /// Of all of it.
    pub(crate) verdict: Verdict,
    /// The base's files.
    pub(crate) base: Vec<PathBuf>,
    /// The candidate's.
    pub(crate) candidate: Vec<PathBuf>,
    /// `null` where there is no base.
    pub(crate) comparison: Option<Comparison>,
    /// One for each candidate, if leaks were looked for.
    pub(crate) leaks: Option<Vec<LeakReport>>,
    /// The commands, for their names.
    #[serde(skip)]
    pub(crate) commands: (Vec<String>, Vec<String>),
}

impl Judgement {
    /// Judges the candidates by the bases; by nothing where there is no base.
    pub(crate) fn of(
        base: (Vec<PathBuf>, &[Record]),
        candidate: (Vec<PathBuf>, &[Record]),
        args: &RuleArgs,
    ) -> Self {
        let comparison = (!base.1.is_empty()).then(|| compare(base.1, candidate.1, args.rules()));
        let leaks = args.leaks().map(|rules| -> Vec<LeakReport> {
            candidate.1.iter().map(|record| find_leaks(record, rules)).collect()
        });
        let found = leaks.iter().flatten().any(|report| !report.leaks.is_empty());
        let verdict = match &comparison {
            _ if found => Verdict::Regression,
            Some(comparison) => comparison.verdict,
            None => Verdict::Fine,
        };
        let command = |records: &[Record]| records.first().map(|r| r.command.clone()).unwrap_or_default();
        let commands = (command(base.1), command(candidate.1));
        Self { verdict, base: base.0, candidate: candidate.0, comparison, leaks, commands }
    }

    /// The exit code that says so.
    pub(crate) fn code(&self) -> u8 {
        match self.verdict {
            Verdict::Fine | Verdict::NoEvidence => 0,
            Verdict::Regression => exit::REGRESSION,
            _ => exit::NOT_COMPARED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        for (text, value) in [("5%", 5.0), ("0.5 %", 0.5), (" 12 ", 12.0), ("0", 0.0), ("250%", 250.0)] {
            assert_eq!(parse_percent(text), Ok(value), "{text}");
        }
        for text in ["", "%", "-5%", "five", "5%%", "inf", "nan", "1e3", "5 percent", "1,5%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }
}
