//! The sentences of `hwm explain`: the origin of the peak memory, its certainty, and what would make it surer.

use std::io::{self, Write};

use highwater::record::{
    Capture, Certainty, Lineage, MemoryParts, MemorySource, PeakMemory, PeaksFrom, Record,
};

use super::summary::{BOLD, line, rss_sum};
use crate::text;

/// Farthest that one end of the interval may lie from a figure that is called sure, as a part of the figure.
const NARROW_RANGE: f64 = 0.05;
/// Name of the figure in the reasons of a record that lacks it.
const MEMORY_OF_JOB: &str = "memory of the job with each page counted once";

/// Writes it; colour is the writer's business.
pub(crate) fn write<P>(record: &Record<P>, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let command = text::shorten(&text::command_of(record), width.saturating_sub(30).max(20));
    let Some(memory) = &record.peak.memory else { return write_without_memory(record, &command, width, out) };
    writeln!(out, "{BOLD}Peak memory of {command}: {}{BOLD:#}", figure(memory))?;
    let mut write = |label: &str, sentence: &str| line(out, width, label, sentence);
    write(
        "  Counts:",
        "what its processes held in RAM at one moment, each page once: heaps and stacks, shared memory, and the files \
         that they map; not page cache, kernel memory or swap",
    )?;
    write("  Source:", source(memory))?;
    write("  When:", &when(memory))?;
    write("  At least:", &lower(memory))?;
    write("  At most:", &upper(memory))?;
    if let Some(parts) = parts(&memory.parts) {
        write("  Parts:", &parts)?;
    }
    if let Some(rss) = &record.peak.rss {
        let sum = text::size(rss.bytes);
        let sentence = if rss.bytes as f64 > memory.bytes as f64 * (1.0 + NARROW_RANGE) {
            format!(
                "the sum of RSS is {sum}, as it counts a page in each process that maps it; tools that add up RSS \
                 (top, ps, htop) show that"
            )
        } else {
            format!("the sum of RSS is {sum}, nearly the same: the processes share little")
        };
        write("  Sharing:", &sentence)?;
    }
    write("  Processes:", &processes(&record.capture))?;
    for downgrade in &record.capture.downgrades {
        write("  Missing:", &format!("{}: {}", downgrade.wanted, downgrade.reason))?;
    }
    write("  Surer:", &advice(record, memory))
}

/// Writes the sentences for a record of an older version, or of a system that has no such figure.
fn write_without_memory<P>(
    record: &Record<P>,
    command: &str,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let metric = text::metric(record.primary_metric);
    let total = rss_sum(record);
    writeln!(out, "{BOLD}Peak {metric} of {command}: {total}{BOLD:#}")?;
    let refused = record.capture.downgrades.iter();
    let refused = refused.map(|downgrade| downgrade.wanted.as_str()).any(|wanted| wanted == MEMORY_OF_JOB);
    let why = if refused {
        "see below"
    } else {
        "it is of another system than Linux, or of highwater before record version 1.4"
    };
    let counts = format!(
        "the highest sum of its processes' {metric}; this record has no figure that counts each page once: {why}"
    );
    line(out, width, "  Counts:", &counts)?;
    line(out, width, "  Processes:", &processes(&record.capture))?;
    for downgrade in &record.capture.downgrades {
        line(out, width, "  Missing:", &format!("{}: {}", downgrade.wanted, downgrade.reason))?;
    }
    Ok(())
}

fn figure(memory: &PeakMemory) -> String {
    let sign = match memory.certainty {
        Certainty::AtLeast => "≥ ",
        Certainty::AtMost => "≤ ",
        Certainty::Exact => "",
        _ => "~ ",
    };
    format!("{sign}{}", text::size(memory.bytes))
}

fn source(memory: &PeakMemory) -> &'static str {
    match memory.source {
        MemorySource::Cgroup if memory.between_seconds.is_some() => {
            "the kernel's account of the job's own cgroup: its high-water mark between two samples, without page cache"
        }
        MemorySource::Cgroup => "the kernel's account of the job's own cgroup, in a sample",
        MemorySource::Pss => {
            "PSS of the processes (a shared page is divided among those that map it), read now and then, or the account \
             of the cgroup that hwm runs in while nothing else runs there; and the rise of RSS since"
        }
        MemorySource::Rss => {
            "RSS of the processes, where members of one program are taken to share their files and shared memory: no \
             reading that counts each page once was possible"
        }
        _ => "a source that this hwm does not know",
    }
}

fn when(memory: &PeakMemory) -> String {
    match (memory.at_seconds, memory.between_seconds) {
        (Some(at), _) => format!("{} after the start", text::duration(at)),
        (None, Some([from, to])) => {
            format!("between {} and {} after the start", text::moment(from), text::moment(to))
        }
        (None, None) => {
            "unknown: no sample shows it; the kernel's high-water mark of a process has no time".to_owned()
        }
    }
}

fn lower(memory: &PeakMemory) -> String {
    let why = if memory.lower_rigorous {
        "guaranteed: it was read at one moment, or is the kernel's mark of one process"
    } else {
        "read in a sample; on some kernels the counters lag behind by a few MiB"
    };
    format!("{} ({why})", text::size(memory.lower_bytes))
}

