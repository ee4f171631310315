//! Descent of processes on a system that names a parent by pid alone (Windows). The parent is the process that had this
//! pid when the child was born. This module knows no system call.
//!
//! The system never clears the pid of a parent that has exited, and reuses it later ("About Processes and Threads",
//! `PROCESS_BASIC_INFORMATION`). So the pid identifies a parent only together with the times of birth. Times are those
//! of the wall clock. If it is set back by more than a process's age, later children of that process are not
//! recognised.

use std::collections::{HashMap, HashSet, VecDeque};

/// Number of exited members that are remembered: a poll of the job comes between a birth and that many exits.
const MAX_ENDED_LIVES: usize = 4096;

/// A process in a listing of all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedProcess {
    pub(crate) pid: u32,
    /// The pid that its parent had.
    pub(crate) parent: u32,
}

/// Lifetime of a process by the wall clock.
#[derive(Debug, Clone, Copy)]
struct Lifespan {
    birth: u64,
    end: Option<u64>,
}

/// Outcome of opening a process.
#[derive(Debug)]
pub(crate) enum OpenOutcome<P> {
    /// Its time of birth, the pid of its parent, and its handle from now on.
    Alive(u64, u32, P),
    /// It has exited.
    Gone,
    /// It is protected from this process.
    Refused,
}

/// The lifetimes of all members.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    by_pid: HashMap<u32, Vec<Lifespan>>,
    ended: VecDeque<u32>,
}

/// A newly found member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundMember<P> {
    pub(crate) pid: u32,
    pub(crate) process: P,
}

impl Lives {
    pub(crate) fn begin(&mut self, pid: u32, birth: u64) {
        self.by_pid.entry(pid).or_default().push(Lifespan { birth, end: None });
    }

    pub(crate) fn end(&mut self, pid: u32, end: u64) {
        let lives = self.by_pid.get_mut(&pid);
        let Some(life) = lives.and_then(|lives| lives.iter_mut().find(|life| life.end.is_none())) else {
            return;
        };
        life.end = Some(end);
        self.ended.push_back(pid);
        if self.ended.len() > MAX_ENDED_LIVES
            && let Some(pid) = self.ended.pop_front()
            && let Some(lives) = self.by_pid.get_mut(&pid)
        {
            if let Some(first) = lives.iter().position(|life| life.end.is_some()) {
                lives.remove(first);
            }
            if lives.is_empty() {
                self.by_pid.remove(&pid);
            }
        }
    }

    fn is_living(&self, pid: u32) -> bool {
        self.by_pid.get(&pid).is_some_and(|lives| lives.iter().any(|life| life.end.is_none()))
    }

    /// Returns whether a member had this pid at that time.
    fn had(&self, pid: u32, at: u64) -> bool {
        let within = |life: &Lifespan| life.birth <= at && life.end.is_none_or(|end| at <= end);
        self.by_pid.get(&pid).is_some_and(|lives| lives.iter().any(within))
    }

