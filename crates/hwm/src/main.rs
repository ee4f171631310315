//! `hwm`: how much memory does this job use, and how high did it rise?

mod args;
mod ci_check;
mod compare;
mod doctor;
mod exit;
mod generate;
mod judgement;
mod output;
mod paths;
mod run;
mod signals;
mod startup;
#[allow(dead_code)] // Other verbs need the rest.
mod units;
mod usage;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser;

fn main() -> ExitCode {
    let verb = match Cli::try_parse() {
        Ok(cli) => cli.verb,
        Err(error) => return usage::explain(&error),
    };
    let done = match verb {
        Verb::Run(args) => return run::run(args),
        Verb::Compare(args) => return compare::run(&args),
        Verb::CiCheck(args) => return ci_check::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Man(args) => generate::man(&args),
        Verb::Completions(args) => generate::completions(&args),
    };
    done.unwrap_or_else(|error| {
        output::complain(format_args!("{error:#}"));
        ExitCode::from(exit::FAILURE)
    })
}
