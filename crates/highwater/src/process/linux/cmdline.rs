//! `/proc/PID/cmdline`: the arguments, each ended by a NUL, or text that the program wrote over them.
//! [`proc_pid_cmdline(5)`](https://man7.org/linux/man-pages/man5/proc_pid_cmdline.5.html)
//!
//! A process chooses its length: `prctl(PR_SET_MM_MAP)` may make any of its memory the argument area.

use crate::bounded::{self, Extent, MAX_NAME_BYTES};

/// Returns the name by which users know a program: the base name of `argv[0]`.
///
/// Programs may write a title over `argv[0]`, and a path in a title is not the program:
/// - `nginx: master process /usr/sbin/nginx` is `nginx`: a first word that ends in a colon is the name;
/// - `/opt/google/chrome/chrome --type=renderer --dir=/tmp/x` is `chrome`: a path ends where options begin;
/// - `worker 3 of /srv/app` is `worker`: a text that does not begin as a path ends at its first space.
///
/// A login shell keeps its dash (`-bash`), as in ps.
pub(crate) fn command_name(argv0: &[u8]) -> Option<String> {
    let argv0 = argv0.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii();
    let first_word = argv0.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let program = if let Some(name) = first_word.strip_suffix(b":") {
        name
    } else if [&b"/"[..], b"./", b"../"].iter().any(|start| argv0.starts_with(start)) {
        let options = argv0.windows(2).position(|pair| pair == b" -");
        &argv0[..options.unwrap_or(argv0.len())]
    } else {
        first_word
    };
    let name = program.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty())?;
    Some(bounded::cut(String::from_utf8_lossy(name).into_owned(), MAX_NAME_BYTES))
}

/// Returns the name in the beginning of a command line; `None` if `argv[0]` is a path whose end is missing.
pub(crate) fn name_at_start(start: &[u8], extent: Extent) -> Option<String> {
    let goes_on = extent == Extent::Cut && !start.contains(&0);
    if goes_on && start.first().is_some_and(|first| b"/.".contains(first)) {
        return None;
    }
    command_name(start)
}

/// Returns all arguments with a space between them; `None` if there is none.
#[cfg(feature = "job")]
pub(crate) fn line(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|&byte| byte != 0)? + 1;
    Some(String::from_utf8_lossy(&text[..end]).replace('\0', " "))
}

/// The most words that are split. A word takes 24 bytes even if it is empty, so an area full of zeros would
/// take 24 times its size.
#[cfg(feature = "job")]
const MAX_WORDS: usize = 1 << 16;

/// Returns the arguments one by one, and whether they are complete.
#[cfg(feature = "job")]
pub(crate) fn words(text: &[u8]) -> (Vec<String>, Extent) {
    let Some(end) = text.iter().rposition(|&byte| byte != 0) else { return (Vec::new(), Extent::Whole) };
    let mut words = text[..=end].split(|&byte| byte == 0);
    let first = words.by_ref().take(MAX_WORDS).map(|word| String::from_utf8_lossy(word).into_owned());
    let first: Vec<String> = first.collect();
    (first, if words.next().is_some() { Extent::Cut } else { Extent::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (argv0, name) in [
            (&b"/usr/bin/rustc"[..], "rustc"),
            (b"rustc", "rustc"),
            (b"target/debug/hwm", "hwm"),
            (b"-bash", "-bash"),
            (b"(sd-pam)", "(sd-pam)"),
            (b"/opt/My Program/run", "run"),
            (b"nginx: master process /usr/sbin/nginx", "nginx"),
            (b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "sshd"),
            (b"/usr/sbin/php-fpm: pool /www", "php-fpm"),
            (b"/opt/google/chrome/chrome --type=renderer --dir=/tmp/x", "chrome"),
            (b"worker 3 of /srv/app", "worker"),
            (b"tool\0/etc/passwd", "tool"),
        ] {
            assert_eq!(command_name(argv0).as_deref(), Some(name), "{}", argv0.escape_ascii());
        }
    }

    #[test]
    #[cfg(feature = "job")]
    fn lines() {
        assert_eq!(line(b"rustc\0--crate-name\0a b\0").as_deref(), Some("rustc --crate-name a b"));
        assert_eq!(line(b"\0\0"), None);
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = command_name(&[b'x'; 10_000]).unwrap();
        assert_eq!(name.len(), MAX_NAME_BYTES);
        // Each byte that is not UTF-8 is shown as three.
        let name = command_name(&[0xff; 4096]).unwrap();
        assert_eq!(name, "\u{fffd}".repeat(85));
    }

    #[test]
    fn a_path_whose_end_is_missing_names_nothing() {
        let path = b"/srv/many/directories";
        assert_eq!(name_at_start(path, Extent::Cut), None);
        assert_eq!(name_at_start(path, Extent::Whole).as_deref(), Some("directories"));
        assert_eq!(name_at_start(b"/bin/cp\0from", Extent::Cut).as_deref(), Some("cp"));
        assert_eq!(name_at_start(b"worker: of many", Extent::Cut).as_deref(), Some("worker"));
    }

    #[test]
    #[cfg(feature = "job")]
    fn so_many_words() {
        assert_eq!(words(b"cp\0\0to\0\0"), (vec!["cp".into(), String::new(), "to".into()], Extent::Whole));
        let mut zeros = vec![0; 1 << 20];
        zeros.push(b'x');
        let (words, extent) = words(&zeros);
        assert_eq!((words.len(), extent), (MAX_WORDS, Extent::Cut));
    }

    #[test]
    fn no_name() {
        for argv0 in [&b""[..], b"\0", b"  ", b"/", b":", b"\0x"] {
            assert_eq!(command_name(argv0), None, "{}", argv0.escape_ascii());
        }
    }
}
