//! The keeper: a process forked off this one that answers the kernel for each held task.
//!
//! Between fork and `_exit` nothing may allocate, lock or panic, as another thread may have held a lock at the fork
//! (signal-safety(7)). So it is all system calls and plain memory on the stack.

use std::{mem, os::fd::RawFd};

use libc::c_int;

use super::{
    filter,
    hand_over::{HandedOver, listen, receive, send_ready},
    notice::{Notice, NoticeKind},
    seal::Seal,
    tracer_watch::TracerWatch,
};
use crate::process::linux::{
    stat::Stat,
    status::{Status, StatusLines},
};

/// Name that ps shows. `pkill hwm` does not match it.
const KEEPER_NAME: &std::ffi::CStr = c"memory-keeper";
/// Numbers of the keeper's three descriptors; all others are closed.
const NOTICE_PIPE: c_int = 3;
const HAND_OVER_SOCKET: c_int = 4;
const PROC_DIRECTORY: c_int = 5;
/// Bytes of a text of `/proc` that are read at once.
const TEXT_BYTES: usize = 1 << 12;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: the task continues on the processor of the keeper (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// Lives until the last task of the job has exited. `notice_pipe` is the pipe to the main process, `socket` brings the
/// listener, `proc` is procfs or -1, and `seal` is applied to each notice.
///
/// # Safety
/// Only in a child right after fork; the descriptors are open.
pub(super) unsafe fn serve(notice_pipe: RawFd, socket: RawFd, proc: RawFd, seal: &Seal) -> ! {
    // SAFETY: all of it is system calls on own descriptors and live memory.
    unsafe {
        if settle(notice_pipe, socket, proc) {
            let mut notice_pipe = NoticePipe { seal, written: 0, dropped: 0, open: true };
            match wait_for_listener() {
                Some(Ok(HandedOver { listener, marks_only })) => {
                    libc::close(HAND_OVER_SOCKET);
                    libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
                    notice_pipe.send(Notice::of(NoticeKind::Listening));
                    answer_all(listener, marks_only, &mut notice_pipe);
                    notice_pipe.send_last(Notice::of(NoticeKind::Over));
                }
                Some(Err(errno)) => {
                    notice_pipe.send(Notice {
                        number: u64::from(errno.unsigned_abs()),
                        ..Notice::of(NoticeKind::Refused)
                    });
                }
                None => {}
            }
        }
        libc::_exit(0)
    }
}

/// Lets the job's first process go ahead if the kernel has all that the keeper needs, and waits for the listener.
///
/// # Safety
/// As [`serve`].
unsafe fn wait_for_listener() -> Option<Result<HandedOver, i32>> {
    // SAFETY: that of the caller.
    unsafe {
        match try_out() {
            Ok(()) => {
                send_ready(HAND_OVER_SOCKET);
                receive(HAND_OVER_SOCKET)
            }
            Err(errno) => Some(Err(errno)),
        }
    }
}

/// Checks that the kernel can do all that is needed, before a task is held that could never be released. It is tried on
/// the keeper itself, by a filter that holds nothing.
///
/// # Safety
/// As [`serve`].
unsafe fn try_out() -> Result<(), i32> {
    // SAFETY: zero is a valid value of this plain C struct.
    let mut sizes: libc::seccomp_notif_sizes = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills in a live struct.
    if unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) } < 0 {
        return Err(errno());
    }
    if usize::from(sizes.seccomp_notif) != mem::size_of::<libc::seccomp_notif>()
        || usize::from(sizes.seccomp_notif_resp) != mem::size_of::<libc::seccomp_notif_resp>()
    {
        return Err(libc::EOPNOTSUPP);
    }
    // SAFETY: that of the caller; the listener is an own descriptor. ADDFD reads its argument first, so it only fails,
    // with EFAULT if it is known.
    unsafe {
        let listener = listen(&filter::holding_nothing())?;
        libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ADDFD, 0);
        let answer = errno();
        libc::close(listener);
        // It came with Linux 5.9, as did the event of the last task's exit. "Continue" is older: 5.5.
        if answer == libc::EFAULT { Ok(()) } else { Err(libc::EOPNOTSUPP) }
    }
}

