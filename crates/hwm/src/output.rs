//! Records and devices as text: each part writes to an `io::Write` and knows no files. A
//! [`Destination`](crate::files::Destination) knows the file and no format.

pub(crate) mod ci;
pub(crate) mod formats;
mod phrases;
pub(crate) mod terminal;
