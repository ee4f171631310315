//! One process of the job, as the events and `/proc` have shown it so far.

use std::{sync::Arc, time::Duration};

use super::{image::ProcessImage, member_files::MemberFiles, proc_dir::ProcPath, taskstats::TasksUsed};
use crate::job::identity::{MemberId, ProgramName};

/// Number of polls in which a member without arguments is asked for its name again.
const MAX_NAMELESS_POLLS: u8 = 3;

/// A process of the job that has not been seen to exit.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) pid: u32,
    /// Start time in clock ticks since boot; `None` until it is known.
    pub(super) start_ticks: Option<u64>,
    /// Process that forked it, if that was a member.
    pub(super) parent: Option<MemberId>,
    /// Source of its forks, execs and exit.
    pub(super) source: LifetimeSource,
    /// Time up to which `/proc` has shown what happened to it: older events are known already.
    pub(super) known_until: Duration,
    /// It had exited when it was added; the event of its exit comes all the same.
    pub(super) was_found_exited: bool,
    /// Threads alive, counted from events.
    pub(super) threads: u64,
    pub(super) phase: Phase,
    pub(super) image: ProcessImage,
    pub(super) name: MemberNameState,
    /// Usage of its exited threads. Most processes have no such threads.
    pub(super) tasks_used: Option<Box<TasksUsed>>,
    pub(super) files: MemberFiles,
}

/// Source of a member's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifetimeSource {
    /// The kernel reports it.
    Events,
    /// `/proc` has to be read for it.
    Proc,
}

/// The stage of a member on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// It was held at its `exit_group` at that time.
    Exiting {
        held_at: Duration,
    },
    /// `/proc` has shown its exit since that time, and the event of it is outstanding.
    ExitSeen {
        since: Duration,
        held_at: Option<Duration>,
    },
    /// It leaves the roster with the next sample.
    Exited,
}

impl Phase {
    /// Returns the time at which it was held at its exit.
    pub(super) fn exit_hold(self) -> Option<Duration> {
        match self {
            Self::Exiting { held_at } => Some(held_at),
            Self::ExitSeen { held_at, .. } => held_at,
            Self::Running | Self::Exited => None,
        }
    }

    /// Returns whether the event of an exit that `/proc` has shown is outstanding.
    pub(super) fn is_exit_outstanding(self) -> bool {
        matches!(self, Self::ExitSeen { .. })
    }

    /// Records that it was held at its exit.
    pub(super) fn hold_at_exit(&mut self, at: Duration) {
        *self = match *self {
            Self::ExitSeen { since, .. } => Self::ExitSeen { since, held_at: Some(at) },
            Self::Running | Self::Exiting { .. } => Self::Exiting { held_at: at },
            Self::Exited => Self::Exited,
        };
    }

    /// Records that `/proc` shows its exit at `at`; returns since when it has.
    pub(super) fn see_exit(&mut self, at: Duration) -> Duration {
        match *self {
            Self::ExitSeen { since, .. } => since,
            Self::Running | Self::Exiting { .. } | Self::Exited => {
                *self = Self::ExitSeen { since: at, held_at: self.exit_hold() };
                at
            }
        }
    }

    /// Records that it was read alive.
    pub(super) fn see_alive(&mut self) {
        if let Self::ExitSeen { held_at, .. } = *self {
            *self = held_at.map_or(Self::Running, |held_at| Self::Exiting { held_at });
        }
    }
}

/// The state of a member's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberNameState {
    /// It was not read from the member's own files.
    Unread {
        /// Polls in which it had no arguments.
        polls: u8,
        /// Name in the event of its last exec: its files have to agree with it.
        reported: Option<Arc<ProgramName>>,
    },
    Known,
}

impl MemberNameState {
    /// A name that was not read yet.
    pub(super) const UNREAD: Self = Self::Unread { polls: 0, reported: None };

    /// Returns the state after a name was read; `is_complete`: with its arguments.
    pub(super) fn read(is_complete: bool) -> Self {
        if is_complete { Self::Known } else { Self::UNREAD }
    }

    /// Returns whether it has been read.
    pub(super) fn is_known(&self) -> bool {
        *self == Self::Known
    }

    /// Counts a poll in which it is read. Returns whether `comm` agrees with the event of the last exec.
    pub(super) fn agrees_with(&mut self, comm: &str) -> bool {
        let Self::Unread { polls, reported } = self else { return true };
        *polls = polls.saturating_add(1);
        reported.take().is_none_or(|reported| reported.comm == comm)
    }

    /// Records that it was read; `is_complete`: with its arguments. Some processes wipe those out, so after a few polls
    /// the name without them stands.
    pub(super) fn accept(&mut self, is_complete: bool) {
        if is_complete || matches!(self, Self::Unread { polls, .. } if *polls > MAX_NAMELESS_POLLS) {
            *self = Self::Known;
        }
    }
}

impl Member {
    /// Returns the path of a file about its memory map.
    pub(super) fn map_file(&self, name: &str) -> ProcPath {
        // A leader that has left by pthread_exit(3) has no memory map, unlike its threads.
        match self.files.thread() {
            Some(thread) => ProcPath::of_thread(self.pid, thread, name),
            None => ProcPath::of(self.pid, name),
        }
    }

    /// Returns a member of which nothing has been read.
    pub(super) fn new(id: MemberId, pid: u32, image: ProcessImage, known_until: Duration) -> Self {
        Self {
            id,
            pid,
            start_ticks: None,
            parent: None,
            source: LifetimeSource::Proc,
            known_until,
            was_found_exited: false,
            threads: 1,
            phase: Phase::Running,
            image,
            name: MemberNameState::UNREAD,
            tasks_used: None,
            files: MemberFiles::default(),
        }
    }

    /// Returns whether the kernel reports its forks, execs and exit.
    pub(super) fn is_reported(&self) -> bool {
        self.source == LifetimeSource::Events
    }

    /// Records that it runs another program: nothing read before counts for that.
    pub(super) fn exec(&mut self) {
        self.image.exec();
        self.name = MemberNameState::UNREAD;
    }

    /// Returns whether this is the start time of another process than the member.
    pub(super) fn is_other_process(&self, start_ticks: u64) -> bool {
        self.start_ticks.is_some_and(|ticks| ticks != start_ticks)
    }
}
