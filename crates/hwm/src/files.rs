//! Files that hwm writes. Every output file goes through this module.
//!
//! hwm runs as root and in directories that several users share. So another user may own the directory, the file that
//! is replaced, or a link on the way. Three rules follow:
//!
//! - A [`Directory`] is opened once, when the option is checked. Later steps use its descriptor, so a directory or a
//!   link that is swapped while the job runs changes nothing.
//! - A file is written under a new name that only hwm knows (`O_EXCL`), and renamed into place ([`Replacement`]).
//!   Nothing is written through a file or a link that was there before.
//! - A link is followed only where the kernel's rule for sticky directories allows it (`files/trust.rs`). Its owner and its
//!   text are read from one descriptor (`files/link.rs`).

mod append;
mod destination;
mod directory;
mod entry;
mod input;
#[cfg(unix)]
mod link;
mod location;
mod mode;
#[cfg(unix)]
mod pipe;
mod replacement;
mod temporary;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod trust;
#[cfg(unix)]
mod walk;

pub(crate) use append::Appender;
pub(crate) use destination::Destination;
pub(crate) use directory::Directory;
pub(crate) use input::InputFile;
#[cfg(feature = "parquet")]
pub(crate) use location::make_directory;
pub(crate) use mode::{NewFileMode, parse_mode};
#[cfg(unix)]
pub(crate) use pipe::GrowingPipe;
pub(crate) use replacement::{Replacement, TEMPORARY_PREFIX, TEMPORARY_SUFFIX};
pub(crate) use temporary::create_temporary;
