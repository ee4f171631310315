//! A figure of GPU memory, in a table with its mark, or in a sentence.

use crate::text;
use highwater::gpu::{Figure, Reading};

/// Returns the figure for a table. Its mark is `≥` or `≤` if the truth lies on one side, `~` between two bounds that
/// would be shown differently. An unknown figure is `?`.
pub(crate) fn shown(figure: &Figure) -> String {
    match figure.reading {
        Reading::Known(bytes) => text::size(bytes),
        Reading::AtLeast(bytes) => format!("≥ {}", text::size(bytes)),
        Reading::AtMost(bytes) => format!("≤ {}", text::size(bytes)),
        Reading::Between { upper, .. } if is_marked(figure) => format!("~ {}", text::size(upper)),
        Reading::Between { upper, .. } => text::size(upper),
        _ => "?".to_owned(),
    }
}

/// Returns whether [`shown`] marks the figure as a bound. If both ends round to the same three digits, those are
/// right.
pub(crate) fn is_marked(figure: &Figure) -> bool {
    match figure.reading {
        Reading::Between { lower, upper } => text::size(lower) != text::size(upper),
        Reading::AtLeast(_) | Reading::AtMost(_) => true,
        _ => false,
    }
}

/// Returns the figure for a sentence, with bounds in full.
pub(crate) fn phrase(figure: &Figure) -> String {
    match figure.reading {
        Reading::Between { lower, upper } if is_marked(figure) => {
            format!("{} to {}", text::size(lower), text::size(upper))
        }
        _ => shown(figure),
    }
}
