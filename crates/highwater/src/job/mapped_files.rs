//! The files that a job's processes map, each page once.
//!
//! Every process has a sum over its files (`RssFile`), which cannot be added up: all of them map the same libraries. Members
//! that run one program are taken to map the same files. What different programs share is known once the files of one
//! member of each were read one by one.

use std::{collections::HashMap, sync::Arc};

use super::{
    events::MemoryReading,
    identity::{MemberId, ProgramName},
};

/// Most programs whose files are kept.
const MAX_KNOWN_PROGRAMS: usize = 256;
/// Bytes, beside half of what it had, by which a program's files must have grown to be read again.
const MIN_GROWTH_BYTES: u64 = 1 << 20;

/// Bounds for the files that the members map, each page once, in bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct MappedFiles {
    /// Files of the member that maps most.
    pub(crate) lower: u64,
    /// Sum over members.
    pub(crate) upper: u64,
    pub(crate) programs: Arc<[ProgramMapping]>,
}

/// The files of a program: of its member that maps most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramMapping {
    pub(crate) id: MemberId,
    pub(crate) name: Arc<ProgramName>,
    pub(crate) bytes: u64,
}

/// The resident part of one file in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Only Linux tells files apart.
pub(crate) struct MappedFile {
    pub(crate) key: FileKey,
    pub(crate) bytes: u64,
}

/// The identity of a file: device and inode number.
pub(crate) type FileKey = (u64, u64);

/// The result of reading the files of a member one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // Only Linux tells files apart.
pub(crate) enum FilesRead {
    Read(Vec<MappedFile>),
    /// It is too expensive at this moment, or the member is gone.
    NotNow,
    /// It was refused, is too expensive at any time, or is too long.
    Unreadable,
}

/// The files of each program that was read.
#[derive(Debug, Default)]
pub(crate) struct KnownFiles {
    programs: HashMap<Box<str>, KnownProgram>,
}

#[derive(Debug)]
struct KnownProgram {
    /// `None` if they could not be read.
    files: Option<Vec<MappedFile>>,
    /// Sum over its files when it was read, by its own count.
    bytes: u64,
}

impl MappedFiles {
    /// Returns the bounds for the members of `readings` that were read with their files. `name` gives the program of a
    /// member.
    pub(crate) fn of<'a>(
        readings: &[MemoryReading],
        name: impl Fn(MemberId) -> Option<&'a Arc<ProgramName>>,
    ) -> Self {
        let mut programs: Vec<ProgramMapping> = Vec::new();
        let mut indices: HashMap<&str, usize> = HashMap::new();
        let mut upper = 0;
        for reading in readings.iter().filter(|reading| !reading.shares_map) {
            let Some((bytes, name)) = reading.file.zip(name(reading.id)) else { continue };
            upper += bytes;
            let index = *indices.entry(program_key(name)).or_insert(programs.len());
            match programs.get_mut(index) {
                Some(program) if program.bytes >= bytes => {}
                Some(program) => (program.id, program.bytes) = (reading.id, bytes),
                None => programs.push(ProgramMapping { id: reading.id, name: Arc::clone(name), bytes }),
            }
        }
        Self { lower: largest(&programs), upper, programs: programs.into() }
    }
}

impl KnownFiles {
    /// Returns the bytes of all files of `programs`, each page once. A program that was not read shares nothing.
    pub(crate) fn bytes(&self, programs: &[ProgramMapping]) -> u64 {
        let mut by_file: HashMap<FileKey, u64> = HashMap::new();
        let mut own = 0;
        for program in programs {
            match self.programs.get(program_key(&program.name)) {
                Some(KnownProgram { files: Some(files), .. }) if programs.len() > 1 => {
                    own += add_scaled(files, program.bytes, &mut by_file);
                }
                _ => own += program.bytes,
            }
        }
        own + by_file.values().sum::<u64>()
    }

