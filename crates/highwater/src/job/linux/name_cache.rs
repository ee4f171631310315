//! Names of programs: the whole name, where the kernel's own is cut at 15 bytes.

use std::{collections::HashMap, sync::Arc};

use super::proc_view::ProcessArguments;
use crate::job::identity::ProgramName;

/// Number of bytes in a kernel name (`TASK_COMM_LEN` less its zero); longer names are cut.
const MAX_COMM_BYTES: usize = 15;

/// Whole names of programs whose kernel name is cut.
#[derive(Debug, Default)]
pub(super) struct NameCache {
    commands: HashMap<String, String>,
}

impl NameCache {
    /// Returns the name of a program that `comm` stands for.
    pub(super) fn of_comm(&self, comm: String) -> Arc<ProgramName> {
        let command = self.commands.get(&comm).unwrap_or(&comm).clone();
        ProgramName::new(command, comm, None, None)
    }

    /// Returns the name of a program, and whether it is complete. It is not if there are no arguments: in the midst of
    /// an exec the kernel sets `comm` before the arguments (`begin_new_exec`, `setup_arg_pages`, fs/exec.c).
    pub(super) fn of_arguments(
        &mut self,
        arguments: ProcessArguments,
        comm: String,
    ) -> (Arc<ProgramName>, bool) {
        let ProcessArguments { command, line, exe, display, are_left_out } = arguments;
        let is_complete = command.is_some() || are_left_out;
        let command = command.unwrap_or_else(|| comm.clone());
        if comm.len() >= MAX_COMM_BYTES && command.starts_with(&comm) {
            self.commands.insert(comm.clone(), command.clone());
        }
        (ProgramName { command, comm, exe, line, display }.bounded(), is_complete)
    }
}
