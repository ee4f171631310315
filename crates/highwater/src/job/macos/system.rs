//! The kernel behind `members.rs`.

use std::sync::Arc;

use super::{
    members::{Kernel, Kin},
    queue::Queue,
};
use crate::{
    Unavailable,
    job::identity::{MemberId, ProgramName},
    process::macos::{
        arguments, calls,
        rusage::{self, Rusage, TaskFaults},
    },
};

/// `PROC_FLAG_EXEC` (`bsd/sys/proc_info.h`): it has exec'ed since its fork.
const HAS_EXECED: u32 = 0x4000;

#[derive(Debug)]
pub(super) struct System {
    pub(super) queue: Queue,
    /// True if arguments are not read, so that names do not come from them.
    pub(super) leaves_out_arguments: bool,
}

impl Kernel for System {
    fn all(&mut self) -> Vec<u32> {
        calls::all().unwrap_or_default()
    }

    fn children(&mut self, pid: u32) -> Vec<u32> {
        calls::children(pid).unwrap_or_default()
    }

    fn kin(&mut self, pid: u32) -> Option<Kin> {
        let ids = calls::unique_ids(pid).ok()?;
        let short = calls::short_info(pid).ok()?;
        Some(Kin {
            pid,
            unique: ids.own,
            parent: ids.parent,
            ppid: short.pbsi_ppid,
            group: short.pbsi_pgid,
            has_execed: short.pbsi_flags & HAS_EXECED != 0,
            has_ended: short.pbsi_status == libc::SZOMB,
        })
    }

    fn usage(&mut self, pid: u32) -> Result<Rusage, Unavailable> {
        calls::rusage(pid).map_err(|error| rusage::why(&error))
    }

    fn faults(&mut self, pid: u32) -> Option<TaskFaults> {
        calls::task_faults(pid).ok()
    }

    fn name(&mut self, pid: u32) -> Option<Arc<ProgramName>> {
        let exe = calls::path(pid);
        let short = calls::short_info(pid).ok()?;
        let comm = arguments::text(&short.pbsi_comm.map(i8::cast_unsigned));
        let arguments = if self.leaves_out_arguments { None } else { calls::arguments(pid).ok() };
        let first = arguments.and_then(|text| arguments::first(&text));
        let exe = exe.map(|exe| exe.to_string_lossy().into_owned());
        let base = || exe.as_ref().and_then(|exe| arguments::base_name(exe.as_bytes()));
        let command = first.or_else(base).unwrap_or_else(|| comm.clone());
        Some(ProgramName::new(command, comm, exe, None))
    }

    fn watch(&mut self, pid: u32, id: MemberId) -> bool {
        self.queue.watch(pid, id).is_ok()
    }
}
