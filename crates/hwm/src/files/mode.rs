//! Permission bits of files that hwm creates.

/// The permission bits of a new file. Windows has none: a new file inherits the access list of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewFileMode {
    /// Read and written by its owner alone (0600, less the umask). Records hold command lines, which hold passwords.
    Private,
    /// The bits with which most programs create files (0666, less the umask), for reports that other programs pick up.
    Shared,
    /// The bits that the user asked for. The umask and a replaced file do not change them.
    Exact(u32),
}

/// The bits that permissions consist of. The set-user-ID, set-group-ID and sticky bits are never among them (chmod(2)).
const PERMISSION_BITS: u32 = 0o777;

impl NewFileMode {
    /// Returns the mode for open(2), from which the kernel takes the umask.
    #[cfg(unix)]
    pub(super) fn for_open(self) -> u32 {
        match self {
            // An exact mode is set once the content is written.
            Self::Private | Self::Exact(_) => 0o600,
            Self::Shared => 0o666,
        }
    }

    /// Returns the bits to set once the content is written. `replaced` holds those of the replaced file, if it belongs
    /// to this user.
    pub(super) fn for_chmod(self, replaced: Option<u32>) -> Option<u32> {
        let mode = match self {
            Self::Exact(mode) => Some(mode),
            Self::Private | Self::Shared => replaced,
        };
        mode.map(|mode| mode & PERMISSION_BITS)
    }
}

/// Reads the octal number of `--output-mode`.
pub(crate) fn parse_mode(text: &str) -> Result<NewFileMode, String> {
    let is_octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && mode & !PERMISSION_BITS == 0);
    // Without these hwm could not replace the file at the next run.
    match mode {
        Some(mode) if mode & 0o600 == 0o600 => Ok(NewFileMode::Exact(mode)),
        Some(_) => Err("the owner must be able to read and write the file, as in 600 or 644".to_owned()),
        None => Err("give permission bits as an octal number, as in 600, 640 or 644".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_numbers() {
        assert_eq!(parse_mode("644"), Ok(NewFileMode::Exact(0o644)));
        assert_eq!(parse_mode("0600"), Ok(NewFileMode::Exact(0o600)));
        for refused in ["", "+644", "4755", "888", "0x1", "444", "-1", "99999999999"] {
            assert!(parse_mode(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn no_bit_beyond_the_permissions_is_taken_over() {
        assert_eq!(NewFileMode::Private.for_chmod(Some(0o104_755)), Some(0o755));
        assert_eq!(NewFileMode::Private.for_chmod(None), None);
        assert_eq!(NewFileMode::Exact(0o640).for_chmod(Some(0o600)), Some(0o640));
    }
}
