//! For people at a terminal. Colour is the writer's business.

pub(crate) mod comparison;
pub(crate) mod devices;
pub(crate) mod explain;
pub(crate) mod privilege;
pub(crate) mod processes;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod view;
