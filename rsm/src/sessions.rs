//! Client sessions: a command that arrives twice is carried out once (dissertation §6.3).
//!
//! A clerk that gets no answer cannot know whether the request or the reply was lost. So it
//! asks again, perhaps another server, and the same command may be in the log twice. Therefore
//! each clerk numbers its commands, and the *state machine* remembers, for each clerk, the last
//! number and the reply. It would not do if the server that was asked remembered them: it may
//! crash, and another server finds the second copy in the log.
//!
//! A clerk has one command under way at a time, so one number for each clerk is enough. A
//! request with number 8 shows that the clerk has the answer to number 7.
//!
//! Sessions are part of the state, and all replicas agree on them. If a snapshot lacked them,
//! a server that starts from it would carry out repeated commands again.

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use labgob::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
// handout: drop classic
use tracing::debug;
// handout: end

use crate::machine::StateMachine;

/// A command, the clerk that sent it, and its number among that clerk's commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<C> {
    /// The clerk's number, which no other clerk has.
    pub client: u64,
    /// The command's number among those of the clerk, from 1. Repetitions have the same
    /// number.
    pub sequence: u64,
    /// The command itself.
    pub command: C,
}

/// A clerk's side of its session: it numbers the clerk's commands.
///
/// A clerk sends one command at a time, and sends the same [`Request`] again until a server
/// answers it. The servers remember one number for each client.
#[derive(Debug)]
pub struct ClientSession {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    client: u64,
    /// The number of the last command; 0 before the first.
    sequence: u64,
    // handout: end
}

// handout: bodies RSM
impl ClientSession {
    /// A session under a client number that is drawn at random. With 64 bits, two of a
    /// thousand clerks share a number in one of about 10^13 runs.
    pub fn open() -> Self {
        ClientSession::with_client(labrt::rand::random())
    }

    /// A session under this client number, which no other clerk of the service may have.
    pub fn with_client(client: u64) -> Self {
        ClientSession { client, sequence: 0 }
    }

    /// Gives `command` the next number. The number belongs to the command, however often
    /// and to however many servers the clerk sends it.
    pub fn request<C>(&mut self, command: C) -> Request<C> {
        self.sequence += 1;
        debug_assert!(self.sequence > 0, "commands count from 1");
        Request { client: self.client, sequence: self.sequence, command }
    }
}

// handout: drop classic
/// For each client the number of its last command, and the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sessions<R> {
    // Ordered, so that equal sessions make equal snapshots.
    last: BTreeMap<u64, (u64, R)>,
}

impl<R> Default for Sessions<R> {
    fn default() -> Self {
        Sessions { last: BTreeMap::new() }
    }
}

impl<R: Clone> Sessions<R> {
    /// Carries out `command`, unless the client's command with this number, or a later one,
    /// was carried out before. Returns the new reply, or the one of that time.
    ///
    /// A number before the last one gets the last one's reply. That reply reaches no clerk:
    /// the clerk has gone on, and this copy of its request was late.
    fn once(&mut self, client: u64, sequence: u64, command: impl FnOnce() -> R) -> R {
        if let Some((last, reply)) = self.last.get(&client).filter(|(last, _)| sequence <= *last) {
            debug!(target: "session", "client {client:x}: command {sequence} again, the last is {last}");
            return reply.clone();
        }
        let reply = command();
        let before = self.last.insert(client, (sequence, reply.clone()));
        debug_assert!(
            before.is_none_or(|(last, _)| last < sequence),
            "the session of client {client:x} goes back to {sequence}"
        );
        reply
    }
}

// handout: end
// handout: bodies kept
/// A state machine that carries out each client's commands once, around one that does not
/// know the clients.
pub struct WithSessions<S: StateMachine> {
    machine: S,
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    sessions: Sessions<S::Reply>,
    // handout: end
}

// handout: bodies RSM
impl<S: StateMachine> WithSessions<S>
where
    S::Reply: Clone,
{
    /// Around `machine`, in its initial state.
    pub fn new(machine: S) -> Self {
        WithSessions { machine, sessions: Sessions::default() }
    }
}

impl<S: StateMachine> WithSessions<S> {
    /// The machine inside.
    pub fn machine(&self) -> &S {
        &self.machine
    }
}

impl<S: StateMachine> StateMachine for WithSessions<S>
where
    S::Reply: Clone + Serialize + DeserializeOwned,
{
    type Command = Request<S::Command>;
    type Reply = S::Reply;

    fn apply(&mut self, request: Self::Command) -> S::Reply {
        // A repeated read does no harm, and its answer may be long, so it is not kept.
        if let Some(reply) = self.machine.read(&request.command) {
            return reply;
        }
        let Request { client, sequence, command } = request;
        self.sessions.once(client, sequence, || self.machine.apply(command))
    }

    fn read(&self, request: &Self::Command) -> Option<S::Reply> {
        self.machine.read(&request.command)
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = self.machine.snapshot();
        let machine = bytes.len() as u64;
        labgob::encode_into(&self.sessions, &mut bytes);
        debug_assert!(bytes.len() as u64 > machine, "even no session at all has an encoding");
        bytes.extend_from_slice(&machine.to_le_bytes());
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let (rest, length) = snapshot.split_last_chunk::<8>().ok_or(DecodeError::Truncated)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| DecodeError::Truncated)?;
        let (machine, sessions) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        debug_assert_eq!(machine.len() + sessions.len() + 8, snapshot.len(), "every byte belongs to a part");
        self.sessions = labgob::decode(sessions)?;
        self.machine.restore(machine)
    }
}
