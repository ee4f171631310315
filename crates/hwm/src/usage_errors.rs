//! Bad usage: one line with the fault and its remedy.

use std::{env, process::ExitCode};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    args::{Cli, RootsArgs, Verb},
    console::complain,
    exit,
};

/// Prints help, version or what is wrong with the command line; the exit code.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    let verb = verb();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that stops early (`| head -1`) is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            exit::of_usage(verb.as_deref())
        }
        ErrorKind::MissingRequiredArgument if verb.as_deref() == Some("run") && lacks_command(error) => {
            complain("no command to run; name it after the options, as in: hwm run -- cargo build");
            exit::of_usage(verb.as_deref())
        }
        ErrorKind::MissingRequiredArgument if verb.as_deref() == Some("fits") => {
            complain("no size; name one, as in: hwm fits 8G");
            exit::of_usage(verb.as_deref())
        }
        _ => {
            let known = verb.as_deref().filter(|verb| Cli::command().find_subcommand(verb).is_some());
            let help = known.map_or("hwm --help".to_owned(), |verb| format!("hwm {verb} --help"));
            complain(format_args!("{} (see {help})", message(error)));
            exit::of_usage(verb.as_deref())
        }
    }
}

/// Returns whether the command is what is missing: options may need others, too.
fn lacks_command(error: &clap::Error) -> bool {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.iter().any(|name| name.starts_with("<CMD>")),
        _ => true,
    }
}

/// Rejects options before a verb that cannot use them; returns the exit code.
pub(crate) fn check_front(verb: &Verb, json: bool, roots: &RootsArgs) -> Option<ExitCode> {
    let (name, takes_roots) = match verb {
        Verb::Run(_) => ("run", false),
        Verb::Attach(_) => ("attach", false),
        Verb::Ps(_) => ("ps", true),
        Verb::Watch(_) => ("watch", true),
        Verb::Fits(_) => ("fits", true),
        Verb::View(_) => ("view", false),
        Verb::Explain(_) => ("explain", false),
        Verb::Compare(_) => ("compare", false),
        Verb::CiCheck(_) => ("ci-check", false),
        Verb::Leaks(_) => ("leaks", false),
        Verb::List(_) => ("list", false),
        Verb::Export(_) => ("export", false),
        Verb::Doctor(_) => ("doctor", false),
        Verb::Man(_) => ("man", false),
        Verb::Completions(_) => ("completions", false),
    };
    let is_misplaced = match verb {
        Verb::Run(args) => args.unused_roots.is_given() || roots.is_given(),
        _ => !takes_roots && roots.is_given(),
    };
    if is_misplaced {
        complain(format_args!(
            "--procfs and --sysfs are for hwm, hwm ps, hwm watch and hwm fits; hwm {name} works on this machine"
        ));
        return Some(exit::of_usage(Some(name)));
    }
    if json {
        match verb {
            Verb::Run(_)
            | Verb::Ps(_)
            | Verb::Compare(_)
            | Verb::Leaks(_)
            | Verb::List(_)
            | Verb::Doctor(_) => {
                complain(format_args!("--json belongs behind the verb, as in: hwm {name} --json"));
            }
            Verb::Watch(_) => complain("hwm watch needs no --json: it always prints JSON lines"),
            _ => complain(format_args!("hwm {name} has no --json")),
        }
        return Some(exit::of_usage(Some(name)));
    }
    None
}

/// Returns the fault, in one line.
pub(crate) fn message(error: &clap::Error) -> String {
    one_line(&error.render().to_string())
}

/// Returns the first argument that is no option, nor belongs to one: clap does not report which verb an error belongs
/// to.
fn verb() -> Option<String> {
    let mut words = env::args_os().skip(1).filter_map(|word| word.into_string().ok());
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--procfs" | "--sysfs") {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Returns clap's message and tips without its usage and help lines.
fn one_line(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .take_while(|line| !line.starts_with("Usage:"))
        .map(|line| line.strip_prefix("error: ").or(line.strip_prefix("tip: ")).unwrap_or(line))
        .collect();
    lines.join("; ").replace(":; ", ": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line() {
        let message = "error: unexpected argument '--jsn' found\n\n  tip: a similar argument exists: '--json'\n\n\
                       Usage: hwm run [OPTIONS]\n\nFor more information, try '--help'.\n";
        assert_eq!(
            one_line(message),
            "unexpected argument '--jsn' found; a similar argument exists: '--json'"
        );
    }
}
