//! `hwm ps`: every process that holds GPU memory.

use std::{process::ExitCode, thread, time::Duration};

use highwater::{Error, listing::ListScope};

use crate::{
    args::{PsArgs, SelectArgs},
    console::{complain, print, print_json},
    exit,
    output::{
        formats::documents::ProcessesDocument,
        terminal::{privilege::Privilege, processes},
    },
    process_listing::{SelectedProcesses, SelectiveLister},
    process_selection::{ProcessSelection, RowOrder},
    terminal,
    text::advice,
};

/// The time between the two samples that give rates.
const RATE_INTERVAL: Duration = Duration::from_millis(200);

impl SelectArgs {
    pub(crate) fn selection(self, order: RowOrder) -> ProcessSelection {
        let mut scope = ListScope::default();
        scope.pids = self.pid.into_iter().collect();
        scope.device = self.device;
        scope.without_gpu = self.all;
        ProcessSelection { scope, min: self.min, filter: self.filter, order }
    }
}

pub(crate) fn run(args: PsArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let mut lister = match SelectiveLister::new(args.roots.roots(), args.select.selection(args.sort)) {
        Ok(lister) => lister,
        Err(error) => return failed(&error, json),
    };
    let mut found = lister.list();
    if !args.no_wait && lister.is_live() && !found.rows.is_empty() {
        thread::sleep(RATE_INTERVAL);
        found = lister.list();
    }
    let reads_on = if json {
        print_json(&ProcessesDocument::of(&found))?
    } else {
        let mut table = Vec::new();
        processes::write(&found.rows, terminal::width(), &mut table)?;
        print(&table)?
    };
    if reads_on {
        if !json {
            processes::notes(&found).into_iter().for_each(complain);
        }
        complain(processes::summary(&found, lister.selection(), Privilege::current()));
    }
    Ok(code(found.rows.is_empty(), found.is_complete()))
}

/// Returns the exit code: 0 complete, 1 nothing, 2 incomplete.
pub(crate) fn code(is_empty: bool, is_complete: bool) -> ExitCode {
    match (is_complete, is_empty) {
        (false, _) => exit::INCOMPLETE.into(),
        (true, true) => exit::NOTHING.into(),
        (true, false) => ExitCode::SUCCESS,
    }
}

/// Reports that there is no such device, or none that could be asked.
fn failed(error: &Error, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print_json(&ProcessesDocument::failed(error, &SelectedProcesses::default()))?;
    }
    complain(format_args!("{error}{}", advice(error)));
    Ok(exit::INCOMPLETE.into())
}
