//! The caller's side: ends of the network, and typed calls on them.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use labrt::time::Instant;
use labrt::{node, oneshot, runtime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RpcError;
use crate::path::{self, Sent};
use crate::shared::{Outcome, Shared};
use crate::transport::Transport;

/// A place to call from: an end of a [`crate::Network`], where a new one is disabled and connected to
/// nothing, or of another [`Transport`]. Clones are the same end.
#[derive(Clone)]
pub struct ClientEnd {
    way: Way,
}

/// How calls travel.
#[derive(Clone)]
enum Way {
    Network(NetworkEnd),
    Transport(Arc<dyn Transport>),
}

/// An end of a simulated network.
#[derive(Clone)]
pub(crate) struct NetworkEnd {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: u32,
    pub(crate) guard: Option<Guard>,
}

/// Called with the source line of each call, see [`ClientEnd::guarded`].
type Guard = Arc<dyn Fn(&'static Location<'static>) -> bool + Send + Sync>;

impl ClientEnd {
    /// An end whose calls go by this way instead of a simulated network.
    pub fn over(transport: Arc<dyn Transport>) -> ClientEnd {
        ClientEnd { way: Way::Transport(transport) }
    }

    pub(crate) fn of_network(end: NetworkEnd) -> ClientEnd {
        ClientEnd { way: Way::Network(end) }
    }

    /// The end itself, if it is one of a simulated network.
    pub(crate) fn network_end(&self) -> Option<&NetworkEnd> {
        match &self.way {
            Way::Network(end) => Some(end),
            Way::Transport(_) => None,
        }
    }

    /// For testers: the same end, which calls `guard` before each call, in the calling thread and with the
    /// source line of the call. A call for which it says false is not made, and fails at once, and a guard
    /// that panics keeps the call from being made, too. An end of another transport stays as it is.
    pub fn guarded(
        self,
        guard: impl Fn(&'static Location<'static>) -> bool + Send + Sync + 'static,
    ) -> ClientEnd {
        match self.way {
            Way::Network(end) => ClientEnd::of_network(NetworkEnd { guard: Some(Arc::new(guard)), ..end }),
            way @ Way::Transport(_) => ClientEnd { way },
        }
    }

    /// Calls `service_method` (`"Service.method"`) with encoded arguments, and waits for the encoded reply.
    /// Several threads may call on one end at the same time.
    ///
    /// # Errors
    /// [`RpcError::Failed`] if the network gives no reply; [`RpcError::Garbled`] if the server could not
    /// decode the arguments.
    #[track_caller]
    pub fn call(&self, service_method: &'static str, args: Vec<u8>) -> Result<Vec<u8>, RpcError> {
        match &self.way {
            Way::Network(end) => end.call(service_method, args),
            Way::Transport(transport) => transport.call(service_method, args, None),
        }
    }

    /// As [`ClientEnd::call`], but waits no longer than `limit`, on the clock of the calling thread's node. A
    /// reply that comes later is dropped.
    ///
    /// # Errors
    /// As [`ClientEnd::call`], and [`RpcError::TimedOut`].
    #[track_caller]
    pub fn call_timeout(
        &self,
        service_method: &'static str,
        args: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, RpcError> {
        match &self.way {
            Way::Network(end) => end.call_timeout(service_method, args, limit, None),
            Way::Transport(transport) => transport.call(service_method, args, Some(limit)),
        }
    }
}

/// What a late reply is given to.
type Late = Arc<dyn Fn(Vec<u8>) + Send + Sync>;

impl NetworkEnd {
    #[track_caller]
    fn call(&self, service_method: &'static str, args: Vec<u8>) -> Outcome {
        if node::is_current_killed() {
            return of_the_dead(None);
        }
        if !self.guard() {
            return Err(RpcError::Failed);
        }
        runtime::note_blocking("an RPC");
        let Sent { number, outcome } = path::send(self, service_method, args);
        let outcome = outcome.wait().unwrap_or(Err(RpcError::Failed));
        self.trace_outcome(number, service_method, &outcome);
        outcome
    }

    #[track_caller]
    fn call_timeout(
        &self,
        service_method: &'static str,
        args: Vec<u8>,
        limit: Duration,
        late: Option<&Late>,
    ) -> Outcome {
        let deadline = Instant::now() + limit;
        if node::is_current_killed() {
            return of_the_dead(Some(deadline));
        }
        if !self.guard() {
            return Err(RpcError::Failed);
        }
        runtime::note_blocking("an RPC");
        let Sent { number, outcome } = path::send(self, service_method, args);
        let waited = match late {
            None => outcome.wait_deadline(deadline),
            Some(late) => {
                let (end, late, node) = (self.clone(), Arc::clone(late), node::current());
                outcome.wait_deadline_or(deadline, move |outcome| {
                    end.trace_outcome(number, service_method, &outcome);
                    if let Ok(reply) = outcome {
                        runtime::spawn_detached(&node, "a late reply", move || late(reply));
                    }
                })
            }
        };
        let outcome = match waited {
            Ok(outcome) => outcome.unwrap_or(Err(RpcError::Failed)),
            Err(oneshot::TimedOut) => Err(RpcError::TimedOut),
        };
        self.trace_outcome(number, service_method, &outcome);
        outcome
    }

    #[inline]
    #[track_caller]
    fn guard(&self) -> bool {
        match &self.guard {
            Some(guard) => guard(Location::caller()),
            None => true,
        }
    }

    #[inline]
    fn trace_outcome(&self, number: u64, service_method: &'static str, outcome: &Outcome) {
        let (leg, size) = outcome.as_ref().map_or(("fails", 0), |reply| ("returns", reply.len() as u64));
        self.shared.trace_leg(service_method, leg, number, &[("bytes", size)], || match outcome {
            Ok(reply) => format!("#{number} reply arrives, {} bytes", reply.len()),
            Err(error) => format!("#{number} fails: {error}"),
        });
    }
}

/// A call of a thread whose node was killed, by a destructor: a machine that has crashed sends nothing. As
/// any wait of such a thread it ends at once, and no reply has come.
#[cold]
#[track_caller]
fn of_the_dead(deadline: Option<Instant>) -> Outcome {
    // The sending side lives until the wait is over, or else there would be nothing to wait for.
    let (_put, reply) = oneshot::channel::<()>();
    match deadline {
        None => {
            let _ = reply.wait();
            Err(RpcError::Failed)
        }
        Some(deadline) => {
            let _ = reply.wait_deadline(deadline);
            Err(RpcError::TimedOut)
        }
    }
}

impl fmt::Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Network(end) => write!(f, "ClientEnd({})", end.shared.end_name(end.number)),
            Way::Transport(_) => write!(f, "ClientEnd(over a transport)"),
        }
    }
}

