//! stub
mod machine;
mod server;
mod sessions;
mod snapshot;
mod state;

pub use machine::StateMachine;
pub use server::{Rsm, SubmitError};
pub use sessions::{Once, Request, Sessions};
pub use snapshot::Damage;
