//! Decimal numbers in kernel text, read from bytes without checking the rest for UTF-8.

/// Returns the number at the start of `text` and the rest. `None` if there is no digit or the number exceeds
/// 64 bits.
#[inline]
pub(crate) fn leading(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        rest = after;
    }
    (rest.len() < text.len()).then_some((value, rest))
}

/// Returns the bytes in a value such as `\t    1234 kB` (the kernel's `kB` are 1024 bytes).
#[inline]
pub(crate) fn kib_as_bytes(value: &[u8]) -> Option<u64> {
    let (kib, unit) = leading(value.trim_ascii_start())?;
    (unit == b" kB").then(|| kib.checked_mul(1024)).flatten()
}

/// Returns the lines that end in a newline. A last line that was cut is left out, as its number may be cut
/// too.
#[inline]
pub(crate) fn complete_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_number() {
        assert_eq!(leading(b"12 34"), Some((12, &b" 34"[..])));
        assert_eq!(leading(b"18446744073709551615"), Some((u64::MAX, &b""[..])));
        assert_eq!(leading(b"18446744073709551616"), None);
        assert_eq!(leading(b"-1"), None);
        assert_eq!(leading(b""), None);
    }

    #[test]
    fn kib() {
        assert_eq!(kib_as_bytes(b"\t    1234 kB"), Some(1234 * 1024));
        assert_eq!(kib_as_bytes(b"\t    1234"), None);
        assert_eq!(kib_as_bytes(b"18446744073709551615 kB"), None);
    }

    #[test]
    fn cut_line_is_left_out() {
        assert_eq!(complete_lines(b"a\n\nb\nc").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
