//! Process rows: in memory while few, in an unlinked temporary file when many.

use std::{
    cmp::Reverse,
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
};

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::identity::MemberId;
use crate::record::{Process, Record};

/// Most rows in memory; the others are spilled.
const MAX_ROWS_IN_MEMORY: usize = 200;
/// Most rows that are kept, the largest ones.
const MAX_KEPT_ROWS: usize = 100_000;
/// Number of rows at which the smallest are dropped.
const ROWS_BEFORE_DROP: usize = 1 << 17;
/// Most bytes of rows that are kept: the temporary directory may be in memory (tmpfs).
const MAX_KEPT_ROW_BYTES: u64 = 128 << 20;
/// Number of rows in the file, dropped ones included, from which on it is rewritten when the smallest are dropped.
const ROWS_BEFORE_REWRITE: usize = 2 * MAX_KEPT_ROWS;

/// Process rows in the order in which the processes were first seen. Beyond 100,000, or 128 MiB of them, only the largest
/// are kept.
#[derive(Debug)]
pub struct Rows {
    index: Vec<RowIndexEntry>,
    memory: Vec<Process>,
    file: Option<BufWriter<File>>,
    /// Bytes and rows written to `file`.
    length: u64,
    written: usize,
    /// Size of the rows that `index` points to, and the size to which it is reduced when it has doubled.
    bytes: u64,
    kept_bytes: u64,
    left_out: u64,
    failed: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct RowIndexEntry {
    id: MemberId,
    peak_kib: u32,
    place: RowPlace,
}

/// Location of a row: an index into memory, or, with the highest bit set, an offset into the file. It is one word, as
/// there may be 131,072 of them.
#[derive(Debug, Clone, Copy)]
struct RowPlace(u64);

const IN_FILE: u64 = 1 << 63;

impl Default for Rows {
    fn default() -> Self {
        Self {
            index: Vec::new(),
            memory: Vec::new(),
            file: None,
            length: 0,
            written: 0,
            bytes: 0,
            kept_bytes: MAX_KEPT_ROW_BYTES,
            left_out: 0,
            failed: None,
        }
    }
}

impl Rows {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Iterates over the rows, in the order in which the processes were first seen. A spilled row that cannot be read
    /// back is an error.
    pub fn iter(&self) -> impl Iterator<Item = io::Result<Process>> + '_ {
        self.index.iter().map(|entry| self.read(entry.place))
    }

    /// Returns the row at `index`; `None` beyond the last.
    pub fn get(&self, index: usize) -> Option<io::Result<Process>> {
        self.index.get(index).map(|entry| self.read(entry.place))
    }

    /// Returns the rows that were not spilled.
    pub(super) fn in_memory(&self) -> &[Process] {
        &self.memory
    }

    /// Returns the number of rows that were left out because there were too many.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Returns why rows could not be spilled, if that happened; they are kept in memory then.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Adds the row of `id`.
    pub(super) fn push(&mut self, id: MemberId, row: Process) {
        let peak_kib = row.max_rss_kib.map_or(0, |kib| u32::try_from(kib).unwrap_or(u32::MAX));
        let place = self.store(row);
        self.index.push(RowIndexEntry { id, peak_kib, place });
        if self.index.len() >= ROWS_BEFORE_DROP || self.bytes >= 2 * self.kept_bytes {
            self.keep_largest();
        }
    }

    /// Sorts the rows, and returns the means to read them back.
    pub(super) fn finish(&mut self) {
        if self.index.len() > MAX_KEPT_ROWS || self.bytes > self.kept_bytes {
            self.keep_largest();
        }
        self.index.sort_unstable_by_key(|entry| entry.id);
        if let Some(error) = self.file.as_mut().and_then(|file| file.flush().err()) {
            self.failed = Some(error.to_string());
        }
    }

    /// Returns the index of the row of `id`; the rows must be sorted.
    pub(super) fn position(&self, id: MemberId) -> Option<u64> {
        self.index.binary_search_by_key(&id, |entry| entry.id).ok().map(|index| index as u64)
    }

