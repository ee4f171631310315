//! The line that `hwm list` shows of each record, kept beside the records so that they need not all be read again.
//!
//! The index is a cache only. An entry counts while its file has the length and the time of change that it had. A lost
//! or broken entry, or one that two processes wrote at once, is made again from the files.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use highwater::record::{Certainty, Exit, Finding};
use serde::{Deserialize, Serialize};

use crate::store::{RECORD_MODE, RecordStore, RunSet};
use crate::{
    files::{Destination, InputFile},
    record_source,
};

/// The version of the index. An index of another version is made again.
const INDEX_VERSION: u32 = 3;
const INDEX_FILE: &str = "index.json";
/// A line takes some hundred bytes, so this is enough for 100,000 records.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The part of a record that fits a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct IndexLine {
    pub(crate) command: Vec<String>,
    pub(crate) duration_seconds: f64,
    /// Peak memory; without it the peak of the total in the primary metric.
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) peak_certainty: Option<Certainty>,
    pub(crate) exit: Option<Exit>,
    /// The number of leaks; `null` if they were not looked for.
    pub(crate) leaks: Option<usize>,
}

/// The line, or why the file cannot be read.
pub(crate) type IndexEntry = Result<IndexLine, String>;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    version: u32,
    /// The entries, by the name of the file below the root.
    entries: BTreeMap<String, Cached>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cached {
    bytes: u64,
    changed_nanos: u64,
    line: IndexEntry,
}

/// Returns the lines of all runs of all sets, in their order.
pub(crate) fn lines(kept: &RecordStore, sets: &[RunSet]) -> Vec<Vec<IndexEntry>> {
    let file = kept.root().join(INDEX_FILE);
    let old = read_index(&file).unwrap_or_default();
    let mut new = Index { version: INDEX_VERSION, entries: BTreeMap::new() };
    let mut lines = Vec::new();
    for set in sets {
        let mut runs = Vec::new();
        for (_, file) in &set.runs {
            let key = file.strip_prefix(kept.root()).unwrap_or(file).to_string_lossy().into_owned();
            let state = state(file);
            let known = old.entries.get(&key).filter(|cached| {
                old.version == INDEX_VERSION && state == Some((cached.bytes, cached.changed_nanos))
            });
            let line = known.map_or_else(|| read(file), |cached| cached.line.clone());
            if let Some((bytes, changed_nanos)) = state {
                new.entries.insert(key, Cached { bytes, changed_nanos, line: line.clone() });
            }
            runs.push(line);
        }
        lines.push(runs);
    }
    if new != old && (file.exists() || !new.entries.is_empty()) {
        // If the index cannot be written, the records are read again next time.
        let _ = write(kept, &new);
    }
    lines
}

/// Writes the index without syncing it: a lost index is made again.
fn write(kept: &RecordStore, index: &Index) -> io::Result<()> {
    let to = Destination::in_directory(Arc::new(kept.open()?), INDEX_FILE, RECORD_MODE);
    let Some(replacement) = to.begin_replacement() else { return Ok(()) };
    let mut replacement = replacement?;
    replacement.write(|out| out.write_all(&serde_json::to_vec(index)?))?;
    replacement.put_in_place()
}

/// Reads the last index, if there is one that can be used. A named pipe in its place would wait for a writer, and that of
/// another user could say anything about the records beside it.
fn read_index(file: &Path) -> Option<Index> {
    if !fs::symlink_metadata(file).ok()?.is_file() {
        return None;
    }
    let index = InputFile::open(file).ok()?.unless_pipe()?;
    if !is_own(&index) {
        return None;
    }
    let mut text = Vec::new();
    index.take(MAX_INDEX_BYTES + 1).read_to_end(&mut text).ok()?;
    let is_whole = u64::try_from(text.len()).is_ok_and(|length| length <= MAX_INDEX_BYTES);
    is_whole.then(|| serde_json::from_slice(&text).ok()).flatten()
}

#[cfg(unix)]
fn is_own(file: &fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

/// Windows keeps the records of a user where other users may not write.
#[cfg(not(unix))]
fn is_own(_: &fs::File) -> bool {
    true
}

fn state(file: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(file).ok()?;
    let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let nanos = changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Some((metadata.len(), u64::try_from(nanos).unwrap_or(u64::MAX)))
}

fn read(file: &Path) -> IndexEntry {
    let record = record_source::read_file(file).map_err(|error| error.reason())?;
    let memory = record.peak.memory.as_ref();
    let leaks = record.findings.iter().filter(|finding| matches!(finding, Finding::Leak(_))).count();
    Ok(IndexLine {
        duration_seconds: record.duration_seconds,
        peak_bytes: memory.map(|memory| memory.bytes).or(record.total_peak_bytes()),
        peak_certainty: memory
            .map_or(record.peak.rss.map(|peak| peak.certainty), |memory| Some(memory.certainty)),
        exit: record.exit,
        leaks: record.leak_search.map(|_| leaks),
        command: record.command,
    })
}