fn errno() -> i32 {
    // SAFETY: the pointer is to this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// Leaves session, terminal, directory, descriptors and name of the main process behind. Signals have been blocked
/// since before the fork. Returns false if the pipe or the socket could not be moved to its number.
///
/// # Safety
/// As [`serve`].
unsafe fn settle(notice_pipe: RawFd, socket: RawFd, proc: RawFd) -> bool {
    // SAFETY: system calls with integers and constant strings.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, KEEPER_NAME.as_ptr(), 0, 0, 0);
        libc::chdir(c"/".as_ptr());
        // First all leave each other's numbers, then they get their final ones.
        let away = |descriptor| libc::fcntl(descriptor, libc::F_DUPFD, PROC_DIRECTORY + 1);
        let (notice_pipe, socket, proc) = (away(notice_pipe), away(socket), away(proc));
        if libc::dup2(notice_pipe, NOTICE_PIPE) < 0 || libc::dup2(socket, HAND_OVER_SOCKET) < 0 {
            return false;
        }
        if libc::dup2(proc, PROC_DIRECTORY) < 0 {
            // Without procfs no task can be read, and another file must not stand for it.
            libc::close(PROC_DIRECTORY);
        }
        if libc::syscall(libc::SYS_close_range, PROC_DIRECTORY + 1, c_int::MAX, 0) < 0 {
            // Before Linux 5.9, and in containers that refuse the call.
            for descriptor in PROC_DIRECTORY + 1..65_536 {
                libc::close(descriptor);
            }
        }
        for descriptor in 0..3 {
            libc::close(descriptor);
            libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        }
        // If it were killed, the job would break: proc_pid_oom_score_adj(5). Only privileged processes may.
        let adjust = libc::openat(PROC_DIRECTORY, c"self/oom_score_adj".as_ptr(), libc::O_WRONLY);
        if adjust >= 0 {
            libc::write(adjust, c"-1000".as_ptr().cast(), 5);
            libc::close(adjust);
        }
        // A job of the same user may neither open the keeper's descriptors in /proc/PID/fd nor trace it: prctl(2). It
        // comes last, as the keeper's files in /proc belong to root from now on.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        true
    }
}

/// The pipe to the main process.
struct NoticePipe<'a> {
    seal: &'a Seal,
    /// Notices written so far.
    written: u64,
    dropped: u64,
    open: bool,
}

impl NoticePipe<'_> {
    /// Sends a notice if the pipe has room. It never waits, as the job waits for the keeper.
    fn send(&mut self, notice: Notice) {
        if !self.open {
            return;
        }
        let bytes = self.seal.apply(Notice { dropped: self.dropped, ..notice }, self.written);
        // SAFETY: an own descriptor and own memory.
        if unsafe { libc::write(NOTICE_PIPE, bytes.as_ptr().cast(), bytes.len()) } >= 0 {
            self.written += 1;
        } else {
            match errno() {
                libc::EAGAIN | libc::EINTR => self.dropped += 1,
                _ => {
                    // The reader is gone. The job still waits for its answers.
                    self.open = false;
                    // SAFETY: an own descriptor, not used again.
                    unsafe { libc::close(NOTICE_PIPE) };
                }
            }
        }
    }

    /// Sends the final notice: waits for room or for the end of the main process, as no task waits for the keeper any
    /// more.
    fn send_last(&mut self, notice: Notice) {
        let mut room = libc::pollfd { fd: NOTICE_PIPE, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry that lives. EINTR: every signal is blocked, so only a stop and its continuation.
        while self.open && unsafe { libc::poll(&raw mut room, 1, -1) } < 0 {}
        self.send(notice);
    }
}

/// Answers until the last task has exited.
///
/// # Safety
/// `listener` is an own seccomp listener.
unsafe fn answer_all(listener: c_int, marks_only: bool, notice_pipe: &mut NoticePipe<'_>) {
    let mut text = [0; TEXT_BYTES];
    let mut tracer_watch = TracerWatch::default();
    loop {
        let mut poll = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry that lives.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready > 0 && poll.revents & libc::POLLIN == 0 && poll.revents & libc::POLLHUP != 0 {
            // No task has the filter any more (Linux 5.9).
            return;
        }
        if ready < 0 || poll.revents & libc::POLLIN == 0 {
            // Stopped and continued, frozen, or traced: EINTR, or POLLERR from seccomp_notify_poll (kernel/seccomp.c).
            // The job still waits.
            continue;
        }
        // SAFETY: zero is a valid value of this plain C struct, and the kernel demands it.
        let mut held: libc::seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: the kernel fills in a live struct of the size that the request names.
        if unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut held) } < 0 {
            continue; // ENOENT: the task was killed meanwhile.
        }
        let notice = read(&held, marks_only, &mut tracer_watch, &mut text);
        let id = held.id;
        // SAFETY: points to a live number.
        let still_held =
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) } == 0;
        if still_held {
            // The notice comes before the answer, so that it is there when the task's exit is reported.
            notice_pipe.send(notice.unwrap_or(Notice::of(NoticeKind::Unread)));
        }
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        let mut go_on = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
        // SAFETY: a live struct of the size that the request names. ENOENT: the task was killed meanwhile.
        unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut go_on) };
    }
}

