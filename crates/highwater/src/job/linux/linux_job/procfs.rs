//! What is read of procfs before a job starts.

use super::super::proc_dir::{ProcDir, ProcPath};
use crate::{Error, job::Job, process::linux::status::Status, record::Downgrade};

/// Opens procfs, and checks that it shows the processes that this one starts. A procfs of another pid namespace would
/// show others in their place. Without procfs there are no samples, and a limit on them cannot be enforced.
pub(super) fn open_proc(job: &Job) -> Result<(ProcDir, Option<Downgrade>), Error> {
    let (path, own) = (&job.roots.proc, std::process::id());
    let opened = ProcDir::open(path).and_then(|proc| Ok((proc.read_link(ProcPath::named("self"))?, proc)));
    match opened {
        Ok((link, proc)) if link.as_os_str() == own.to_string().as_str() => Ok((proc, None)),
        Ok((link, _)) => {
            let found = link.display().to_string();
            Err(Error::ForeignProc { path: path.clone(), own, found })
        }
        Err(error) if job.limits.are_sampled() => Err(Error::Limit {
            reason: format!(
                "no process can be read without procfs ({}: {error}); mount it: mount -t proc proc /proc",
                path.display()
            ),
        }),
        Err(error) => Ok((
            ProcDir::absent(),
            Some(Downgrade {
                wanted: "memory of the job's processes".to_owned(),
                reason: format!("{}: {error}", path.display()),
            }),
        )),
    }
}

/// Returns the high-water mark of this process. The command starts as a copy of it and inherits it in its `ru_maxrss`.
pub(super) fn own_hwm_bytes(proc: &ProcDir) -> Option<u64> {
    let mut text = Vec::new();
    let is_read = proc.read_into(ProcPath::named("self/status"), &mut text);
    is_read.then(|| Status::parse(&text)).flatten()?.vm_hwm_bytes
}