/// Typed calls on an end: what clients that [`crate::service!`] makes are built on.
#[derive(Clone, Debug)]
pub struct Caller {
    end: ClientEnd,
    limit: Option<Duration>,
    late: Option<LateReplies>,
}

/// A [`Late`] that has no words for itself.
#[derive(Clone)]
struct LateReplies(Late);

impl fmt::Debug for LateReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateReplies")
    }
}

impl Caller {
    /// Calls without a limit on this end.
    pub fn new(end: ClientEnd) -> Caller {
        Caller { end, limit: None, late: None }
    }

    /// Calls that end with [`RpcError::TimedOut`] after this long.
    pub fn timeout(&self, limit: Duration) -> Caller {
        Caller { end: self.end.clone(), limit: Some(limit), late: self.late.clone() }
    }

    /// Calls whose encoded reply goes to `late` if it comes after the limit. `late` runs in a thread of its
    /// own, on the node of the calling thread; not at all if that node has crashed, or if no reply comes.
    /// Ends of another transport drop late replies.
    pub fn late(&self, late: impl Fn(Vec<u8>) + Send + Sync + 'static) -> Caller {
        Caller { end: self.end.clone(), limit: self.limit, late: Some(LateReplies(Arc::new(late))) }
    }

    /// Encodes, calls, decodes.
    ///
    /// # Errors
    /// As [`ClientEnd::call_timeout`].
    #[track_caller]
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &self,
        service_method: &'static str,
        args: &A,
    ) -> Result<R, RpcError> {
        let args = labgob::encode(args);
        let reply = match (self.limit, &self.late, &self.end.way) {
            (None, _, _) => self.end.call(service_method, args),
            (Some(limit), Some(LateReplies(late)), Way::Network(end)) => {
                end.call_timeout(service_method, args, limit, Some(late))
            }
            (Some(limit), _, _) => self.end.call_timeout(service_method, args, limit),
        };
        let place = Location::caller();
        labgob::decode(&reply?).map_err(|error| {
            if let Way::Network(end) = &self.end.way {
                end.shared.warn_garbled(service_method, "reply", &error, place);
            }
            RpcError::Garbled(error)
        })
    }
}
