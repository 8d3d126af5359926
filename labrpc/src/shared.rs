//! The state of a network: which servers can talk, which calls are under way, what has been counted.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use labgob::DecodeError;
use labrt::{quiet, runtime};

use crate::bandwidth::Pipe;
use crate::calls::{CallId, Calls};
use crate::delay::DelayModel;
use crate::error::RpcError;
use crate::name::Name;
use crate::path::Held;
use crate::service::Server;
use crate::tap::Tap;
use crate::traffic::Traffic;

/// What a caller gets in the end.
pub(crate) type Outcome = Result<Vec<u8>, RpcError>;

/// See [`crate::Network::lose`].
pub(crate) type LossRule = Box<dyn FnMut(&str, &str, &str) -> bool + Send>;

/// What all handles of a network and all its ends and messages share.
pub(crate) struct Shared {
    /// Held for a few instructions at a time, and never while foreign code runs (a handler, a tap, the
    /// destructor of a server's object, the wake-up of a caller).
    pub(crate) state: quiet::Mutex<State>,
    /// Unlike `state` a lock of the runtime, since a tap is foreign code, which may itself lock and wait.
    pub(crate) tap: labrt::sync::Mutex<Option<Tap>>,
    /// Whether there is a tap, so that a call without one need not lock.
    pub(crate) tapped: AtomicBool,
    /// Which requests are lost whatever the network would do; see [`crate::Network::lose`].
    pub(crate) losses: quiet::Mutex<Option<LossRule>>,
    /// Whether there is such a rule.
    pub(crate) loses: AtomicBool,
    /// The run that the network was made in.
    run: u32,
    /// Whether the run records events; it does so from its start to its end or not at all.
    pub(crate) traced: bool,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            state: quiet::Mutex::new(State::new()),
            tap: labrt::sync::Mutex::new(None),
            tapped: AtomicBool::new(false),
            losses: quiet::Mutex::new(None),
            loses: AtomicBool::new(false),
            run: runtime::run_number(),
            traced: labrt::trace::enabled(),
        }
    }

    /// # Panics
    /// In another run than the one that the network was made in: its servers are gone, and what is left of it
    /// would be a way from run to run.
    #[track_caller]
    pub(crate) fn check_run(&self) {
        assert!(
            self.run == runtime::run_number(),
            "an end of another run's network is used: it stands in a `static`, or was kept from an earlier run. Make \
             it in this run"
        );
    }

    pub(crate) fn end_name(&self, number: u32) -> Name {
        self.state.lock().ends[number as usize].name.clone()
    }

    /// Warns that the other side cannot read what was sent. The caller gets an error, which many callers take
    /// for a fault of the network; but that changes no bytes.
    #[cold]
    pub(crate) fn warn_garbled(
        &self,
        method: &'static str,
        what: &str,
        error: &DecodeError,
        place: &'static Location<'static>,
    ) {
        let garbled = &mut self.state.lock().garbled;
        if garbled.contains(&method) {
            return;
        }
        garbled.push(method);
        runtime::warn(format!(
            "the {what} of `{method}`, called at {place}, cannot be read: {error}. The network changes no bytes: they are \
             not read in the way in which they are written (an attribute of serde that labgob does not support? two \
             types?)"
        ));
    }

    /// Ends the call, unless it has ended already.
    pub(crate) fn settle(&self, id: CallId, outcome: Outcome) {
        let call = self.state.lock().calls.remove(id);
        if let Some(call) = call {
            call.put.put(outcome);
        }
    }
}

/// The course's three switches. A call keeps those of the moment when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modes {
    pub(crate) reliable: bool,
    pub(crate) long_delays: bool,
    pub(crate) long_reordering: bool,
}

/// A client end and its link.
pub(crate) struct End {
    pub(crate) name: Name,
    /// Whether calls on it can be delivered at all. Testers disable the ends of a server that they cut off or
    /// crash.
    pub(crate) enabled: bool,
    /// Index of the server that it is connected to.
    pub(crate) server: Option<u32>,
    /// The link's own distribution of delays, if not the network's.
    pub(crate) delay: Option<DelayModel>,
    /// The link's own bandwidth in bytes a second, if not the network's.
    pub(crate) bandwidth: Option<u64>,
    /// The two directions of the link.
    pub(crate) requests: Pipe,
    pub(crate) replies: Pipe,
    /// One-way cuts; unlike `enabled` they do not make the server count as dead.
    pub(crate) requests_cut: bool,
    pub(crate) replies_cut: bool,
    /// What has arrived while the link is held, in order; None if it is not held.
    pub(crate) held: Option<Vec<Held>>,
    /// Calls made on it, and replies to them that were lost.
    pub(crate) calls: u64,
    pub(crate) replies_lost: u64,
    /// What becomes of them, for whoever asks the network for it.
    pub(crate) traffic: Arc<Traffic>,
}

