//! Starting the command: suspended, so that it is in its Job Object before its first instruction.

use std::{
    io,
    os::windows::{
        io::{AsRawHandle, FromRawHandle, OwnedHandle},
        process::CommandExt,
    },
    process::{Child, Command},
};

use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    System::{
        Diagnostics::ToolHelp::{
            CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
        },
        Threading::{CREATE_SUSPENDED, OpenThread, ResumeThread, THREAD_SUSPEND_RESUME},
    },
};

use super::object::JobObject;
use crate::{Error, job::Job};

/// Starts the command inside `object`. `begins` is called right before it may run.
///
/// The standard library finds the program, quotes its arguments (those of batch files too) and passes on the standard
/// handles.
pub(super) fn launch(job: &Job, object: &JobObject, begins: impl FnOnce()) -> Result<Child, Error> {
    let name = job.program.to_string_lossy().into_owned();
    if name.is_empty() {
        return Err(Error::EmptyCommand);
    }
    let mut command = Command::new(&job.program);
    command.args(&job.args).creation_flags(CREATE_SUSPENDED);
    for (name, value) in &job.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = &job.current_dir {
        command.current_dir(dir);
    }
    if let Some(stdout) = &job.stdout {
        let stdout = stdout.try_clone();
        command
            .stdout(stdout.map_err(|source| Error::System { doing: "handing on standard output", source })?);
    }
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { command: name.clone(), source },
        io::ErrorKind::InvalidInput if has_nul(job) => {
            Error::NulByte { what: "the command or its environment".to_owned() }
        }
        _ => Error::NotExecutable { command: name.clone(), source },
    })?;
    let assigned = object.assign(child.as_raw_handle());
    let assigned =
        assigned.map_err(|source| Error::System { doing: "putting the command into a Job Object", source });
    if assigned.is_ok() {
        begins();
    }
    let resumed = assigned.and_then(|()| {
        resume(child.id()).map_err(|source| Error::System { doing: "letting the command run", source })
    });
    if let Err(error) = resumed {
        // It has not run a single instruction.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

fn has_nul(job: &Job) -> bool {
    let texts = std::iter::once(&job.program).chain(&job.args);
    let texts = texts.chain(job.env.iter().flat_map(|(name, value)| std::iter::once(name).chain(value)));
    texts.into_iter().any(|text| text.as_encoded_bytes().contains(&0))
}

/// Resumes the threads of a process that was started suspended. The standard library keeps no handle of its first
/// thread, so that is searched for.
pub(super) fn resume(pid: u32) -> io::Result<()> {
    // SAFETY: no pointers; the new handle belongs to this code alone.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: see above.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = THREADENTRY32::default();
    entry.dwSize = u32::try_from(size_of_val(&entry)).unwrap_or(u32::MAX);
    let mut resumed = false;
    // SAFETY: `entry` has its size.
    let mut more = unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    while more {
        if entry.th32OwnerProcessID == pid {
            resumed |= resume_thread(entry.th32ThreadID)?;
        }
        // SAFETY: see above.
        more = unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    }
    if resumed { Ok(()) } else { Err(io::Error::other("its first thread was not found")) }
}

fn resume_thread(id: u32) -> io::Result<bool> {
    // SAFETY: no pointers; the new handle belongs to this code alone.
    let thread = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, id) };
    if thread.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: see above.
    let thread = unsafe { OwnedHandle::from_raw_handle(thread) };
    // SAFETY: a live handle that may be used for this.
    if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
        return Err(io::Error::last_os_error());
    }
    Ok(true)
}