    /// Adds the processes of `listed` that descend from members, each after its parent, and returns them. Possible
    /// descendants that are protected from this process are put into `refused`. `open` is called only for processes
    /// that may descend from members.
    pub(crate) fn descendants<P>(
        &mut self,
        listed: &[ListedProcess],
        refused: &mut HashSet<u32>,
        mut open: impl FnMut(u32) -> OpenOutcome<P>,
    ) -> Vec<FoundMember<P>> {
        let mut found = Vec::new();
        let mut settled: HashSet<u32> = HashSet::new();
        loop {
            let before = found.len();
            for one in listed {
                let may_be = one.pid != one.parent && self.by_pid.contains_key(&one.parent);
                if !may_be || self.is_living(one.pid) || !settled.insert(one.pid) {
                    continue;
                }
                match open(one.pid) {
                    // With another parent: the listed process has exited, and an unrelated one has its pid by now.
                    OpenOutcome::Alive(birth, parent, process)
                        if parent == one.parent && self.had(parent, birth) =>
                    {
                        self.begin(one.pid, birth);
                        found.push(FoundMember { pid: one.pid, process });
                    }
                    OpenOutcome::Refused if self.is_living(one.parent) => {
                        refused.insert(one.pid);
                    }
                    _ => {}
                }
            }
            // Children may stand before their parents in the list.
            if found.len() == before {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_PIDS: [u32; 0] = [];

    /// Searches processes of this pid, parent's pid and time of birth (`None`: protected).
    fn pids(lives: &mut Lives, all: &[(u32, u32, Option<u64>)]) -> (Vec<u32>, HashSet<u32>) {
        let listed: Vec<_> = all.iter().map(|&(pid, parent, _)| ListedProcess { pid, parent }).collect();
        let mut refused = HashSet::new();
        let found = lives.descendants(&listed, &mut refused, |pid| {
            match *all.iter().find(|one| one.0 == pid).expect("listed") {
                (_, parent, Some(birth)) => OpenOutcome::Alive(birth, parent, ()),
                (_, _, None) => OpenOutcome::Refused,
            }
        });
        (found.into_iter().map(|found| found.pid).collect(), refused)
    }

    fn of_root() -> Lives {
        let mut lives = Lives::default();
        lives.begin(100, 1000);
        lives
    }

    #[test]
    fn generations_in_any_order_each_after_its_maker() {
        let mut lives = of_root();
        let all = [(300, 200, Some(1200)), (200, 100, Some(1100)), (100, 8, Some(1000)), (8, 4, Some(1))];
        assert_eq!(pids(&mut lives, &all), (vec![200, 300], HashSet::new()));
        assert_eq!(pids(&mut lives, &all).0, NO_PIDS, "each once");
    }

    #[test]
    fn an_older_process_is_a_child_of_the_former_owner_of_the_pid() {
        let mut lives = of_root();
        assert_eq!(pids(&mut lives, &[(200, 100, Some(999)), (300, 200, Some(1500))]).0, NO_PIDS);
        assert_eq!(
            pids(&mut lives, &[(200, 100, Some(1000))]).0,
            [200],
            "born in the same tick of the clock"
        );
    }

    #[test]
    fn children_of_one_that_has_ended() {
        let mut lives = of_root();
        lives.end(100, 2000);
        // An unrelated process has its pid now, and so has its children.
        let all = [(100, 8, Some(2500)), (200, 100, Some(1999)), (300, 100, Some(2600))];
        assert_eq!(pids(&mut lives, &all).0, [200]);
        // The pid returns to a member.
        lives.end(200, 2700);
        lives.begin(400, 1500);
        assert_eq!(pids(&mut lives, &[(200, 400, Some(2800)), (500, 200, Some(2750))]).0, [200]);
    }

    #[test]
    fn a_protected_process_is_named_while_its_parent_lives() {
        let mut lives = of_root();
        let all = [(200, 100, None), (300, 8, None)];
        assert_eq!(pids(&mut lives, &all), (vec![], HashSet::from([200])));
        lives.end(100, 2000);
        assert_eq!(
            pids(&mut lives, &all),
            (vec![], HashSet::new()),
            "it may be a child of an unrelated process"
        );
    }

    #[test]
    fn a_process_that_names_itself_and_one_that_is_gone() {
        let mut lives = of_root();
        assert_eq!(pids(&mut lives, &[(100, 100, Some(1000))]).0, NO_PIDS);
        let gone = [ListedProcess { pid: 200, parent: 100 }];
        assert!(lives.descendants(&gone, &mut HashSet::new(), |_| OpenOutcome::<()>::Gone).is_empty());
    }

    #[test]
    fn an_unrelated_process_that_got_the_pid_after_the_listing() {
        let mut lives = of_root();
        let listed = [ListedProcess { pid: 200, parent: 100 }];
        let mut open = |parent| {
            lives.descendants(&listed, &mut HashSet::new(), |_| OpenOutcome::Alive(1500, parent, ()))
        };
        assert!(open(8).is_empty(), "born while the member lives, and started by another process");
        assert_eq!(open(100).len(), 1);
    }

    #[test]
    fn ends_are_forgotten_in_their_order() {
        let mut lives = of_root();
        for pid in 1000..1000 + u32::try_from(MAX_ENDED_LIVES).unwrap() + 10 {
            lives.begin(pid, 1500);
            lives.end(pid, 1600);
        }
        assert_eq!(lives.by_pid.len(), MAX_ENDED_LIVES + 1);
        assert!(!lives.had(1000, 1550) && lives.had(1010, 1550) && lives.is_living(100));
    }
}
