//! Records that the user keeps (`hwm run --save`): plain files under the user's data directory, found by name.
//!
//! Each call of hwm has a directory, and each run a file in it: `records/2026-11-21T14-09-00.123Z-4321@base/1.json`.
//! The names of the directories suffice to find a record, so two processes of hwm cannot harm each other. The index
//! beside them (`list/index.rs`) only saves reading the files.

mod directory_name;
mod left_over;
mod name;
#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use highwater::record::Timestamp;

use crate::{
    console::warn,
    files::{Destination, Directory, NewFileMode},
};
use directory_name::parts;
pub(crate) use name::{RecordName, RecordReference};

/// The permission bits of kept files. The umask does not count: without rights for its owner, a file could not be read.
pub(crate) const RECORD_MODE: NewFileMode = NewFileMode::Exact(0o600);

/// The directory of the records.
#[derive(Debug, Clone)]
pub(crate) struct RecordStore {
    root: PathBuf,
}

/// The records that one call of hwm kept.
#[derive(Debug, Clone)]
pub(crate) struct RunSet {
    dir: PathBuf,
    /// `2026-11-21T14:09:00Z`.
    pub(crate) time: String,
    pub(crate) name: Option<RecordName>,
    /// Number and file of each run, in order.
    pub(crate) runs: Vec<(u32, PathBuf)>,
}

impl RecordStore {
    /// Returns the user's own store: `highwater/records` in `XDG_DATA_HOME` or `~/.local/share`, in
    /// `~/Library/Application Support` on macOS, in `%APPDATA%` on Windows.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let strategy = choose_native_strategy().context("the home directory is not known")?;
        let data = strategy.data_dir();
        // A relative path would name another place in each directory.
        if !data.is_absolute() {
            bail!(
                "records cannot be kept in {}, a relative path; set HOME to an absolute one",
                data.display()
            );
        }
        Ok(Self { root: data.join("highwater").join("records") })
    }

    /// Warns that a relative `XDG_DATA_HOME` is ignored, as the XDG Base Directory Specification demands.
    pub(crate) fn warn_of_ignored_place() {
        let is_ignored = |place: &OsString| !place.is_empty() && Path::new(place).is_relative();
        if cfg!(target_os = "linux") && env::var_os("XDG_DATA_HOME").is_some_and(|place| is_ignored(&place)) {
            warn("XDG_DATA_HOME is ignored, since it is a relative path; set it to an absolute one");
        }
    }

    /// Returns the directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the directory to change something in it.
    ///
    /// # Errors
    /// Fails if it belongs to neither this user nor root, as with the HOME of another user.
    pub(crate) fn open(&self) -> io::Result<Directory> {
        Directory::open_private(&self.root)
    }

    /// Opens the directory, and makes it if it is missing.
    fn open_or_make(&self) -> anyhow::Result<Directory> {
        Directory::open_or_make_private(&self.root).with_context(|| self.root.display().to_string())
    }

    /// Removes what an hwm that was killed has left behind.
    pub(crate) fn sweep(&self) {
        if let Ok(root) = self.open() {
            left_over::sweep(&root);
        }
    }

    /// Returns all kept records, the newest first. Other files and directories are skipped.
    pub(crate) fn sets(&self) -> anyhow::Result<Vec<RunSet>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| self.root.display().to_string())?,
        };
        let entries = entries.filter_map(Result::ok);
        // Records are neither read nor removed through a link.
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut dirs: Vec<PathBuf> = dirs.map(|entry| entry.path()).collect();
        // The names begin with the time.
        dirs.sort_unstable_by(|one, two| two.file_name().cmp(&one.file_name()));
        Ok(dirs.into_iter().filter_map(RunSet::read).collect())
    }

    /// Returns the set that a reference names.
    pub(crate) fn find(&self, reference: &RecordReference) -> anyhow::Result<Option<RunSet>> {
        let mut named = self
            .sets()?
            .into_iter()
            .filter(|set| reference.name.is_none() || set.name.as_ref() == reference.name.as_ref());
        Ok(named.nth(reference.back))
    }
}

impl RunSet {
    fn read(dir: PathBuf) -> Option<Self> {
        let (moment, name) = parts(dir.file_name()?.to_str()?)?;
        let name = match name {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        let number = |file: &Path| {
            let is_json = file.extension().is_some_and(|extension| extension == "json");
            file.file_stem().filter(|_| is_json)?.to_str()?.parse::<u32>().ok()
        };
        let files = fs::read_dir(&dir).ok()?.filter_map(Result::ok);
        // hwm keeps regular files alone; a named pipe would wait for a writer.
        let files = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let files = files.map(|entry| entry.path());
        let mut runs: Vec<_> = files.filter_map(|file| Some((number(&file)?, file))).collect();
        runs.sort_unstable();
        let (day, clock) = moment.split_once('T')?;
        let time = format!("{day}T{}Z", clock.split('.').next()?.replace('-', ":"));
        (!runs.is_empty()).then_some(Self { dir, time, name, runs })
    }

    /// Removes all runs, or one, from the directory of all records.
    ///
    /// It works by descriptors: a directory on the way may belong to another user, which could swap it at any time.
    pub(crate) fn remove(&self, root: &Directory, run: Option<u32>) -> io::Result<()> {
        match self.remove_files(root, run) {
            // Another process has removed it already, or has kept a further run there since.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                Ok(())
            }
            gone => gone,
        }
    }

