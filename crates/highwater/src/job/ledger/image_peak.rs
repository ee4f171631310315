//! The peak of one image of a process, and the images that it had before.

use std::time::Duration;

use super::groups::OTHERS;
use crate::{
    job::{
        events::{LastMark, MemoryReading},
        moment::Moment,
    },
    record::{Certainty, Image, PeakSource, ProcessPeak},
};

/// Most images of a process that have entries of their own, beside its last one.
const MAX_IMAGES_PER_PROCESS: usize = 1_000;

/// The readings of an image, and its final mark.
#[derive(Debug, Default)]
pub(super) struct ImagePeak {
    /// The highest reading, and its source.
    high: Option<(u64, PeakSource)>,
    /// The same before the last reading.
    high_before: Option<(u64, PeakSource)>,
    /// The time of the last reading. It stays from one image to the next.
    read_at: Duration,
    last_mark: Option<LastMark>,
}

impl ImagePeak {
    pub(super) fn read(&mut self, at: Duration, reading: &MemoryReading) {
        (self.high_before, self.read_at) = (self.high, at);
        for (bytes, source) in
            [(Some(reading.rss), PeakSource::Sampled), (reading.mark, PeakSource::MarkSampled)]
        {
            if let Some(bytes) = bytes
                && self.high.is_none_or(|(high, _)| bytes >= high)
            {
                self.high = Some((bytes, source));
            }
        }
    }

    /// Sets the mark that the kernel reported last, unless a better one is known, and returns which one stands.
    pub(super) fn set_last(&mut self, mark: LastMark) -> LastMark {
        // The exit record may follow the reading at the exit. The higher one stands, and a final one stays final.
        let known =
            self.last_mark.filter(|known| (known.is_final, known.bytes) > (mark.is_final, mark.bytes));
        *self.last_mark.insert(known.unwrap_or(mark))
    }

    /// Begins the next image.
    pub(super) fn exec(&mut self) {
        *self = Self { read_at: self.read_at, ..Self::default() };
    }

    /// Returns the highest reading.
    pub(super) fn highest_reading(&self) -> Option<u64> {
        self.high.map(|(high, _)| high)
    }

    /// Returns the highest reading that is surely of the image which ended with `exec`, and its source.
    ///
    /// The event of an exec may come after readings of the next image. A reading is surely of this one if another began
    /// after it, and not after the exec.
    pub(super) fn highest_before(&self, exec: Moment) -> Option<(u64, PeakSource)> {
        self.high_before.filter(|_| self.read_at <= exec.earliest)
    }

    /// Returns the peak, if the image was read or has a final mark.
    pub(super) fn peak(&self) -> Option<ProcessPeak> {
        let read =
            self.high.map(|(bytes, source)| ProcessPeak { bytes, source, certainty: Certainty::AtLeast });
        let last = self.last_mark.map(|last| ProcessPeak {
            bytes: last.bytes.max(self.high.map_or(0, |(high, _)| high)),
            source: last.source,
            certainty: if last.is_final { Certainty::Exact } else { Certainty::AtLeast },
        });
        last.or(read)
    }
}

/// Adds an image to those of a process. Beyond the bound the last entry stands for all further ones, because a process
/// that execs without end must not fill the memory.
pub(super) fn add_image(images: &mut Vec<Image>, image: Image) {
    let is_full = images.len() == MAX_IMAGES_PER_PROCESS;
    match images.last_mut() {
        Some(others) if is_full => {
            others.peak = larger(others.peak, image.peak);
            if others.command.as_str() != OTHERS {
                others.command = OTHERS.into();
            }
        }
        _ => images.push(image),
    }
}

/// Returns the larger of two peaks. It is exact only if both are.
fn larger(one: Option<ProcessPeak>, other: Option<ProcessPeak>) -> Option<ProcessPeak> {
    let peak = one.into_iter().chain(other).max_by_key(|peak| peak.bytes)?;
    let is_exact = |peak: Option<ProcessPeak>| peak.is_some_and(|peak| peak.certainty == Certainty::Exact);
    let certainty = match peak.certainty {
        Certainty::Exact if !(is_exact(one) && is_exact(other)) => Certainty::AtLeast,
        certainty => certainty,
    };
    Some(ProcessPeak { certainty, ..peak })
}
