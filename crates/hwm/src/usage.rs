//! Bad usage: one line that says what and how to mend it.

use std::{env, process::ExitCode};

use clap::error::ErrorKind;

use crate::{exit, output::complain};

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
        ErrorKind::MissingRequiredArgument if verb.as_deref() == Some("run") => {
            complain("no command to run; name it after the options, as in: hwm run -- cargo build");
            exit::of_usage(verb.as_deref())
        }
        _ => {
            let help = match verb.as_deref() {
                Some(verb @ ("run" | "compare" | "ci-check" | "doctor" | "man" | "completions")) => {
                    format!("hwm {verb} --help")
                }
                _ => "hwm --help".to_owned(),
            };
            complain(format_args!("{} (see {help})", message(error)));
            exit::of_usage(verb.as_deref())
        }
    }
}

/// What is wrong, in one line.
pub(crate) fn message(error: &clap::Error) -> String {
    one_line(&error.render().to_string())
}

/// The first argument that is no option: clap does not say which verb an error belongs to.
fn verb() -> Option<String> {
    let words = env::args_os().skip(1).filter_map(|word| word.into_string().ok());
    words.into_iter().find(|word| !word.starts_with('-'))
}

/// clap's message and tips without its usage and help lines.
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
