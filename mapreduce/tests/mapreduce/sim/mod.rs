//! What the simulated tests stand on: a cluster with disks, a checker that never looks away, text,
//! disturbances.

pub(crate) mod alone;
pub(crate) mod books;
pub(crate) mod checker;
pub(crate) mod cluster;
pub(crate) mod disturb;
pub(crate) mod expected;
pub(crate) mod odd_apps;
pub(crate) mod probe;
pub(crate) mod store;
pub(crate) mod story;
pub(crate) mod text;
pub(crate) mod toys;
pub(crate) mod wire;
