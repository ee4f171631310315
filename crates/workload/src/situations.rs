//! The situations by name (Linux).

mod arguments;
mod beside_rss;
mod clones;
mod courses;
mod family;
mod groups;
mod held_exec;
mod images;
mod memory;
mod meter;
mod own_pages;
mod process;
mod same_pid;
mod shared;
mod single;
mod storm;
mod taken_pages;
mod threads;
mod tiny;
mod tracer;
mod usage;

use process::ms;

const USAGE: &str = "\
usage: workload SITUATION [ARGS]   (sizes in MiB, times in ms; the defaults are shown)
  hold 200 1000                hold that much for that long
  undumpable 200 1000          as hold, and only root may read its memory map (PR_SET_DUMPABLE)
  crowded 200 1000             fork until that is refused (needs RLIMIT_NPROC), then hold it, and so does a child
  spike 500 20 3000            a spike of so much and so long inside a run of so long
  leak 300 30                  grow to that much in that many steps of 20 ms
  course steady 100 6000       a course over so long, up to that much: steady, rising-teeth, flat-teeth, warm-up, cache,
                               late, level
  one-leaks 8 60 6000          so many workers, of which one leaks up to that much over so long
  killed 120 9                 hold that much for 100 ms, then die by that signal
  spikes-in-turn 4 150 20      children alive all along, each spikes once, one after the other
  generations                  parent 50, child 100, grandchild 70: peak 100 + 70
  hand-over 100 60 10          two processes hold it strictly in turn, changing hands so often
  orphan 120 100               the middle process dies after so long, then its child grows
  daemon 100                   double fork and setsid, grows after the command has exited
  threads 64 2                 threads that hold so much each
  leaderless 4 40 1000         the main thread leaves, then the others hold so much each for so long
  leaderless-exec 300          the main thread leaves, then another one execs a program that holds so much for 10 s
  exec 300 10                  hold the first, exec, hold the second
  fork-exec 300 400 [PROGRAM]  hold it, fork and exec a tiny program so many times
  shared-workers cow|shared|memfd|shm 8 400   workers that share one set of pages
  pool 4 200 [rewrite|late]    workers of 20 to 150 MiB over pages of their parent, which may write all of them anew, at
                               once or after a while
  late-copies 4 100 700        workers that inherit it stand still for so long, then write all of it and stand still
  grow-exec 100 400 [PROGRAM]  a child holds it for so long, then execs a tiny program
  vfork-family 3 100 700       children that are copies of it, while it waits for a further one in vfork
  closed-family copies|guests 3 100 700   children that share it, and only root may look into them
  unmapped 60 500              a file in memory (memfd) of that size, written and not mapped
  page-tables 30 500           page tables of that size, and as much memory
  huge-pages 40 500            pages of hugetlbfs, shared with a child
  swapped 100 100 1000         swap the first out, then hold the second
  lazily-freed 200 100 1000    hold it, free so much of it lazily (MADV_FREE), and touch as much anew
  merged 100 200               a process and its child hold as many equal pages each; once KSM has merged them, one of them
                               holds the second, too
  split-huge 50 1000           transparent huge pages, of which so much is kept and three times as much given back
  map FILE 1000                map all of it for that long
  same-pid 20 40               two processes with one pid, one after the other (needs root)
  storm 2000 5 4 10            so many processes of so many ms, so many at a time, of so much each
  exec-storm PROGRAM 2000 4    fork and exec PROGRAM so many times, so many at a time
  fork-chains DIR 30 600       so many chains of so many processes that fork and exit at once; DIR/begun is made when they
                               have begun, and a chain that has come to its end adds a byte to DIR/ended
  vfork-storm PROGRAM 50000 60000   vfork and exec PROGRAM so many times, one after the other, for at most so long; say how
                               many they were
  sibling 200 300              a child made with CLONE_PARENT holds it; its maker ends at once
  guest 200 300 [PROGRAM]      a child made with CLONE_VM grows once its maker has ended, or exec'ed PROGRAM
  tiny FILE 800 1000           write a program that holds so many KiB for so long, to be run by itself
  burn 300                     a child uses so much CPU time, then the same by itself
  copy FILE 20                 a child writes it and reads it back, then half of it by itself
  fault 64                     touch so much, a page fault a page
  tracer PROGRAM               trace PROGRAM by a filter on its execs; the exit code is the number of stops
  named-thread                 exit at once, beside a thread with a name of its own
  vast-arguments 1024 1000 0   so much is its arguments; say \"ready\", start so many children, stay for that long
  long-names 200 120000 1000   so many programs at a time, with names of so many bytes, for that long
  held-exec SITUATION ...      that one, while a child's exec waits for a file system until all is over (needs root)
  groups 65536 300 200 1000    so many supplementary groups (0: its own), so many idle children, then hold it
  nothing                      exit at once";

