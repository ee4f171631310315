//! The memory that reading a record takes, estimated from its text.
//!
//! A small value takes more memory than text: a number two bytes of text and 16 of memory, a word of one letter four and
//! 56. A text that holds little else is refused before anything is built from it.

use std::fmt;

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

/// Memory that a record would take, and what a text of its length may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooDense {
    takes: u64,
    most: u64,
}

impl fmt::Display for TooDense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "it holds so many small values that reading it would take {} MiB; its length allows {} MiB",
            mib(self.takes),
            mib(self.most)
        )
    }
}

/// Checks that reading a text takes an amount of memory that fits its length.
pub(super) fn check(text: &[u8]) -> Result<(), TooDense> {
    let length = text.len() as u64;
    // No byte counts as more than a container, so a usual record need not be scanned.
    if length.saturating_mul(CONTAINER_BYTES) <= MOST_OF_ANY {
        return Ok(());
    }
    let (takes, most) = (estimate(text), length.saturating_mul(MOST_BY_TEXT).saturating_add(MOST_OF_ANY));
    if takes <= most { Ok(()) } else { Err(TooDense { takes, most }) }
}

/// Estimates the memory for the values of a JSON text, which need not be well-formed.
fn estimate(text: &[u8]) -> u64 {
    let (mut total, mut last_string) = (0, 0);
    let mut bytes = text.iter();
    let mut in_scalar = false;
    while let Some(&byte) = bytes.next() {
        let begins_scalar = byte == b'-' || byte.is_ascii_alphanumeric();
        match byte {
            b'"' => {
                last_string = string_bytes(&mut bytes);
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
    total
}

/// Estimates the memory for a string whose opening quote was read; reads up to its end.
fn string_bytes(bytes: &mut std::slice::Iter<'_, u8>) -> u64 {
    let mut length = 0;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
        length += 1;
    }
    STRING_BYTES + if length == 0 { 0 } else { SHORTEST_TEXT_BYTES.max(length) }
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
            assert_eq!(estimate(text.as_bytes()), bytes, "{text}");
        }
        assert_eq!(estimate(format!("\"{}\"", "x".repeat(100)).as_bytes()), STRING_BYTES + 100);
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
    fn what_is_no_json_is_read_to_its_end() {
        assert_eq!(estimate(b"\"\\"), STRING_BYTES + SHORTEST_TEXT_BYTES);
        assert_eq!(estimate(b":::"), 0);
    }
}
