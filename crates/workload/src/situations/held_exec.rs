//! An exec that waits for a file system: readers of some files of that process wait, too.
//!
//! An exec closes descriptors that are marked so (`do_close_on_exec`, fs/file.c) while it holds `exec_update_lock`. FUSE
//! flushes a file that is closed, and waits for its server, which never answers, and ends with the last other process.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use super::process::{BytePipe, exit_now, raw_fork};

/// Exit code where FUSE cannot be mounted.
const NO_FUSE: i32 = 77;
/// Kernel's requests that are answered (`include/uapi/linux/fuse.h`).
const FUSE_GETATTR: u32 = 3;
const FUSE_OPEN: u32 = 14;
const FUSE_FLUSH: u32 = 25;
const FUSE_INIT: u32 = 26;
/// The largest request, a write of a page, and its header.
const REQUEST_BYTES: usize = 64 << 10;

/// Lets an exec of a child wait, on a file in the working directory, until this process and all others have exited. Returns
/// once it waits.
pub(crate) fn begin() {
    let mounted = Path::new("held-exec");
    let Ok(device) = mount(mounted) else { exit_now(NO_FUSE) };
    let (begun, alive) = (BytePipe::new(), BytePipe::new());
    if raw_fork() == 0 {
        // The situation may end the thread that this process began with, so no signal for the death of a parent will do.
        std::thread::spawn(move || {
            alive.wait_until_all_left();
            exit_now(0);
        });
        serve(device, &begun);
    }
    drop(device);
    if raw_fork() == 0 {
        alive.leave();
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(mounted);
        let _file = file.unwrap_or_else(|_| exit_now(NO_FUSE));
        let program = c"/bin/true";
        let arguments = [program.as_ptr(), std::ptr::null()];
        // SAFETY: the arguments are a C string and an array that ends with null.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        exit_now(127);
    }
    begun.hear();
}

/// Mounts FUSE on a new file, in a mount namespace of this process. Returns its device.
fn mount(file: &Path) -> std::io::Result<File> {
    fs::write(file, "")?;
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let options = format!("fd={},rootmode=100644,user_id=0,group_id=0", device.as_raw_fd());
    let (file, options) = (CString::new(file.as_os_str().as_encoded_bytes())?, CString::new(options)?);
    let is_done = |result| if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    // SAFETY: a plain system call.
    is_done(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the target is a C string, and no other argument is read.
    is_done(unsafe {
        libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null())
    })?;
    // SAFETY: all are C strings.
    is_done(unsafe {
        libc::mount(c"held-exec".as_ptr(), file.as_ptr(), c"fuse".as_ptr(), 0, options.as_ptr().cast())
    })?;
    Ok(device)
}

/// Answers the kernel's requests, but no flush.
fn serve(mut device: File, begun: &BytePipe) -> ! {
    let mut request = vec![0; REQUEST_BYTES];
    loop {
        let Ok(length) = device.read(&mut request) else { exit_now(0) };
        // Its length, its kind, its number; then the node and the ids of its process.
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes"));
        assert!(length >= 40, "a header");
        let unique: [u8; 8] = request[8..16].try_into().expect("eight bytes");
        let (error, body) = match word(4) {
            FUSE_FLUSH => {
                begun.say();
                continue;
            }
            FUSE_INIT => (0, words(&[7, 31, 4096, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            FUSE_GETATTR => {
                // How long it holds (three words), then number, size, blocks and times of the file (of two words each), parts
                // of seconds, its mode, links, owners, device, block size and flags.
                let mut attributes = [0; 26];
                (attributes[4], attributes[19], attributes[20]) = (1, libc::S_IFREG | 0o644, 1);
                (0, words(&attributes))
            }
            FUSE_OPEN => (0, words(&[1, 0, 0, 0])),
            _ => (-libc::ENOSYS, Vec::new()),
        };
        let mut answer = u32::try_from(16 + body.len()).expect("it is short").to_ne_bytes().to_vec();
        answer.extend(error.to_ne_bytes());
        answer.extend(unique);
        answer.extend(body);
        // A request that was given up takes no answer.
        let _ = device.write(&answer);
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
