//! One record of the buffer, as bytes (`enum perf_event_type`, `include/uapi/linux/perf_event.h`).

use std::time::Duration;

use crate::job::linux::kernel_event::{KernelEvent, TimedKernelEvent};

const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_COMM: u32 = 3;
const PERF_RECORD_EXIT: u32 = 4;
const PERF_RECORD_FORK: u32 = 7;
const PERF_RECORD_LOST_SAMPLES: u32 = 13;
/// Flag of a name that changed because of an exec.
const PERF_RECORD_MISC_COMM_EXEC: u16 = 1 << 13;
/// Bytes that `PERF_SAMPLE_TID` and `PERF_SAMPLE_TIME` add to the end of each record.
const SAMPLE_ID: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PerfRecord {
    Event(TimedKernelEvent),
    /// This many records were dropped.
    Lost(u64),
    Other,
}

impl PerfRecord {
    /// Parses a record; `None` if it is too short for its kind.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = u32::from_ne_bytes(*bytes.first_chunk()?);
        let misc = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let body = bytes.get(8..)?;
        let word = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*body.get(at..)?.first_chunk()?));
        let at = || Some(Duration::from_nanos(u64::from_ne_bytes(*bytes.last_chunk()?)));
        let event = match kind {
            PERF_RECORD_FORK => KernelEvent::task_created(word(0)?, word(8)?, word(4)?),
            PERF_RECORD_EXIT => KernelEvent::task_exited(word(0)?, word(8)?, None),
            PERF_RECORD_COMM if misc & PERF_RECORD_MISC_COMM_EXEC != 0 => {
                let name = body.get(8..body.len().checked_sub(SAMPLE_ID)?)?;
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                KernelEvent::Exec { pid: word(0)?, comm: Some(String::from_utf8_lossy(name).into_owned()) }
            }
            PERF_RECORD_LOST => return long(8).map(Self::Lost),
            PERF_RECORD_LOST_SAMPLES => return long(0).map(Self::Lost),
            _ => return Some(Self::Other),
        };
        Some(Self::Event(TimedKernelEvent { at: at()?, event }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend(misc.to_ne_bytes());
        bytes.extend(u16::try_from(8 + body.len() + SAMPLE_ID).unwrap().to_ne_bytes());
        bytes.extend(body);
        bytes.extend([7_u32, 8].map(u32::to_ne_bytes).concat());
        bytes.extend(1_500_000_000_u64.to_ne_bytes());
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn fork_exec_exit_and_loss() {
        let at = Duration::from_millis(1500);
        let timed = |event| Some(PerfRecord::Event(TimedKernelEvent { at, event }));
        let task = words(&[11, 10, 12, 10, 0, 0]);
        let fork = timed(KernelEvent::ThreadCreated { pid: 11, tid: 12 });
        assert_eq!(PerfRecord::parse(&record(PERF_RECORD_FORK, 0, &task)), fork);
        let exit = timed(KernelEvent::task_exited(11, 12, None));
        assert_eq!(PerfRecord::parse(&record(PERF_RECORD_EXIT, 0, &task)), exit);
        let comm = [words(&[11, 11]), b"cargo\0\0\0".to_vec()].concat();
        let exec = timed(KernelEvent::Exec { pid: 11, comm: Some("cargo".into()) });
        assert_eq!(PerfRecord::parse(&record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, &comm)), exec);
        assert_eq!(
            PerfRecord::parse(&record(PERF_RECORD_COMM, 0, &comm)),
            Some(PerfRecord::Other),
            "a mere renaming"
        );
        let lost = [7_u64.to_ne_bytes(), 42_u64.to_ne_bytes()].concat();
        assert_eq!(PerfRecord::parse(&record(PERF_RECORD_LOST, 0, &lost)), Some(PerfRecord::Lost(42)));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0u32..16) {
            let _ = PerfRecord::parse(&bytes);
            let mut typed = kind.to_ne_bytes().to_vec();
            typed.extend(bytes);
            let _ = PerfRecord::parse(&typed);
        }
    }
}
