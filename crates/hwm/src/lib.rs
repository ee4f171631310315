//! `hwm`: how much memory does this job use, how high did it rise, and which processes hold GPU memory?

#[cfg(any(test, fuzzing))]
mod any_record;
mod args;
mod background;
mod ci_check;
mod compare;
mod console;
#[cfg(any(windows, test))]
mod debug_privilege;
mod devices;
mod doctor;
mod exit;
mod explain;
mod export;
mod file_privileges;
mod files;
mod filter;
mod fits;
mod generate;
mod gpu_guard;
mod judgement;
mod leaks;
mod list;
mod missing_part;
mod output;
mod page_trim;
mod paths;
mod process_listing;
mod process_selection;
mod ps;
mod record_source;
mod run;
mod schema;
mod series;
mod signals;
mod startup;
mod store;
mod terminal;
mod text;
mod units;
mod usage_errors;
mod view;
mod watch;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser;

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    // This runs before any file is opened, any variable of the environment is used or any library is loaded.
    if let Some(code) = file_privileges::give_up() {
        return code;
    }
    #[cfg(unix)]
    signals::outlive_file_size_limit();
    let Cli { json, roots, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage_errors::explain(&error),
    };
    if let Some(verb) = &verb
        && let Some(code) = usage_errors::check_front(verb, json, &roots)
    {
        return code;
    }
    #[cfg(windows)]
    if verb.as_ref().is_some_and(debug_privilege::is_wanted) {
        debug_privilege::enable();
    }
    // For these verbs exit code 1 is an answer, not a failure.
    let failure = match verb {
        Some(Verb::Ps(_) | Verb::Watch(_) | Verb::Fits(_)) => exit::INCOMPLETE,
        _ => exit::FAILURE,
    };
    let done = match verb {
        None => devices::run(&roots, json),
        Some(Verb::Run(args)) => return run::run(&args),
        Some(Verb::Attach(args)) => return run::attach(args),
        Some(Verb::Compare(args)) => return compare::run(&args),
        Some(Verb::CiCheck(args)) => return ci_check::run(&args),
        Some(Verb::Leaks(args)) => leaks::run(&args),
        Some(Verb::List(args)) => list::run(&args),
        Some(Verb::Ps(mut args)) => {
            args.roots = args.roots.or(roots);
            ps::run(args)
        }
        Some(Verb::Watch(mut args)) => {
            args.roots = args.roots.or(roots);
            watch::run(args)
        }
        Some(Verb::Fits(mut args)) => {
            args.roots = args.roots.or(roots);
            fits::run(&args)
        }
        Some(Verb::View(args)) => view::run(&args),
        Some(Verb::Explain(args)) => explain::run(&args),
        Some(Verb::Export(args)) => export::run(&args),
        Some(Verb::Doctor(args)) => doctor::run(&args),
        Some(Verb::Man(args)) => generate::man(&args),
        Some(Verb::Completions(args)) => generate::completions(&args),
    };
    done.unwrap_or_else(|error| {
        console::complain_of(&error);
        ExitCode::from(failure)
    })
}

/// Hands any bytes to every output of records; for `fuzz/`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_record(text: &[u8]) {
    let _ = any_record::write_everywhere(text);
}
