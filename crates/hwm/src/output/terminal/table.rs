//! Columns of text that fit the terminal.

use std::io::{self, Write};

use anstyle::Style;

const BOLD: Style = Style::new().bold();
/// The spaces between columns, and fewer if the room is short.
const COLUMN_GAP: usize = 2;
const NARROW_COLUMN_GAP: usize = 1;

/// The layout of one column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableColumn {
    pub(crate) title: &'static str,
    /// Amounts stand to the right.
    pub(crate) is_right: bool,
    /// Down to how many characters it may be cut where the terminal is narrow; `None`: never.
    pub(crate) least: Option<usize>,
}

/// Writes a title line and the rows. `width`: columns of the terminal; `None`: nothing is cut.
pub(crate) fn write(
    columns: &[TableColumn],
    rows: &[Vec<String>],
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut gap = COLUMN_GAP;
    if let Some(width) = width
        && !shrink(columns, &mut widths, gap, width)
    {
        gap = NARROW_COLUMN_GAP;
        shrink(columns, &mut widths, gap, width);
    }
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut line = |cells: &[String], style: Style| {
        let mut text = String::new();
        for ((cell, column), &width) in cells.iter().zip(columns).zip(&widths) {
            let cell = cut(cell, width);
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column.is_right {
                text.extend([padding, cell]);
            } else {
                text.extend([cell, padding]);
            }
            text.push_str(&" ".repeat(gap));
        }
        writeln!(out, "{style}{}{style:#}", text.trim_end())
    };
    line(&titles, BOLD)?;
    rows.iter().try_for_each(|row| line(row, Style::new()))
}

/// Cuts a cell and marks the missing end with one character, as columns are scarce.
fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut short: String = cell.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The width above which a column is cut first if there is not enough room.
const ENOUGH_COLUMN_WIDTH: usize = 16;

/// Narrows the widest column that may be cut, until the row fits. If none is wide, the last such column is narrowed,
/// as the first ones identify the row. Returns false if the row does not fit and nothing may be cut any more.
fn shrink(columns: &[TableColumn], widths: &mut [usize], gap: usize, room: usize) -> bool {
    while widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1) > room {
        let may = |(place, &width): (usize, &usize)| {
            let least = columns[place].least?.max(columns[place].title.chars().count());
            (width > least).then_some((width.max(ENOUGH_COLUMN_WIDTH), place))
        };
        let Some((_, place)) = widths.iter().enumerate().filter_map(may).max() else { return false };
        widths[place] -= 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [TableColumn; 3] = [
        TableColumn { title: "PID", is_right: true, least: None },
        TableColumn { title: "NAME", is_right: false, least: Some(6) },
        TableColumn { title: "VRAM", is_right: true, least: None },
    ];

    fn set(width: Option<usize>) -> String {
        let row = |pid: &str, name: &str| vec![pid.to_owned(), name.to_owned(), "1.00 GiB".to_owned()];
        let mut out = Vec::new();
        write(&COLUMNS, &[row("7", "a-long-program-name"), row("12345", "x")], width, &mut out).unwrap();
        anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn columns_line_up_and_shrink() {
        assert_eq!(
            set(None),
            "  PID  NAME                     VRAM\n    7  a-long-program-name  1.00 GiB\n12345  x                    1.00 GiB\n"
        );
        assert!(set(Some(26)).lines().all(|line| line.chars().count() <= 26), "{}", set(Some(26)));
        assert!(set(Some(26)).contains("a-long-p…"), "{}", set(Some(26)));
        assert!(set(Some(5)).contains("a-lon…"), "never below its least");
    }
}
