//! Texts in the cells of CSV.

use crate::text;

/// The style of texts in CSV.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CellStyle {
    /// True if an apostrophe keeps a spreadsheet from taking a text for a formula.
    pub(crate) escapes_formulas: bool,
}

impl CellStyle {
    /// Returns the content of a cell. Control and invisible characters are made visible, as everywhere; see
    /// <https://owasp.org/www-community/attacks/CSV_Injection> for the formulas.
    pub(crate) fn cell(self, plain: &str) -> String {
        let shown = text::printable(plain);
        let is_formula = plain.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
        if self.escapes_formulas && is_formula { format!("'{shown}") } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_escaped_where_that_is_asked_for() {
        let (plain, safe) = (CellStyle::default(), CellStyle { escapes_formulas: true });
        for formula in ["=1+1|'x'!A0", "+1", "-1", "@SUM(A1)", "＝1"] {
            assert_eq!(plain.cell(formula), formula);
            assert_eq!(safe.cell(formula), format!("'{formula}"));
        }
        assert_eq!((safe.cell("\t=1"), safe.cell("\r=1")), ("'\\t=1".to_owned(), "'\\r=1".to_owned()));
        assert_eq!(safe.cell("make -j2 a=b"), "make -j2 a=b");
        assert_eq!(plain.cell("\x1b[2J##[x]\u{202e}"), "\\x1b[2J#\\#[x]\\u{202e}");
    }
}
