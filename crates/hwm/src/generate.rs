//! Man pages and shell completions, made from the same definitions as the command line.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::{Cli, CompletionsArgs, ManArgs};

/// `hwm man`.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.dir {
        clap_mangen::generate_to(Cli::command(), dir)
            .with_context(|| format!("cannot write into {}", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

/// `hwm completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.dir {
        for shell in Shell::value_variants() {
            write_completions(*shell, dir).with_context(|| format!("cannot write into {}", dir.display()))?;
        }
    }
    if let Some(shell) = args.shell {
        // Into memory first: clap_complete panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "hwm", &mut script);
        return print(&script);
    }
    Ok(ExitCode::SUCCESS)
}

fn write_completions(shell: Shell, dir: &Path) -> io::Result<()> {
    // The name under which each shell looks it up.
    clap_complete::generate_to(shell, &mut Cli::command(), "hwm", dir).map(drop)
}

/// A reader that stops early (`| head -1`) is no failure.
fn print(content: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(content) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
