//! Threads of ours beside the program that measures. Nothing is delivered to a thread here: no mask is needed.

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
