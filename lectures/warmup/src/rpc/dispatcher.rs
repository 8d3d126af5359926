//! The server's side.

use labapi::Persister;
use labrt::sync::{Arc, Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::cache::{Admission, ReplyCache};
use super::message::{Outcome, Rejection, Reply, Request, Rpc};

// ANCHOR: handler
/// The service behind a dispatcher.
pub trait Handler: Send + Sync + 'static {
    /// Carries out a call and returns its result. Runs concurrently with other calls, except under
    /// [`Guarantee::ExactlyOnce`].
    fn handle(&self, method: &str, args: &[u8]) -> Vec<u8>;

    /// The state that must survive a crash, for [`Guarantee::ExactlyOnce`]. By default there is none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes the state that [`Handler::save`] returned in an earlier life.
    fn load(&self, state: &[u8]) {
        let _ = state;
    }
}
// ANCHOR_END: handler

/// What a server guarantees for each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Every copy of a request that arrives runs.
    Nothing,
    /// A call runs at most once. The cache of results is lost in a crash, so a new life refuses the calls of
    /// earlier ones.
    AtMostOnce,
    /// A call whose client sends it until it is answered runs once, crashes included: the result is written
    /// to the disk together with the effect, before the reply.
    ExactlyOnce,
}

// handout: drop classic
/// What is on the disk.
#[derive(Default, Serialize, Deserialize)]
struct Disk {
    /// The number of this life.
    incarnation: u64,
    /// The results and the effects that they belong to: in one write, so that a crash finds both or neither.
    cache: ReplyCache,
    state: Vec<u8>,
}

// handout: end
/// Takes requests from the network and calls the handler as the guarantee demands.
pub struct Dispatcher {
    // handout: drop classic
    guarantee: Guarantee,
    handler: Arc<dyn Handler>,
    persister: Persister,
    incarnation: u64,
    cache: Mutex<ReplyCache>,
    /// Some running call has a result.
    completed: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies 0C
impl Dispatcher {
    /// Starts a life of a server for clients with at most `window` calls under way each.
    ///
    /// # Panics
    /// If the disk's content is damaged: a server that has forgotten what it ran must not serve.
    pub fn start(
        guarantee: Guarantee,
        window: u64,
        handler: Arc<dyn Handler>,
        persister: Persister,
    ) -> Arc<Dispatcher> {
        let bytes = persister.state();
        let mut disk = match labgob::decode(&bytes) {
            _ if bytes.is_empty() => Disk { cache: ReplyCache::new(window), ..Disk::default() },
            Ok(disk) => disk,
            Err(error) => panic!("the server's disk is damaged: {error}"),
        };
        disk.incarnation += 1;
        persister.save(&labgob::encode(&disk), None);
        handler.load(&disk.state);
        tracing::debug!(target: "server", "life {} begins, {} results known", disk.incarnation, disk.cache.len());
        Arc::new(Dispatcher {
            guarantee,
            handler,
            persister,
            incarnation: disk.incarnation,
            cache: Mutex::new(disk.cache),
            completed: Condvar::new(),
        })
    }

    /// Number of results that the cache holds.
    pub fn cached_results(&self) -> usize {
        self.cache.lock().len()
    }

    /// Answers one copy of a request.
    pub fn dispatch(&self, request: &Request) -> Reply {
        let outcome = match self.guarantee {
            Guarantee::Nothing => Outcome::Value(self.handler.handle(&request.method, &request.args)),
            Guarantee::AtMostOnce if request.incarnation != self.incarnation => {
                Outcome::Rejected(Rejection::UnknownIncarnation)
            }
            Guarantee::AtMostOnce => self.at_most_once(request),
            Guarantee::ExactlyOnce => self.exactly_once(request),
        };
        if let Outcome::Rejected(rejection) = outcome {
            tracing::debug!(target: "refuse", "call {}: {rejection}", request.seq);
        }
        Reply { seq: request.seq, incarnation: self.incarnation, outcome }
    }

    /// The handler runs without the lock, so that a slow call holds up no other.
    fn at_most_once(&self, request: &Request) -> Outcome {
        match self.admit(request) {
            Admission::Repeat(value) => Outcome::Value(value),
            Admission::Refuse(rejection) => Outcome::Rejected(rejection),
            Admission::Run | Admission::Wait => {
                let value = self.handler.handle(&request.method, &request.args);
                self.cache.lock().complete(request.client_id, request.seq, &value);
                self.completed.notify_all();
                Outcome::Value(value)
            }
        }
    }

    /// Decides about a request, and waits if an earlier copy of it is running.
    fn admit(&self, request: &Request) -> Admission {
        let mut cache = self.cache.lock();
        loop {
            match cache.admit(request) {
                // Running it as well would be twice; refusing it would leave the client without an answer.
                Admission::Wait => self.completed.wait(&mut cache),
                decided => return decided,
            }
        }
    }

    /// The lock covers effect, result and write. Otherwise the write of another call could take the effect to
    /// the disk without the result, and after a crash the call would run again.
    fn exactly_once(&self, request: &Request) -> Outcome {
        let mut cache = self.cache.lock();
        match cache.admit(request) {
            Admission::Repeat(value) => Outcome::Value(value),
            Admission::Refuse(rejection) => Outcome::Rejected(rejection),
            Admission::Run | Admission::Wait => {
                let value = self.handler.handle(&request.method, &request.args);
                cache.complete(request.client_id, request.seq, &value);
                self.persist(&cache);
                Outcome::Value(value)
            }
        }
    }

    /// Writes results and effects in one step.
    fn persist(&self, cache: &ReplyCache) {
        let disk = Disk { incarnation: self.incarnation, cache: cache.clone(), state: self.handler.save() };
        self.persister.save(&labgob::encode(&disk), None);
    }
}

impl Rpc for Dispatcher {
    // handout: body kept
    fn call(&self, request: Request) -> Reply {
        self.dispatch(&request)
    }
}
