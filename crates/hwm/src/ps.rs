//! `hwm ps`: every process that holds GPU memory.

use std::{process::ExitCode, thread, time::Duration};

use highwater::Error;

use crate::{
    args::{PsArgs, SelectArgs},
    console::{complain, print, print_json},
    exit,
    look::{Look, Looker, Order, Selection},
    output::{
        formats::documents::ProcessesDocument,
        terminal::{privilege::Privilege, processes},
    },
    terminal,
    text::advice,
};

/// Between the two looks that make rates.
const BETWEEN: Duration = Duration::from_millis(200);

impl SelectArgs {
    pub(crate) fn selection(self, order: Order) -> Selection {
        let Self { pid, device, min, filter, all } = self;
        Selection { pids: pid.into_iter().collect(), device, min, filter, all, order }
    }
}

pub(crate) fn run(args: PsArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let mut looker = match Looker::new(args.roots.roots(), args.select.selection(args.sort)) {
        Ok(looker) => looker,
        Err(error) => return failed(&error, json),
    };
    let mut look = looker.look();
    if !args.no_wait && looker.is_live() && !look.rows.is_empty() {
        thread::sleep(BETWEEN);
        look = looker.look();
    }
    let reads_on = if json {
        print_json(&ProcessesDocument::of(&look))?
    } else {
        let mut table = Vec::new();
        processes::write(&look.rows, terminal::width(), &mut table)?;
        print(&table)?
    };
    if reads_on {
        if !json {
            processes::notes(&look).into_iter().for_each(complain);
        }
        complain(processes::summary(&look, looker.selection(), Privilege::ours()));
    }
    Ok(code(look.rows.is_empty(), look.is_complete()))
}

/// 0 complete, 1 nothing, 2 incomplete.
pub(crate) fn code(is_empty: bool, is_complete: bool) -> ExitCode {
    match (is_complete, is_empty) {
        (false, _) => exit::INCOMPLETE.into(),
        (true, true) => exit::NOTHING.into(),
        (true, false) => ExitCode::SUCCESS,
    }
}

/// There is no such device, or none that could be asked.
fn failed(error: &Error, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print_json(&ProcessesDocument::failed(error, &Look::default()))?;
    }
    complain(format_args!("{error}{}", advice(error)));
    Ok(exit::INCOMPLETE.into())
}
