//! The memory that reading a record takes, estimated from its text.
//!
//! A small value takes more memory than text: a number two bytes of text and 16 of memory, a word of one letter four and
//! 56. A text that holds little else is refused before anything is built from it. So is one with a name or a word that is
//! longer than any: what shows it makes several copies of it.

use std::fmt;

use crate::bounded::MAX_RECORDED_TEXT_BYTES;

/// Memory for each byte of text that a record may take. Records of hwm take about twice their text.
const MOST_BY_TEXT: u64 = 4;
/// Memory that any record may take: a timeline of many zeros is denser than the rest.
const MOST_OF_ANY: u64 = 64 << 20;

/// The optional number of a series, the smallest value in a list.
const NUMBER_BYTES: u64 = 16;
/// A `String` itself, and the least that malloc(3) takes for a text that is not empty.
const STRING_BYTES: u64 = 24;
const SHORTEST_TEXT_BYTES: u64 = 32;
/// A list of one number, or what an object holds beside the values in its text.
const CONTAINER_BYTES: u64 = 64;

/// Why a text is not read as a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// It would take more memory than its length allows.
    Dense { takes: u64, most: u64 },
    /// One string in it has so many bytes.
    LongString(u64),
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        match *self {
            Self::Dense { takes, most } => write!(
                f,
                "it holds so many small values that reading it would take {} MiB; its length allows {} MiB",
                mib(takes),
                mib(most)
            ),
            Self::LongString(bytes) => write!(
                f,
                "it holds a text of {} MiB, longer than any name or argument: the most is {} MiB",
                mib(bytes),
                mib(MAX_RECORDED_TEXT_BYTES)
            ),
        }
    }
}

/// Checks that reading a text takes an amount of memory that fits its length, and that no string in it is too long.
pub(super) fn check(text: &[u8]) -> Result<(), TooLarge> {
    let length = text.len() as u64;
    // No byte counts as more than a container, so a usual record need not be scanned.
    if length.saturating_mul(CONTAINER_BYTES) <= MOST_OF_ANY {
        return Ok(());
    }
    let Estimate { bytes: takes, longest_string } = estimate(text);
    if longest_string > MAX_RECORDED_TEXT_BYTES {
        return Err(TooLarge::LongString(longest_string));
    }
    let most = length.saturating_mul(MOST_BY_TEXT).saturating_add(MOST_OF_ANY);
    if takes <= most { Ok(()) } else { Err(TooLarge::Dense { takes, most }) }
}

/// The size of the values in a JSON text.
struct Estimate {
    /// Memory that they take.
    bytes: u64,
    /// Length of the longest string, as it is written.
    longest_string: u64,
}

/// Estimates the memory for the values of a JSON text, which need not be well-formed.
fn estimate(text: &[u8]) -> Estimate {
    let (mut total, mut last_string, mut longest_string) = (0, 0, 0);
    let mut bytes = text.iter();
    let mut in_scalar = false;
    while let Some(&byte) = bytes.next() {
        let begins_scalar = byte == b'-' || byte.is_ascii_alphanumeric();
        match byte {
            b'"' => {
                let length = string_length(&mut bytes);
                longest_string = length.max(longest_string);
                last_string = STRING_BYTES + if length == 0 { 0 } else { SHORTEST_TEXT_BYTES.max(length) };
                total += last_string;
            }
            // It was the name of a field, which is not kept.
            b':' => total -= std::mem::take(&mut last_string),
            b'[' | b'{' => total += CONTAINER_BYTES,
            _ if begins_scalar && !in_scalar => total += NUMBER_BYTES,
            _ => {}
        }
        in_scalar = begins_scalar || in_scalar && matches!(byte, b'.' | b'+');
    }
    Estimate { bytes: total, longest_string }
}

/// Returns the length of a string whose opening quote was read; reads up to its end.
fn string_length(bytes: &mut std::slice::Iter<'_, u8>) -> u64 {
    let mut length = 0;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_counts_once() {
        for (text, bytes) in [
            ("", 0),
            ("null", NUMBER_BYTES),
            ("[1, -2.5e+7,null,true]", CONTAINER_BYTES + 4 * NUMBER_BYTES),
            (r#"{"name":"","x": 1}"#, CONTAINER_BYTES + STRING_BYTES + NUMBER_BYTES),
            (r#"["a\"]","\\",""]"#, CONTAINER_BYTES + 3 * STRING_BYTES + 2 * SHORTEST_TEXT_BYTES),
            ("[[],{}]", 3 * CONTAINER_BYTES),
        ] {
            assert_eq!(estimate(text.as_bytes()).bytes, bytes, "{text}");
        }
        let estimate = estimate(format!("[\"{}\", \"x\"]", "x".repeat(100)).as_bytes());
        assert_eq!(estimate.bytes, CONTAINER_BYTES + STRING_BYTES + 100 + STRING_BYTES + SHORTEST_TEXT_BYTES);
        assert_eq!(estimate.longest_string, 100);
    }

    #[test]
    fn a_dense_text_is_refused_by_its_length() {
        let numbers = |bytes: usize| "0,".repeat(bytes / 2);
        assert_eq!(check("[".repeat(1 << 20).as_bytes()), Ok(()));
        assert_eq!(check(numbers(8 << 20).as_bytes()), Ok(()));
        let error = check(numbers(32 << 20).as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("would take 256 MiB; its length allows 192 MiB"), "{error}");
        // Values as long as those of a timeline are accepted.
        assert_eq!(check("12345344,".repeat(8 << 20).as_bytes()), Ok(()));
    }

    #[test]
    fn a_string_longer_than_any_name_is_refused() {
        let longest = usize::try_from(MAX_RECORDED_TEXT_BYTES).unwrap();
        let text = |length: usize| format!("[1, \"{}\"]", "x".repeat(length));
        assert_eq!(check(text(longest).as_bytes()), Ok(()));
        let error = check(text(longest + 1).as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "it holds a text of 7 MiB, longer than any name or argument: the most is 6 MiB");
    }

    #[test]
    fn what_is_no_json_is_read_to_its_end() {
        assert_eq!(estimate(b"\"\\").bytes, STRING_BYTES + SHORTEST_TEXT_BYTES);
        assert_eq!(estimate(b":::").bytes, 0);
    }
}
