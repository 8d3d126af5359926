//! The rules of the result cache: which request runs, which is answered from memory, which is refused.
//!
//! Pure: no lock, no clock, no network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message::{ClientId, Rejection, Request};

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Run it. It is marked as running now.
    Run,
    /// An earlier copy is running: wait for its result.
    Wait,
    /// An earlier copy has returned this.
    Repeat(Vec<u8>),
    /// Neither run it nor answer it.
    Refuse(Rejection),
}

/// The results of the last calls of each client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyCache {
    // handout: drop classic
    window: u64,
    clients: BTreeMap<ClientId, Results>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// The results for one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Results {
    /// The client needs no result below.
    ack_below: u64,
    /// By number of the call; None while the handler runs.
    values: BTreeMap<u64, Option<Vec<u8>>>,
}

// handout: end
// handout: bodies 0C
impl ReplyCache {
    /// An empty cache for clients whose calls under way have numbers below `ack_below + window`.
    pub fn new(window: u64) -> ReplyCache {
        ReplyCache { window, clients: BTreeMap::new() }
    }

    /// Decides about a request, and forgets what its client has acknowledged.
    ///
    /// A number below the request's own `ack_below`, or `window` and more above it, is no number of a correct
    /// client: it is [`Rejection::OutsideWindow`], and changes nothing.
    ///
    /// The client's `ack_below` never falls. A late copy of an earlier request brings an old one, which
    /// changes nothing; the copy itself is refused if its number lies below what is acknowledged by now. It
    /// must not run: its result was in the cache once, and is forgotten.
    pub fn admit(&mut self, request: &Request) -> Admission {
        let Request { client_id, seq, ack_below, .. } = request;
        // A client has all calls from `ack_below` on under way, so these bounds keep the cache small whatever
        // a client sends.
        if seq < ack_below || seq - ack_below >= self.window {
            return Admission::Refuse(Rejection::OutsideWindow);
        }
        let results = self.clients.entry(*client_id).or_default();
        results.ack_below = results.ack_below.max(*ack_below);
        while results.values.first_key_value().is_some_and(|(seq, _)| *seq < results.ack_below) {
            results.values.pop_first();
        }
        if *seq < results.ack_below {
            return Admission::Refuse(Rejection::Stale);
        }
        match results.values.get(seq) {
            Some(Some(value)) => Admission::Repeat(value.clone()),
            Some(None) => Admission::Wait,
            None => {
                results.values.insert(*seq, None);
                Admission::Run
            }
        }
    }

    /// Keeps the result of a request that was admitted to run. If its client has given it up meanwhile, the
    /// result is not needed.
    pub fn complete(&mut self, client_id: ClientId, seq: u64, value: &[u8]) {
        let results = self.clients.get_mut(&client_id);
        if let Some(entry) = results.and_then(|results| results.values.get_mut(&seq)) {
            *entry = Some(value.to_owned());
        }
    }

    /// Number of results, those included that are still being made.
    pub fn len(&self) -> usize {
        self.clients.values().map(|results| results.values.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