fn upper(memory: &PeakMemory) -> String {
    let why = match (memory.source, memory.upper_rigorous) {
        (_, true) => "guaranteed: the final marks of all processes are known",
        (MemorySource::Cgroup, false) => {
            "the highest charge of the cgroup, which includes page cache and kernel memory, and mapped files"
        }
        (_, false) => {
            "estimated from the sum of RSS, or from the highest charge of the cgroup that hwm runs in if that is less; \
             short processes may have held more than was seen"
        }
    };
    format!("{} ({why})", text::size(memory.upper_bytes))
}

/// Returns the parts that are known.
fn parts(parts: &MemoryParts) -> Option<String> {
    let known = [
        ("heaps and stacks", parts.anon_bytes),
        ("shared memory", parts.shmem_bytes),
        ("mapped files", parts.file_bytes),
        ("huge pages of hugetlbfs", parts.hugetlb_bytes),
    ];
    let known: Vec<_> = known
        .into_iter()
        .filter_map(|(name, bytes)| Some(format!("{name} {}", text::size(bytes?))))
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn processes(capture: &Capture) -> String {
    let how = match capture.lineage {
        Lineage::Perf | Lineage::ProcConnector | Lineage::JobObject => {
            "every start and exit was reported by the kernel"
        }
        Lineage::Kqueue => "starts and exits were reported by the kernel or seen in samples",
        _ => "starts and exits were seen in samples only, so short processes may be missing",
    };
    let seen = capture.processes_seen;
    let plural = if seen == 1 { "process" } else { "processes" };
    let sign = if capture.processes_seen_is == Certainty::Exact { "" } else { "at least " };
    let lost = match capture.lost_events {
        0 => String::new(),
        lost => format!("; {lost} of those reports were lost"),
    };
    let unmarked = match capture.images_without_last_mark {
        None | Some(0) => String::new(),
        Some(1) => "; the final peak of one program could not be read".to_owned(),
        Some(many) => format!("; the final peaks of {many} programs could not be read"),
    };
    format!("{sign}{seen} {plural}; {how}{lost}{unmarked}")
}

/// Returns what would make the figure surer.
fn advice<P>(record: &Record<P>, memory: &PeakMemory) -> String {
    let is_near = |bytes: u64| bytes.abs_diff(memory.bytes) as f64 <= memory.bytes as f64 * NARROW_RANGE;
    let is_sure = is_near(memory.lower_bytes) && is_near(memory.upper_bytes);
    match memory.source {
        _ if is_sure && memory.certainty != Certainty::AtLeast => {
            "nothing is needed: both ends lie within 5 % of the figure".to_owned()
        }
        MemorySource::Cgroup if memory.certainty == Certainty::AtLeast => {
            "a larger memory limit of the job's cgroup: the kernel reclaimed memory, and what was touched meanwhile \
             cannot be told from page cache"
                .to_owned()
        }
        MemorySource::Cgroup => {
            "a smaller interval (-i 10): the upper end includes page cache that came and went".to_owned()
        }
        _ => {
            let exact = match record.capture.peaks {
                PeaksFrom::Marks | PeaksFrom::Samples => " --exact reads the final peak of each process.",
                _ => "",
            };
            format!(
                "a cgroup of the job's own, in which the kernel counts each page once: run as root, or with \
                 --cgroup, which asks systemd for one.{exact} hwm doctor says what is possible here"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::terminal::summary::tests::fixture;

    const MIB: u64 = 1 << 20;

    fn explained(memory: &serde_json::Value) -> String {
        let mut value = serde_json::to_value(fixture()).unwrap();
        value["peak"]["memory"] = memory.clone();
        let record: Record = Record::from_json(value.to_string().as_bytes()).unwrap();
        let mut out = Vec::new();
        write(&record, 100, &mut out).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    fn memory(source: &str, certainty: &str, [lower, best, upper]: [u64; 3]) -> serde_json::Value {
        serde_json::json!({
            "bytes": best * MIB, "lower_bytes": lower * MIB, "upper_bytes": upper * MIB,
            "lower_rigorous": true, "upper_rigorous": false, "certainty": certainty, "source": source,
            "at_seconds": null, "between_seconds": [1.0, 1.25],
            "parts": {"anon_bytes": null, "shmem_bytes": null, "file_bytes": 3 * MIB, "hugetlb_bytes": null}
        })
    }

    #[test]
    fn a_figure_of_a_group() {
        let text = explained(&memory("cgroup", "bounded", [100, 170, 175]));
        assert!(text.starts_with("Peak memory of cargo build"), "{text}");
        assert!(text.contains(": ~ 170 MiB\n"), "{text}");
        for part in
            ["own cgroup", "between 1.00 s and 1.25 s", "mapped files 3.00 MiB", "the sum of RSS is 6.40 GiB"]
        {
            assert!(text.replace("\n                  ", " ").contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_would_make_it_surer() {
        let advice = |source, certainty, ends| {
            let text = explained(&memory(source, certainty, ends));
            text.split("Surer:").nth(1).unwrap().split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(advice("cgroup", "bounded", [168, 170, 172]).starts_with("nothing is needed"));
        assert!(advice("cgroup", "bounded", [168, 170, 400]).starts_with("a smaller interval"));
        assert!(advice("cgroup", "at_least", [170, 170, 170]).starts_with("a larger memory limit"));
        assert!(advice("pss", "bounded", [100, 170, 400]).starts_with("a cgroup of the job's own"));
    }

    #[test]
    fn a_record_without_the_figure_is_explained_by_its_metric() {
        let text = explained(&serde_json::Value::Null);
        assert!(text.starts_with("Peak RSS of cargo build"), "{text}");
        let words = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("no figure that counts each page once"), "{text}");
    }
}
