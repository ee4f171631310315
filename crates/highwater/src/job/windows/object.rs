//! The Job Object: it holds the command with all its descendants, and keeps their peaks.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr::{null, null_mut},
};

use windows_sys::Win32::{
    Foundation::HANDLE,
    System::JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, IsProcessInJob, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
        JOB_OBJECT_LIMIT_JOB_MEMORY, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_ASSOCIATE_COMPLETION_PORT,
        JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_BASIC_AND_IO_ACCOUNTING_INFORMATION,
        JOBOBJECT_BASIC_PROCESS_ID_LIST, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JOBOBJECTINFOCLASS,
        JobObjectAssociateCompletionPortInformation, JobObjectBasicAccountingInformation,
        JobObjectBasicAndIoAccountingInformation, JobObjectBasicProcessIdList,
        JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject,
        TerminateJobObject,
    },
};

use super::{port::JOB_MESSAGE_KEY, used::transfers_of};
use crate::{
    Error,
    job::{
        accounts::{SpentCounts, Transfers, of_job},
        resource_use::ResourceUse,
    },
    process::windows::Opened,
};

/// Exit code that taskkill gives to the processes that it ends.
pub(super) const KILLED_EXIT_CODE: u32 = 1;
/// Most pids in one answer.
const MAX_LISTED_PIDS: usize = 4096;

#[derive(Debug)]
pub(super) struct JobObject(OwnedHandle);

/// Numbers of processes that were and are in the job, and the usage of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) ever: u32,
    pub(super) now: u32,
    pub(super) used: ResourceUse,
}

impl JobObject {
    /// Makes a job whose messages go to `port`. Processes may leave it if their parent asks for that, as without it.
    /// With `kill_on_caller_exit` the system ends the job when this process ends in any way.
    pub(super) fn new(
        port: HANDLE,
        commit_limit: Option<u64>,
        kill_on_caller_exit: bool,
    ) -> Result<Self, Error> {
        // SAFETY: no name and no attributes; the new handle belongs to this code alone.
        let job = unsafe { CreateJobObjectW(null(), null()) };
        if job.is_null() {
            return Err(last("creating a Job Object"));
        }
        // SAFETY: see above.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(job) });
        let completions = JOBOBJECT_ASSOCIATE_COMPLETION_PORT {
            CompletionKey: std::ptr::without_provenance_mut(JOB_MESSAGE_KEY),
            CompletionPort: port,
        };
        job.set(JobObjectAssociateCompletionPortInformation, &completions)
            .map_err(|source| Error::System { doing: "asking for the events of a Job Object", source })?;
        job.limit(commit_limit, kill_on_caller_exit).map_err(|source| match commit_limit {
            Some(bytes) => Error::Limit {
                reason: format!(
                    "the Job Object refuses a limit of {bytes} bytes of committed memory: {source}"
                ),
            },
            None => Error::System { doing: "setting up a Job Object", source },
        })?;
        Ok(job)
    }

    /// Limits the memory that the job commits to `commit_limit`.
    pub(super) fn limit(&self, commit_limit: Option<u64>, kill_on_caller_exit: bool) -> io::Result<()> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        let flags = &mut limits.BasicLimitInformation.LimitFlags;
        *flags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
        if kill_on_caller_exit {
            *flags |= JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        }
        if let Some(bytes) = commit_limit {
            *flags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
            limits.JobMemoryLimit = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        self.set(JobObjectExtendedLimitInformation, &limits)
    }

    pub(super) fn assign(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: two live handles.
        if unsafe { AssignProcessToJobObject(self.raw(), process) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Returns whether `process` is known to be outside the job and its nested jobs: its pid may have been reused.
    pub(super) fn is_foreign(&self, process: &Opened) -> bool {
        let mut is_inside = 0;
        // SAFETY: two live handles and a live local.
        let is_known = unsafe { IsProcessInJob(process.raw(), self.raw(), &raw mut is_inside) } != 0;
        // Wine refuses the question for handles with few rights, where Windows answers it.
        is_known && is_inside == 0
    }

    pub(super) fn terminate(&self) {
        // SAFETY: a live handle. If it fails no process is left, or nothing can be done.
        unsafe { TerminateJobObject(self.raw(), KILLED_EXIT_CODE) };
    }

    pub(super) fn account(&self) -> Option<Account> {
        // Wine 8.0 knows only the shorter question.
        let whole: Option<JOBOBJECT_BASIC_AND_IO_ACCOUNTING_INFORMATION> =
            self.get(JobObjectBasicAndIoAccountingInformation);
        let (basic, transfers) = if let Some(whole) = whole {
            (whole.BasicInfo, transfers_of(&whole.IoInfo))
        } else {
            let basic: JOBOBJECT_BASIC_ACCOUNTING_INFORMATION =
                self.get(JobObjectBasicAccountingInformation)?;
            (basic, Transfers::default())
        };
        let spent = SpentCounts {
            user: basic.TotalUserTime.unsigned_abs(),
            kernel: basic.TotalKernelTime.unsigned_abs(),
            faults: basic.TotalPageFaultCount,
        };
        let used = of_job(spent, transfers);
        Some(Account { ever: basic.TotalProcesses, now: basic.ActiveProcesses, used })
    }

    /// Returns the highest total that the job has committed at once; `None` if it is not kept.
    pub(super) fn peak_commit(&self) -> Option<u64> {
        let limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = self.get(JobObjectExtendedLimitInformation)?;
        Some(limits.PeakJobMemoryUsed as u64).filter(|&peak| peak > 0)
    }

    /// Returns the pids of living members, as far as they fit into the answer.
    pub(super) fn pids(&self) -> Vec<u32> {
        let head = size_of::<JOBOBJECT_BASIC_PROCESS_ID_LIST>() / size_of::<usize>();
        let mut answer = vec![0_usize; head + MAX_LISTED_PIDS];
        let size = u32::try_from(size_of_val(answer.as_slice())).unwrap_or(u32::MAX);
        // SAFETY: `answer` has the given size. If it is too small for all, it is filled all the same.
        unsafe {
            QueryInformationJobObject(
                self.raw(),
                JobObjectBasicProcessIdList,
                answer.as_mut_ptr().cast(),
                size,
                null_mut(),
            );
        }
        // SAFETY: the memory is long enough and aligned, and zero where nothing was written.
        let list = unsafe { &*answer.as_ptr().cast::<JOBOBJECT_BASIC_PROCESS_ID_LIST>() };
        let count = (list.NumberOfProcessIdsInList as usize).min(MAX_LISTED_PIDS);
        // Its last field is the first of the pids.
        let first = head - 1;
        answer[first..first + count].iter().filter_map(|&pid| u32::try_from(pid).ok()).collect()
    }

    fn raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    fn set<T>(&self, class: JOBOBJECTINFOCLASS, value: &T) -> io::Result<()> {
        let size = u32::try_from(size_of::<T>()).unwrap_or(u32::MAX);
        // SAFETY: the callers give each class its own structure.
        let done = unsafe { SetInformationJobObject(self.raw(), class, (&raw const *value).cast(), size) };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn get<T: Default>(&self, class: JOBOBJECTINFOCLASS) -> Option<T> {
        let mut value = T::default();
        let size = u32::try_from(size_of::<T>()).ok()?;
        // SAFETY: see above; `value` is a live local.
        let done = unsafe {
            QueryInformationJobObject(self.raw(), class, (&raw mut value).cast(), size, null_mut())
        };
        (done != 0).then_some(value)
    }
}

fn last(doing: &'static str) -> Error {
    Error::System { doing, source: io::Error::last_os_error() }
}
