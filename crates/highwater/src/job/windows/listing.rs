//! All processes of the system, each with its parent's pid.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
};

use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    System::Diagnostics::ToolHelp::{
        CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
    },
};

use crate::job::ancestry::ListedProcess;

pub(super) fn all() -> io::Result<Vec<ListedProcess>> {
    // SAFETY: no pointers; the new handle belongs to this code alone.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: see above.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = PROCESSENTRY32W::default();
    entry.dwSize = u32::try_from(size_of_val(&entry)).unwrap_or(u32::MAX);
    let mut all = Vec::new();
    // SAFETY: `entry` has its size.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    while more {
        all.push(ListedProcess { pid: entry.th32ProcessID, parent: entry.th32ParentProcessID });
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &raw mut entry) } != 0;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_names_this_process_as_parent() {
        let mut child = Command::new("cmd");
        child.args(["/c", "pause"]);
        let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let listed = ListedProcess { pid: child.id(), parent: std::process::id() };
        assert!(all().unwrap().contains(&listed));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