    /// Returns a member whose files are to be read next: the largest one of a program that was not read, or has grown.
    pub(crate) fn next_to_read(
        &self,
        programs: &[ProgramMapping],
        lives: impl Fn(MemberId) -> bool,
    ) -> Option<MemberId> {
        let unread = programs.iter().filter(|program| {
            let is_known = match self.programs.get(program_key(&program.name)) {
                Some(KnownProgram { files: Some(_), bytes }) => {
                    program.bytes <= bytes + bytes / 2 + MIN_GROWTH_BYTES
                }
                Some(KnownProgram { files: None, .. }) => true,
                None => self.programs.len() >= MAX_KNOWN_PROGRAMS,
            };
            !is_known && lives(program.id)
        });
        unread.max_by_key(|program| program.bytes).map(|program| program.id)
    }

    /// Adds the files of a program, `None` if they cannot be read.
    pub(crate) fn add(&mut self, program: &ProgramMapping, files: Option<Vec<MappedFile>>) {
        self.programs.insert(program_key(&program.name).into(), KnownProgram { files, bytes: program.bytes });
    }
}

/// Adds the files of a program that maps `bytes` now, in the proportions in which it was read. Returns what belongs to none.
fn add_scaled(files: &[MappedFile], bytes: u64, by_file: &mut HashMap<FileKey, u64>) -> u64 {
    let read: u64 = files.iter().map(|file| file.bytes).sum();
    if read == 0 {
        return bytes;
    }
    let mut left = bytes;
    for file in files {
        let scaled = u128::from(file.bytes) * u128::from(bytes) / u128::from(read);
        let scaled = u64::try_from(scaled).unwrap_or(bytes).min(left);
        left -= scaled;
        let most = by_file.entry(file.key).or_default();
        *most = scaled.max(*most);
    }
    // Rounding leaves a rest, which is shared with no program.
    left
}

/// Returns the files and shared memory of members, each page once: those of one program are taken to share them.
pub(crate) fn shared_of_programs<'a>(members: impl Iterator<Item = (&'a ProgramName, u64)>) -> u64 {
    let mut programs: HashMap<&str, u64> = HashMap::new();
    for (name, bytes) in members {
        let most = programs.entry(program_key(name)).or_default();
        *most = bytes.max(*most);
    }
    programs.values().sum()
}

/// Returns the files of the program that maps most.
pub(crate) fn largest(programs: &[ProgramMapping]) -> u64 {
    programs.iter().map(|program| program.bytes).max().unwrap_or(0)
}

