//! Threads beside the host program. Windows delivers no signal to a thread, so no mask is needed.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

pub(crate) fn start(
    name: &str,
    stack: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(work)
}
