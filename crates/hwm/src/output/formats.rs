//! For programs: one file a format. A [`report::Report`] is a record in one of them.

mod csv_table;
pub(crate) mod documents;
pub(crate) mod export;
mod gpu_figure_json;
pub(crate) mod group_csv;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod process_csv;
pub(crate) mod report;
