//! Man pages and shell completions, made from the same definitions as the command line.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;

use crate::{
    args::{Cli, CompletionsArgs, ManArgs},
    files::{Destination, NewFileMode},
};

/// Runs `hwm man`.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.dir {
        let mut command = Cli::command().disable_help_subcommand(true);
        // Gives each verb its whole name, as in `hwm-run`.
        command.build();
        write_pages(&command, dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

/// Writes the page of a command, and those of its verbs.
fn write_pages(command: &clap::Command, dir: &Path) -> anyhow::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_pages(verb, dir)?;
    }
    let page = Man::new(command.clone());
    let mut content = Vec::new();
    page.render(&mut content)?;
    write(&dir.join(page.get_filename()), &content)
}

/// Runs `hwm completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.dir {
        for shell in Shell::value_variants() {
            // The name under which each shell looks it up.
            write(&dir.join(shell.file_name("hwm")), &script(*shell))?;
        }
    }
    if let Some(shell) = args.shell {
        return print(&script(shell));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the script, in memory: `clap_complete` panics when its writer fails.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hwm", &mut script);
    script
}

fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let to = Destination::check("--dir", file, NewFileMode::Shared)?;
    to.write(|out| out.write_all(content)).with_context(|| format!("cannot write {}", to.name()))
}

/// Prints the content. A reader that stops early (`| head -1`) is no failure.
fn print(content: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(content) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
