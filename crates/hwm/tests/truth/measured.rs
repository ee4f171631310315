//! The table as measured, as Markdown.

use crate::{
    rows::Row,
    run::{Failed, Run, run},
};

/// Runs each row `times` times and prints what came of it.
pub(crate) fn print(table: &[fn() -> Row], times: usize) {
    println!("| situation | true RSS, MiB | figure | ratio, min | ratio, max | right | the last run |");
    println!("|---|---:|---|---:|---:|---:|---|");
    for row in table {
        println!("{}", line(&row(), times));
    }
}

fn line(row: &Row, times: usize) -> String {
    let (mut ratios, mut right, mut last) = (Vec::new(), 0, String::new());
    let (mut figure, mut truth) = ("RSS", String::new());
    for _ in 0..times {
        match run(row) {
            Ok(run) => {
                let (name, ratio) = row.ratio(&run);
                figure = name;
                ratios.extend(ratio);
                right += usize::from(row.judge(&run).is_empty());
                truth = mib(Some(run.truth.rss));
                last = sentence(row, &run);
            }
            Err(Failed::Skipped(reason)) => {
                return format!("| {} | | | | | skipped | {reason} |", row.situation);
            }
            Err(Failed::Broken(reason)) => last = reason,
        }
    }
    let end = |pick: fn(f64, f64) -> f64| {
        ratios.iter().copied().reduce(pick).map_or("none".to_owned(), |ratio| format!("{ratio:.3}"))
    };
    let (min, max) = (end(f64::min), end(f64::max));
    format!("| {} | {truth} | {figure} | {min} | {max} | {right} of {times} | {last} |", row.situation)
}

fn sentence(row: &Row, run: &Run) -> String {
    let wrong = row.judge(run);
    format!(
        "[{}, {}] MiB, {}; {} {} processes{}{}",
        mib(run.number("/peak/rss/lower_bytes")),
        mib(run.number("/peak/rss/upper_bytes")),
        run.word("/peak/rss/certainty"),
        run.word("/capture/processes_seen_is").replace('_', " "),
        run.number("/capture/processes_seen").map_or("?".to_owned(), |n| n.to_string()),
        if wrong.is_empty() { "" } else { "; **wrong:** " },
        wrong.join("; "),
    )
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or("none".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0))
}
