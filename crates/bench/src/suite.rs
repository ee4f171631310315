//! The benchmarks, one file each, and their common parts.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::table::{self, ResultRow};

mod compare;
mod cpu_bound;
mod crowd;
mod delays;
mod fork_heavy;
mod gnu_time;
mod gpu_sweep;
mod measure;
mod naive;
mod own_rss;
mod programs;
mod sample_cost;
mod snapshots;
mod unrelated;

/// Measures what hwm costs and prints a Markdown table. See docs/benchmarks.md.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct BenchArgs {
    /// Which benchmarks to run; all of them when none is named
    names: Vec<Benchmark>,
    /// Alternating pairs (A B A B ...) behind each ratio
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..))]
    pairs: u16,
    /// Three pairs and small jobs: shows that everything runs, proves nothing
    #[arg(long)]
    quick: bool,
    /// Measure this hwm instead of building one
    #[arg(long, value_name = "PATH")]
    hwm: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    CpuBound,
    ForkHeavy,
    Unrelated,
    OwnRss,
    SampleCost,
    Delays,
    GnuTime,
    GpuSweep,
    Snapshots,
    Compare,
}

impl Benchmark {
    fn run(self, setup: &Setup) -> Result<Vec<ResultRow>> {
        match self {
            Self::CpuBound => cpu_bound::run(setup),
            Self::ForkHeavy => fork_heavy::run(setup),
            Self::Unrelated => unrelated::run(setup),
            Self::OwnRss => own_rss::run(setup),
            Self::SampleCost => sample_cost::run(setup),
            Self::Delays => delays::run(setup),
            Self::GnuTime => gnu_time::run(setup),
            Self::GpuSweep => gpu_sweep::run(setup),
            Self::Snapshots => snapshots::run(setup),
            Self::Compare => compare::run(setup),
        }
    }
}

/// The settings of every benchmark.
#[derive(Debug)]
struct Setup {
    hwm: PathBuf,
    /// The path of this program, which also plays all the jobs (see `programs.rs`).
    me: PathBuf,
    pairs: usize,
    quick: bool,
}

impl Setup {
    /// Returns a job of this program, without hwm.
    fn bare(&self, job: &[&str]) -> Command {
        let mut command = Command::new(&self.me);
        command.arg(programs::JOB_ARGUMENT).args(job).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Returns the same job under `hwm run OPTIONS`, with its summary discarded.
    fn under_hwm(&self, options: &[&str], job: &[&str]) -> Command {
        let mut command = Command::new(&self.hwm);
        command.arg("run").args(options).arg("--").arg(&self.me).arg(programs::JOB_ARGUMENT).args(job);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns the same job under this program's naive sampler.
    fn under_naive(&self, way: naive::Way, job: &[&str]) -> Command {
        let mut command = self.bare(&["naive", way.name()]);
        command.arg(&self.me).arg(programs::JOB_ARGUMENT).args(job);
        command
    }

    /// Returns the smaller figure for `--quick`.
    fn sized<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

pub(crate) fn main() -> ExitCode {
    if let Some(code) = programs::main() {
        return code;
    }
    match bench(&BenchArgs::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn bench(args: &BenchArgs) -> Result<ExitCode> {
    let me = std::env::current_exe().context("where this program is")?;
    let hwm = match &args.hwm {
        Some(path) => path.clone(),
        None => build_hwm(&me)?,
    };
    let pairs = if args.quick { 3 } else { usize::from(args.pairs) };
    let setup = Setup { hwm, me, pairs, quick: args.quick };
    let chosen = if args.names.is_empty() { Benchmark::value_variants() } else { &args.names };

    let mut rows = Vec::new();
    let mut failed = false;
    for benchmark in chosen {
        let name =
            benchmark.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        progress(&name);
        match benchmark.run(&setup) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                failed = true;
                rows.push(ResultRow::new(name, "", None).note(format!("failed: {error:#}")));
            }
        }
    }
    progress("");
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", machine(&setup))?;
    table::write(&mut out, &rows)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds the release `hwm` into the directory of this program, and returns its path.
fn build_hwm(me: &Path) -> Result<PathBuf> {
    if cfg!(debug_assertions) {
        bail!("built without optimization: run `cargo run --release -p bench`, or name a binary with --hwm");
    }
    let profile = me.parent().context("this program lies in no directory")?;
    let target = profile.parent().context("this program lies in no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "hwm", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()
        .context("cargo did not start")?;
    if !status.success() {
        bail!("cargo could not build hwm ({status})");
    }
    Ok(target.join("release/hwm"))
}

/// Reads the record that hwm was asked for. A missing one is a failure, since hwm has then not done the work.
fn record(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).context("hwm wrote no record")?;
    serde_json::from_str(&text).context("hwm wrote a record that is no JSON")
}

/// Describes the machine, without which the figures mean little.
fn machine(setup: &Setup) -> String {
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |n| n.to_string());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let quick = if setup.quick { ", quick: proves nothing" } else { "" };
    format!(
        "Linux {} {}, {cpus} CPUs, load average {load} at the end, {} pairs{quick}",
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
        setup.pairs
    )
}

/// Shows on a terminal what is being done; nothing elsewhere.
fn progress(what: &str) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        // Progress that cannot be shown is no failure.
        let _ = write!(err, "\r\x1b[K{what}");
        let _ = err.flush();
    }
}
