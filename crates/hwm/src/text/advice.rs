//! Advice for errors of the system whose text gives none.

use std::{error::Error, io, iter};

/// Returns advice to put behind the text of an error; empty if there is none.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> &'static str {
    iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find_map(io::Error::raw_os_error)
        .map_or("", for_number)
}

#[cfg(unix)]
fn for_number(number: i32) -> &'static str {
    match number {
        libc::EMFILE => "; raise the limit of open files with `ulimit -n`",
        libc::ENFILE => "; all programs together have too many files open: end some of them",
        _ => "",
    }
}

/// Windows has no such limits.
#[cfg(not(unix))]
fn for_number(_number: i32) -> &'static str {
    ""
}

#[cfg(all(test, unix))]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn it_is_found_below_what_was_being_done() {
        let open_files = || io::Error::from_raw_os_error(libc::EMFILE);
        let context = Err::<(), _>(open_files()).context("cannot write x").unwrap_err();
        let system = highwater::Error::System { doing: "creating a pipe", source: open_files() };
        for error in [context.as_ref(), &system as &(dyn Error + 'static), &open_files()] {
            assert!(advice(error).contains("`ulimit -n`"), "{error}");
        }
        assert_eq!(advice(&io::Error::from_raw_os_error(libc::ENOENT)), "");
    }
}
