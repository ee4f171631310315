use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
};

use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use super::*;

/// Makes the body of a message: header of the connector, header of the event, data of the event.
fn body(sequence: u32, cpu: u32, what: u32, at: u64, data: &[u32]) -> Vec<u8> {
    let mut event: Vec<u8> = [what, cpu].iter().flat_map(|word| word.to_ne_bytes()).collect();
    event.extend(at.to_ne_bytes());
    event.extend(data.iter().flat_map(|word| word.to_ne_bytes()));
    event.resize(40, 0);
    let words = [CN_IDX_PROC, CN_VAL_PROC, sequence, 0];
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.extend(40_u16.to_ne_bytes());
    body.extend(0_u16.to_ne_bytes());
    body.extend(event);
    body
}

fn parsed(code: u32, data: &[u32]) -> Option<KernelEvent> {
    Some(ConnectorEvent::parse(&body(0, 0, code, 5, data))?.kernel_event()?.event)
}

#[test]
fn reads_each_kind() {
    let process = KernelEvent::Fork { pid: 30, parent: 10 };
    assert_eq!(parsed(PROC_EVENT_FORK, &[11, 10, 30, 30]), Some(process));
    assert_eq!(parsed(PROC_EVENT_EXEC, &[31, 30]), Some(KernelEvent::Exec { pid: 30, comm: None }));
    let exit = KernelEvent::task_exited(30, 31, Some(9));
    assert_eq!(parsed(PROC_EVENT_EXIT, &[31, 30, 9, 17]), Some(exit));
    assert_eq!(parsed(0x200, &[31, 30]), None, "a new name is not a lifetime event");
}

#[test]
fn a_thread_belongs_to_its_process() {
    // The kernel gives the process's parent, 10, as the parent of the thread.
    let thread = KernelEvent::ThreadCreated { pid: 30, tid: 31 };
    assert_eq!(parsed(PROC_EVENT_FORK, &[10, 10, 31, 30]), Some(thread));
}

#[test]
fn counts_gaps_for_each_processor() {
    let mut sequences = Sequences::default();
    for (cpu, sequence) in [(0, 7), (1, 90), (0, 8), (1, 91), (0, u32::MAX), (0, 0)] {
        sequences.count(cpu, sequence);
    }
    assert_eq!(sequences.missing, 0, "a step back is no loss, nor is the wrap");
    sequences.count(0, 4);
    sequences.count(1, 93);
    sequences.count(u32::MAX, 5);
    assert_eq!(sequences.missing, 3 + 1);
}

#[test]
fn only_the_answer_to_this_process_counts() {
    let mut bytes = body(0, 0, PROC_EVENT_NONE, 5, &[13]);
    bytes[12..16].copy_from_slice(&8_u32.to_ne_bytes());
    assert_eq!(answer(&bytes, 8), Some(13));
    assert_eq!(answer(&bytes, 9), None);
    assert_eq!(answer(&body(0, 0, PROC_EVENT_EXEC, 5, &[1, 1]), 0), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), cut in 0_usize..80) {
        let _ = ConnectorEvent::parse(&bytes).map(|event| event.kernel_event());
        let mut event = body(1, 0, PROC_EVENT_EXIT, 5, &[1, 1, 0]);
        event.truncate(cut.min(event.len()));
        let _ = ConnectorEvent::parse(&event).map(|event| event.kernel_event());
        event.extend(bytes);
        let _ = ConnectorEvent::parse(&event).map(|event| event.kernel_event());
    }
}

fn listen() -> Option<Connector> {
    Connector::listen(&ProcDir::absent(), 0).map_err(|error| println!("skipped: {error}")).ok()
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap()
}

