//! Another user on the same machine, which wants root's rights, root's files or a wrong verdict. Each test first sets
//! a trap as that user, then runs `hwm` as root or as a victim.
//!
//! The tests need root, since they act as three users. `SECURITY.md` lists the promises of `hwm`.
#![cfg(target_os = "linux")]

mod files;
mod in_place;
#[path = "../programs/install.rs"]
mod install;
mod kept;
mod stage;
mod temporary;
mod verdict;
