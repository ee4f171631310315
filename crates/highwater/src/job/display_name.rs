//! Display names: short names by which users tell processes apart, made from command lines.
//!
//! `rustc --crate-name serde ...` is `rustc serde`, `/usr/bin/python3 -u train.py --key S` is `python3 train.py`.
//! A rule of [`rules::RULES`] names the program's kind and takes the few words that identify the work. All other
//! words are left out, since they may be secret and are mostly long.

mod arguments;
mod rules;
mod shell;
mod title;

use arguments::Arguments;

/// The most bytes of a display name. Longer ones end with an ellipsis.
const MAX_DISPLAY_NAME_BYTES: usize = 64;

/// Returns the display name of a process from the text of its `/proc/PID/cmdline`; `None` if its program alone
/// names it.
///
/// The text may be cut: a name is made only from words that are whole.
pub(crate) fn display_name(text: &[u8], is_whole: bool) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut words: Vec<&str> = text.split('\0').collect();
    // The last word of a text that was cut may go on.
    if !is_whole {
        words.pop();
    }
    while words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    name_of(&words).map(|name| shortened(&name))
}

/// Returns the display name of a command.
fn name_of(words: &[&str]) -> Option<String> {
    let (argv0, rest) = words.split_first()?;
    if rest.is_empty()
        && let Some(name) = title::name(argv0)
    {
        return Some(name);
    }
    let arguments = Arguments::new(argv0, rest);
    let family = arguments.family();
    let rule = rules::RULES.iter().find(|rule| rule.programs.contains(&family))?;
    (rule.name)(&arguments)
}

/// Makes a name printable and cuts it.
fn shortened(name: &str) -> String {
    let mut name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if name.len() > MAX_DISPLAY_NAME_BYTES {
        let ellipsis = '…';
        let mut end = MAX_DISPLAY_NAME_BYTES - ellipsis.len_utf8();
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        name.push(ellipsis);
    }
    name
}

#[cfg(test)]
mod tests;
