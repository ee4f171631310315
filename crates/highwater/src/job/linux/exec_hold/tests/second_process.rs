//! Situations that take a process of their own: this test program, started again.

use super::*;

#[test]
fn inside_another_keepers_job_it_is_refused_and_the_job_runs() {
    let command = own_process("refused_as_the_second");
    let argv: Vec<&str> = command.iter().map(String::as_str).collect();
    let Some(mut job) = HeldJob::start(&argv, &[]) else { return };
    assert!(exits_with(job.finish(), 0));
    assert!(job.codes().contains(&77), "the outer one still reports everything");
}

#[test]
#[ignore = "part of another test, in a process of its own under a filter"]
fn refused_as_the_second() {
    let mut keeper = ExecHold::start(&ProcDir::of_this_machine()).unwrap();
    let pid = start(&keeper, &["/bin/sh", "-c", "exit 77"], &[]);
    let refused = keeper.handed_over();
    assert!(exits_with(wait(pid), 77));
    match refused {
        Err(Refused::Filter(error)) => assert_eq!(error.raw_os_error(), Some(libc::EBUSY)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_job_outlives_this_process() {
    // Orphans become children of this process, so that all can be waited for.
    let _reaper = Subreaper::set().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let read =
        |name: &str| fs::read_to_string(dir.path().join(name)).ok().filter(|text| text.ends_with('\n'));
    let [program, args @ ..] = own_process("starts_a_storm");
    let mut owner = {
        use std::os::unix::process::CommandExt;
        let mut command = Process::new(program);
        command.args(args).env("STORM_DIR", dir.path()).process_group(0).spawn().unwrap()
    };
    let group = -libc::pid_t::try_from(owner.id()).unwrap();
    until("the storm", || {
        read("keeper").is_some() && (read("keeper").unwrap() == "\n" || read("begun").is_some())
    });
    let keeper: Option<libc::pid_t> = read("keeper").unwrap().trim().parse().ok();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let Some(keeper) = keeper else {
        println!("skipped: notification was refused");
        return;
    };
    until("the end of the storm", || {
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(group, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        read("done").is_some()
    });
    assert_eq!(read("done").unwrap(), "wrong 0\n");
    until("the keeper's end", || {
        // SAFETY: no status is asked for.
        unsafe {
            while libc::waitpid(group, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            libc::waitpid(keeper, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) == keeper
        }
    });
}

#[test]
#[ignore = "part of another test, in a process of its own that is killed"]
fn starts_a_storm() {
    let dir = env::var("STORM_DIR").unwrap();
    let script = format!(
        "cd {dir}; i=0; wrong=0; while [ $i -lt 400 ]; do /bin/sh -c \"exit $((i % 256))\"; \
        [ $? = $((i % 256)) ] || wrong=$((wrong+1)); [ $i = 50 ] && echo > begun; i=$((i+1)); done; \
        echo wrong $wrong > done"
    );
    let job = HeldJob::shell(&script);
    let keeper = job.as_ref().map_or(String::new(), |job| job.keeper.pid().to_string());
    fs::write(Path::new(&dir).join("keeper"), keeper + "\n").unwrap();
    if let Some(mut job) = job {
        // It is killed long before its end.
        job.finish();
    }
}
