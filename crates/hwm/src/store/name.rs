//! The names of records: `base`, `base~1`, `@last`, `@last~2`, `base#3`.

use std::{fmt, path::Path, str::FromStr};

/// A name that the user gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RecordName(String);

/// The longest one.
const MAX_NAME_CHARACTERS: usize = 64;
/// The name that always stands for the newest record.
const LAST_NAME: &str = "last";

impl FromStr for RecordName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = text.len() <= MAX_NAME_CHARACTERS && text.chars().all(plain);
        if !fits || !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!(
                "give a name of up to {MAX_NAME_CHARACTERS} letters, digits, '.', '_' and '-', as in --save=base"
            ));
        }
        if text == LAST_NAME {
            return Err("@last is always the newest; give another name".to_owned());
        }
        if Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            return Err(format!("this is a name, not a file; to write a file use --json={text}"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference to one of the kept records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordReference {
    /// `None`: whatever their name.
    pub(crate) name: Option<RecordName>,
    /// The number of newer records of the name.
    pub(crate) back: usize,
    /// The number of one of several runs.
    pub(crate) run: Option<u32>,
    /// True if the reference cannot be a file.
    pub(crate) is_marked: bool,
}

impl RecordReference {
    /// Parses a reference; `None` if the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (rest, is_marked) = match text.strip_prefix('@') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (rest, run) = match rest.split_once('#') {
            Some((rest, run)) => (rest, Some(run.parse().ok()?)),
            None => (rest, None),
        };
        let (name, back) = match rest.split_once('~') {
            // As git has it.
            Some((name, "")) => (name, 1),
            Some((name, back)) => (name, back.parse().ok()?),
            None => (rest, 0),
        };
        let name = if is_marked && name == LAST_NAME { None } else { Some(name.parse().ok()?) };
        Some(Self { name, back, run, is_marked })
    }
}

impl fmt::Display for RecordReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "@{LAST_NAME}")?,
        }
        if self.back > 0 {
            write!(f, "~{}", self.back)?;
        }
        self.run.map_or(Ok(()), |run| write!(f, "#{run}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["base", "v1.2-rc_3", "_", "2026"] {
            assert!(name.parse::<RecordName>().is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "-x",
            "a/b",
            "a b",
            "@a",
            "a~1",
            "a#1",
            "last",
            "größe",
            "a.json",
            &"x".repeat(65),
        ] {
            assert!(name.parse::<RecordName>().is_err(), "{name}");
        }
    }

    #[test]
    fn references() {
        for text in ["@last", "@last~2", "@last#3", "base", "base~1", "base~1#2"] {
            assert_eq!(RecordReference::parse(text).map(|found| found.to_string()).as_deref(), Some(text));
        }
        assert_eq!(RecordReference::parse("@last~").map(|found| found.back), Some(1));
        assert_eq!(
            RecordReference::parse("@base").map(|found| (found.is_marked, found.to_string())),
            Some((true, "base".into()))
        );
        for text in ["", "@", "last", "@last~x", "a/b", "base#", "base~-1", "./base"] {
            assert_eq!(RecordReference::parse(text), None, "{text}");
        }
    }
}