/// The arguments after the situation's name.
struct SituationArgs(Vec<String>);

impl SituationArgs {
    fn text(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    fn program(&self) -> &str {
        self.text(0).unwrap_or_else(|| usage("name the program to run"))
    }

    fn number(&self, at: usize, default: usize) -> usize {
        match self.0.get(at) {
            None => default,
            Some(text) => text.parse().unwrap_or_else(|_| usage(&format!("not a number: {text}"))),
        }
    }

    fn mib(&self, at: usize, default: usize) -> usize {
        self.number(at, default) << 20
    }

    fn time(&self, at: usize, default: usize) -> std::time::Duration {
        ms(self.number(at, default))
    }
}

pub(crate) fn usage(problem: &str) -> ! {
    eprintln!("workload: {problem}\n{USAGE}");
    std::process::exit(2)
}

pub(crate) fn main() {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "held-exec").is_some() {
        held_exec::begin();
    }
    let situation = words.next().unwrap_or_else(|| usage("no situation named"));
    let a = SituationArgs(words.collect());
    match situation.as_str() {
        "nothing" => return,
        "named-thread" => return threads::named_otherwise(),
        "exec-storm" => return storm::exec_storm(a.program(), a.number(1, 2000), a.number(2, 4)),
        "fork-chains" => {
            let dir = a.text(0).unwrap_or_else(|| usage("fork-chains needs a DIR"));
            return storm::fork_chains(dir.as_ref(), a.number(1, 30), a.number(2, 600));
        }
        "tracer" => tracer::trace(a.program()),
        "vfork-storm" => return storm::vfork_storm(a.program(), a.number(1, 50_000), a.time(2, 60_000)),
        "sibling" => clones::sibling(a.mib(0, 200), a.time(1, 300)),
        "guest" => clones::guest(a.mib(0, 200), a.time(1, 300), a.text(2)),
        "tiny" => {
            let file = a.text(0).unwrap_or_else(|| usage("tiny needs a FILE"));
            return tiny::write(file, a.number(1, 800), a.number(2, 1000));
        }
        "vast-arguments" => return arguments::vast(a.mib(0, 1024), a.time(1, 1000), a.number(2, 0)),
        "long-names" => {
            return arguments::long_names(a.number(0, 200), a.number(1, 120_000), a.time(2, 1000));
        }
        _ => meter::start(),
    }
    match situation.as_str() {
        "groups" => groups::hold(a.number(0, 65_536), a.number(1, 300), a.mib(2, 200), a.time(3, 1000)),
        "hold" => single::hold(a.mib(0, 200), a.time(1, 1000)),
        "undumpable" => single::undumpable(a.mib(0, 200), a.time(1, 1000)),
        "crowded" => single::crowded(a.mib(0, 200), a.time(1, 1000)),
        "spike" => single::spike(a.mib(0, 500), a.time(1, 20), a.time(2, 3000)),
        "leak" => single::leak(a.mib(0, 300), a.number(1, 30)),
        "course" => {
            let course =
                a.text(0).and_then(courses::named).unwrap_or_else(|| usage("course needs a known name"));
            courses::follow(course, a.mib(1, 100), a.time(2, 6000));
        }
        "one-leaks" => courses::one_leaks(a.number(0, 8), a.mib(1, 60), a.time(2, 6000)),
        "killed" => single::killed(a.mib(0, 120), a.number(1, 9)),
        "spikes-in-turn" => family::spikes_in_turn(a.number(0, 4), a.mib(1, 150), a.time(2, 20)),
        "generations" => family::generations(),
        "hand-over" => family::hand_over(a.mib(0, 100), a.time(1, 60), a.number(2, 10)),
        "orphan" => family::orphan(a.mib(0, 120), a.time(1, 100)),
        "daemon" => family::daemon(a.mib(0, 100)),
        "threads" => threads::crowd(a.number(0, 64), a.mib(1, 2)),
        "leaderless-exec" => threads::leaderless_exec(a.mib(0, 300)),
        "leaderless" => threads::leaderless(a.number(0, 4), a.mib(1, 40), a.time(2, 1000)),
        "exec" => images::exec(a.mib(0, 300), a.number(1, 10)),
        "fork-exec" => images::fork_exec(a.mib(0, 300), a.number(1, 400), a.text(2).unwrap_or("/bin/true")),
        "shared-workers" => match a.text(0) {
            Some("cow") => shared::workers(shared::Pages::Cow, a.number(1, 8), a.mib(2, 400)),
            Some("shared") => shared::workers(shared::Pages::Shared, a.number(1, 8), a.mib(2, 400)),
            Some("memfd") => shared::workers(shared::Pages::Memfd, a.number(1, 8), a.mib(2, 400)),
            Some("shm") => shared::workers(shared::Pages::Shm, a.number(1, 8), a.mib(2, 400)),
            _ => usage("shared-workers needs cow, shared, memfd or shm"),
        },
        "pool" => {
            let rewriting = match a.text(2) {
                None => shared::Rewriting::Never,
                Some("rewrite") => shared::Rewriting::Soon,
                Some("late") => shared::Rewriting::Late,
                Some(_) => usage("pool needs rewrite, late or nothing more"),
            };
            shared::pool(a.number(0, 4), a.mib(1, 200), rewriting);
        }
        "late-copies" => beside_rss::late_copies(a.number(0, 4), a.mib(1, 100), a.time(2, 700)),
        "grow-exec" => {
            beside_rss::grow_exec(a.mib(0, 100), a.time(1, 400), a.text(2).unwrap_or("/bin/true"));
        }
        "vfork-family" => beside_rss::vfork_family(a.number(0, 3), a.mib(1, 100), a.time(2, 700)),
        "closed-family" => {
            let are_guests = a.text(0) == Some("guests");
            beside_rss::closed_family(are_guests, a.number(1, 3), a.mib(2, 100), a.time(3, 700));
        }
        "unmapped" => beside_rss::unmapped(a.mib(0, 60), a.time(1, 500)),
        "page-tables" => beside_rss::page_tables(a.mib(0, 30), a.time(1, 500)),
        "huge-pages" => beside_rss::huge_pages(a.mib(0, 40), a.time(1, 500)),
        "swapped" => taken_pages::swapped(a.mib(0, 100), a.mib(1, 100), a.time(2, 1000)),
        "lazily-freed" => taken_pages::lazily_freed(a.mib(0, 200), a.mib(1, 100), a.time(2, 1000)),
        "merged" => taken_pages::merged(a.mib(0, 100), a.mib(1, 200)),
        "split-huge" => taken_pages::split_huge(a.mib(0, 50), a.time(1, 1000)),
        "map" => {
            let file = a.text(0).unwrap_or_else(|| usage("map needs a FILE"));
            single::map(file.as_ref(), a.time(1, 1000));
        }
        "same-pid" => same_pid::twice(a.mib(0, 20), a.mib(1, 40)),
        "burn" => usage::burn_family(a.time(0, 300)),
        "copy" => {
            let file = a.text(0).unwrap_or_else(|| usage("copy needs a FILE"));
            usage::copy(file.as_ref(), a.mib(1, 20));
        }
        "fault" => usage::fault(a.mib(0, 64)),
        "storm" => storm::storm(a.number(0, 2000), a.time(1, 5), a.number(2, 4), a.mib(3, 10)),
        other => usage(&format!("unknown situation: {other}")),
    }
    meter::finish();
}
