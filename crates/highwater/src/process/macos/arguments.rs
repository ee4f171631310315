//! The name of a process: the text of `KERN_PROCARGS2`, and names of fixed size.

/// The most that the kernel returns of arguments and environment together (`ARG_MAX` of
/// `bsd/sys/syslimits.h`).
pub(crate) const ARGUMENTS_ROOM_BYTES: usize = 1 << 20;

/// Returns whether the beginning of a text of `size` bytes may be missing. If the text does not fit into
/// [`ARGUMENTS_ROOM_BYTES`] the kernel returns its end, which is environment (`sysctl_procargsx` in
/// `bsd/kern/kern_sysctl.c`).
pub(crate) fn is_cut(size: usize) -> bool {
    size >= ARGUMENTS_ROOM_BYTES
}

/// Returns the program's name from the text of `KERN_PROCARGS2` (`sysctl_procargsx` in
/// `bsd/kern/kern_sysctl.c`). The text is a count, the path of the executable, zeros up to the first
/// argument, then the arguments, each ended by a zero.
pub(crate) fn first(text: &[u8]) -> Option<String> {
    let argument = all(text)?.next()?;
    // A login shell has a dash before its name, which is not part of the name.
    base_name(argument.strip_prefix(b"-").unwrap_or(argument))
}

/// Returns all its arguments, the program's name first.
pub(crate) fn words(text: &[u8]) -> Vec<String> {
    let words = all(text).into_iter().flatten();
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Returns as many arguments as the count says. The environment follows, and none of it may be taken for an
/// argument.
///
/// Zeros are not skipped, since an empty argument looks like them. The first argument lies at a multiple of a
/// pointer's size from the beginning of the path, after zeros. Each zero after that ends one argument
/// (`exec_extract_strings` in `bsd/kern/kern_exec.c`; `executable_path=` in front of the path, which is left
/// out here, has 16 bytes). A text with other bytes before the first argument is unknown.
fn all(text: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    /// The size of a pointer in every program since macOS 10.15.
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

/// Returns the part after the last slash.
pub(crate) fn base_name(path: &[u8]) -> Option<String> {
    let name = path.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Returns a name in a field of fixed size, ended by a zero unless it fills the field.
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
        assert!(is_cut(ARGUMENTS_ROOM_BYTES) && !is_cut(ARGUMENTS_ROOM_BYTES - 1));
    }

    #[test]
    fn whatever_is_cut_off_or_missing_has_no_name() {
        let whole = made(1, b"/bin/ls\0ls\0");
        assert_eq!(first(&whole).as_deref(), Some("ls"));
        for end in 0..whole.len() {
            // Nothing panics, and a name comes only from a piece of it.
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
