//! What the labs are tested with. (Essay to follow.)

mod consensus;
mod persister;

pub use consensus::{ApplyMsg, Consensus, Observer, Role, View};
pub use persister::{Persister, Write};
