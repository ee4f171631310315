//! The commands that a report lists (`--include`, `--exclude`). Totals count all of them.

use regex_lite::Regex;

/// The choice of rows to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl RowFilter {
    pub(crate) fn new(include: Vec<Regex>, exclude: Vec<Regex>) -> Self {
        Self { include, exclude }
    }

    /// Returns whether everything is listed.
    pub(crate) fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Returns whether the row is listed: some `--include` matches or there is none, and no `--exclude` matches.
    pub(crate) fn lists(&self, command: &str) -> bool {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(command));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_and_exclude() {
        let regex = |text| vec![Regex::new(text).unwrap()];
        assert!(RowFilter::default().lists("anything"));
        let listed = RowFilter::new(regex("^rust"), regex("doc$"));
        assert!(listed.lists("rustc"));
        assert!(!listed.lists("rustdoc"));
        assert!(!listed.lists("cc"));
    }
}
