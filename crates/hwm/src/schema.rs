//! The names and versions of hwm's JSON documents.

use serde::Serialize;

/// The kind of a document, and the version of its rules.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Schema {
    name: &'static str,
    major: u32,
    minor: u32,
}

impl Schema {
    pub(crate) const DEVICES: Self = Self { name: "highwater.devices", major: 1, minor: 0 };
    pub(crate) const PROCESSES: Self = Self { name: "highwater.processes", major: 1, minor: 0 };
    pub(crate) const COMPARISON: Self = Self { name: "highwater.comparison", major: 1, minor: 0 };
    pub(crate) const LEAKS: Self = Self { name: "highwater.leaks", major: 1, minor: 0 };
    pub(crate) const LIST: Self = Self { name: "highwater.list", major: 1, minor: 0 };
    pub(crate) const WATCH: Self = Self { name: "highwater.watch", major: 1, minor: 1 };
}
