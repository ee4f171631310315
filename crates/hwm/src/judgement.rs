//! The part that `compare` and `ci-check` share: records, and the judgement of them.

use std::path::PathBuf;

use highwater::{
    analysis::{Comparison, LeakReport, LeakRules, Rules, Verdict, compare, find_leaks},
    record::Record,
};
use serde::Serialize;

use crate::{exit, schema::Schema, text};

/// The rules for growth, and for leaks if leaks are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JudgementRules {
    pub(crate) growth: Rules,
    pub(crate) leaks: Option<LeakRules>,
}

/// The compared records, and the results.
#[derive(Debug, Serialize)]
pub(crate) struct Judgement {
    schema: Schema,
    /// The verdict on all of it.
    pub(crate) verdict: Verdict,
    /// The base's files.
    pub(crate) base: Vec<PathBuf>,
    /// The candidate's.
    pub(crate) candidate: Vec<PathBuf>,
    /// The comparison; `null` if there is no base.
    pub(crate) comparison: Option<Comparison>,
    /// One for each candidate, if leaks were looked for.
    pub(crate) leaks: Option<Vec<LeakReport>>,
    /// The commands as one line each, for people.
    #[serde(skip)]
    pub(crate) commands: (String, String),
}

impl Judgement {
    /// Judges the candidates by the bases, or alone if there is no base.
    pub(crate) fn of(
        base: (Vec<PathBuf>, &[Record]),
        candidate: (Vec<PathBuf>, &[Record]),
        rules: JudgementRules,
    ) -> Self {
        let comparison = (!base.1.is_empty()).then(|| compare(base.1, candidate.1, rules.growth));
        let leaks = rules.leaks.map(|rules| -> Vec<LeakReport> {
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

    /// Returns the exit code of the verdict.
    pub(crate) fn code(&self) -> u8 {
        match self.verdict {
            Verdict::Fine | Verdict::NoEvidence => 0,
            Verdict::Regression => exit::REGRESSION,
            _ => exit::NOT_COMPARED,
        }
    }
}
