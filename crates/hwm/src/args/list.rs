//! `hwm list`.

use crate::{
    store::{RecordName, RecordReference},
    units,
};

/// List the records that hwm run --save has kept, or remove some.
///
/// The newest first. The first column is how hwm view, compare, leaks, export and ci-check call it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// Only those of this name.
    #[arg(value_name = "NAME", conflicts_with_all = ["remove", "keep"])]
    pub(crate) name: Option<RecordName>,

    /// Print JSON.
    #[arg(long, conflicts_with_all = ["remove", "keep"])]
    pub(crate) json: bool,

    /// Remove this record, with all its runs. May be given several times.
    #[arg(long, value_name = "RECORD", value_parser = parse_reference)]
    pub(crate) remove: Vec<RecordReference>,

    /// Remove all but the newest N.
    #[arg(long, value_name = "N", conflicts_with = "remove", value_parser = units::parse_number)]
    pub(crate) keep: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  hwm run --save -- make -j8              keep the record of this run
  hwm run --save=base --repeat 5 -- make  keep five runs, and call them base
  hwm list
  hwm compare base @last                  base against the newest
  hwm view @last~1                        the one before the newest
  hwm list --remove base~1                remove an older one of the same name
  hwm list --keep 20                      remove all but the newest 20

@last is the newest, @last~1 the one before it; base is the newest of that name, base~1 the one before it; base#2 is \
the second of its runs. A file of the same name goes before base; @base always means the record.

PEAK is the median of the runs: ≥ at least, ≤ at most, ~ an estimate.

Exit codes: 0 done; 1 failed; 2 bad usage.
";

fn parse_reference(text: &str) -> Result<RecordReference, String> {
    RecordReference::parse(text)
        .ok_or_else(|| "give the name of a kept record, such as base, base~1 or @last~3".to_owned())
}
