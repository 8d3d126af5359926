//! Which consensus module the service stands on.
//!
//! The service needs of it what [`labapi::Consensus`] offers, and nothing else.

// handout: drop oracle
use oracle::Over;
use raft::Raft;

/// The Raft of lab 2; or, if `cargo lab test --over oracle` asks for it, an oracle that agrees under the same
/// faults and is no Raft.
pub type Below = Over<Raft>;
// handout: end
// handout: put oracle
// /// An oracle: it agrees under the same faults as a Raft, and is none.
// pub type Below = oracle::Oracle;
// handout: end
