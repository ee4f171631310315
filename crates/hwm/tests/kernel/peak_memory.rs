//! Peak memory, where samples see little of the job.

use crate::{
    run::{Place, Run, User},
    turn,
};

/// Runs a situation, and checks that its peak memory is `mib`, by a few MiB for the programs themselves.
fn expect_memory(place: &Place, user: User, situation: &[&str], mib: u64) -> Run {
    let workload = place.path("workload");
    let command: Vec<&str> =
        [workload.to_str().unwrap()].into_iter().chain(situation.iter().copied()).collect();
    let run = place.run(user, &[], &command);
    run.check();
    let memory = &run.record["peak"]["memory"];
    let end = |name: &str| memory[name].as_u64().unwrap() >> 20;
    let (lower, bytes, upper) = (end("lower_bytes"), end("bytes"), end("upper_bytes"));
    assert!(lower <= mib + 8 && mib <= upper, "{situation:?}, {user:?}: {memory}");
    assert!((mib..=mib + 8 + mib / 20).contains(&bytes), "{situation:?}, {user:?}: {memory}");
    run
}

#[test]
fn pages_that_workers_write_after_a_while_count_once_more() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = expect_memory(&place, user, &["late-copies", "4", "60", "700"], 300);
        let pss = run.number("/peak/pss/bytes");
        if run.word("/peak/memory/source") == "pss" {
            assert!(pss.is_some_and(|pss| pss >> 20 >= 300), "{}", run.record["peak"]);
        }
    }
}

#[test]
fn children_that_may_not_be_looked_into_share_the_memory_of_their_parent() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        for children in ["copies", "guests"] {
            let run = expect_memory(&place, user, &["closed-family", children, "3", "100", "400"], 100);
            let is_said = run.reasons().contains("children in the memory map of their parent");
            assert_eq!(is_said, !user.is_root(), "{user:?}, {children}: {}", run.reasons());
        }
    }
}

#[test]
fn a_copy_that_grows_before_its_exec_has_a_peak_of_its_own() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = expect_memory(&place, user, &["grow-exec", "100", "400"], 100);
        let child = &run.processes()[1];
        let (mib, images) = (child["max_rss_kib"].as_u64().unwrap() >> 10, &child["images"]);
        assert!((98..=102).contains(&mib), "{user:?}: {child}");
        assert_eq!(child["peak"]["rss"]["certainty"], "at_least", "{child}");
        assert_eq!(images.as_array().map(Vec::len), Some(2), "{child}");
    }
}

/// The samples see little of the job: its peak of 100 + 70 MiB lies between the first one and its end.
#[test]
fn a_peak_after_the_last_sample_is_in_peak_memory() {
    let _turn = turn();
    let place = Place::new();
    let workload = place.path("workload");
    for user in User::all() {
        let run = place.run(user, &["--interval", "10000"], &[workload.to_str().unwrap(), "generations"]);
        run.check();
        let memory = &run.record["peak"]["memory"];
        let mib = |name: &str| memory[name].as_u64().unwrap() >> 20;
        if memory["source"] == "cgroup" {
            assert!((168..=180).contains(&mib("bytes")) && mib("upper_bytes") >= 170, "{memory}");
        }
    }
}

#[test]
fn memory_that_no_process_maps_is_in_the_figure_or_in_a_note() {
    let _turn = turn();
    let place = Place::new();
    let note = "memory of the job that no process maps";
    for user in User::all() {
        let workload = place.path("workload");
        let run = place.run(user, &[], &[workload.to_str().unwrap(), "unmapped", "60", "500"]);
        let mib = run.number("/peak/memory/bytes").unwrap() >> 20;
        if run.word("/peak/memory/source") == "cgroup" {
            assert!((60..70).contains(&mib) && !run.reasons().contains(note), "{}", run.record["peak"]);
        } else {
            assert!(mib < 10 && run.reasons().contains(note), "{mib}: {}", run.reasons());
        }
    }
}

#[test]
fn page_tables_are_noted() {
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = expect_memory(&place, user, &["page-tables", "30", "500"], 30);
        assert!(run.reasons().contains("memory of the job in the kernel"), "{user:?}: {}", run.reasons());
        let hold = expect_memory(&place, user, &["hold", "30", "200"], 30);
        assert!(!hold.reasons().contains("memory of the job in the kernel"), "{user:?}: {}", hold.reasons());
    }
}

#[test]
fn huge_pages_are_in_the_figure() {
    let free = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = free.lines().find_map(|line| line.strip_prefix("HugePages_Free:")).map(str::trim);
    if !free.is_some_and(|free| free.parse::<u64>().is_ok_and(|free| free >= 20)) {
        return eprintln!("skipped: no 20 free huge pages (/proc/sys/vm/nr_hugepages): {free:?}");
    }
    let _turn = turn();
    let place = Place::new();
    for user in User::all() {
        let run = expect_memory(&place, user, &["huge-pages", "40", "500"], 40);
        let rss = run.number("/peak/rss/bytes").unwrap() >> 20;
        assert!(rss < 10, "no RSS counts them: {rss}");
        if run.word("/peak/memory/source") == "cgroup" {
            assert_eq!(run.number("/peak/memory/parts/hugetlb_bytes"), Some(40 << 20));
        }
    }
}

/// A parent that writes pages which its workers share leaves the old ones to them. The RSS of no process rises by that.
#[test]
fn pages_that_a_parent_leaves_to_its_workers_are_in_peak_memory() {
    let _turn = turn();
    let place = Place::new();
    let workload = place.path("workload");
    for user in User::all() {
        // Two workers of 20 and 150 MiB beside the 100 of their parent, which it holds twice in the end.
        let command = [workload.to_str().unwrap(), "pool", "2", "100", "late"];
        let run = place.run(user, &["--no-cgroup"], &command);
        run.check();
        let memory = &run.record["peak"]["memory"];
        let mib = memory["bytes"].as_u64().unwrap() >> 20;
        assert!(memory["source"] == "pss" && (360..=400).contains(&mib), "370 MiB: {memory}");
    }
}

/// A job that is another run of hwm: both figures are right, and the outer one has the inner hwm in it.
#[test]
fn a_run_within_a_run_has_the_same_peak_memory() {
    let _turn = turn();
    let place = Place::new();
    let (hwm, workload, inner) = (place.path("hwm"), place.path("workload"), place.path("inner.json"));
    let option = format!("--json={}", inner.display());
    for user in User::all() {
        let _ = std::fs::remove_file(&inner);
        let command = [hwm.to_str().unwrap(), "run", "-q", &option, "--"];
        let job = [workload.to_str().unwrap(), "hold", "200", "600"];
        let run = place.run(user, &[], &[&command[..], &job[..]].concat());
        run.check();
        let inner: serde_json::Value = serde_json::from_slice(&std::fs::read(&inner).unwrap()).unwrap();
        let (inner, outer) = (&inner["peak"]["memory"], &run.record["peak"]["memory"]);
        assert_eq!(inner["source"], outer["source"], "{inner} {outer}");
        let mib = |memory: &serde_json::Value, name: &str| memory[name].as_u64().unwrap() >> 20;
        assert!((200..=206).contains(&mib(inner, "bytes")), "{inner}");
        // A debug build of hwm maps some 30 MiB of its own file.
        assert!((202..=260).contains(&mib(outer, "bytes")), "{outer}");
        if let Some(anonymous) = outer["parts"]["anon_bytes"].as_u64() {
            assert!((200..=210).contains(&(anonymous >> 20)), "{outer}");
        }
    }
}