    /// Returns the peak of `id` in KiB; the rows must be sorted.
    pub(super) fn peak_kib(&self, id: MemberId) -> u64 {
        let found = self.index.binary_search_by_key(&id, |entry| entry.id);
        found.map_or(0, |index| u64::from(self.index[index].peak_kib))
    }

    fn store(&mut self, row: Process) -> RowPlace {
        if self.memory.len() >= MAX_ROWS_IN_MEMORY && self.failed.is_none() {
            match self.spill(&row) {
                Ok(place) => return place,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
        self.bytes += size(&row);
        self.memory.push(row);
        RowPlace(self.memory.len() as u64 - 1)
    }

    fn spill(&mut self, row: &Process) -> io::Result<RowPlace> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        let place = RowPlace(IN_FILE | self.length);
        // A row that failed half-way leaves a hole that no entry points to.
        let row = postcard::to_stdvec(row).map_err(io::Error::other)?;
        let size = write_row(file, &row)?;
        self.length += size;
        self.bytes += size;
        self.written += 1;
        Ok(place)
    }

    fn read(&self, place: RowPlace) -> io::Result<Process> {
        if place.0 & IN_FILE == 0 {
            let index = usize::try_from(place.0).unwrap_or(usize::MAX);
            return self.memory.get(index).cloned().ok_or_else(|| io::Error::other("row index out of range"));
        }
        let file = self.file.as_ref().ok_or_else(|| io::Error::other("rows were not spilled"))?;
        postcard::from_bytes(&read_row(file.get_ref(), place)?).map_err(io::Error::other)
    }

    /// Drops all but the largest rows; the file is rewritten without them now and then.
    fn keep_largest(&mut self) {
        self.index.sort_unstable_by_key(|entry| Reverse(entry.peak_kib));
        let before = self.index.len();
        self.index.truncate(MAX_KEPT_ROWS);
        if let Err(error) = self.keep_largest_bytes().and_then(|()| self.compact_if_due()) {
            self.failed = Some(error.to_string());
        }
        self.left_out += (before - self.index.len()) as u64;
        self.forget_in_memory();
    }

    /// Drops the last rows if all of them exceed the bytes that may be kept.
    fn keep_largest_bytes(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        let (mut bytes, mut count) = (0, 0);
        for entry in &self.index {
            let size = self.size_at(entry.place)?;
            if bytes + size > self.kept_bytes {
                break;
            }
            (bytes, count) = (bytes + size, count + 1);
        }
        self.bytes = bytes;
        self.index.truncate(count);
        match &mut self.file {
            // On Windows a read has moved the position.
            Some(file) => file.seek(SeekFrom::Start(self.length)).map(drop),
            None => Ok(()),
        }
    }

    fn size_at(&self, place: RowPlace) -> io::Result<u64> {
        if place.0 & IN_FILE == 0 {
            let index = usize::try_from(place.0).unwrap_or(usize::MAX);
            return Ok(self.memory.get(index).map_or(0, size));
        }
        let Some(file) = &self.file else { return Ok(0) };
        Ok(u64::from(row_length(file.get_ref(), place)?) + 4)
    }

    /// Rewrites the file once half of it belongs to dropped rows.
    fn compact_if_due(&mut self) -> io::Result<()> {
        let is_due = self.written >= ROWS_BEFORE_REWRITE || self.length >= 2 * self.kept_bytes;
        if is_due && self.failed.is_none() { self.compact() } else { Ok(()) }
    }

    /// Drops rows in memory that no entry points to.
    fn forget_in_memory(&mut self) {
        let mut old: Vec<_> = std::mem::take(&mut self.memory).into_iter().map(Some).collect();
        for entry in self.index.iter_mut().filter(|entry| entry.place.0 & IN_FILE == 0) {
            let index = usize::try_from(entry.place.0).unwrap_or(usize::MAX);
            if let Some(row) = old.get_mut(index).and_then(Option::take) {
                entry.place = RowPlace(self.memory.len() as u64);
                self.memory.push(row);
            }
        }
    }

    fn compact(&mut self) -> io::Result<()> {
        let Some(old) = self.file.as_mut() else { return Ok(()) };
        old.flush()?;
        let mut new = BufWriter::new(tempfile::tempfile()?);
        let (mut end, mut written) = (0, 0);
        let mut moved = self.index.clone();
        for entry in moved.iter_mut().filter(|entry| entry.place.0 & IN_FILE != 0) {
            let row = read_row(old.get_ref(), entry.place)?;
            entry.place = RowPlace(IN_FILE | end);
            end += write_row(&mut new, &row)?;
            written += 1;
        }
        new.flush()?;
        new.seek(SeekFrom::Start(end))?;
        // In one step, and not doubled.
        moved.reserve_exact(ROWS_BEFORE_DROP - moved.len());
        (self.index, self.file, self.length, self.written) = (moved, Some(new), end, written);
        Ok(())
    }
}

/// Writes an encoded row after its length in four bytes. Returns the number of bytes written.
///
/// The encoding is compact and without names of fields: only this process reads it. JSON took a quarter of the time that
/// hwm spends on a job of short processes.
fn write_row(file: &mut BufWriter<File>, row: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(row.len()).map_err(io::Error::other)?;
    file.write_all(&length.to_ne_bytes())?;
    file.write_all(row)?;
    Ok(u64::from(length) + 4)
}

fn read_row(file: &File, place: RowPlace) -> io::Result<Vec<u8>> {
    let mut row = vec![0; row_length(file, place)? as usize];
    read_at(file, &mut row, (place.0 & !IN_FILE) + 4)?;
    Ok(row)
}

fn row_length(file: &File, place: RowPlace) -> io::Result<u32> {
    let mut length = [0; 4];
    read_at(file, &mut length, place.0 & !IN_FILE)?;
    Ok(u32::from_ne_bytes(length))
}

/// Returns the size of a row in memory, texts included.
fn size(row: &Process) -> u64 {
    let optional_texts = row.exe.iter().chain(&row.name).map(String::len).sum::<usize>();
    let texts = row.command.len() + row.comm.len() + optional_texts;
    let images: usize = row.images.iter().map(|image| size_of_val(image) + image.command.len()).sum();
    (size_of_val(row) + texts + images) as u64
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

/// Reads at an offset. This moves the file's position as well: rows are read back when no more are written, or before
/// the position is set.
#[cfg(windows)]
fn read_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, into, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into = &mut into[read..];
        offset += read as u64;
    }
    Ok(())
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.len()))?;
        for row in self.iter() {
            rows.serialize_element(&row.map_err(serde::ser::Error::custom)?)?;
        }
        rows.end()
    }
}

