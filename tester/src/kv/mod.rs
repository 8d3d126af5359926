//! The key/value labs: what their tests have in common.

mod server;

pub use server::{KvClerk, KvServer};
