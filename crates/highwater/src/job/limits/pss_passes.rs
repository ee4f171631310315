//! Results of the passes over PSS by which a limit is enforced, and the doubts that they leave.

/// Void passes in a row after which a job is taken for one that no pass can read: its processes come and go too fast.
const MAX_VOID_PASSES: u64 = 8;

/// Results of the passes over PSS.
#[derive(Debug, Default)]
pub(super) struct PssPassCounts {
    counted: u64,
    disturbed: u64,
    /// Void passes since the last one that counted.
    void: u64,
    /// The longest series of void passes.
    longest_void: u64,
    /// The most processes that one pass could not read.
    unread: u64,
}

impl PssPassCounts {
    /// Counts a pass that could not read `unread` processes.
    pub(super) fn counted(&mut self, unread: u64) {
        self.counted += 1;
        self.void = 0;
        self.unread = self.unread.max(unread);
    }

    /// Counts a pass during which a process started or exited.
    pub(super) fn disturbed(&mut self) {
        self.disturbed += 1;
        self.void += 1;
        self.longest_void = self.longest_void.max(self.void);
    }

    /// Returns the reason why the job, which still runs, may exceed the limit unseen.
    pub(super) fn doubt(&self) -> Option<String> {
        match self.unread {
            0 if self.longest_void < MAX_VOID_PASSES => None,
            0 => Some(format!(
                "processes started or exited during {} readings in a row; they were not counted",
                self.longest_void
            )),
            1 => Some("the PSS of one process could not be read and was not counted".to_owned()),
            unread => Some(format!("the PSS of {unread} processes could not be read and was not counted")),
        }
    }

    /// Returns the reason why the job, which is over, may have exceeded the limit unseen.
    pub(super) fn final_doubt(&self) -> Option<String> {
        if self.unread > 0 || self.counted > 0 {
            return self.doubt();
        }
        match self.disturbed {
            0 => None,
            1 => {
                Some("processes started or exited during the only reading; they were not counted".to_owned())
            }
            times => Some(format!(
                "processes started or exited during each of the {times} readings; they were not counted"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_passes_in_a_row_are_a_doubt_and_single_ones_are_none() {
        let mut passes = PssPassCounts::default();
        for _ in 0..3 * MAX_VOID_PASSES {
            passes.disturbed();
            passes.counted(0);
        }
        assert_eq!((passes.doubt(), passes.final_doubt()), (None, None));
        (0..MAX_VOID_PASSES).for_each(|_| passes.disturbed());
        let doubt = passes.doubt();
        assert_eq!(
            doubt.as_deref(),
            Some("processes started or exited during 8 readings in a row; they were not counted")
        );
        passes.counted(0);
        assert_eq!(passes.final_doubt(), doubt, "the limit may have been exceeded in that time");
    }

    #[test]
    fn a_job_that_no_pass_could_read_leaves_a_doubt_at_its_end() {
        let mut passes = PssPassCounts::default();
        passes.disturbed();
        assert_eq!(passes.doubt(), None, "the next pass may count");
        let doubt = passes.final_doubt();
        assert_eq!(
            doubt.as_deref(),
            Some("processes started or exited during the only reading; they were not counted")
        );
    }
}
