//! A lab's consensus module or the oracle, whichever the run asks for.

use labapi::{ApplyMsg, Consensus, Observer, Options, Persister, ReadIndex, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;

use crate::server::Oracle;

/// The environment variable that chooses: `oracle` for the oracle, anything else or nothing for the lab's own.
pub const OVER: &str = "LAB_OVER";

/// `R`, or the oracle if [`OVER`] asks for it.
pub enum Over<R> {
    /// The lab's own.
    Own(Arc<R>),
    /// The oracle.
    Oracle(Arc<Oracle>),
}

/// Whether the process was asked to use the oracle.
fn asked_for_oracle() -> bool {
    std::env::var_os(OVER).is_some_and(|over| over == "oracle")
}

impl<R: Consensus> Consensus for Over<R> {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Self> {
        Self::make_with(peers, me, persister, apply, Options::default())
    }

    fn make_with(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
        options: Options,
    ) -> Arc<Self> {
        Arc::new(if asked_for_oracle() {
            Over::Oracle(Oracle::make_with(peers, me, persister, apply, options))
        } else {
            Over::Own(R::make_with(peers, me, persister, apply, options))
        })
    }

    fn service(self: &Arc<Self>) -> Service {
        match &**self {
            Over::Own(own) => own.service(),
            Over::Oracle(oracle) => oracle.service(),
        }
    }

    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        match &**self {
            Over::Own(own) => own.start(command),
            Over::Oracle(oracle) => oracle.start(command),
        }
    }

    fn get_state(self: &Arc<Self>) -> (u64, bool) {
        match &**self {
            Over::Own(own) => own.get_state(),
            Over::Oracle(oracle) => oracle.get_state(),
        }
    }

    fn snapshot(self: &Arc<Self>, index: u64, snapshot: Vec<u8>) {
        match &**self {
            Over::Own(own) => own.snapshot(index, snapshot),
            Over::Oracle(oracle) => oracle.snapshot(index, snapshot),
        }
    }

    fn watch(self: &Arc<Self>, observer: Box<dyn Observer>) {
        match &**self {
            Over::Own(own) => own.watch(observer),
            Over::Oracle(oracle) => oracle.watch(observer),
        }
    }

    fn last_included_index(self: &Arc<Self>) -> Option<u64> {
        match &**self {
            Over::Own(own) => own.last_included_index(),
            Over::Oracle(oracle) => oracle.last_included_index(),
        }
    }

    fn read_index(self: &Arc<Self>) -> ReadIndex {
        match &**self {
            Over::Own(own) => own.read_index(),
            Over::Oracle(oracle) => oracle.read_index(),
        }
    }

    fn wait_for_leadership(self: &Arc<Self>, seen: (u64, bool)) -> (u64, bool) {
        match &**self {
            Over::Own(own) => own.wait_for_leadership(seen),
            Over::Oracle(oracle) => oracle.wait_for_leadership(seen),
        }
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        if asked_for_oracle() { Oracle::wire() } else { R::wire() }
    }
}
