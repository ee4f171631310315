//! The result of a check, in the formats of CI systems.

pub(crate) mod benchmark;
pub(crate) mod github;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod text;

use std::path::PathBuf;

use highwater::{
    analysis::{Quantity, Verdict},
    record::{Certainty, Metric, Record},
};

use super::phrases;
use crate::judgement::Judgement;
use crate::text::size;

/// All that a check found.
#[derive(Debug)]
pub(crate) struct CheckReport<'a> {
    /// The name of the check.
    pub(crate) name: String,
    pub(crate) record: &'a Record,
    pub(crate) judgement: &'a Judgement,
    /// The job's exit code, if it failed.
    pub(crate) failed: Option<crate::exit::AnyExitCode>,
    pub(crate) baseline: BaselineState,
    /// The largest number of groups that are listed.
    pub(crate) top: usize,
}

/// The state of the baseline.
#[derive(Debug)]
pub(crate) enum BaselineState {
    NotGiven,
    /// There is no baseline yet; `from` is the file that could become it.
    Missing {
        to: PathBuf,
        from: Option<PathBuf>,
    },
    There,
    /// The baseline was replaced by this record.
    Updated,
}

impl CheckReport<'_> {
    /// Returns the verdict as a word for scripts.
    pub(crate) fn word(&self) -> &'static str {
        match self.judgement.verdict {
            _ if self.failed.is_some() => "job_failed",
            Verdict::Regression => "regression",
            _ if self.judgement.comparison.is_none() => "no_baseline",
            Verdict::Fine => "fine",
            Verdict::NoEvidence => "no_evidence",
            _ => "unknown",
        }
    }

    /// Returns the message about a job that failed.
    pub(crate) fn failure(&self) -> Option<String> {
        let signal = self.record.exit.as_ref().and_then(|exit| exit.signal_name.clone());
        self.failed.map(|code| match signal {
            Some(signal) => format!("The job was killed by {signal} (exit code {code})."),
            None => format!("The job failed with exit code {code}."),
        })
    }

    /// Returns the peak beside the container's limit.
    pub(crate) fn beside_limit(&self) -> Option<String> {
        let limit = self.record.host.container_limit_bytes.filter(|limit| *limit > 0)?;
        let peak = figures(self.record).into_iter().next()?;
        let bytes = peak.bytes?;
        let part = bytes as f64 / limit as f64 * 100.0;
        let (name, peak, limit) = (peak.name, size(bytes), size(limit));
        Some(format!("{name}: {peak} of the container's {limit} ({part:.0} %)."))
    }

    /// Returns how to get a baseline, or what became of it.
    pub(crate) fn about_baseline(&self) -> Option<String> {
        match &self.baseline {
            BaselineState::There => None,
            BaselineState::Updated => Some("This record is the baseline now.".to_owned()),
            BaselineState::NotGiven => Some("Nothing to compare with: no --baseline was given.".to_owned()),
            BaselineState::Missing { to, .. } if self.failed.is_some() => {
                Some(format!("There is no baseline {} yet, and a job that failed makes none.", to.display()))
            }
            BaselineState::Missing { to, from: Some(from) } => Some(format!(
                "There is no baseline {0} yet, so this passes. To keep this run as one: cp {1} {0} \
                 (or use --update-baseline).",
                to.display(),
                from.display()
            )),
            BaselineState::Missing { to, from: None } => Some(format!(
                "There is no baseline {} yet, so this passes. To keep a run as one use --update-baseline, or \
                 --json FILE and cp.",
                to.display()
            )),
        }
    }
}

/// One peak of a record.
#[derive(Debug)]
pub(crate) struct CheckFigure {
    pub(crate) name: String,
    /// The name for scripts.
    pub(crate) slug: String,
    /// `None`: not known.
    pub(crate) bytes: Option<u64>,
    /// The lower end of the interval, if the interval is known.
    pub(crate) lower: Option<u64>,
    pub(crate) upper: Option<u64>,
}

impl CheckFigure {
    pub(crate) fn shown(&self) -> String {
        let Some(bytes) = self.bytes else { return "unknown".to_owned() };
        let sign = match (self.lower, self.upper) {
            (Some(_), None) => "≥ ",
            (None, Some(_)) => "≤ ",
            (Some(lower), Some(upper)) if upper.saturating_sub(lower) > bytes / 50 => {
                return format!("{} ({} to {})", size(bytes), size(lower), size(upper));
            }
            _ => "",
        };
        format!("{sign}{}", size(bytes))
    }
}

/// Returns the peaks of a record; the one that decides first.
pub(crate) fn figures(record: &Record) -> Vec<CheckFigure> {
    let figure = |name: String, slug: String, bytes: u64, lower: u64, certainty: Certainty| CheckFigure {
        name,
        slug,
        bytes: Some(bytes),
        lower: (certainty != Certainty::AtMost).then_some(lower),
        upper: (certainty != Certainty::AtLeast).then_some(bytes),
    };
    let peak = record.peak.rss;
    let memory = record.peak.memory.as_ref().map(|memory| CheckFigure {
        name: phrases::name(&Quantity::Memory),
        slug: "peak-memory".to_owned(),
        bytes: Some(memory.bytes),
        lower: Some(memory.lower_bytes),
        upper: Some(memory.upper_bytes),
    });
    let total_slug = if memory.is_some() { "peak-total" } else { "peak-memory" };
    let mut figures: Vec<CheckFigure> = memory.into_iter().collect();
    figures.push(CheckFigure {
        name: phrases::total(record.primary_metric),
        slug: total_slug.to_owned(),
        bytes: record.total_peak_bytes(),
        lower: peak.map(|peak| peak.lower_bytes),
        upper: peak.map(|peak| peak.upper_bytes),
    });
    if let Some(pss) = record.peak.pss {
        let name = phrases::total(Metric::Pss);
        figures.push(figure(name, "peak-pss".to_owned(), pss.bytes, pss.bytes, pss.certainty));
    }
    if let Some(cgroup) = record.peak.cgroup {
        let (name, slug) = ("cgroup peak (page cache too)".to_owned(), "peak-cgroup".to_owned());
        figures.push(figure(name, slug, cgroup.bytes, cgroup.bytes, cgroup.certainty));
    }
    for device in &record.peak.gpu {
        let (name, slug) =
            (format!("GPU {} memory", device.index), format!("peak-gpu-{}-memory", device.index));
        figures.push(match device.vram {
            Some(vram) => figure(name, slug, vram.bytes, vram.lower_bytes, vram.certainty),
            None => CheckFigure { name, slug, bytes: None, lower: None, upper: None },
        });
    }
    figures
}