    fn remove_files(&self, root: &Directory, run: Option<u32>) -> io::Result<()> {
        let Some(name) = self.dir.file_name() else { return Ok(()) };
        let dir = root.open_child(name)?;
        if let Some(number) = run.filter(|_| self.runs.len() > 1) {
            let run = self.runs.iter().find(|(other, _)| *other == number);
            return run.and_then(|(_, file)| file.file_name()).map_or(Ok(()), |file| dir.remove(file));
        }
        for file in dir.names()? {
            dir.remove(&file)?;
        }
        root.remove_directory(name)
    }
}

/// Directories that are tried for a record, while others remove them.
const MAX_ATTEMPTS: usize = 20;

/// Keeps the runs of this call of hwm.
#[derive(Debug)]
pub(crate) struct RecordSaver {
    place: RecordStore,
    name: Option<RecordName>,
    /// The directory of this call, made with the first record.
    set: Option<NewRunSet>,
}

/// A directory that this call of hwm has made.
#[derive(Debug)]
struct NewRunSet {
    /// The directory in which it stands.
    root: Directory,
    name: String,
    directory: Arc<Directory>,
}

impl RecordSaver {
    /// Finds out where records are kept, and makes the directory if need be: after a long job it is too late.
    pub(crate) fn new(name: Option<RecordName>) -> anyhow::Result<Self> {
        let place = RecordStore::of_user()?;
        RecordStore::warn_of_ignored_place();
        place.open_or_make()?;
        Ok(Self { place, name, set: None })
    }

    /// Keeps one record; the file.
    pub(crate) fn keep(
        &mut self,
        run: u32,
        write: impl Fn(&mut dyn io::Write) -> io::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let file = format!("{run}.json");
        let mut attempts = 0;
        loop {
            attempts += 1;
            let kept = self.try_keep(&file, &write);
            // Another hwm removed the directory: as left behind while it was empty, or for `hwm list --keep`.
            if attempts == MAX_ATTEMPTS || !kept.as_ref().is_err_and(is_gone) {
                return kept;
            }
        }
    }

    fn try_keep(
        &mut self,
        file: &str,
        write: impl Fn(&mut dyn io::Write) -> io::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let is_new = self.set.is_none();
        let set = match self.set.take() {
            Some(set) => set,
            None => self.make_set()?,
        };
        let written = set.put(file, write);
        match &written {
            Err(_) if is_new => drop(set.root.remove_directory(OsStr::new(&set.name))),
            Err(error) if is_gone(error) => {}
            _ => self.set = Some(set),
        }
        written
    }

    fn make_set(&self) -> anyhow::Result<NewRunSet> {
        let root = self.place.root();
        let at = self.place.open_or_make()?;
        left_over::sweep(&at);
        let now = SystemTime::now();
        let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
        let moment = Timestamp::from_system_time(now).to_string();
        let moment = format!("{}.{millis:03}Z", moment.trim_end_matches('Z').replace(':', "-"));
        let label = self.name.as_ref().map(|name| format!("@{name}")).unwrap_or_default();
        // Two machines, or two pid namespaces, may share a home.
        for attempt in 0..100 {
            let more = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let name = format!("{moment}-{}{more}{label}", process::id());
            match at.make_private(&name) {
                Ok(directory) => return Ok(NewRunSet { root: at, name, directory: Arc::new(directory) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| root.join(name).display().to_string()),
            }
        }
        bail!("{}: no free name for a directory", root.display())
    }

    /// Returns the name of the kept records; `None` if nothing was kept.
    pub(crate) fn called(&self) -> Option<String> {
        self.set.as_ref()?;
        Some(self.name.as_ref().map_or_else(|| "@last".to_owned(), RecordName::to_string))
    }
}

/// Returns whether the directory, or the temporary file in it, was removed.
fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl NewRunSet {
    /// Writes a record as a whole or not at all; its path.
    fn put(
        &self,
        file: &str,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let to = Destination::in_directory(self.directory.clone(), file, RECORD_MODE);
        to.write(write).with_context(|| to.name().to_string())?;
        Ok(to.path().to_owned())
    }
}
