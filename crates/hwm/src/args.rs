//! The command line: what clap parses, what the man pages and completions are made from.

use clap::{Parser, Subcommand};

mod attach;
mod cell;
mod ci_check;
mod compare;
mod doctor;
mod explain;
mod export;
mod fits;
mod generate;
mod leaks;
mod list;
mod measure;
mod output_mode;
mod ps;
mod report;
mod roots_args;
mod rules;
mod run;
mod view;
mod watch;

pub(crate) use self::{
    attach::AttachArgs,
    ci_check::{CheckOutputArgs, CiCheckArgs},
    compare::CompareArgs,
    doctor::DoctorArgs,
    explain::ExplainArgs,
    export::{ExportArgs, ExportFormat},
    fits::FitsArgs,
    generate::{CompletionsArgs, ManArgs},
    leaks::LeaksArgs,
    list::ListArgs,
    measure::PaceArgs,
    ps::{PsArgs, SelectArgs},
    report::{LivePace, ReportArgs, Save},
    roots_args::RootsArgs,
    run::{HookArgs, RunArgs},
    view::ViewArgs,
    watch::WatchArgs,
};

/// How much memory does this job use, how high did it rise, and which processes hold GPU memory?
///
/// `hwm run` runs a command, follows all its descendants, and reports how much memory they used together. Without a
/// command: the memory of each GPU, and the machine's RAM. Every figure says what it counts and how certain it is.
#[derive(Debug, Parser)]
#[command(name = "hwm", version = env!("HWM_VERSION"), after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Without a command: print JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) roots: RootsArgs,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(RunArgs),
    Attach(AttachArgs),
    Ps(PsArgs),
    Watch(WatchArgs),
    Fits(FitsArgs),
    View(ViewArgs),
    Explain(ExplainArgs),
    Export(ExportArgs),
    Compare(CompareArgs),
    CiCheck(CiCheckArgs),
    Leaks(LeaksArgs),
    List(ListArgs),
    /// Report what can be measured on this machine, and what would make the rest possible.
    Doctor(DoctorArgs),
    Man(ManArgs),
    Completions(CompletionsArgs),
}

const EXAMPLES: &str = "\
Examples:
  hwm run -- cargo build --release        how much memory does this build need?
  hwm run --json=mem.json -- make -j8     keep the record for scripts
  hwm run --json -- cargo test > mem.json
  hwm view mem.json                       look at it in the terminal; --open: charts in the browser
  hwm explain mem.json                    how sure is its peak memory?
  hwm compare base.json mem.json          what grew since then?
  hwm export mem.json --format csv        for other tools: traces, CSV, Parquet
  hwm attach 4321                         follow a process that runs already
  hwm run --help                          all options of the main verb
  hwm                                     how full are the GPUs and the RAM?
  hwm ps                                  which processes hold GPU memory?
  hwm ps --all --min 1G                   which hold 1 GiB or more, of RAM or on a GPU?
  hwm watch --interval 1s > gpu.jsonl     the same over time
  hwm fits 8G && ./train.py               only if 8 GiB are free on a GPU
  hwm completions bash                    completions for the shell
";

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    fn run_args(args: &[&str]) -> RunArgs {
        let line = ["hwm", "run"].iter().chain(args);
        match Cli::try_parse_from(line).expect("parses").verb {
            Some(Verb::Run(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_after_the_command_belong_to_it() {
        let args = run_args(&["-i", "200", "ls", "-l", "--json", "--", "x"]);
        assert_eq!(args.command, ["ls", "-l", "--json", "--", "x"]);
        assert_eq!(args.report.json, None);
        assert_eq!(args.pace.interval, Some(Duration::from_millis(200)));
    }

    #[test]
    fn json_takes_a_file_only_with_an_equals_sign() {
        let args = run_args(&["--json", "cargo", "test"]);
        assert_eq!((args.report.json, args.command.len()), (Some(PathBuf::from("-")), 2));
        let args = run_args(&["--json=a.json", "--", "cargo"]);
        assert_eq!(args.report.json, Some(PathBuf::from("a.json")));
    }

    #[test]
    fn unknown_options_are_not_taken_for_the_command() {
        assert!(Cli::try_parse_from(["hwm", "run", "--bogus", "ls"]).is_err());
    }
}
