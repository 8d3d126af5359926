// handout: file never
//! Sessions that end (dissertation §6.3): an option for services whose clerks come and go.
//!
//! [`crate::WithSessions`] keeps a few bytes for each clerk that ever wrote, for ever, in every
//! snapshot. Here a session that was not used for long is forgotten. Two questions decide whether
//! that is safe:
//!
//! - *When?* All replicas must forget a session at the same place in the log. So time is counted in
//!   the log itself: one more for each command. A session's last use is such a time, and it has ended
//!   once more than `lifetime` commands came after it. No clock takes part, so drift and leader
//!   changes do no harm, and at most `lifetime` sessions, and one more, are alive at any time.
//! - *What of a command that comes later?* It may be a late copy of one that was carried out, and
//!   nobody remembers that. So it must not be carried out, and a clerk must not take the refusal for
//!   a failure of the command. The refusal has a name of its own, [`SessionReply::Expired`].
//!
//! A clerk that nobody knows and one that was forgotten must differ. So a clerk first has a session
//! opened, by a command of its own (`RegisterClient` in the dissertation), and the session's number is
//! the log's time at that command. Nobody had this number before, and nobody will have it again. A
//! number that is not among the sessions is one that has ended. A lost reply to the opening costs
//! only a session that is never used.
//!
//! A clerk whose command was refused cannot know whether an earlier copy was carried out. It opens
//! another session for what follows, and tells its user.

use std::borrow::Cow;
use std::collections::BTreeMap;

use labgob::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::machine::StateMachine;
use crate::sessions::Request;

/// What a clerk sends to a service whose sessions end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionCommand<C> {
    /// Opens a session. A repetition opens another one.
    Open,
    /// A command; its `client` is the number of the session.
    Command(Request<C>),
}

/// What it gets as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionReply<R> {
    /// A session was opened under this number.
    Opened(u64),
    /// The command was carried out, now or when it came first; its reply.
    Done(R),
    /// The session has ended, and this copy of the command was not carried out. An earlier copy may have
    /// been.
    Expired,
}

/// A session that has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session<R> {
    /// The log's time at which the clerk was heard of last.
    last_use: u64,
    /// Number and reply of the last command that was carried out; none yet in a new session.
    last: Option<(u64, R)>,
}

/// A state machine that carries out each command once and forgets clerks that are gone, around one
/// that does not know the clerks.
pub struct ExpiringSessions<S: StateMachine> {
    machine: S,
    /// With how many commands after its last use a session is still alive.
    lifetime: u64,
    /// The log's time: how many commands came so far.
    now: u64,
    sessions: BTreeMap<u64, Session<S::Reply>>,
    /// Each session at the time of its last use: the first one ends next.
    by_last_use: BTreeMap<u64, u64>,
}

impl<S: StateMachine> ExpiringSessions<S> {
    /// Around `machine`, in its initial state. Every replica must have the same `lifetime`, which must be
    /// longer than any clerk goes on repeating a command, in commands of all clerks.
    ///
    /// # Panics
    /// If the lifetime is 0.
    pub fn new(machine: S, lifetime: u64) -> Self {
        assert!(lifetime > 0, "sessions of lifetime 0 end before their first command");
        ExpiringSessions {
            machine,
            lifetime,
            now: 0,
            sessions: BTreeMap::new(),
            by_last_use: BTreeMap::new(),
        }
    }

    /// The machine inside.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// How many sessions are alive.
    pub fn alive(&self) -> usize {
        self.sessions.len()
    }

    /// One more command has come: ends the sessions whose time is over.
    fn advance(&mut self) {
        self.now += 1;
        while let Some(oldest) = self.by_last_use.first_entry() {
            if oldest.key() + self.lifetime >= self.now {
                break;
            }
            let client = oldest.remove();
            let ended = self.sessions.remove(&client);
            debug_assert!(ended.is_some(), "session {client} ends twice");
            debug!(target: "session", "session {client} ends at {}", self.now);
        }
        debug_assert_eq!(self.sessions.len(), self.by_last_use.len(), "each session has one last use");
    }

    fn open(&mut self) -> SessionReply<S::Reply> {
        let client = self.now;
        self.sessions.insert(client, Session { last_use: self.now, last: None });
        self.by_last_use.insert(self.now, client);
        SessionReply::Opened(client)
    }
}

