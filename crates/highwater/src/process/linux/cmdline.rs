//! `/proc/PID/cmdline`: the arguments, each ended by a NUL, or whatever the program wrote over them.
//! [`proc_pid_cmdline(5)`](https://man7.org/linux/man-pages/man5/proc_pid_cmdline.5.html)

/// The name a reader knows a program by: the base name of `argv[0]`.
///
/// Programs may write a title over `argv[0]`, and a path in a title is not the program:
/// - `nginx: master process /usr/sbin/nginx` is `nginx`: a first word that ends in a colon is the name;
/// - `/opt/google/chrome/chrome --type=renderer --dir=/tmp/x` is `chrome`: a path ends where options begin;
/// - `worker 3 of /srv/app` is `worker`: what does not begin as a path ends at its first space.
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
    Some(String::from_utf8_lossy(name).into_owned())
}

/// More of it than this nobody's pattern needs.
const LONGEST_LINE: usize = 4096;

/// All arguments with a space between them; `None` where there is none.
pub(crate) fn line(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|&byte| byte != 0)? + 1;
    let shown = &text[..end.min(LONGEST_LINE)];
    Some(String::from_utf8_lossy(shown).replace('\0', " "))
}

/// The arguments one by one.
pub(crate) fn words(text: &[u8]) -> Vec<String> {
    let Some(end) = text.iter().rposition(|&byte| byte != 0) else { return Vec::new() };
    text[..=end].split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
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
    fn lines() {
        assert_eq!(line(b"rustc\0--crate-name\0a b\0").as_deref(), Some("rustc --crate-name a b"));
        assert_eq!(line(b"\0\0"), None);
        assert_eq!(line(&[b'x'; 10_000]).map(|line| line.len()), Some(LONGEST_LINE));
    }

    #[test]
    fn no_name() {
        for argv0 in [&b""[..], b"\0", b"  ", b"/", b":", b"\0x"] {
            assert_eq!(command_name(argv0), None, "{}", argv0.escape_ascii());
        }
    }
}
