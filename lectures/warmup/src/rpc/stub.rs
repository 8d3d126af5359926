//! The client's side.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use labrpc::ClientEnd;
use labrt::rand::random;
use labrt::sync::{Condvar, Mutex};
use labrt::time::Duration;

use super::message::{ClientId, Outcome, Rejection, Reply, Request, RpcClient};

/// How long a client waits for a reply before it sends the request again. Longer than the round trip of a
/// network in good order, so that only lost messages are sent twice.
pub const RESEND: Duration = Duration::from_millis(100);

/// How often a client sends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once.
    BestEffort,
    /// Until a reply comes.
    AtLeastOnce,
    /// Until a reply comes, and not more often than this. A copy that only asked for the server's incarnation
    /// does not count if the server has refused it and said which life it lives. If it is lost it counts.
    AtMostOnce {
        /// Number of copies. At least 1.
        attempts: NonZeroU32,
    },
    /// Until a reply comes, from a server that survives crashes.
    ExactlyOnce,
}

/// Why a call has no result. Each of them leaves open whether the call ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No reply came to any copy.
    Lost,
    /// The server has restarted since the call was first sent, and does not know whether its earlier life ran
    /// it.
    ServerRestarted,
    /// The server refused the call.
    Rejected(Rejection),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Lost => f.write_str("no reply; the call may have run"),
            CallError::ServerRestarted => f.write_str("the server has restarted; the call may have run"),
            CallError::Rejected(rejection) => write!(f, "refused: {rejection}"),
        }
    }
}

impl std::error::Error for CallError {}

/// A client of one server. Threads may share it.
pub struct Stub {
    // handout: drop classic
    server: RpcClient,
    mode: Mode,
    client_id: ClientId,
    window: u64,
    calls: Mutex<Calls>,
    /// Some call has ended.
    ended: Condvar,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// The calls of a client.
struct Calls {
    next_seq: u64,
    /// Calls without an answer.
    outstanding: BTreeSet<u64>,
    /// The server's life, as its replies say; 0 before the first reply.
    incarnation: u64,
}

impl Calls {
    // handout: body 0C
    /// All calls below this number are answered.
    fn ack_below(&self) -> u64 {
        self.outstanding.first().copied().unwrap_or(self.next_seq)
    }
}

// handout: end
// handout: bodies 0C
impl Stub {
    /// A client at `address` that reaches its server over `end`. A call waits until its number is below that
    /// of the oldest call under way plus `window`: so at most `window` calls are under way at the same time.
    /// The server must be started with the same window, or a larger one.
    ///
    /// # Panics
    /// If the window is 0.
    pub fn new(end: ClientEnd, address: u64, mode: Mode, window: u64) -> Stub {
        assert!(window > 0, "a client without a window could never call");
        Stub {
            server: RpcClient::new(end).timeout(RESEND),
            mode,
            // A client that restarts counts from 1 again; the random number makes it another client.
            client_id: ClientId { address, number: random() },
            window,
            calls: Mutex::new(Calls { next_seq: 1, outstanding: BTreeSet::new(), incarnation: 0 }),
            ended: Condvar::new(),
        }
    }

    /// Calls a method. Blocks until there is a result or the mode gives up, and before that while the window
    /// is full.
    ///
    /// # Errors
    /// As [`CallError`]. In the modes at least once and exactly once a call is never [`CallError::Lost`].
    pub fn call(&self, method: &str, args: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let seq = self.begin();
        let result = self.send(seq, method, args);
        self.calls.lock().outstanding.remove(&seq);
        self.ended.notify_all();
        result
    }

    /// Waits until the window has room, and gives the call a number.
    fn begin(&self) -> u64 {
        let mut calls = self.calls.lock();
        while calls.next_seq >= calls.ack_below() + self.window {
            self.ended.wait(&mut calls);
        }
        let seq = calls.next_seq;
        calls.next_seq += 1;
        calls.outstanding.insert(seq);
        seq
    }

    /// Sends the request as often as the mode allows.
    fn send(&self, seq: u64, method: &str, args: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let mut left = match self.mode {
            Mode::BestEffort => Some(1),
            Mode::AtMostOnce { attempts } => Some(attempts.get()),
            Mode::AtLeastOnce | Mode::ExactlyOnce => None,
        };
        let method = method.to_owned();
        let mut request =
            Request { client_id: self.client_id, seq, ack_below: 0, incarnation: 0, method, args };
        while left != Some(0) {
            {
                let calls = self.calls.lock();
                request.ack_below = calls.ack_below();
                // Once it is sent it belongs to one life of the server.
                if request.incarnation == 0 {
                    request.incarnation = calls.incarnation;
                }
            }
            match self.server.call(&request) {
                Ok(reply) if reply.seq == seq => {
                    if let Some(result) = self.judge(&request, reply) {
                        return result;
                    }
                }
                // A late reply of another call.
                Ok(reply) => {
                    tracing::debug!(target: "call", "call {seq}: a reply to call {} is ignored", reply.seq);
                    left = left.map(|left| left - 1);
                }
                Err(error) => {
                    tracing::debug!(target: "call", "call {seq}: {error}");
                    left = left.map(|left| left - 1);
                }
            }
        }
        Err(CallError::Lost)
    }

    /// What a reply means for the call. None: send it again.
    fn judge(&self, request: &Request, reply: Reply) -> Option<Result<Vec<u8>, CallError>> {
        let mut calls = self.calls.lock();
        calls.incarnation = calls.incarnation.max(reply.incarnation);
        match reply.outcome {
            Outcome::Value(value) => Some(Ok(value)),
            // No life of the server runs a request that names none. So the call has not run, and can be made
            // to the life that answered.
            Outcome::Rejected(Rejection::UnknownIncarnation) if request.incarnation == 0 => None,
            Outcome::Rejected(Rejection::UnknownIncarnation) => Some(Err(CallError::ServerRestarted)),
            Outcome::Rejected(rejection) => Some(Err(CallError::Rejected(rejection))),
        }
    }
}
