//! The rules of `hwm compare` and `hwm ci-check`.

use highwater::analysis::Rules;

use super::leaks::LeakArgs;
use crate::{judgement::JudgementRules, units};

/// The growth that is allowed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RuleArgs {
    /// Growth that is allowed, in percent of the base. A regression exceeds this and --floor.
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent, default_value = "5%", allow_hyphen_values = true)]
    max_increase: f64,

    /// Growth that is allowed, in bytes: 10M and 10MiB are 1024-based, 10MB is 1000-based. With 0 here and 0% there
    /// every growth counts that the intervals and the spread of the runs prove.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_memory, default_value = "10M", allow_hyphen_values = true)]
    floor: u64,

    /// Let groups of processes decide too; without it they explain, and the totals decide.
    #[arg(long)]
    groups: bool,

    #[command(flatten)]
    leaks: LeakArgs,
}

impl RuleArgs {
    pub(crate) fn rules(&self) -> JudgementRules {
        let mut rules = Rules::default();
        rules.max_increase_percent = self.max_increase;
        rules.floor_bytes = self.floor;
        rules.groups_decide = self.groups;
        JudgementRules { growth: rules, leaks: self.leaks.rules() }
    }
}