impl End {
    pub(crate) fn new(name: Name) -> End {
        End {
            name,
            enabled: false,
            server: None,
            delay: None,
            bandwidth: None,
            requests: Pipe::default(),
            replies: Pipe::default(),
            requests_cut: false,
            replies_cut: false,
            held: None,
            calls: 0,
            replies_lost: 0,
            traffic: Arc::default(),
        }
    }
}

/// A server's name, and the server that has it now.
pub(crate) struct Slot {
    pub(crate) name: Name,
    /// None before the server is added and after it is deleted.
    pub(crate) server: Option<Arc<Server>>,
    /// Number of times that `server` was set or taken away: a call to an earlier generation is a call to a
    /// dead server.
    pub(crate) generation: u32,
}

impl Slot {
    /// Name of the server for people: its node's, if there is one.
    pub(crate) fn label(&self) -> String {
        self.server.as_ref().map_or_else(|| self.name.to_string(), |server| server.node().name().to_owned())
    }
}

/// Everything behind the network's lock.
pub(crate) struct State {
    pub(crate) modes: Modes,
    pub(crate) delay: DelayModel,
    /// Bytes a second of each direction of each link; None for links on which size does not matter.
    pub(crate) bandwidth: Option<u64>,
    /// Probability that a request is delivered twice.
    pub(crate) duplication: f64,
    /// See [`crate::Network::steady`], in nanoseconds.
    pub(crate) steady: Option<u64>,
    /// What oracles keep beside the network.
    pub(crate) beside: crate::beside::Objects,
    /// Methods whose arguments or replies could not be read; each is told once.
    pub(crate) garbled: Vec<&'static str>,
    /// Set by `cleanup`: calls fail at once.
    pub(crate) closed: bool,
    pub(crate) total_count: u64,
    pub(crate) total_bytes: u64,
    /// Ends and servers are never removed, so that a number stands for the same one for ever. The names are
    /// looked up only by what testers do, never on the way of a call.
    pub(crate) ends: Vec<End>,
    pub(crate) end_numbers: BTreeMap<Name, u32>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) slot_numbers: BTreeMap<Name, u32>,
    pub(crate) calls: Calls,
}

impl State {
    fn new() -> State {
        State {
            modes: Modes { reliable: true, long_delays: false, long_reordering: false },
            delay: DelayModel::default_here(),
            bandwidth: None,
            duplication: 0.0,
            steady: None,
            beside: crate::beside::Objects::new(),
            garbled: Vec::new(),
            closed: false,
            total_count: 0,
            total_bytes: 0,
            ends: Vec::new(),
            end_numbers: BTreeMap::new(),
            slots: Vec::new(),
            slot_numbers: BTreeMap::new(),
            calls: Calls::default(),
        }
    }

    /// Index of the server with this name; a name that is new gets an empty slot.
    pub(crate) fn slot(&mut self, name: Name) -> u32 {
        let next = self.slots.len() as u32;
        let index = *self.slot_numbers.entry(name.clone()).or_insert(next);
        if index == next {
            self.slots.push(Slot { name, server: None, generation: 0 });
        }
        index
    }

    /// The end with this name.
    pub(crate) fn end(&mut self, name: &Name) -> &mut End {
        let Some(&number) = self.end_numbers.get(name) else {
            panic!("the network has no end named `{name}`")
        };
        &mut self.ends[number as usize]
    }

    /// Deletes all servers, and gives them to the caller to be dropped without the lock.
    pub(crate) fn forget_servers(&mut self) -> Vec<Arc<Server>> {
        let living = self.slots.iter_mut().filter(|slot| slot.server.is_some());
        let forget = |slot: &mut Slot| {
            slot.generation += 1;
            slot.server.take()
        };
        living.filter_map(forget).collect()
    }
}
