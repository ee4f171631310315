//! The proc connector: fork, exec and exit of every process of the machine (`linux/cn_proc.h`).
//!
//! It is used without the filter of Linux 6.6. The filter acts after the kernel has numbered the events, so that each
//! filtered event would look lost. It also drops the acknowledgement (`cn_filter` in `drivers/connector/cn_proc.c`).

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    thread::CapabilitySet,
};

use self::early_names::EarlyNames;
use crate::job::linux::{
    kernel_event::{KernelEvent, TimedKernelEvent},
    proc_dir::ProcDir,
};
use crate::{
    capability::Raised,
    netlink::{Inbox, Socket},
    thread_with_signals_blocked,
};

mod early_names;
mod reader_thread;

const NETLINK_CONNECTOR: libc::c_int = 11;
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_CN_MCAST_IGNORE: u32 = 2;
const NLMSG_DONE: u16 = 3;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_FORK: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;
/// Bytes of `struct cn_msg` before its data.
const CN_MSG: usize = 20;
/// Bytes of the largest message: 16 + 20 + 40 bytes today.
const MAX_MESSAGE_BYTES: usize = 256;
/// Bytes of the socket's buffer. An event takes about 800 bytes; an ordinary user gets at most `net.core.rmem_max`.
const SOCKET_BUFFER_BYTES: libc::c_int = 16 << 20;
/// Most events that are kept for an absent consumer. Further ones count as lost, as the memory of this process must
/// stay bounded.
const MAX_KEPT_EVENTS: usize = 1 << 17;
/// Longest wait for the acknowledgement. The kernel sends it before send(2) returns, and sends nothing outside the
/// initial namespaces.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_millis(10);
/// Bytes of the thread's stack, on which it keeps nothing.
const THREAD_STACK_BYTES: usize = 128 << 10;

