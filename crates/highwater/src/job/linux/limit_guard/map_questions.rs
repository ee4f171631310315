//! Questions of which processes share a memory map, without waiting for one that is in the midst of an exec.
//!
//! kcmp(2) waits for `exec_update_lock` of both processes (kernel/kcmp.c). So a thread asks, and is abandoned if it waits.

use std::{sync::Arc, time::Duration};

use crate::{
    job::linux::memory_map::same_memory_map,
    process::linux::abandonable::{Abandonable, AbandonableEnd},
    thread_with_signals_blocked,
};

/// Most questions that are asked at a time.
const MAX_QUESTIONS: usize = 256;
/// Time that a question may wait.
const MAX_QUESTION_WAIT: Duration = Duration::from_millis(40);
/// Most questions that may have waited. After that none is asked.
const MAX_LATE_QUESTIONS: usize = 16;
/// The thread's stack: it keeps little there.
const QUESTION_STACK_BYTES: usize = 64 << 10;

/// The answer to the question whether two processes share one memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapSharing {
    Shared,
    NotShared,
    Unknown,
}

/// The questions about one job.
#[derive(Debug, Default)]
pub(super) struct MapQuestions {
    /// Pairs of pids whose question has waited: they are not asked about again.
    late: Vec<(u32, u32)>,
}

/// The work of one thread.
#[derive(Debug)]
struct QuestionProgress {
    pairs: Vec<(u32, u32)>,
    answers: Vec<Option<bool>>,
    is_abandoned: bool,
}

impl MapQuestions {
    /// Returns an answer for each pair of pids.
    pub(super) fn ask(&mut self, pairs: &[(u32, u32)]) -> Vec<MapSharing> {
        let mut answers = vec![MapSharing::Unknown; pairs.len()];
        let is_open = |&(_, pair): &(usize, &(u32, u32))| !self.late.contains(pair);
        let mut open: Vec<usize> =
            pairs.iter().enumerate().filter(is_open).take(MAX_QUESTIONS).map(|(place, _)| place).collect();
        while !open.is_empty() && self.late.len() < MAX_LATE_QUESTIONS {
            let asked = open.iter().map(|&place| pairs[place]).collect();
            let Some((known, end)) = ask_in_thread(asked) else { break };
            for (place, answer) in open.drain(..known.len()).zip(known) {
                answers[place] = match answer {
                    Some(true) => MapSharing::Shared,
                    Some(false) => MapSharing::NotShared,
                    None => MapSharing::Unknown,
                };
            }
            if end == AbandonableEnd::Late && !open.is_empty() {
                self.late.push(pairs[open.remove(0)]);
            }
        }
        answers
    }
}

/// Asks about the pairs, in their order, up to the first question that waits. `None` if no thread can be started.
fn ask_in_thread(pairs: Vec<(u32, u32)>) -> Option<(Vec<Option<bool>>, AbandonableEnd)> {
    let work =
        Arc::new(Abandonable::new(QuestionProgress { pairs, answers: Vec::new(), is_abandoned: false }));
    let of_thread = Arc::clone(&work);
    thread_with_signals_blocked::start("hw-maps", QUESTION_STACK_BYTES, move || answer_all(&of_thread))
        .ok()?;
    let place = |progress: &QuestionProgress| {
        Some(progress.answers.len()).filter(|&answered| answered < progress.pairs.len())
    };
    let (mut progress, end) = work.wait(place, |_| MAX_QUESTION_WAIT);
    progress.is_abandoned = true;
    Some((std::mem::take(&mut progress.answers), end))
}

fn answer_all(work: &Abandonable<QuestionProgress>) {
    work.begin();
    loop {
        let next = {
            let progress = work.lock();
            let next = progress.pairs.get(progress.answers.len()).copied();
            next.filter(|_| !progress.is_abandoned)
        };
        let Some((one, other)) = next else { break };
        let answer = same_memory_map(one, other);
        let mut progress = work.lock();
        if progress.is_abandoned {
            return;
        }
        progress.answers.push(answer);
    }
    work.notify();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_its_answer() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pairs = [(own, own), (own, child.id()), (own, u32::MAX)];
        let answers = MapQuestions::default().ask(&pairs);
        assert_eq!(answers, [MapSharing::Shared, MapSharing::NotShared, MapSharing::Unknown]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_question_that_has_waited_is_not_asked_again() {
        let own = std::process::id();
        let mut questions = MapQuestions { late: vec![(own, own)] };
        assert_eq!(questions.ask(&[(own, own), (own, own)]), [MapSharing::Unknown; 2]);
        questions.late = vec![(0, 0); MAX_LATE_QUESTIONS];
        assert_eq!(questions.ask(&[(own, own)]), [MapSharing::Unknown]);
    }
}