impl<S: StateMachine> ExpiringSessions<S>
where
    S::Reply: Clone,
{
    /// Carries out the command, unless its session has ended, or it was carried out before.
    fn once(&mut self, request: Request<S::Command>) -> SessionReply<S::Reply> {
        let Request { client, sequence, command } = request;
        let Some(session) = self.sessions.get_mut(&client) else {
            debug!(target: "session", "session {client} has ended: command {sequence} is refused");
            return SessionReply::Expired;
        };
        self.by_last_use.remove(&session.last_use);
        self.by_last_use.insert(self.now, client);
        session.last_use = self.now;
        if let Some((_, reply)) = session.last.as_ref().filter(|(last, _)| sequence <= *last) {
            return SessionReply::Done(reply.clone());
        }
        let reply = self.machine.apply(command);
        session.last = Some((sequence, reply.clone()));
        SessionReply::Done(reply)
    }
}

impl<S: StateMachine> StateMachine for ExpiringSessions<S>
where
    S::Reply: Clone + Serialize + DeserializeOwned,
{
    type Command = SessionCommand<S::Command>;
    type Reply = SessionReply<S::Reply>;

    fn apply(&mut self, command: Self::Command) -> Self::Reply {
        self.advance();
        match command {
            SessionCommand::Open => self.open(),
            SessionCommand::Command(request) => self.once(request),
        }
    }

    /// A read changes nothing, so it needs no session, and does not count as a use of one.
    fn read(&self, command: &Self::Command) -> Option<Self::Reply> {
        match command {
            SessionCommand::Open => None,
            SessionCommand::Command(request) => self.machine.read(&request.command).map(SessionReply::Done),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let machine = self.machine.snapshot();
        labgob::encode(&Parts { now: self.now, sessions: Cow::Borrowed(&self.sessions), machine })
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let Parts { now, sessions, machine } = labgob::decode::<Parts<'static, S::Reply>>(snapshot)?;
        let sessions = sessions.into_owned();
        let by_last_use: BTreeMap<u64, u64> =
            sessions.iter().map(|(&client, session)| (session.last_use, client)).collect();
        let is_past = by_last_use.last_key_value().is_none_or(|(&last_use, _)| last_use <= now);
        if by_last_use.len() != sessions.len() || !is_past {
            return Err(DecodeError::Invalid(
                "two sessions were used at one time, or in the future".to_owned(),
            ));
        }
        self.machine.restore(&machine)?;
        (self.now, self.sessions, self.by_last_use) = (now, sessions, by_last_use);
        Ok(())
    }
}

/// A snapshot.
#[derive(Serialize, Deserialize)]
struct Parts<'a, R: Clone> {
    now: u64,
    sessions: Cow<'a, BTreeMap<u64, Session<R>>>,
    #[serde(with = "labgob::bytes")]
    machine: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries out numbers, and remembers all of them.
    #[derive(Default)]
    struct Numbers(Vec<u64>);

    impl StateMachine for Numbers {
        type Command = u64;
        type Reply = usize;

        fn apply(&mut self, number: u64) -> usize {
            self.0.push(number);
            self.0.len()
        }

        fn snapshot(&self) -> Vec<u8> {
            labgob::encode(&self.0)
        }

        fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
            self.0 = labgob::decode(snapshot)?;
            Ok(())
        }
    }

    type Machine = ExpiringSessions<Numbers>;

    fn open(machine: &mut Machine) -> u64 {
        match machine.apply(SessionCommand::Open) {
            SessionReply::Opened(client) => client,
            other => panic!("opening gave {other:?}"),
        }
    }

    /// The client's command with this number; the number itself is carried out.
    fn send(machine: &mut Machine, client: u64, sequence: u64) -> SessionReply<usize> {
        machine.apply(SessionCommand::Command(Request { client, sequence, command: sequence }))
    }

    #[test]
    fn a_command_is_carried_out_once() {
        let mut machine = Machine::new(Numbers::default(), 10);
        let client = open(&mut machine);
        assert_eq!(send(&mut machine, client, 1), SessionReply::Done(1));
        assert_eq!(send(&mut machine, client, 1), SessionReply::Done(1));
        assert_eq!(send(&mut machine, client, 2), SessionReply::Done(2));
        assert_eq!(send(&mut machine, client, 1), SessionReply::Done(2), "nobody waits for that one");
        assert_eq!(machine.machine().0, [1, 2]);
    }

    #[test]
    fn a_session_ends_after_its_lifetime_and_not_before() {
        for others in 0..=6 {
            let mut machine = Machine::new(Numbers::default(), 5);
            let (idle, busy) = (open(&mut machine), open(&mut machine));
            assert_eq!(send(&mut machine, idle, 1), SessionReply::Done(1));
            (0..others).for_each(|sequence| _ = send(&mut machine, busy, 100 + sequence));
            let is_alive = others < 5;
            let expected = if is_alive { SessionReply::Done(1) } else { SessionReply::Expired };
            assert_eq!(send(&mut machine, idle, 1), expected, "after {others} commands of others");
            assert_eq!(machine.machine().0.iter().filter(|&&number| number == 1).count(), 1);
            assert_eq!(machine.alive(), if is_alive { 2 } else { 1 });
        }
    }

    /// A repeated command is a use, too: its clerk waits.
    #[test]
    fn repetitions_keep_a_session_alive() {
        let mut machine = Machine::new(Numbers::default(), 3);
        let (patient, busy) = (open(&mut machine), open(&mut machine));
        for sequence in 1..50 {
            assert_eq!(
                send(&mut machine, busy, 100 + sequence),
                SessionReply::Done(1 + sequence as usize - usize::from(sequence == 1))
            );
            assert_eq!(send(&mut machine, patient, 7), SessionReply::Done(2));
        }
    }

    #[test]
    fn a_session_that_nobody_opened_is_refused() {
        let mut machine = Machine::new(Numbers::default(), 5);
        for client in [0, 1, 2, u64::MAX] {
            assert_eq!(send(&mut machine, client, 1), SessionReply::Expired);
        }
        let client = open(&mut machine);
        assert_ne!(open(&mut machine), client, "a repeated opening opens another session");
        assert!(machine.machine().0.is_empty());
    }

    #[test]
    fn sessions_are_never_more_than_their_lifetime_allows() {
        let mut machine = Machine::new(Numbers::default(), 100);
        (0..10_000).for_each(|_| _ = open(&mut machine));
        assert_eq!(machine.alive(), 101);
    }

    /// A replica that starts from a snapshot ends the same sessions at the same commands.
    #[test]
    fn time_and_last_uses_are_in_the_snapshot() {
        let mut machine = Machine::new(Numbers::default(), 5);
        let (idle, busy) = (open(&mut machine), open(&mut machine));
        assert_eq!(send(&mut machine, idle, 1), SessionReply::Done(1));
        (0..3).for_each(|sequence| _ = send(&mut machine, busy, 100 + sequence));
        let mut restored = Machine::new(Numbers::default(), 5);
        assert_eq!(restored.restore(&machine.snapshot()), Ok(()));
        assert_eq!(restored.snapshot(), machine.snapshot());
        for machine in [&mut machine, &mut restored] {
            assert_eq!(machine.alive(), 2);
            _ = send(machine, busy, 200);
            assert_eq!(machine.alive(), 2);
            _ = send(machine, busy, 201);
            assert_eq!(machine.alive(), 2);
            _ = send(machine, busy, 202);
            assert_eq!((machine.alive(), send(machine, idle, 1)), (1, SessionReply::Expired));
        }
    }

    #[test]
    fn damaged_snapshots_are_refused() {
        let mut machine = Machine::new(Numbers::default(), 5);
        let client = open(&mut machine);
        _ = send(&mut machine, client, 1);
        let snapshot = machine.snapshot();
        for length in 0..snapshot.len() {
            assert!(machine.restore(&snapshot[..length]).is_err(), "cut to {length} bytes");
        }
        let future = Session { last_use: 9, last: Some((1, 1_usize)) };
        let sessions = Cow::Owned(BTreeMap::from([(1, future)]));
        let bytes = labgob::encode(&Parts { now: 8, sessions, machine: labgob::encode(&[1_u64]) });
        assert!(matches!(machine.restore(&bytes), Err(DecodeError::Invalid(_))));
    }
}