impl Record<Rows> {
    /// Brings all rows into memory.
    ///
    /// # Errors
    /// A spilled row cannot be read back.
    pub fn into_memory(self) -> io::Result<Record> {
        let processes = self.processes.iter().collect::<io::Result<Vec<_>>>()?;
        Ok(self.with_processes(processes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ProcessPeaks, Timestamp};

    fn row(pid: u32) -> Process {
        let now: Timestamp = "2025-11-20T18:02:34Z".parse().unwrap();
        Process {
            pid,
            ppid: 1,
            command: format!("program-{pid}"),
            name: None,
            comm: "program".into(),
            exe: None,
            args: None,
            max_rss_kib: Some(u64::from(pid)),
            first_seen: now,
            last_seen: now,
            start_seconds: 0.0,
            end_seconds: Some(1.5),
            still_running: false,
            peak: ProcessPeaks::default(),
            mark_before_bytes: None,
            usage: None,
            images: Vec::new(),
            exit: None,
        }
    }

    #[test]
    fn spilled_rows_come_back_in_order() {
        let mut rows = Rows::default();
        for id in (0..3_000).rev() {
            rows.push(MemberId(id), row(id));
        }
        rows.finish();
        assert!(rows.memory.len() <= MAX_ROWS_IN_MEMORY);
        let back: Vec<_> = rows.iter().map(Result::unwrap).collect();
        assert_eq!(back, (0..3_000).map(row).collect::<Vec<_>>());
        assert_eq!(serde_json::to_value(&rows).unwrap().as_array().unwrap().len(), 3_000);
    }

    #[test]
    fn a_spilled_row_comes_back_whole() {
        let texts =
            [include_str!("../../tests/records/1.1.json"), include_str!("../../tests/records/1.3.json")];
        let records = texts.map(|text| serde_json::from_str::<Record>(text).unwrap());
        let mut rows: Vec<_> = records.into_iter().flat_map(|record| record.processes).collect();
        rows.push(Process { args: Some(vec!["one".to_owned(), String::new()]), ..row(7) });
        for is_there in [
            |row: &Process| row.usage.is_some(),
            |row: &Process| !row.images.is_empty(),
            |row: &Process| row.exit.is_some(),
        ] {
            assert!(rows.iter().any(is_there));
        }
        for row in rows {
            let back: Process = postcard::from_bytes(&postcard::to_stdvec(&row).unwrap()).unwrap();
            assert_eq!(back, row);
        }
    }

    #[test]
    fn beyond_the_limit_the_largest_stay_and_the_rest_is_counted() {
        let mut rows = Rows::default();
        // Enough that the file is rewritten.
        let count = 230_000;
        for id in 0..count {
            rows.push(MemberId(u32::try_from(id).unwrap()), row(u32::try_from(id).unwrap()));
        }
        rows.finish();
        assert_eq!((rows.len(), rows.left_out()), (MAX_KEPT_ROWS, (count - MAX_KEPT_ROWS) as u64));
        assert!(rows.written < ROWS_BEFORE_REWRITE, "{} rows in the file", rows.written);
        let last = rows.iter().last().unwrap().unwrap();
        assert_eq!(last.pid as usize, count - 1);
        let smallest = rows.iter().map(|row| row.unwrap().pid).min().unwrap();
        assert_eq!(smallest as usize, count - MAX_KEPT_ROWS);
        assert_eq!(rows.position(MemberId(0)), None);
    }

    #[test]
    fn beyond_so_many_bytes_the_largest_stay() {
        for failed in [None, Some("the disk is full".to_owned())] {
            let mut rows = Rows { kept_bytes: 1 << 20, failed, ..Rows::default() };
            let long = |pid| Process { exe: Some("/".repeat(4000)), ..row(pid) };
            for id in 0..3_000 {
                rows.push(MemberId(id), long(id));
            }
            rows.finish();
            assert!(rows.length < 3 << 20, "{} bytes in the file", rows.length);
            assert!(rows.bytes <= rows.kept_bytes && (150..300).contains(&rows.len()), "{}", rows.len());
            assert_eq!(rows.left_out(), 3_000 - rows.len() as u64);
            assert_eq!(rows.iter().last().unwrap().unwrap(), long(2_999));
            let smallest = rows.iter().map(|row| row.unwrap().pid).min().unwrap();
            assert_eq!(smallest as usize, 3_000 - rows.len());
        }
    }

    #[test]
    fn without_a_file_the_smallest_go_from_memory() {
        let mut rows = Rows { failed: Some("the disk is full".to_owned()), ..Rows::default() };
        let count = u32::try_from(ROWS_BEFORE_DROP).unwrap() + 500;
        for id in 0..count {
            rows.push(MemberId(id), row(id));
        }
        rows.finish();
        assert!(
            rows.len() == MAX_KEPT_ROWS && rows.memory.len() < ROWS_BEFORE_DROP,
            "{} rows in memory",
            rows.memory.len()
        );
        let smallest = count - u32::try_from(MAX_KEPT_ROWS).unwrap();
        assert_eq!(rows.get(0).unwrap().unwrap(), row(smallest));
        assert_eq!(rows.get(MAX_KEPT_ROWS - 1).unwrap().unwrap(), row(count - 1));
    }
}
