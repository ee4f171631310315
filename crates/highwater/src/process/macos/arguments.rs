//! What a process is called: the text of `KERN_PROCARGS2`, and names of fixed size.

/// The program's name from the text of `KERN_PROCARGS2` (`sysctl_procargsx` in `bsd/kern/kern_sysctl.c`): a count, the
/// path of the executable, zeros up to the first argument, then the arguments, each with a zero at its end.
pub(crate) fn first(text: &[u8]) -> Option<String> {
    let (count, rest) = text.split_first_chunk::<4>()?;
    if i32::from_ne_bytes(*count) < 1 {
        return None;
    }
    let after_path = &rest[rest.iter().position(|&byte| byte == 0)?..];
    let start = after_path.iter().position(|&byte| byte != 0)?;
    let argument = after_path[start..].split(|&byte| byte == 0).next()?;
    // A login shell has a dash before its name, which is no part of it.
    base_name(argument.strip_prefix(b"-").unwrap_or(argument))
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
        assert_eq!(first(&made(1, b"/bin/zsh\0\0\0-zsh\0")).as_deref(), Some("zsh"));
    }

    #[test]
    fn whatever_is_cut_off_or_missing_has_no_name() {
        let whole = made(1, b"/bin/ls\0\0ls\0");
        for end in 0..whole.len() {
            // No panic; and a name only where a piece of it is there.
            assert!(first(&whole[..end]).is_none_or(|name| "ls".starts_with(&name)), "{end}");
        }
        assert_eq!(
            first(&made(0, b"/bin/ls\0\0A=1\0")),
            None,
            "without arguments the environment comes next"
        );
        assert_eq!(first(&made(1, b"/bin/ls\0\0/\0")), None);
    }

    #[test]
    fn fields() {
        assert_eq!(text(b"launchd\0\0\0\0\0\0\0\0\0"), "launchd");
        assert_eq!(text(b"sixteen bytes ok"), "sixteen bytes ok");
        assert_eq!(text(b""), "");
    }
}
