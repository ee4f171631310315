//! The characters that must be made visible, and how: one rule for all texts that are not the program's own.
//!
//! A character is hidden if it shows nothing of itself, or acts on the program that shows it. Terminals obey control
//! characters. Readers cannot distinguish two names that differ by a character without width. Characters for the
//! direction of writing turn their neighbours. Spaces and private characters are shown as they are.

use std::{borrow::Cow, fmt::Write as _};

/// Characters without a look of their own, beside control characters. Unicode's `Default_Ignorable_Code_Point`
/// (`DerivedCoreProperties.txt`, 17.0; it contains `Bidi_Control` of `PropList.txt` and the variation selectors), the line and
/// paragraph separators, and the interlinear annotations.
const HIDDEN_RANGES: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Returns whether a character is hidden.
pub(crate) fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    character.is_control() || HIDDEN_RANGES.iter().any(|(first, last)| (first..=last).contains(&&character))
}

/// Writes a character so that it is seen: `\n`, `\x1b`, `\u{202e}`.
pub(crate) fn push(character: char, shown: &mut String) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\t' => shown.push_str("\\t"),
        '\r' => shown.push_str("\\r"),
        '\0'..='\u{9f}' if is_hidden(character) => {
            let _ = write!(shown, "\\x{:02x}", u32::from(character));
        }
        hidden if is_hidden(hidden) => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(hidden));
        }
        other => shown.push(other),
    }
}

/// Escapes characters that JSON allows but that a terminal obeys or that show nothing of themselves. It also escapes
/// `##`, which CI systems take for a command anywhere in a log. They occur in strings only, where an escape means the
/// same.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    // The document's own line breaks are white space.
    let is_escaped = |character: char| character != '\n' && is_hidden(character);
    if !json.contains(is_escaped) && !json.contains("##") {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    let mut last = ' ';
    for character in json.chars() {
        if is_escaped(character) || (last, character) == ('#', '#') {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(character);
        }
        last = character;
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(text: &str) -> String {
        let mut shown = String::new();
        text.chars().for_each(|character| push(character, &mut shown));
        shown
    }

    #[test]
    fn what_acts_or_has_no_look_becomes_visible() {
        assert_eq!(visible("\x1b[31mred\n\t\r\u{85}\x7f"), "\\x1b[31mred\\n\\t\\r\\x85\\x7f");
        let hidden = "\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2060}\u{2069}\u{206a}\u{feff}\u{ad}\u{34f}\u{115f}\u{17b4}\u{180e}\u{3164}\u{ffa0}\u{fff9}\u{fe0f}\u{e0041}\u{e007f}\u{e0100}";
        for character in hidden.chars() {
            assert_eq!(visible(&character.to_string()), format!("\\u{{{:x}}}", u32::from(character)));
        }
    }

    #[test]
    fn writing_of_all_kinds_stays() {
        let texts = "größe 漢字 עברית العربية हिन्दी 👩 a\u{301} \u{a0}\u{3000}|\u{e000}";
        assert_eq!(visible(texts), texts);
    }

    #[test]
    fn no_terminal_obeys_and_the_text_stays() {
        let name = "\x1b[2J\u{9b}31m\x7f\u{202e}\u{200b}\u{e0041}##[error]##vso[größe";
        let json = serde_json::to_string_pretty(&[name]).unwrap();
        let escaped = escaped_json(&json);
        assert!(!escaped.contains(|c| c != '\n' && is_hidden(c)) && !escaped.contains("##"), "{escaped}");
        assert!(escaped.contains("größe"));
        assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [name]);
    }
}
