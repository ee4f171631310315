//! Following a job on Linux: launching it, finding its members, reading their memory, ending them.

pub(crate) mod descendants;
pub(crate) mod launch;
pub(crate) mod members;
pub(crate) mod pss;
pub(crate) mod subreaper;
pub(crate) mod wait;