/// A listener for the starts, execs and exits of all processes.
#[derive(Debug)]
pub(crate) struct Connector {
    stream: Arc<Mutex<Stream>>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// The events from which the reader thread and [`Connector::drain`] take, in any order.
#[derive(Debug)]
struct Stream {
    inbox: Inbox,
    sequences: Sequences,
    kept: Vec<TimedKernelEvent>,
    /// Number of events that came while `kept` was full.
    refused: u64,
    names: EarlyNames,
}

impl Connector {
    /// Listens to all processes of the machine, for the job of the process `root`. An error says why that is not possible (timed out: the kernel sends
    /// nothing in this namespace).
    pub(crate) fn listen(proc: &ProcDir, root: u32) -> io::Result<Self> {
        // Before Linux 6.6 only CAP_NET_ADMIN may listen. It is given back before the thread starts, which would
        // inherit it.
        let raised = Raised::new(CapabilitySet::NET_ADMIN);
        let socket = Socket::bound(NETLINK_CONNECTOR, CN_IDX_PROC)?;
        socket.enlarge(SOCKET_BUFFER_BYTES);
        // A number of this process, so that the answer to another listener is not taken for its own.
        let question = std::process::id();
        socket.send(NLMSG_DONE, 0, &operation(PROC_CN_MCAST_LISTEN, question))?;
        drop(raised);
        let inbox = Inbox::new(socket, MAX_MESSAGE_BYTES);
        let stream = Stream {
            inbox,
            sequences: Sequences::default(),
            kept: Vec::new(),
            refused: 0,
            names: EarlyNames::of_job(proc, root),
        };
        let acknowledged = question.wrapping_add(1);
        match stream
            .inbox
            .socket()
            .receive_until(ACKNOWLEDGEMENT_TIMEOUT, |message| answer(message.body, acknowledged))?
        {
            0 => Self::with_reader_thread(stream),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Tries whether the kernel reports to this process.
    pub(crate) fn probe() -> io::Result<()> {
        Self::listen(&ProcDir::absent(), 0).map(drop)
    }

    fn with_reader_thread(stream: Stream) -> io::Result<Self> {
        let events = stream.inbox.as_fd().try_clone_to_owned()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let stopped = stop.try_clone()?;
        let mut connector = Self { stream: Arc::new(Mutex::new(stream)), stop, thread: None };
        let stream = Arc::clone(&connector.stream);
        connector.thread =
            Some(thread_with_signals_blocked::start("hw-connector", THREAD_STACK_BYTES, move || {
                reader_thread::read_until_stopped(&stream, &events, &stopped);
            })?);
        Ok(connector)
    }

    /// Appends the events up to now, of the whole machine. Never blocks.
    ///
    /// A process may be waited for a little before its exit appears here, as the kernel wakes the parent first
    /// (`do_exit` in kernel/exit.c). Events of different processors may be out of order; `TimedKernelEvent::at` has
    /// their time.
    pub(crate) fn drain(&mut self, into: &mut Vec<TimedKernelEvent>) {
        let mut stream = locked(&self.stream);
        stream.read();
        into.append(&mut stream.kept);
    }

    /// Returns the known number of lost events; 0 if none was lost.
    pub(crate) fn lost(&self) -> u64 {
        locked(&self.stream).lost()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // It cannot fail, as the count of the eventfd is 0.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Locks the stream; a panic elsewhere leaves nothing half done here.
fn locked(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// Reads all messages of the socket.
    fn read(&mut self) {
        let Self { inbox, sequences, kept, refused, names } = self;
        let before = kept.len();
        inbox.drain(|message| {
            let Some(event) = ConnectorEvent::parse(message.body) else { return };
            sequences.count(event.cpu, event.sequence);
            match event.kernel_event() {
                Some(lifetime) if kept.len() < MAX_KEPT_EVENTS => kept.push(lifetime),
                Some(_) => *refused += 1,
                None => {}
            }
        });
        names.add_to(&mut kept[before..]);
    }

    /// Returns the number of lost events. The socket's drops also become gaps in the sequence with the next event of
    /// that processor, so the two are not added.
    fn lost(&self) -> u64 {
        self.sequences.missing.max(self.inbox.lost()) + self.refused
    }
}

impl Drop for Stream {
    /// Stops listening: until Linux 6.6 the kernel counts listeners by their messages, not by their sockets.
    fn drop(&mut self) {
        let _raised = Raised::new(CapabilitySet::NET_ADMIN);
        let _ = self.inbox.socket().send(NLMSG_DONE, 0, &operation(PROC_CN_MCAST_IGNORE, 0));
    }
}

/// The kernel's numbers of events, one sequence for each processor.
#[derive(Debug, Default)]
struct Sequences {
    next: HashMap<u32, u32>,
    missing: u64,
}

impl Sequences {
    fn count(&mut self, cpu: u32, sequence: u32) {
        // Acknowledgements of older kernels belong to no processor.
        if cpu == u32::MAX {
            return;
        }
        if let Some(expected) = self.next.insert(cpu, sequence.wrapping_add(1)) {
            let gap = sequence.wrapping_sub(expected);
            // Half the circle or more is a step back, which is no loss.
            self.missing += if gap < 1 << 31 { u64::from(gap) } else { 0 };
        }
    }
}

fn operation(what: u32, acknowledge: u32) -> Vec<u8> {
    let words = [CN_IDX_PROC, CN_VAL_PROC, 0, acknowledge];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.extend(4_u16.to_ne_bytes()); // length of the data
    body.extend(0_u16.to_ne_bytes()); // flags
    body.extend(what.to_ne_bytes());
    body
}

/// Returns the errno of the acknowledgement that carries `acknowledge`; 0 is success.
fn answer(body: &[u8], acknowledge: u32) -> Option<i32> {
    let event = ConnectorEvent::parse(body)?;
    let is_answer = event.what == PROC_EVENT_NONE && event.acknowledge == acknowledge;
    is_answer.then(|| i32::try_from(event.word(0)?).ok())?
}

/// `struct cn_msg` with a `struct proc_event`.
struct ConnectorEvent<'a> {
    sequence: u32,
    acknowledge: u32,
    what: u32,
    cpu: u32,
    at: Duration,
    /// Data specific to `what`.
    data: &'a [u8],
}

impl<'a> ConnectorEvent<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        if (word(body, 0)?, word(body, 1)?) != (CN_IDX_PROC, CN_VAL_PROC) {
            return None;
        }
        let length = usize::from(u16::from_ne_bytes(*body.get(16..)?.first_chunk()?));
        let event = body.get(CN_MSG..CN_MSG.checked_add(length)?)?;
        // The header says "Number of nano seconds since system boot"; it is ktime_get_ns(), CLOCK_MONOTONIC.
        let at = Duration::from_nanos(u64::from_ne_bytes(*event.get(8..)?.first_chunk()?));
        Some(Self {
            sequence: word(body, 2)?,
            acknowledge: word(body, 3)?,
            what: word(event, 0)?,
            cpu: word(event, 1)?,
            at,
            data: event.get(16..)?,
        })
    }

    fn word(&self, index: usize) -> Option<u32> {
        word(self.data, index)
    }

    fn kernel_event(&self) -> Option<TimedKernelEvent> {
        let event = match self.what {
            PROC_EVENT_FORK => {
                let (parent, tid, pid) = (self.word(1)?, self.word(2)?, self.word(3)?);
                KernelEvent::task_created(pid, tid, parent)
            }
            PROC_EVENT_EXEC => KernelEvent::Exec { pid: self.word(1)?, comm: None },
            PROC_EVENT_EXIT => {
                let (tid, pid, code) = (self.word(0)?, self.word(1)?, self.word(2)?);
                KernelEvent::task_exited(pid, tid, i32::try_from(code).ok())
            }
            _ => return None,
        };
        Some(TimedKernelEvent { at: self.at, event })
    }
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(index * 4..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
