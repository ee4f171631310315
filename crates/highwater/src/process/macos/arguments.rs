//! What a process is called: the text of `KERN_PROCARGS2`, and names of fixed size.

/// The most that the kernel tells of arguments and environment together (`ARG_MAX` of `bsd/sys/syslimits.h`).
pub(crate) const ROOM: usize = 1 << 20;

/// Whether a text that filled so much of [`ROOM`] is one of which the beginning may be missing: of more than fits the
/// kernel tells the end, which is environment (`sysctl_procargsx` in `bsd/kern/kern_sysctl.c`).
pub(crate) fn is_cut(size: usize) -> bool {
    size >= ROOM
}

/// The program's name from the text of `KERN_PROCARGS2` (`sysctl_procargsx` in `bsd/kern/kern_sysctl.c`): a count, the
/// path of the executable, zeros up to the first argument, then the arguments, each with a zero at its end.
pub(crate) fn first(text: &[u8]) -> Option<String> {
    let argument = all(text)?.next()?;
    // A login shell has a dash before its name, which is no part of it.
    base_name(argument.strip_prefix(b"-").unwrap_or(argument))
}

/// All its arguments, the program's name first.
pub(crate) fn words(text: &[u8]) -> Vec<String> {
    let words = all(text).into_iter().flatten();
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// As many as the count says; the environment comes after them, and none of it may be taken for an argument. So zeros
/// are not skipped, as an empty argument looks like them: the first argument lies at a multiple of a pointer's size from the
/// beginning of the path, zeros before it, and each zero after that ends one (`exec_extract_strings` in
/// `bsd/kern/kern_exec.c`; `executable_path=` in front of the path, which is left out here, is of 16 bytes). Where other
/// bytes lie before it the text is none that we know.
fn all(text: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    /// Since macOS 10.15 of every program.
    const POINTER: usize = 8;
    let (count, rest) = text.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok().filter(|&count| count > 0)?;
    let end_of_path = rest.iter().position(|&byte| byte == 0)?;
    let (path, arguments) = rest.split_at_checked((end_of_path + 1).next_multiple_of(POINTER))?;
    if path[end_of_path..].iter().any(|&byte| byte != 0) {
        return None;
    }
    let ended = arguments.split_inclusive(|&byte| byte == 0).take(count);
    Some(ended.map(|argument| argument.strip_suffix(&[0]).unwrap_or(argument)))
}

/// What follows the last slash.
pub(crate) fn base_name(path: &[u8]) -> Option<String> {
    let name = path.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// A name in a field of fixed size, ended by a zero unless it fills the field.
pub(crate) fn text(field: &[u8]) -> String {
    let name = field.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(count: i32, rest: &[u8]) -> Vec<u8> {
        [&count.to_ne_bytes(), rest].concat()
    }

    #[test]
    fn the_first_argument_names_the_program() {
        let text = made(2, b"/usr/bin/python3\0\0\0\0\0\0\0\0/opt/bin/train\0--fast\0PATH=/bin\0");
        assert_eq!(first(&text).as_deref(), Some("train"));
        assert_eq!(first(&made(1, b"/bin/zsh\0\0\0\0\0\0\0\0-zsh\0")).as_deref(), Some("zsh"));
    }

    #[test]
    fn all_arguments_and_not_the_environment() {
        let text = made(3, b"/bin/cp\0cp\0\0to\0PATH=/bin\0");
        assert_eq!(words(&text), ["cp", "", "to"], "one of them is empty");
        assert_eq!(words(&made(3, b"/bin/cp\0cp\0fr")), ["cp", "fr"], "cut off");
        assert_eq!(words(&made(0, b"/bin/cp\0A=1\0")), Vec::<String>::new());
        assert_eq!(words(&made(1, b"/bin/cp\0")), Vec::<String>::new());
        assert_eq!(words(b"\x01"), Vec::<String>::new());
    }

    #[test]
    fn an_empty_first_argument_is_not_skipped() {
        for path in [&b"/bin/ls\0"[..], b"/bin/zsh\0\0\0\0\0\0\0\0"] {
            let text = |count, strings: &[u8]| made(count, &[path, strings].concat());
            let without_name = text(1, b"\0TOKEN=a/secret\0PATH=/bin\0");
            assert_eq!((first(&without_name), words(&without_name)), (None, vec![String::new()]));
            assert_eq!(words(&text(3, b"\0\0to\0TOKEN=a/secret\0")), ["", "", "to"]);
            assert_eq!(words(&text(2, b"\0\0\0TOKEN=a/secret\0")), ["", ""], "an empty environment string");
        }
    }

    #[test]
    fn in_doubt_there_are_fewer_arguments_and_no_environment() {
        assert_eq!(
            words(&made(1, b"/bin/zsh\0\0\0\0zsh\0A=1\0")),
            Vec::<String>::new(),
            "pointers of 4 bytes"
        );
        assert_eq!(words(&made(1, b"/bin/zsh\0zsh\0A=1\0")), Vec::<String>::new(), "no padding");
        assert_eq!(words(&made(1, b"/bin/cp\0\0\0\0\0\0\0\0\0cp\0A=1\0")), [""], "more padding");
        assert!(is_cut(ROOM) && !is_cut(ROOM - 1));
    }

    #[test]
    fn whatever_is_cut_off_or_missing_has_no_name() {
        let whole = made(1, b"/bin/ls\0ls\0");
        assert_eq!(first(&whole).as_deref(), Some("ls"));
        for end in 0..whole.len() {
            // No panic; and a name only where a piece of it is there.
            assert!(first(&whole[..end]).is_none_or(|name| "ls".starts_with(&name)), "{end}");
        }
        assert_eq!(first(&made(0, b"/bin/ls\0A=1\0")), None, "without arguments the environment comes next");
        assert_eq!(first(&made(1, b"/bin/ls\0/\0")), None);
    }

    #[test]
    fn fields() {
        assert_eq!(text(b"launchd\0\0\0\0\0\0\0\0\0"), "launchd");
        assert_eq!(text(b"sixteen bytes ok"), "sixteen bytes ok");
        assert_eq!(text(b""), "");
    }
}
