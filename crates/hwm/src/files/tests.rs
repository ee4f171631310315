use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::*;

fn check(path: &Path) -> anyhow::Result<Destination> {
    Destination::check("--json", path, NewFileMode::Private)
}

fn put(destination: &Destination, text: &str) -> io::Result<()> {
    destination.write(|out| out.write_all(text.as_bytes()))
}

#[test]
fn checking_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.json");
    put(&check(&old).unwrap(), "keep").unwrap();
    check(&old).unwrap();
    check(&dir.path().join("new.json")).unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "keep");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn failed_write_leaves_the_old_content() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "old").unwrap();
    let destination = check(&file).unwrap();
    let failed = destination.write(|out| {
        out.write_all(b"half")?;
        Err(io::Error::other("disk full"))
    });
    assert!(failed.is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_was_written_is_kept_where_its_name_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let destination = check(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let error = put(&destination, "new").unwrap_err().to_string();
    let (_, kept) = error.split_once("what was written is kept in ").unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "new");
}

#[test]
fn refuses_what_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("no/x"), "/dev/fd/977".into(), "".into(), "..".into()]
    {
        assert!(check(&path).is_err(), "{path:?}");
    }
}

#[test]
fn a_growing_file_takes_its_place_when_it_is_put_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "old").unwrap();
    let mut new = check(&file).unwrap().begin_replacement().unwrap().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    new.put_in_place().unwrap();
    new.file().write_all(b"row\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "row\n");
    drop(new);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_growing_file_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(check(&dir.path().join("file")).unwrap().begin_replacement().unwrap().unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    // macOS has no mkfifoat in rustix.
    fn make_pipe(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn own_links_are_followed_and_own_permissions_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old and longer").unwrap();
        set_mode(&file, 0o640);
        symlink("file", &link).unwrap();
        put(&check(&link).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(mode(&file), 0o640);
        assert!(link.is_symlink());
    }

    #[test]
    fn links_lead_to_files_that_do_not_exist_yet() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        symlink("below/later.json", dir.path().join("link")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        symlink("..", dir.path().join("below/up")).unwrap();
        put(&check(&dir.path().join("below/up/link")).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("below/later.json")).unwrap(), "new");
        assert!(check(&dir.path().join("loop")).is_err());
    }

    #[test]
    fn special_bits_are_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        for bits in [0o4755, 0o2755, 0o1644] {
            fs::write(&file, "old").unwrap();
            set_mode(&file, bits);
            put(&check(&file).unwrap(), "new").unwrap();
            assert_eq!(mode(&file), bits & 0o777, "{bits:o}");
        }
    }

    #[test]
    fn new_files_are_private_unless_asked_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        put(&check(&file).unwrap(), "new").unwrap();
        assert_eq!(mode(&file) & 0o077, 0);
        put(&Destination::check("--json", &file, NewFileMode::Exact(0o644)).unwrap(), "new").unwrap();
        assert_eq!(mode(&file), 0o644);
    }

    #[test]
    fn a_late_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&other, "keep").unwrap();
        let destination = check(&file).unwrap();
        symlink(&other, &file).unwrap();
        put(&destination, "new").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "keep");
        assert!(!file.is_symlink());
    }

    #[test]
    fn a_directory_swapped_after_the_check_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, moved, other) =
            (dir.path().join("outputs"), dir.path().join("moved"), dir.path().join("other"));
        fs::create_dir(&outputs).unwrap();
        fs::create_dir(&other).unwrap();
        let destination = check(&outputs.join("file")).unwrap();
        fs::rename(&outputs, &moved).unwrap();
        symlink(&other, &outputs).unwrap();
        put(&destination, "new").unwrap();
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(moved.join("file")).unwrap(), "new");
    }

    #[test]
    fn what_is_written_in_place_must_be_what_was_checked() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        make_pipe(&pipe);
        let destination = check(&pipe).unwrap();
        fs::remove_file(&pipe).unwrap();
        fs::write(&pipe, "keep").unwrap();
        assert!(put(&destination, "new").is_err());
        assert_eq!(fs::read_to_string(&pipe).unwrap(), "keep");
    }

    #[test]
    fn a_file_written_in_place_keeps_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        make_pipe(&pipe);
        let number = fs::metadata(&pipe).unwrap().ino();
        let _destination = check(&pipe).unwrap();
        fs::remove_file(&pipe).unwrap();
        // ext4 gives the lowest free number out first.
        let others = (0..100).map(|name| fs::File::create(dir.path().join(name.to_string())).unwrap());
        assert!(others.into_iter().all(|other| other.metadata().unwrap().ino() != number));
    }

    #[test]
    fn permissions_are_kept_where_others_cannot_bring_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        for (directory_mode, kept) in [(0o755, 0o644), (0o757, 0o600), (0o1777, 0o600)] {
            set_mode(dir.path(), directory_mode);
            fs::write(&file, "old").unwrap();
            set_mode(&file, 0o644);
            put(&check(&file).unwrap(), "new").unwrap();
            assert_eq!(mode(&file), kept, "{directory_mode:o}");
        }
    }

    #[test]
    fn two_names_of_one_file_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        symlink(".", dir.path().join("c")).unwrap();
        let check = |name: &str| check(&dir.path().join(name)).unwrap();
        assert!(check("a").is_same(&check("b")));
        assert!(check("a").is_same(&check("./a")));
        assert!(check("a").is_same(&check("c/a")));
        assert!(!check("a").is_same(&check("d")));
        let null = || super::check(Path::new("/dev/null")).unwrap();
        assert!(!null().is_same(&null()));
    }

    #[test]
    fn a_full_device_is_an_error() {
        if !Path::new("/dev/full").exists() {
            return;
        }
        let full = check(Path::new("/dev/full")).unwrap();
        assert!(full.begin_replacement().is_none());
        assert_eq!(put(&full, "x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }

    #[test]
    fn what_takes_no_content_is_refused_before_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = check(&socket).unwrap_err();
        assert!(format!("{error:#}").contains("it is a socket"), "{error:#}");
    }

    #[test]
    fn a_link_of_proc_to_an_open_file_is_not_read_as_a_path() {
        use std::os::fd::AsRawFd;
        if !Path::new("/proc/thread-self/fd").exists() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = fs::File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // The link's text is the path with " (deleted)" behind it.
        let error = check(Path::new(&format!("/proc/thread-self/fd/{}", file.as_raw_fd()))).unwrap_err();
        assert!(format!("{error:#}").contains("a link of /proc"), "{error:#}");
        put(&check(Path::new(&format!("/dev/fd/{}", file.as_raw_fd()))).unwrap(), "text").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4);
    }

    #[test]
    fn a_link_of_proc_leads_to_its_directory() {
        if !Path::new("/proc/self/cwd").exists() {
            return;
        }
        let cwd = Directory::open(Path::new("/proc/self/cwd")).unwrap().identity().unwrap();
        assert_eq!(cwd.inode, fs::metadata(".").unwrap().ino());
    }

    #[test]
    fn directories_for_kept_files_are_made_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        let made = Directory::open_or_make_private(&path).unwrap();
        assert_eq!(made.path(), path);
        for made in [&path, path.parent().unwrap()] {
            assert_eq!(mode(made) & 0o777, 0o700);
        }
    }

    mod pipes {
        use std::{io::Read, os::unix::fs::OpenOptionsExt, path::PathBuf, thread, time::Duration};

        use rustix::event::Timespec;

        use super::{
            super::pipe::{PatientPipe, PatientReader},
            *,
        };

        fn made() -> (tempfile::TempDir, PathBuf) {
            let dir = tempfile::tempdir().unwrap();
            let pipe = dir.path().join("pipe");
            make_pipe(&pipe);
            (dir, pipe)
        }

        fn open_to_read(pipe: &Path) -> fs::File {
            fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap()
        }

        #[test]
        fn a_pipe_without_reader_is_an_error_at_the_end() {
            let (_dir, name) = made();
            let destination = check(&name).unwrap();
            let mut patient = PatientPipe::new(destination.named_pipe().unwrap(), Duration::ZERO);
            assert!(patient.write(b"x").unwrap_err().to_string().contains("no program has opened"));
        }

        /// A CSV writer tries the rest of its buffer once more when it is dropped.
        #[test]
        fn a_pipe_that_was_given_up_is_not_waited_for_again() {
            let (_dir, name) = made();
            let destination = check(&name).unwrap();
            let mut patient = PatientPipe::new(destination.named_pipe().unwrap(), Duration::ZERO);
            assert!(patient.write(b"first").is_err());
            let mut late_reader = open_to_read(&name);
            assert!(patient.write(b"rest").is_err());
            drop(patient);
            let mut text = String::new();
            late_reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "", "a rest without its beginning");
        }

        #[test]
        fn a_whole_content_goes_through_a_pipe() {
            let (_dir, name) = made();
            let content = "x".repeat(1 << 20);
            let destination = check(&name).unwrap();
            let reader = thread::spawn(move || {
                let mut text = String::new();
                let InputFile::Pipe(mut pipe) = InputFile::open(&name).unwrap() else { panic!("no pipe") };
                pipe.read_to_string(&mut text).unwrap();
                text
            });
            put(&destination, &content).unwrap();
            assert!(reader.join().unwrap() == content);
        }

        #[test]
        #[cfg(target_os = "linux")]
        fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
            use rustix::fs::{CWD, RenameFlags, renameat_with};

            let (dir, pipe) = made();
            let file = dir.path().join("file");
            fs::write(&file, "").unwrap();
            let pipes = thread::scope(|scope| {
                let opener = scope.spawn(|| {
                    let opened = (0..50_000).map(|_| InputFile::open(&file).unwrap());
                    opened.filter(|opened| matches!(opened, InputFile::Pipe(_))).count()
                });
                while !opener.is_finished() {
                    renameat_with(CWD, &pipe, CWD, &file, RenameFlags::EXCHANGE).unwrap();
                }
                opener.join().unwrap()
            });
            assert!(pipes > 0);
        }

        #[test]
        fn a_pipe_without_writer_is_given_up() {
            let (_dir, name) = made();
            let patience = Timespec { tv_sec: 0, tv_nsec: 1 };
            let mut pipe = PatientReader::with_patience(open_to_read(&name), patience);
            let error = pipe.read(&mut [0]).unwrap_err();
            assert!(error.to_string().contains("no program has written"), "{error}");
        }
    }
}
