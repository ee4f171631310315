//! What `compare` and `ci-check` share: the rules as options, the records, and the judgement of them.

use std::path::PathBuf;

use highwater::{
    analysis::{Comparison, LeakReport, Rules, Verdict, compare, find_leaks},
    record::Record,
};
use serde::Serialize;

use crate::{
    exit,
    leaks::LeakArgs,
    output::{document::Schema, text},
    units,
};

/// What counts as growth.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RuleArgs {
    /// Growth that is allowed, in percent of the base. A regression exceeds this and --floor.
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent, default_value = "5%", allow_hyphen_values = true)]
    max_increase: f64,

    /// Growth that is allowed, in bytes: 10M and 10MiB are 1024-based, 10MB is 1000-based. With 0 here and 0% there
    /// every growth counts that the intervals and the spread of the runs prove.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, default_value = "10M", allow_hyphen_values = true)]
    floor: u64,

    /// Let groups of processes decide too; without it they explain, and the totals decide.
    #[arg(long)]
    groups: bool,

    #[command(flatten)]
    leaks: LeakArgs,
}

impl RuleArgs {
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        rules.max_increase_percent = self.max_increase;
        rules.floor_bytes = self.floor;
        rules.groups_decide = self.groups;
        rules
    }
}

/// Records and what is said of them.
#[derive(Debug, Serialize)]
pub(crate) struct Judgement {
    schema: Schema,
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
    /// The commands as one line each, for people.
    #[serde(skip)]
    pub(crate) commands: (String, String),
}

impl Judgement {
    /// Judges the candidates by the bases; by nothing where there is no base.
    pub(crate) fn of(
        base: (Vec<PathBuf>, &[Record]),
        candidate: (Vec<PathBuf>, &[Record]),
        args: &RuleArgs,
    ) -> Self {
        let comparison = (!base.1.is_empty()).then(|| compare(base.1, candidate.1, args.rules()));
        let leaks = args.leaks.rules().map(|rules| -> Vec<LeakReport> {
            candidate.1.iter().map(|record| find_leaks(record, rules)).collect()
        });
        let found = leaks.iter().flatten().any(|report| !report.leaks.is_empty());
        let verdict = match &comparison {
            _ if found => Verdict::Regression,
            Some(comparison) => comparison.verdict,
            None => Verdict::Fine,
        };
        let command = |records: &[Record]| records.first().map(text::command_of).unwrap_or_default();
        let commands = (command(base.1), command(candidate.1));
        let schema = Schema::COMPARISON;
        Self { schema, verdict, base: base.0, candidate: candidate.0, comparison, leaks, commands }
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