/// Returns the identity of a program.
fn program_key(name: &ProgramName) -> &str {
    name.exe.as_deref().unwrap_or(&name.comm)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const LIBC: FileKey = (1, 1);

    fn name(exe: &str) -> Arc<ProgramName> {
        ProgramName::new(exe.into(), exe.into(), Some(format!("/bin/{exe}")), None)
    }

    fn reading(id: u32, files: u64) -> MemoryReading {
        MemoryReading { file: Some(files * MIB), ..MemoryReading::of_rss(MemberId(id), 100 * MIB) }
    }

    fn file(key: FileKey, bytes: u64) -> MappedFile {
        MappedFile { key, bytes: bytes * MIB }
    }

    /// Returns the files of members: the program of each and the sum over its files, in MiB.
    fn mapped(members: &[(&str, u64)]) -> MappedFiles {
        let names: Vec<_> = members.iter().map(|(exe, _)| name(exe)).collect();
        let readings: Vec<_> = (0..).zip(members).map(|(id, (_, files))| reading(id, *files)).collect();
        MappedFiles::of(&readings, |id| names.get(id.0 as usize))
    }

    fn bounds(members: &[(&str, u64)], known: &KnownFiles) -> [u64; 3] {
        let files = mapped(members);
        [files.lower, known.bytes(&files.programs), files.upper].map(|bytes| bytes / MIB)
    }

    /// Adds a program that maps so many MiB of files.
    fn add(known: &mut KnownFiles, exe: &str, mib: u64, files: Option<Vec<MappedFile>>) {
        known.add(&ProgramMapping { id: MemberId(0), name: name(exe), bytes: mib * MIB }, files);
    }

    /// Returns what is known once a shell and `dd` were read, each with much of libc.
    fn shell_and_dd() -> KnownFiles {
        let mut known = KnownFiles::default();
        add(&mut known, "sh", 10, Some(vec![file((1, 2), 2), file(LIBC, 8)]));
        add(&mut known, "dd", 7, Some(vec![file((1, 3), 1), file(LIBC, 6)]));
        known
    }

    #[test]
    fn members_of_one_program_map_the_same_files() {
        let known = KnownFiles::default();
        assert_eq!(bounds(&[("cc", 10), ("cc", 12), ("cc", 9)], &known), [12, 12, 31]);
        assert_eq!(
            bounds(&[("cc", 10), ("sh", 3)], &known),
            [10, 13, 13],
            "nothing is known of what they share"
        );
        assert_eq!(bounds(&[], &known), [0; 3]);
    }

    #[test]
    fn what_one_program_shares_counts_once() {
        let (worker, shell) = (name("worker"), name("sh"));
        let members = [(&worker, 400), (&worker, 401), (&shell, 2), (&worker, 30)];
        assert_eq!(shared_of_programs(members.into_iter().map(|(name, bytes)| (&**name, bytes))), 403);
    }

    #[test]
    fn a_library_of_two_programs_counts_once() {
        let known = shell_and_dd();
        assert_eq!(bounds(&[("sh", 10), ("dd", 7)], &known), [10, 11, 17]);
        assert_eq!(bounds(&[("sh", 10), ("dd", 7), ("gzip", 9)], &known), [10, 20, 26], "gzip was not read");
        assert_eq!(bounds(&[("dd", 7)], &known), [7, 7, 7]);
    }

    #[test]
    fn files_that_have_grown_since_are_scaled() {
        let known = shell_and_dd();
        assert_eq!(bounds(&[("sh", 20), ("dd", 7)], &known), [20, 21, 27]);
        assert_eq!(bounds(&[("sh", 5), ("dd", 7)], &known), [7, 8, 12]);
    }

    #[test]
    fn files_that_were_not_told_apart_are_shared_with_no_program() {
        let mut known = shell_and_dd();
        add(&mut known, "static", 0, Some(Vec::new()));
        add(&mut known, "refused", 3, None);
        assert_eq!(bounds(&[("static", 1), ("dd", 7)], &known), [7, 8, 8]);
        assert_eq!(bounds(&[("refused", 3), ("dd", 7)], &known), [7, 10, 10]);
    }

    fn next(members: &[(&str, u64)], known: &KnownFiles) -> Option<u32> {
        known.next_to_read(&mapped(members).programs, |_| true).map(|id| id.0)
    }

    #[test]
    fn files_are_read_once_for_each_program() {
        let mut known = KnownFiles::default();
        let members = [("sh", 4), ("cc", 9), ("sh", 5)];
        assert_eq!(next(&members, &known), Some(1), "the largest first");
        add(&mut known, "cc", 9, Some(vec![file(LIBC, 9)]));
        assert_eq!(next(&members, &known), Some(2));
        add(&mut known, "sh", 5, None);
        assert_eq!(next(&members, &known), None, "one of them cannot be read");
        assert_eq!(next(&[("cc", 15), ("sh", 5)], &known), Some(0), "it has loaded libraries since");
    }

    #[test]
    fn files_of_members_that_have_ended_cannot_be_read() {
        let mapped = mapped(&[("sh", 4), ("python", 20)]);
        let next = KnownFiles::default().next_to_read(&mapped.programs, |id| id == MemberId(0));
        assert_eq!(next, Some(MemberId(0)));
    }

    #[test]
    fn a_limited_number_of_programs_is_kept() {
        let mut known = KnownFiles::default();
        for number in 0..MAX_KNOWN_PROGRAMS {
            add(&mut known, &number.to_string(), 1, Some(vec![file(LIBC, 1)]));
        }
        assert_eq!(next(&[("sh", 9), ("cc", 9)], &known), None);
        assert_eq!(next(&[("1", 9), ("cc", 9)], &known), Some(0), "its place is there already");
    }
}
