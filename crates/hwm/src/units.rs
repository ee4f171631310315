//! Sizes, times and patterns as people type them.

use std::time::Duration;

use regex_lite::Regex;

/// Longest time that is surely meant.
const LONGEST_TIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The shortest interval: a sample costs milliseconds.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Parses a size: `8G`, `512MiB` (1024-based), `8GB` (1000-based), `1.5T`; a bare number counts bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || "give a size such as 8G, 512M or 1.5GiB (1024-based), 8GB (1000-based), or bytes".to_owned();
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let (letter, rest) = unit.split_at_checked(unit.len().min(1)).ok_or_else(wrong)?;
    let power = match letter.to_ascii_lowercase().as_str() {
        "" => 0,
        "b" if rest.is_empty() => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let base: f64 = match rest.to_ascii_lowercase().as_str() {
        "" | "ib" | "i" => 1024.0,
        "b" => 1000.0,
        _ => return Err(wrong()),
    };
    whole(number, base.powi(power)).ok_or_else(|| "that is more than 64 bits can count".to_owned())
}

/// Parses an amount of memory as [`parse_size`] does, but for numbers of bytes so small that a unit was forgotten.
pub(crate) fn parse_memory(text: &str) -> Result<u64, String> {
    const LEAST_BARE_BYTES: u64 = 1 << 20;
    let bytes = parse_size(text)?;
    let is_bare = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    if is_bare && (1..LEAST_BARE_BYTES).contains(&bytes) {
        return Err(format!(
            "{bytes} alone counts bytes; did you mean {bytes}M? With a unit any size is taken: {bytes}B"
        ));
    }
    Ok(bytes)
}

/// Parses a time: `5s`, `500ms`, `2m`, `1.5h`; a bare number counts seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "give a time such as 500ms, 5s, 10m or 2h".to_owned();
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let unit = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().map_err(|_| wrong())? * unit)
        .ok()
        .filter(|time| !time.is_zero() && *time <= LONGEST_TIME)
        .ok_or_else(|| "give a time above zero and below a year".to_owned())
}

/// Parses a time as [`parse_time`] does, at least [`SHORTEST_INTERVAL`], the cost of a sample.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if time < SHORTEST_INTERVAL { Err("give 10ms or more".to_owned()) } else { Ok(time) }
}

/// Parses a percentage: `5%`, `0.5 %`, `5`.
pub(crate) fn parse_percent(text: &str) -> Result<f64, String> {
    let wrong = || "give a percentage of 0 or more, such as 5% or 0.5%".to_owned();
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    number.parse::<f64>().ok().filter(|value| is_plain && value.is_finite()).ok_or_else(wrong)
}

/// Parses a regular expression.
pub(crate) fn parse_pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        format!("{error}; put a backslash before each of . + * ? ( ) | [ ] {{ }} ^ $ that is meant literally")
    })
}

/// Parses a pid or an index.
pub(crate) fn parse_number(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "give a whole number".to_owned())
}

/// Splits a text into the number and the unit behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number.parse::<f64>().ok()?;
    Some((number, unit.trim_start()))
}

/// Returns the product, exact if the number is whole.
fn whole(number: &str, factor: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // powers of 1024 and 1000 up to 2^50
    if let Ok(number) = number.parse::<u64>() {
        return number.checked_mul(factor as u64);
    }
    let value = number.parse::<f64>().ok()? * factor;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: below 2^64
    (value < 18_446_744_073_709_551_616.0).then_some(value.round() as u64)
}

/// Returns so many percent of `bytes`; at most 100.
pub(crate) fn share(bytes: u64, percent: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `bytes`
    let share = (bytes as f64 * percent.clamp(0.0, 100.0) / 100.0) as u64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        for (text, value) in [("5%", 5.0), ("0.5 %", 0.5), (" 12 ", 12.0), ("0", 0.0), ("250%", 250.0)] {
            assert_eq!(parse_percent(text), Ok(value), "{text}");
        }
        for text in ["", "%", "-5%", "five", "5%%", "inf", "nan", "1e3", "5 percent", "1,5%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("8G", 8 << 30),
            ("8g", 8 << 30),
            ("8 GiB", 8 << 30),
            ("8GB", 8_000_000_000),
            ("1.5K", 1536),
            ("100kb", 100_000),
            ("2T", 2 << 40),
            (".5M", 1 << 19),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "8X", "8Gb/s", "-1", "1..2", "1e3", "99999999999P", "8 bytes", "8BB", "8é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_forgotten_unit_is_asked_for() {
        let error = parse_memory("600").unwrap_err();
        assert!(error.contains("600 alone counts bytes") && error.contains("600M"), "{error}");
        for (text, bytes) in [("0", 0), ("600B", 600), ("1048576", 1 << 20), ("600M", 600 << 20)] {
            assert_eq!(parse_memory(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, milliseconds) in
            [("5", 5000), ("5s", 5000), ("500ms", 500), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0", "0s", "-1s", "5 parsecs", "9999999h", "s"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert!(parse_interval("1ms").is_err());
    }
}
