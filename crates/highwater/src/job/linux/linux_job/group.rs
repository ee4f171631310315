//! The memory of the job as a whole, as its group tells it.

use super::{
    super::{
        cgroup::GroupMemory, event_sources::EventSources, memory_notes::MemoryNotes, proc_dir::ProcDir,
        shortage::Shortage,
    },
    LinuxJob,
};
use crate::{
    job::{Job, group_memory::GroupReading},
    record::Downgrade,
};

/// Sources of a job's memory beside its processes, opened before the command runs.
pub(super) struct MemorySources {
    /// Its group, if it has one of its own that can be read.
    pub(super) group: Option<GroupMemory>,
    pub(super) shortage: Shortage,
    pub(super) notes: MemoryNotes,
}

impl MemorySources {
    pub(super) fn open(
        sources: &EventSources,
        job: &Job,
        proc: &ProcDir,
        downgrades: &mut Vec<Downgrade>,
    ) -> Self {
        let of_job = sources.group();
        let opened = of_job.as_ref().map(|group| group.memory(proc, &job.roots.sys)).transpose();
        let group = opened.unwrap_or_else(|error| {
            downgrades.push(Downgrade {
                wanted: "memory of the job with each page counted once".to_owned(),
                reason: format!("the files of its cgroup: {error}"),
            });
            None
        });
        let shortage = Shortage::watch(&job.roots, proc, of_job.as_deref());
        let notes = MemoryNotes::begin(proc, group.is_some());
        Self { group, shortage, notes }
    }
}

impl LinuxJob {
    /// Checks whether members have left the job's cgroup, so that `reading` does not count them.
    pub(super) fn check_for_strays(&mut self, reading: Option<GroupReading>, marks: bool) {
        if !self.sources.has_group() {
            return;
        }
        let is_whole_so_far = !self.sources.has_strays();
        let counted_anon = reading.filter(|_| is_whole_so_far).map(|reading| reading.anon);
        let asked = self.stray_turns.choose(self.observation.readings(), counted_anon, marks);
        if !asked.is_empty() {
            let members = self.observation.pids_and_ids().filter(|(_, id)| asked.contains(id));
            self.sources.check_for_strays(&self.proc, members.map(|(pid, _)| pid));
        }
    }

    /// Reads the group, beside what the last poll read of its members.
    pub(super) fn read_group_if_moved(&mut self) -> Option<GroupReading> {
        let rss = self.observation.readings().iter().map(|reading| reading.rss).sum();
        self.group_memory.as_mut()?.read_if_moved(rss)
    }

    pub(super) fn set_group_reading(&mut self, reading: Option<GroupReading>) {
        // Processes that have left the group are charged elsewhere.
        self.group_reading = reading.filter(|_| !self.sources.has_strays());
    }
}