/// Returns all events until `enough`; ends the test if that never comes.
fn complete_until(
    connector: &mut Connector,
    enough: impl Fn(&[TimedKernelEvent]) -> bool,
) -> Vec<TimedKernelEvent> {
    let mut all = Vec::new();
    for _ in 0..5000 {
        connector.drain(&mut all);
        if enough(&all) {
            return all;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("never reported: {all:?}");
}

fn ended(all: &[TimedKernelEvent], process: u32) -> bool {
    all.iter()
        .any(|life| matches!(life.event, KernelEvent::TaskExited { pid, tid, .. } if pid == process && tid == process))
}

#[test]
fn reports_the_lifetime_of_a_child() {
    let Some(mut connector) = listen() else { return };
    let before = now();
    let mut child = Command::new("/bin/sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
    let status = child.wait().unwrap();
    let pid = child.id();
    let all = complete_until(&mut connector, |all| ended(all, pid));
    let of_child: Vec<_> = all
        .iter()
        .filter(|life| match life.event {
            KernelEvent::Fork { pid: of, .. }
            | KernelEvent::Exec { pid: of, .. }
            | KernelEvent::TaskExited { pid: of, .. } => of == pid,
            _ => false,
        })
        .collect();
    let mut kinds: Vec<_> = of_child.iter().map(|life| (life.at, &life.event)).collect();
    kinds.sort_by_key(|(at, _)| *at);
    let parent = std::process::id();
    assert_eq!(
        kinds.iter().map(|(_, what)| (*what).clone()).collect::<Vec<_>>(),
        [
            KernelEvent::Fork { pid, parent },
            KernelEvent::Exec { pid, comm: None },
            KernelEvent::task_exited(pid, pid, Some(status.into_raw())),
        ]
    );
    let after = now();
    assert!(kinds.iter().all(|(at, _)| (before..=after).contains(at)), "{before:?} {kinds:?} {after:?}");
    assert_eq!(connector.lost(), 0);
}

#[test]
fn reports_threads() {
    let Some(mut connector) = listen() else { return };
    let tid =
        thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).join().unwrap();
    let pid = std::process::id();
    let fork = KernelEvent::ThreadCreated { pid, tid };
    let all = complete_until(&mut connector, |all| {
        all.iter().any(|life| matches!(life.event, KernelEvent::TaskExited { tid: of, .. } if of == tid))
    });
    assert!(all.iter().any(|life| life.event == fork), "{all:?}");
}

#[test]
fn ends_with_its_thread() {
    let Some(connector) = listen() else { return };
    let stream = Arc::downgrade(&connector.stream);
    drop(connector);
    assert!(stream.upgrade().is_none(), "the reader thread still has the stream");
}

/// Prints the costs of a storm, and does not test speed: `cargo test --release -- --ignored --nocapture storm`.
#[test]
#[ignore = "prints what a storm of STORM (50,000) processes costs and loses"]
fn storm() {
    let Some(mut connector) = listen() else { return };
    let count: usize = std::env::var("STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let (mut all, mut pids) = (Vec::new(), Vec::new());
    let every = std::env::var("EVERY_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    if let Some(bytes) = std::env::var("BUFFER").ok().and_then(|text| text.parse().ok()) {
        locked(&connector.stream).inbox.socket().enlarge(bytes);
    }
    let before = now();
    let storm = thread::spawn(move || {
        for _ in 0..count {
            let mut child = Command::new("/bin/true").stdin(Stdio::null()).spawn().unwrap();
            pids.push(child.id());
            child.wait().unwrap();
        }
        pids
    });
    while !storm.is_finished() {
        thread::sleep(Duration::from_millis(every));
        connector.drain(&mut all);
    }
    let took = now().saturating_sub(before);
    let pids = storm.join().unwrap();
    thread::sleep(Duration::from_millis(100));
    connector.drain(&mut all);
    let found = pids.iter().filter(|pid| **pid != 0).count();
    let exits = all.iter().filter(|life| matches!(life.event, KernelEvent::TaskExited { .. })).count();
    println!("{found} children, {exits} ends, {} events, lost {} in {took:?}", all.len(), connector.lost());
    println!("{:?}", locked(&connector.stream).inbox.backlog());
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        let read = |file| std::fs::read_to_string(folder.join(file)).unwrap();
        println!(
            "{}: ns on a processor, ns waiting, wakings: {}",
            read("comm").trim(),
            read("schedstat").trim()
        );
    }
}
