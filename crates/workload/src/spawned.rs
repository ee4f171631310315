//! The situations of systems that cannot fork, with the standard library alone. Children are this program
//! again, and memory comes from the allocator.

use std::{
    env,
    io::Write,
    process::{Child, Command, exit},
    thread::{self, sleep},
    time::{Duration, Instant},
};

const PAGE: usize = 4096;
const USAGE: &str = "\
usage: workload SITUATION [ARGS]   (sizes in MiB, times in ms; the defaults are shown)
  hold 200 1000 0              hold that much for that long, then exit with that code
  shrink 120 40                hold the first, give it back, hold the second, print ready, stay until it is killed
  later 30 2000                print ready, wait for a line, then a child holds so much for so long
  spike 500 20 3000            a spike of so much and so long inside a run of so long
  generations                  parent 50, child 100, grandchild 70, each for 600 ms and more, all at once: 220 at the peak
  storm 300 5 4 10             so many processes of so many ms, so many at a time, of so much each
  exit 7                       exit with that code
  orphan 50 1500               a child that holds so much for so long outlives its parent, which exits with 3
  endless 50                   hold that much until it is killed
  tree 50                      two children, each with one of its own, all of them endless
  burn 500 FILE 30             a child computes for so long and then writes so much to FILE, then the same by itself
  nothing                      exit at once";

/// Memory of a given size, all of its pages touched; freed when dropped.
struct TouchedMemory(Vec<u8>);

impl TouchedMemory {
    fn new(mib: usize) -> Self {
        let mut bytes = vec![0_u8; mib << 20];
        // Zeroed pages come untouched from the system.
        for page in bytes.iter_mut().step_by(PAGE) {
            // SAFETY: the reference is live; volatile, so that the write is not left out.
            unsafe { std::ptr::write_volatile(page, 1) };
        }
        Self(bytes)
    }

    fn hold(self, ms: u64) {
        sleep(Duration::from_millis(ms));
        std::hint::black_box(&self.0);
    }
}

fn number(at: usize, default: u64) -> u64 {
    match env::args().nth(at + 2) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|_| usage(&format!("not a number: {text}"))),
    }
}

fn mib(at: usize, default: u64) -> usize {
    usize::try_from(number(at, default)).unwrap_or_else(|_| usage("too many MiB"))
}

fn usage(problem: &str) -> ! {
    eprintln!("workload: {problem}\n{USAGE}");
    exit(2)
}

/// Starts this program again.
fn start(situation: &str, numbers: &[u64]) -> Child {
    let program = env::current_exe().expect("a program knows its file");
    let mut command = Command::new(program);
    command.arg(situation).args(numbers.iter().map(u64::to_string));
    for _ in 0..10 {
        match command.spawn() {
            // ERROR_INTERNAL_ERROR: Wine found the place of its shared data page taken. No process was
            // started.
            Err(error) if error.raw_os_error() == Some(1359) => sleep(Duration::from_millis(50)),
            child => return child.expect("a child starts"),
        }
    }
    panic!("no child starts, ten times in a row")
}

fn finish(mut child: Child) {
    let status = child.wait().expect("a child is waited for");
    assert!(status.success(), "{status}");
}

pub(crate) fn main() {
    match env::args().nth(1).as_deref() {
        Some("nothing") => {}
        Some("exit") => exit(i32::try_from(number(0, 7)).unwrap_or(1)),
        Some("hold") => {
            TouchedMemory::new(mib(0, 200)).hold(number(1, 1000));
            exit(i32::try_from(number(2, 0)).unwrap_or(1))
        }
        Some("shrink") => {
            drop(TouchedMemory::new(mib(0, 120)));
            let left = TouchedMemory::new(mib(1, 40));
            println!("ready");
            left.hold(600_000);
        }
        Some("later") => {
            println!("ready");
            std::io::stdin().read_line(&mut String::new()).expect("a line");
            finish(start("hold", &[number(0, 30), number(1, 2000)]));
        }
        Some("spike") => {
            let (high, all) = (number(1, 20), number(2, 3000));
            sleep(Duration::from_millis(all.saturating_sub(high) / 2));
            TouchedMemory::new(mib(0, 500)).hold(high);
            sleep(Duration::from_millis(all.saturating_sub(high) / 2));
        }
        Some("generations") => {
            let child = start("child", &[]);
            TouchedMemory::new(50).hold(1400);
            finish(child);
        }
        Some("child") => {
            let grandchild = start("hold", &[70, 600]);
            TouchedMemory::new(100).hold(1000);
            finish(grandchild);
        }
        Some("storm") => storm(number(0, 300), number(1, 5), number(2, 4), number(3, 10)),
        Some("orphan") => {
            start("hold", &[number(0, 50), number(1, 1500)]);
            // The time is long enough for the child to begin.
            sleep(Duration::from_millis(300));
            exit(3)
        }
        Some("burn") => {
            finish(start_with("burn-once"));
            burn(number(0, 500), mib(2, 30));
        }
        Some("burn-once") => burn(number(0, 500), mib(2, 30)),
        Some("endless") => loop {
            TouchedMemory::new(mib(0, 50)).hold(60_000);
        },
        Some("tree") => {
            let children = [start("branch", &[number(0, 50)]), start("branch", &[number(0, 50)])];
            children.into_iter().for_each(finish);
        }
        Some("branch") => {
            let child = start("endless", &[number(0, 50)]);
            TouchedMemory::new(mib(0, 50)).hold(10);
            finish(child);
        }
        Some(other) => usage(&format!("unknown situation: {other}")),
        None => usage("no situation named"),
    }
}

/// Starts this program again, with its own arguments.
fn start_with(situation: &str) -> Child {
    let program = env::current_exe().expect("a program knows its file");
    Command::new(program).arg(situation).args(env::args_os().skip(2)).spawn().expect("a child starts")
}

/// Computes until this much time has passed, which is CPU time on an idle machine, and writes this much.
fn burn(ms: u64, mib: usize) {
    let end = Instant::now() + Duration::from_millis(ms);
    let mut sum = 0_u64;
    while Instant::now() < end {
        for number in 0..10_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
    let mut file = std::fs::File::create(env::args().nth(3).unwrap_or_else(|| usage("burn needs a FILE")))
        .expect("the file can be made");
    let block = vec![b'x'; 1 << 20];
    (0..mib).for_each(|_| file.write_all(&block).expect("written"));
}

/// Runs this many at a time, each thread one after the other.
fn storm(count: u64, ms: u64, at_a_time: u64, mib: u64) {
    let lanes = (0..at_a_time).map(|lane| {
        let turns = count / at_a_time + u64::from(lane < count % at_a_time);
        thread::spawn(move || (0..turns).for_each(|_| finish(start("hold", &[mib, ms]))))
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.join().expect("no child failed");
    }
}
