use super::*;
use crate::files::NewFileMode;

#[test]
fn rows_are_as_memwatch_wrote_them() {
    let time: Timestamp = "2025-11-20T18:02:34Z".parse().unwrap();
    let figures = Figures { rss: Some(50 << 20), processes: 4, vram: Some(3 << 20), ..Figures::default() };
    assert_eq!(row(time, &figures), "2025-11-20T18:02:34Z,0.000,51200,50.00,4,3072,,,,,,,\n");
    let unknown = Figures { elapsed: Duration::from_millis(1500), processes: 1, ..Figures::default() };
    assert_eq!(row(time, &unknown), "2025-11-20T18:02:34Z,1.500,,,1,,,,,,,,\n");
    let more = Figures {
        rss: Some(1 << 20),
        processes: 1,
        swap: Some(8 << 10),
        cpu: Some(Duration::from_micros(2_500_400)),
        io: [Some(1), Some(2), None, Some(4)],
        memory: Some(512 << 10),
        ..Figures::default()
    };
    assert_eq!(row(time, &more), "2025-11-20T18:02:34Z,0.000,1024,1.00,1,,8,2.500,1,2,,4,512\n");
    assert_eq!(row(time, &more).matches(',').count(), TIMELINE_HEADER.matches(',').count());
}

#[test]
fn former_content_goes_when_the_job_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("time.csv");
    std::fs::write(&path, "former\n".repeat(100)).unwrap();
    let mut timeline =
        TimelineFile::open(Destination::check("--timeline", &path, NewFileMode::Private).unwrap(), None)
            .unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("former"));
    assert_eq!(timeline.begin(), None);
    assert!(timeline.finish().is_empty());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, TIMELINE_HEADER);
}

#[cfg(unix)]
mod readers {
    use std::{
        io::{Read, pipe},
        os::unix::fs::OpenOptionsExt,
        path::{Path, PathBuf},
    };

    use super::*;

    /// Returns a row of 4 KiB, which fills a piece of its own.
    fn long_row() -> String {
        "x".repeat(PIECE_BYTES - 1) + "\n"
    }

    fn named_pipe(dir: &tempfile::TempDir) -> PathBuf {
        let path = dir.path().join("pipe");
        // macOS has neither mkfifoat nor mknodat in rustix.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    fn begun(path: &Path) -> TimelineFile {
        let destination = Destination::check("--timeline", path, NewFileMode::Private).unwrap();
        let mut timeline = TimelineFile::open(destination, None).unwrap();
        assert_eq!(timeline.begin(), None);
        timeline
    }

    /// Opens the pipe without a writer.
    fn reader(pipe: &Path) -> File {
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap()
    }

    #[test]
    fn a_late_reader_of_a_named_pipe_gets_all_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let name = named_pipe(&dir);
        let mut timeline = begun(&name);
        assert_eq!(timeline.add_row("one\n"), None);
        let mut reader = reader(&name);
        assert_eq!(timeline.add_row("two\n"), None);
        assert!(timeline.finish().is_empty());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("{TIMELINE_HEADER}one\ntwo\n"));
    }

    #[test]
    fn an_unread_pipe_is_given_up_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let name = named_pipe(&dir);
        let reader = reader(&name);
        let mut timeline = begun(&name);
        let row = long_row();
        // The pipe holds some of them, too.
        for _ in 0..2 * MAX_PIECES {
            assert_eq!(timeline.add_row(&row), None);
        }
        let warnings = timeline.finish().join("; ");
        assert!(warnings.contains("does not read"), "{warnings}");
        assert!(warnings.contains("rows are missing"), "{warnings}");
        drop(reader);
    }

    #[test]
    fn a_late_reader_loses_only_what_finds_no_room() {
        let (mut read, write) = pipe().unwrap();
        let mut timeline = {
            use std::os::fd::AsRawFd;
            let name = format!("/dev/fd/{}", write.as_raw_fd());
            begun(Path::new(&name))
        };
        drop(write);
        let row = long_row();
        for _ in 0..2 * MAX_PIECES {
            assert_eq!(timeline.add_row(&row), None);
        }
        let lost = usize::try_from(timeline.lost_rows).unwrap();
        // The header is a piece, too.
        assert!((1..=MAX_PIECES + 1).contains(&lost), "{lost}");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            read.read_to_string(&mut text).map(|_| text)
        });
        let warnings = timeline.finish();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!(": {lost} rows are missing")), "{warnings:?}");
        drop(timeline);
        let text = reader.join().unwrap().unwrap();
        assert!(text.starts_with(TIMELINE_HEADER));
        assert_eq!(text.lines().count(), 1 + 2 * MAX_PIECES - lost);
    }
}
