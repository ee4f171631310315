//! Requests to a made-up bus and service manager: a thread that answers as the test says.

use std::{
    fs,
    io::{BufRead, BufReader, IoSlice, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use super::{
    wire::{
        FIXED_HEADER_BYTES, message_length,
        tests::{FAILURE, RETURN, reply},
    },
    *,
};

/// Pid of the made-up child, beyond all that Linux gives (`PID_MAX_LIMIT`, include/linux/threads.h).
const CHILD: u32 = 4_194_305;

/// The way in which the made-up bus answers.
#[derive(Debug, Clone, Copy)]
enum Conduct {
    /// It answers all calls, and writes the scope's cgroup for both processes, as a manager would have them moved.
    Right,
    /// The manager is not on the bus at first.
    LateManager,
    /// The manager has no such property for scopes.
    OldManager,
    /// The manager answers, and moves nothing.
    MovesNothing,
    /// The manager moves both processes into another unit.
    MovesElsewhere,
    /// The manager moves the holder, and leaves the child where it is.
    MovesHolderOnly,
    Refuses,
    NeverAnswers,
    NeverAuthenticates,
    Rejects,
    EndlessLine,
    ClosesEarly,
    EnormousLength,
    Garbage,
    OnlySignals,
    /// A byte of a long message now and then, without end.
    Drips,
    /// A descriptor comes with the reply to `Hello`, as attackers fill the table of descriptors; the rest is right.
    PassesDescriptor,
}

/// The bus, and a tree in which the holder's cgroup is found.
struct MadeUp {
    tree: tempfile::TempDir,
    roots: Roots,
    /// Messages that the bus was sent, in words.
    thread: thread::JoinHandle<Vec<String>>,
}

impl MadeUp {
    fn start(conduct: Conduct) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        let roots = Roots { proc: root.join("proc"), cgroup: root.join("cgroup"), ..Roots::default() };
        fs::create_dir_all(roots.proc.join("self")).unwrap();
        let mount = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        fs::write(roots.proc.join("self/mountinfo"), mount).unwrap();
        let listener = UnixListener::bind(root.join("bus")).unwrap();
        let of_thread = roots.clone();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // The test ends as soon as the other end closes.
            serve(&stream, &of_thread, conduct).unwrap_or_else(|(seen, _)| seen)
        });
        Self { tree, roots, thread }
    }

    fn request(&self) -> Result<SystemdScope, ScopeRefusal> {
        let uid = rustix::process::geteuid().as_raw();
        let program = OsStr::new("/bin/true");
        SystemdScope::request_at(&self.tree.path().join("bus"), uid, &self.roots, program, CHILD)
    }

    fn calls(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

type Seen = Vec<String>;

fn serve(stream: &UnixStream, roots: &Roots, conduct: Conduct) -> Result<Seen, (Seen, std::io::Error)> {
    let mut seen = Seen::new();
    let outcome = converse(stream, roots, conduct, &mut seen);
    outcome.map(|()| seen.clone()).map_err(|error| (seen, error))
}

fn converse(stream: &UnixStream, roots: &Roots, conduct: Conduct, seen: &mut Seen) -> std::io::Result<()> {
    let mut writer = stream;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    seen.push(line.trim().to_owned());
    match conduct {
        Conduct::NeverAuthenticates => return wait_for_end(reader),
        Conduct::Rejects => {
            return writer.write_all(b"REJECTED KERBEROS_V4\r\n").and_then(|()| wait_for_end(reader));
        }
        Conduct::EndlessLine => {
            return writer.write_all(&vec![b'x'; 1 << 16]).and_then(|()| wait_for_end(reader));
        }
        _ => writer.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")?,
    }
    line.clear();
    reader.read_line(&mut line)?;
    seen.push(line.trim().to_owned());
    let mut passed = None;
    for serial in 1.. {
        let Some(message) = read_message(&mut reader)? else { return Ok(()) };
        seen.push(String::from_utf8_lossy(&message).into_owned());
        if serial == 1 && matches!(conduct, Conduct::PassesDescriptor) {
            passed = Some(reply_with_descriptor(stream, &reply(RETURN, 1, None, Some(":1.7")))?);
            continue;
        }
        if let Some(reader) = passed.take() {
            // The reply was read. A process that was forked meanwhile has the other end, too, until it closes it.
            let mut polled = [PollFd::new(&reader, PollFlags::IN)];
            poll(&mut polled, Some(&Timespec { tv_sec: 60, tv_nsec: 0 }))?;
            assert_eq!(polled[0].revents(), PollFlags::HUP, "the descriptor was kept");
        }
        if serial == 1 {
            // NameAcquired comes as well.
            writer.write_all(&reply(4, 0, None, Some(":1.7")))?;
            writer.write_all(&reply(RETURN, 1, None, Some(":1.7")))?;
            continue;
        }
        let text = seen.last().cloned().unwrap_or_default();
        match conduct {
            Conduct::NeverAnswers => return wait_for_end(reader),
            Conduct::ClosesEarly => return stream.shutdown(std::net::Shutdown::Both),
            Conduct::Refuses => {
                writer.write_all(&reply(FAILURE, serial, Some("org.example.No"), Some("not you")))?;
                continue;
            }
            Conduct::LateManager if serial < 4 => {
                writer.write_all(&reply(FAILURE, serial, Some(NO_OWNER), Some("does not exist")))?;
                continue;
            }
            Conduct::OldManager if text.contains("OOMPolicy") => {
                let why = "Cannot set property OOMPolicy, or unknown property.";
                writer.write_all(&reply(FAILURE, serial, Some("org.example.No"), Some(why)))?;
                continue;
            }
            Conduct::EnormousLength => {
                let mut message = reply(RETURN, serial, None, None);
                message[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
                writer.write_all(&message)?;
                return wait_for_end(reader);
            }
            Conduct::Garbage => return writer.write_all(&[0x5a; 256]).and_then(|()| wait_for_end(reader)),
            Conduct::OnlySignals => loop {
                writer.write_all(&reply(4, 0, None, Some("a signal")))?;
            },
            Conduct::Drips => {
                let mut message = reply(RETURN, serial, None, None);
                message[4..8].copy_from_slice(&60_000_u32.to_ne_bytes());
                writer.write_all(&message)?;
                loop {
                    writer.write_all(b"x")?;
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Conduct::Right | Conduct::OldManager | Conduct::LateManager | Conduct::PassesDescriptor
                if text.contains("StartTransientUnit") =>
            {
                let name = text.split('\0').find(|part| part.starts_with("highwater-")).unwrap().to_owned();
                move_processes(roots, &message, &name, 2);
            }
            Conduct::MovesElsewhere => move_processes(roots, &message, "other.scope", 2),
            Conduct::MovesHolderOnly => {
                let name = text.split('\0').find(|part| part.starts_with("highwater-")).unwrap().to_owned();
                move_processes(roots, &message, &name, 1);
            }
            _ => {}
        }
        writer.write_all(&reply(RETURN, serial, None, Some("/org/freedesktop/systemd1/job/1")))?;
    }
    Ok(())
}

/// Writes a reply with the one end of a pipe, and returns the other.
fn reply_with_descriptor(stream: &UnixStream, reply: &[u8]) -> std::io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe()?;
    let descriptors = [writer.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(stream, &[IoSlice::new(reply)], &mut control, SendFlags::empty())?;
    Ok(reader)
}

fn wait_for_end(mut reader: impl Read) -> std::io::Result<()> {
    std::io::copy(&mut reader, &mut std::io::sink()).map(drop)
}

fn read_message(reader: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut fixed = [0; FIXED_HEADER_BYTES];
    if reader.read_exact(&mut fixed).is_err() {
        return Ok(None);
    }
    let mut message = fixed.to_vec();
    message.resize(message_length(&fixed).unwrap(), 0);
    reader.read_exact(&mut message[FIXED_HEADER_BYTES..])?;
    Ok(Some(message))
}

/// Writes what the kernel would show after the manager has moved the first `count` processes named in `PIDs`.
fn move_processes(roots: &Roots, message: &[u8], unit: &str, count: usize) {
    let key = b"PIDs\0\x02au\0";
    let at = message.windows(key.len()).position(|part| part == key).unwrap() + key.len();
    // The array's length and its pids are aligned to 4.
    let at = at.next_multiple_of(4);
    let number = |at: usize| u32::from_ne_bytes(message[at..at + 4].try_into().unwrap());
    assert_eq!(number(at), 8, "two pids of four bytes");
    let group = format!("app.slice/{unit}");
    fs::create_dir_all(roots.cgroup.join(&group)).unwrap();
    for pid in [number(at + 4), number(at + 8)].into_iter().take(count) {
        fs::create_dir_all(roots.proc.join(pid.to_string())).unwrap();
        fs::write(roots.proc.join(pid.to_string()).join("cgroup"), format!("0::/{group}\n")).unwrap();
    }
}

#[test]
fn a_scope_is_requested_with_holder_and_child() {
    let made_up = MadeUp::start(Conduct::Right);
    let scope = made_up.request().unwrap();
    let unit = scope.directory().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(scope.directory(), made_up.roots.cgroup.join("app.slice").join(&unit));
    assert!(made_up.roots.proc.join(CHILD.to_string()).exists(), "it was named, too");
    let holder = PathBuf::from(format!("/proc/{}", scope.holder_pid()));
    assert!(holder.exists());
    drop(scope);
    assert!(!holder.exists());
    let calls = made_up.calls();
    let uid = rustix::process::geteuid().as_raw().to_string();
    let hex = calls[0].strip_prefix("\0AUTH EXTERNAL ").unwrap();
    let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16));
    assert_eq!(digits.collect::<Result<Vec<_>, _>>().unwrap(), uid.as_bytes());
    assert_eq!(calls[1], "BEGIN");
    assert!(calls[2].contains("Hello"));
    let start = &calls[3];
    for part in
        ["StartTransientUnit", &unit, "fail", "memory of true, measured by hwm", "Delegate", "TasksMax"]
    {
        assert!(start.contains(part), "{part}");
    }
    assert!(!start.contains("/bin/"), "it names the program only");
    assert_eq!(calls.len(), 4);
}

#[test]
fn an_older_manager_is_asked_without_the_newer_property() {
    let made_up = MadeUp::start(Conduct::OldManager);
    made_up.request().unwrap();
    let calls = made_up.calls();
    assert!(calls[3].contains("OOMPolicy") && !calls[4].contains("OOMPolicy"));
    assert!(calls[4].contains("CollectMode"));
}

#[test]
fn a_manager_that_is_not_on_the_bus_yet_is_asked_again() {
    let made_up = MadeUp::start(Conduct::LateManager);
    made_up.request().unwrap();
    assert_eq!(made_up.calls().len(), 3 + 3);
}

#[test]
fn a_descriptor_from_the_bus_is_not_kept() {
    let made_up = MadeUp::start(Conduct::PassesDescriptor);
    made_up.request().unwrap();
    made_up.calls();
}

#[test]
fn what_a_bus_may_do_is_a_refusal() {
    for (conduct, expected) in [
        (Conduct::Refuses, "org.example.No: not you"),
        (Conduct::NeverAnswers, "it did not do so in time"),
        (Conduct::Drips, "it did not do so in time"),
        (Conduct::NeverAuthenticates, "it did not do so in time"),
        (Conduct::MovesNothing, "it did not do so in time"),
        (Conduct::MovesElsewhere, "it did not do so in time"),
        (Conduct::MovesHolderOnly, "it did not do so in time"),
        (Conduct::Rejects, "its bus did not authenticate this user"),
        (Conduct::EndlessLine, "its bus sent a message that is too long"),
        (Conduct::EnormousLength, "its bus sent a message that is too long"),
        (Conduct::Garbage, "its bus sent a message that cannot be read"),
        (Conduct::OnlySignals, "its bus sent a message that cannot be read"),
        (Conduct::ClosesEarly, "its bus: unexpected end of file"),
    ] {
        let made_up = MadeUp::start(conduct);
        assert_eq!(made_up.request().unwrap_err().to_string(), expected, "{conduct:?}");
        made_up.calls();
    }
}

#[test]
fn a_bus_that_accepts_no_connection_does_not_block() {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().join("bus");
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let request = || SystemdScope::request_at(&path, uid, &Roots::default(), OsStr::new("true"), CHILD);
    // The first one is queued, and gets no answer. The next one finds the queue full.
    let queued = UnixStream::connect(&path).unwrap();
    assert!(matches!(request(), Err(ScopeRefusal::Unreachable(_))));
    drop(queued);
}

#[test]
fn the_bus_is_a_socket_of_the_user() {
    let tree = tempfile::tempdir().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let path = |uid: u32| path_of_bus(uid, Some(tree.path().to_owned()));
    // It has no bus at the usual path.
    let user = 4_000_000_000;
    assert!(matches!(path(user), Err(ScopeRefusal::NoBus(_))), "there is none");
    fs::write(tree.path().join("bus"), "").unwrap();
    assert!(path(user).unwrap_err().to_string().ends_with("this is not a socket"));
    fs::remove_file(tree.path().join("bus")).unwrap();
    let _listener = UnixListener::bind(tree.path().join("bus")).unwrap();
    assert!(path(user).unwrap_err().to_string().ends_with("it belongs to another user"));
    if uid != 0 {
        assert_eq!(path(uid).unwrap(), tree.path().join("bus"));
    }
}

#[test]
fn a_description_is_short_and_names_the_program_only() {
    assert_eq!(description(OsStr::new("/usr/bin/make")), "memory of make, measured by hwm");
    let odd = description(OsStr::new(&format!("a\nb{}", "x".repeat(10_000))));
    assert!(odd.starts_with("memory of a bxx") && odd.len() < 150, "{odd}");
    assert_eq!(description(OsStr::new("..")), "memory of .., measured by hwm");
}

#[test]
fn names_differ() {
    let (one, two) = (new_name(), new_name());
    assert_ne!(one, two);
    assert!(one.starts_with("highwater-"));
    assert_eq!(Path::new(&one).extension(), Some(OsStr::new("scope")), "systemd goes by it");
}