/// Reads the figures of the held task.
fn read(
    held: &libc::seccomp_notif,
    marks_only: bool,
    tracer_watch: &mut TracerWatch,
    text: &mut [u8; TEXT_BYTES],
) -> Option<Notice> {
    let number = held.data.nr.cast_unsigned();
    let is_exit = filter::is_exit(held.data.arch, number);
    let mut notice = Notice::of(if is_exit { NoticeKind::ExitGroup } else { NoticeKind::Exec });
    if is_exit {
        notice.number = held.data.args.first()? & 0xff;
    }
    let status = read_status(held.pid, text)?;
    tracer_watch.learn(&status);
    notice.may_be_hidden = tracer_watch.may_hide(&status);
    notice.at_nanoseconds = now();
    // A process that was killed meanwhile and is being reaped has no ids any more.
    notice.pid = status.tgid.filter(|&pid| pid != 0)?.into();
    notice.ppid = status.ppid.map_or(0, u64::from);
    (notice.mark, notice.threads) = (status.vm_hwm_bytes, status.threads);
    // The start time is that of the process, not of the thread.
    let pid = u32::try_from(notice.pid).ok()?;
    if marks_only {
        if !is_exit || status.threads == Some(1) {
            // After an exec this only says that the process has its own map.
            notice.shares_map = super::same_memory_map(pid, status.ppid?);
        }
        return Some(notice);
    }
    let stat = Stat::parse_bytes(read_file(pid, b"/stat\0", text)?)?;
    (notice.start_ticks, notice.image, notice.forked) = (stat.start_ticks, stat.image, stat.has_not_exec());
    for (place, byte) in notice.comm.iter_mut().zip(stat.comm) {
        *place = *byte;
    }
    if notice.forked {
        notice.shares_map = super::same_memory_map(pid, stat.ppid);
    }
    if notice.image.is_none() && held.pid != pid {
        // The leader has exited and freed its map; the held thread still has it.
        notice.image = Stat::parse_bytes(read_file(held.pid, b"/stat\0", text)?)?.image;
    }
    Some(notice)
}

/// Reads `/proc/ID/status`.
fn read_status(id: u32, text: &mut [u8; TEXT_BYTES]) -> Option<Status> {
    let file = open_file(id, b"/status\0")?;
    let status = read_status_lines(file, text);
    // SAFETY: an own descriptor.
    unsafe { libc::close(file) };
    status
}

/// Reads a `status` part by part: the mark comes after a line with all groups, of which there may be 65,536.
fn read_status_lines(file: c_int, text: &mut [u8; TEXT_BYTES]) -> Option<Status> {
    let mut lines = StatusLines::with_filters();
    let mut kept = 0;
    while !lines.is_over {
        let free = text.get_mut(kept..)?;
        // SAFETY: `free` is live and of the given length.
        let length = unsafe { libc::read(file, free.as_mut_ptr().cast(), free.len()) };
        let length = usize::try_from(length).ok()?;
        if length == 0 {
            break;
        }
        let filled = text.get_mut(..kept + length)?;
        let parsed = lines.add(filled);
        // A line that fills the whole text is none of interest: its rest is parsed as a line of another name.
        let is_full = parsed == 0 && filled.len() == TEXT_BYTES;
        kept = if is_full { 0 } else { filled.len() - parsed };
        filled.rotate_left(parsed);
    }
    lines.finish()
}

/// Reads the start of `/proc/ID` and `name`, which ends with a zero.
fn read_file<'a>(id: u32, name: &[u8], text: &'a mut [u8; TEXT_BYTES]) -> Option<&'a [u8]> {
    let file = open_file(id, name)?;
    // SAFETY: `text` is live and of the given length; an own descriptor is closed.
    let length = unsafe {
        let length = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        length
    };
    text.get(..usize::try_from(length).ok()?)
}

/// Opens `/proc/ID` and `name`, which ends with a zero.
fn open_file(id: u32, name: &[u8]) -> Option<c_int> {
    let mut path = [0_u8; 32];
    let mut digits = [0_u8; 10];
    let mut left = id;
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).ok()?;
        left /= 10;
        count += 1;
        if left == 0 {
            break;
        }
    }
    let parts = digits.iter().skip(10 - count).chain(name);
    for (place, byte) in path.iter_mut().zip(parts) {
        *place = *byte;
    }
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: `path` ends with a zero.
    let file = unsafe { libc::openat(PROC_DIRECTORY, path.as_ptr().cast(), flags) };
    (file >= 0).then_some(file)
}

fn now() -> u64 {
    // SAFETY: zero is a valid value, and the kernel fills in a live struct.
    let time = unsafe {
        let mut time: libc::timespec = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time
    };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
