//! `--csv-escape-formulas`, an option of all verbs that write CSV.

use crate::text::cell::CellStyle;

/// The options for texts in CSV.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct CellArgs {
    /// In CSV, put an apostrophe before texts that a spreadsheet would take for a formula: those that begin with =, +, -, @,
    /// a tab or a line break.
    #[arg(long)]
    csv_escape_formulas: bool,
}

impl CellArgs {
    pub(crate) fn style(self) -> CellStyle {
        CellStyle { escapes_formulas: self.csv_escape_formulas }
    }
}
