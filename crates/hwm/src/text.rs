//! Figures and names for human eyes.

mod advice;
pub(crate) mod cell;
pub(crate) mod gpu_figure;
pub(crate) mod leaks;
mod metric;
pub(crate) mod visible;

use std::fmt::Write as _;

pub(crate) use advice::advice;
use highwater::record::Record;
pub(crate) use metric::{counter_metric, metric};

/// Returns a size, 1024-based, with three significant digits: `534 MiB`, `6.40 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.5 would be rounded to 1024.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // These are the bounds at which rounding would add a digit.
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Returns the size, or `unknown`; an unknown size is never 0.
pub(crate) fn size_or_unknown(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), size)
}

/// Returns KiB as MiB with two decimals, as the CSV files have it.
pub(crate) fn mib(kib: u64) -> String {
    format!("{:.2}", kib as f64 / 1024.0)
}

/// Returns a duration, as `30.2 ms`, `2.35 s`, `00:03:21`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.1} ms", seconds * 1e3);
    }
    if seconds < 59.995 {
        return format!("{seconds:.2} s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and float casts saturate
    let whole = seconds.round() as u64;
    format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// Returns a moment in a job, as `30.2 ms` or `152.11 s`: fine enough to distinguish two of them.
pub(crate) fn moment(seconds: f64) -> String {
    if seconds < 0.9995 { duration(seconds) } else { format!("{seconds:.2} s") }
}

/// Makes a text harmless that is not the program's own: a process may call itself `\x1b[31m` or `::add-mask::0`.
///
/// Hidden characters become visible, and nothing in it can be a command to a CI system that reads it in a log. GitHub
/// takes `::name::` where a line's first word begins and `##[name]` anywhere (actions/runner, `ActionCommand.cs`).
/// Azure Pipelines takes `##vso[` anywhere, and `TeamCity` takes `##teamcity[`. Lines are broken at spaces later on, so
/// any word may become the first.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut before_last, mut last) = (' ', ' ');
    for character in text.chars() {
        let is_command = match (last, character) {
            (':', ':') => before_last.is_whitespace(),
            ('#', '#') => true,
            _ => false,
        };
        if is_command {
            shown.push('\\');
        }
        visible::push(character, &mut shown);
        (before_last, last) = (last, character);
    }
    shown
}

/// Replaces characters for terminals that show only ASCII.
pub(crate) fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            other if other.is_ascii() => plain.push(other),
            other => {
                let _ = write!(plain, "\\u{{{:x}}}", u32::from(other));
            }
        }
    }
    plain
}

/// Returns the command of a record, in one line. The line mentions arguments that were left out of the record.
pub(crate) fn command_of<P>(record: &Record<P>) -> String {
    let mut line = command_line(&record.command);
    if record.arguments_left_out {
        line.push_str(" (arguments left out)");
    }
    line
}

/// Returns the program of a record without its arguments, which may hold secrets: for what is published.
pub(crate) fn program_of<P>(record: &Record<P>) -> String {
    command_line(record.command.get(..1).unwrap_or_default())
}

/// Returns a command line as it would be typed, with quotes around words that would fall apart.
pub(crate) fn command_line(command: &[String]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=+./:,@%^{}[]~".contains(c);
    let mut line = String::new();
    for (place, word) in command.iter().enumerate() {
        if place > 0 {
            line.push(' ');
        }
        if !word.is_empty() && word.chars().all(is_plain) {
            line.push_str(word);
        } else {
            let _ = write!(line, "'{}'", word.replace('\'', "'\\''"));
        }
    }
    printable(&line)
}

/// Cuts the text to at most `width` characters.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// Breaks at spaces into lines of at most `width` characters; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 << 10, "10.0 KiB"),
            (534 << 20, "534 MiB"),
            (912 << 20, "912 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            ((1 << 30) - 1, "1.00 GiB"),
            (6_871_947_674, "6.40 GiB"),
            (10_731_126_784, "9.99 GiB"),
            (10_735_636_480, "10.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(size_or_unknown(None), "unknown");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(0.0302), "30.2 ms");
        assert_eq!(duration(0.99949), "999.5 ms");
        assert_eq!(duration(0.9999), "1.00 s");
        assert_eq!(duration(201.4), "00:03:21");
        assert_eq!(duration(59.999), "00:01:00");
        assert_eq!(duration(360_000.0), "100:00:00");
    }

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(printable("\x1b[31mred\n\u{202e}\u{85}"), "\\x1b[31mred\\n\\u{202e}\\x85");
        assert_eq!(printable("größe 漢字"), "größe 漢字");
    }

    #[test]
    fn no_name_is_a_command_of_a_ci_system() {
        let cases = [
            ("::add-mask::0", ":\\:add-mask::0"),
            ("  ::error::x", "  :\\:error::x"),
            ("a\u{3000}::stop-commands::x", "a\u{3000}:\\:stop-commands::x"),
            ("sh -c ::error::x", "sh -c :\\:error::x"),
            ("\n::error::x", "\\n:\\:error::x"),
            (":::error::x", ":\\::error::x"),
            ("a ##[error]x", "a #\\#[error]x"),
            ("x##VSO[task.setvariable]y", "x#\\#VSO[task.setvariable]y"),
            ("##teamcity[x]", "#\\#teamcity[x]"),
            ("#\u{200d}#[x]", "#\\u{200d}#[x]"),
            // GitLab's sections need a carriage return and an escape character.
            ("section_start:0:x\r\x1b[0K", "section_start:0:x\\r\\x1b[0K"),
            ("std::vec #1", "std::vec #1"),
        ];
        for (name, shown) in cases {
            assert_eq!(printable(name), shown);
            assert_eq!(printable(shown), shown, "once is enough");
        }
    }

    #[test]
    fn ascii_alone() {
        assert_eq!(ascii("≥ 5 MiB größe\x1b[1m"), ">= 5 MiB gr\\u{f6}\\u{df}e\x1b[1m");
    }

    #[test]
    fn command_lines_are_quoted_where_needed() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(command_line(&words(&["sh", "-c", "echo it's", ""])), "sh -c 'echo it'\\''s' ''");
        assert_eq!(command_line(&words(&["a\nb"])), "'a\\nb'");
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("cargo", 5), "cargo");
        assert_eq!(shorten("größere", 6), "grö...");
        assert_eq!(shorten("abc", 0), "...");
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable a b", 3), ["unbreakable", "a b"]);
        assert_eq!(wrap("a  b", 100), ["a  b"]);
    }
}
