// handout: drop classic
//! A node's rules for updates. Pure: no threads, no network, no clock.
//!
//! `reads.rs` has the rules for reads, `membership.rs` those of reconfiguration, `copy.rs` those of joining.

use std::collections::{BTreeMap, VecDeque};

use labrt::sync::Arc;
use labrt::time::{Duration, Instant};

use crate::copy::{Handover, Incoming};
use crate::object::Object;
use crate::rpc::{
    Ack, ChainId, Config, Forward, Header, Member, NodeId, ObjectId, Outcome, Record, Refusal, Session,
    Taken, Update, UpdateReply, Versioned,
};

// handout: end
// handout: put classic
// //! What a node is told when it starts, and what it shows to testers.
//
// use labrt::sync::Arc;
// use labrt::time::{Duration, Instant};
//
// use crate::object::Object;
// use crate::rpc::{ChainId, Config, Member, ObjectId, Record};
//
// handout: end
/// Who serves reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The tail. Nodes keep one version of each object.
    Plain,
    /// Every node (CRAQ). Nodes keep the versions that are not committed beside the newest that is.
    Craq,
}

/// Who answers an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFrom {
    /// The tail, by a message of its own, as in the paper on chain replication.
    Tail,
    /// The head, when the acknowledgement has come back to it.
    Head,
}

/// What all nodes, managers and clients of a chain agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The chain.
    pub chain: ChainId,
    /// Who serves reads.
    pub mode: Mode,
    /// Who answers an update.
    pub reply_from: ReplyFrom,
    /// How many nodes the chain shall have.
    pub length: usize,
    /// How many updates a node has under way to its successor at a time.
    pub window: usize,
    /// How often a node tells the manager that it is alive.
    pub heartbeat: Duration,
    /// For how long a granted heartbeat gives the right to act, from the moment at which it left. So long its
    /// answer is worth something, however late it comes.
    pub lease: Duration,
    /// How much longer than a lease the manager waits: clocks run fast or slow, by 5 % at most.
    pub clock_error: Duration,
    /// After so long a silence the manager takes a node for dead.
    pub suspicion: Duration,
    /// How long a node waits for another one before it sends its message again. A manager's answer to a
    /// heartbeat is worth waiting for until the lease's end.
    pub call: Duration,
    /// How long a client waits for an answer before it asks again.
    pub resend: Duration,
}

impl Default for Settings {
    /// A CRAQ chain of three whose tail answers; a failure is mended after 3.2 seconds.
    fn default() -> Settings {
        Settings {
            chain: 1,
            mode: Mode::Craq,
            reply_from: ReplyFrom::Tail,
            length: 3,
            window: 8,
            heartbeat: Duration::from_millis(100),
            lease: Duration::from_millis(1500),
            clock_error: Duration::from_millis(200),
            suspicion: Duration::from_millis(1500),
            call: Duration::from_millis(150),
            resend: Duration::from_millis(400),
        }
    }
}

/// What a node does to its state, for testers.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// It applies an update.
    Apply(&'a Record),
    /// It learns that all updates up to this one are committed.
    Commit(u64),
    /// It has a complete copy of the tail's state.
    Install,
    /// It takes its place in a configuration.
    Enter,
    /// It is no longer in the chain, and has forgotten everything.
    Leave,
}

/// For testers: is shown each step of a node, and the state behind it. It runs under the node's lock.
pub type Probe = Arc<dyn Fn(&Step<'_>, &State) + Send + Sync>;

// handout: drop classic
/// How far an update is on its way to the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    UnderWay,
    Delivered,
}

// handout: end
/// A node's state.
pub struct State {
    // handout: drop classic
    pub(crate) me: Member,
    pub(crate) settings: Settings,
    /// The configuration that the node is in; epoch 0: none.
    pub(crate) config: Config,
    /// Until then no configuration without this node can be in force.
    pub(crate) lease_until: Option<Instant>,
    pub(crate) objects: BTreeMap<ObjectId, Object>,
    /// The last update that was applied.
    pub(crate) hist: u64,
    /// All updates up to this one are committed: the tail has them.
    pub(crate) committed: u64,
    /// Updates that were applied, and of which the node does not know that they are committed.
    pub(crate) sent: BTreeMap<u64, (Record, Progress)>,
    /// Updates that came before one that is missing.
    pub(crate) early: BTreeMap<u64, Record>,
    /// What each client was told last. It travels with the updates, so all nodes have it.
    pub(crate) sessions: BTreeMap<u64, Session>,
    /// At the head: what each client was refused last in this epoch.
    refused: BTreeMap<u64, (u64, Refusal)>,
    /// What the predecessor has been told to be committed.
    pub(crate) told: u64,
    /// At the tail: replies that have not left.
    pub(crate) replies: VecDeque<UpdateReply>,
    /// At the tail: its state goes to a new tail.
    pub(crate) handover: Option<Handover>,
    /// At a spare: the copy that is arriving.
    pub(crate) incoming: Option<Incoming>,
    /// How many copies this node has begun.
    pub(crate) attempts: u64,
    /// The newest epoch that the node has left. A late configuration of it must not bring the node back.
    pub(crate) left: u64,
    /// A neighbour that does not answer, and since when.
    pub(crate) trouble: Option<(NodeId, Instant)>,
    /// The manager must hear something at once.
    pub(crate) is_urgent: bool,
    /// The epoch, and what was committed, when waiting clients were told last.
    announced: (u64, u64),
    pub(crate) probe: Option<Probe>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies guided kept
// handout: bodies classic CA
/// What testers and threads may see.
impl State {
    /// A spare without any state.
    pub(crate) fn new(me: Member, settings: Settings, probe: Option<Probe>) -> State {
        State {
            me,
            settings,
            config: Config::default(),
            lease_until: None,
            objects: BTreeMap::new(),
            hist: 0,
            committed: 0,
            sent: BTreeMap::new(),
            early: BTreeMap::new(),
            sessions: BTreeMap::new(),
            refused: BTreeMap::new(),
            told: 0,
            replies: VecDeque::new(),
            handover: None,
            incoming: None,
            attempts: 0,
            left: 0,
            trouble: None,
            is_urgent: true,
            announced: (0, 0),
            probe,
        }
    }

    /// The node in this life.
    pub fn me(&self) -> Member {
        self.me
    }

    /// The configuration that the node is in; epoch 0: it is a spare.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The last update that was applied.
    pub fn hist(&self) -> u64 {
        self.hist
    }

    /// All updates up to this one are committed, as far as the node knows.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// The updates that were applied and are not known to be committed, in order.
    pub fn sent(&self) -> Vec<&Record> {
        self.sent.values().map(|(record, _)| record).collect()
    }

    /// An object; None if it was never written.
    pub fn object(&self, object: ObjectId) -> Option<&Object> {
        self.objects.get(&object)
    }

    /// All objects.
    pub fn objects(&self) -> Vec<(ObjectId, &Object)> {
        self.objects.iter().map(|(&id, object)| (id, object)).collect()
    }

    // handout: drop classic
    /// Whether the node is the head.
    pub fn is_head(&self) -> bool {
        self.config.head() == Some(self.me)
    }

    // handout: end
    /// Whether the node is the tail.
    pub fn is_tail(&self) -> bool {
        self.config.tail() == Some(self.me)
    }

    // handout: drop classic
    /// Whether the node may act.
    pub fn has_lease(&self, now: Instant) -> bool {
        self.lease_until.is_some_and(|until| now < until)
    }

    // handout: end
    /// Whether more is committed or the epoch has changed since the last call.
    pub(crate) fn has_news(&mut self) -> bool {
        let now = (self.config.epoch, self.committed);
        std::mem::replace(&mut self.announced, now) != now
    }

    pub(crate) fn show(&self, step: &Step<'_>) {
        if let Some(probe) = &self.probe {
            probe(step, self);
        }
    }
}

// handout: bodies CA
/// Updates.
impl State {
    /// Refuses a message of another chain or epoch.
    pub(crate) fn check(&self, at: Header) -> Result<(), Refusal> {
        if at.chain != self.settings.chain {
            return Err(Refusal::WrongChain);
        }
        if at.epoch != self.config.epoch || self.config.epoch == 0 {
            return Err(Refusal::WrongEpoch(self.config.epoch));
        }
        Ok(())
    }

    /// Without a lease another configuration may be in force, in which others act.
    pub(crate) fn check_lease(&self, now: Instant) -> Result<(), Refusal> {
        if self.has_lease(now) { Ok(()) } else { Err(Refusal::NoLease) }
    }

    /// A tail that hands over must not commit what its successor does not get, nor answer strong reads: the
    /// successor may commit before this node hears of it.
    pub(crate) fn check_handover(&self) -> Result<(), Refusal> {
        let steps_back = self.handover.as_ref().is_some_and(Handover::has_stepped_back);
        if steps_back { Err(Refusal::HandingOver) } else { Ok(()) }
    }

    /// The head takes an update: gives it a number, carries it out, and from then on only the result counts.
    /// So the nodes behind it need not know operations, and cannot come to another result.
    ///
    /// # Errors
    /// [`Refusal`]. A refusal is final: a late copy of the request gets the same one.
    pub(crate) fn update(&mut self, update: &Update, now: Instant) -> Result<Taken, Refusal> {
        self.check(update.at)?;
        if !self.is_head() {
            return Err(Refusal::NotHead);
        }
        self.check_lease(now)?;
        self.check_handover()?;
        let (client, sequence) = (update.request.client, update.request.sequence);
        if let Some(session) = self.sessions.get(&client).filter(|session| sequence <= session.sequence) {
            return if sequence < session.sequence { Err(Refusal::Stale) } else { Ok(self.taken(session)) };
        }
        if let Some((last, refusal)) = self.refused.get(&client).filter(|(last, _)| sequence <= *last) {
            return Err(if sequence < *last { Refusal::Stale } else { *refusal });
        }
        let object = self.objects.entry(update.object).or_insert_with(|| Object::empty(now));
        let version = object.newest() + 1;
        let carried_out = object.carry_out(&update.request.command);
        let (value, number) = carried_out.inspect_err(|&refusal| {
            self.refused.insert(client, (sequence, refusal));
        })?;
        let (n, object, outcome) = (self.hist + 1, update.object, Outcome { version, number });
        self.apply(Record { n, object, version, value, client, sequence, outcome }, now);
        Ok(if n <= self.committed { Taken::Done(outcome) } else { Taken::UnderWay })
    }

    /// What belongs to an epoch is over. Refusals may be forgotten: a late copy of the request names the old
    /// epoch, and is refused for that.
    pub(crate) fn forget_epoch(&mut self) {
        self.refused.clear();
        self.told = 0;
        self.handover = None;
        self.trouble = None;
        self.is_urgent = true;
    }

    fn taken(&self, session: &Session) -> Taken {
        if session.n <= self.committed { Taken::Done(session.outcome) } else { Taken::UnderWay }
    }

    /// What became of a client's update, if it is committed.
    pub(crate) fn done(&self, client: u64, sequence: u64) -> Option<Outcome> {
        let session = self.sessions.get(&client).filter(|session| session.sequence == sequence)?;
        (session.n <= self.committed).then_some(session.outcome)
    }

    /// A node takes an update from its predecessor. The network may repeat and reorder.
    ///
    /// # Errors
    /// [`Refusal`], if the epoch is another one, the lease is over, or the node hands over. Nobody forwards
    /// to a head, so a node need not look at its role.
    pub(crate) fn forward(&mut self, forward: Forward, now: Instant) -> Result<(), Refusal> {
        self.check(forward.at)?;
        self.check_lease(now)?;
        self.check_handover()?;
        let n = forward.record.n;
        if n > self.hist {
            self.early.insert(n, forward.record);
        }
        while let Some(record) = self.early.remove(&(self.hist + 1)) {
            self.apply(record, now);
        }
        Ok(())
    }

    /// Applies the next update. At the tail it is committed.
    pub(crate) fn apply(&mut self, record: Record, now: Instant) {
        assert_eq!(record.n, self.hist + 1, "update {} does not follow {}", record.n, self.hist);
        let keeps_older = self.settings.mode == Mode::Craq;
        let object = self.objects.entry(record.object).or_insert_with(|| Object::empty(now));
        object.add(Versioned { version: record.version, value: record.value.clone() }, now, keeps_older);
        let Record { n, client, sequence, outcome, .. } = record;
        self.hist = n;
        self.sessions.insert(client, Session { sequence, n, outcome });
        if let Some(handover) = &mut self.handover {
            handover.remember(&record);
        }
        self.sent.insert(n, (record.clone(), Progress::Waiting));
        self.show(&Step::Apply(&record));
        self.settle_tail(now);
    }

    /// The tail has nobody behind it who could lack an update, so what it has is committed; also what it kept
    /// for a successor that is lost. Without a lease it might not be the tail any more.
    pub(crate) fn settle_tail(&mut self, now: Instant) {
        if self.is_tail() && self.has_lease(now) {
            self.commit(self.hist);
        }
    }

    /// All updates up to `n` are committed. Their older versions go; the tail answers their clients.
    pub(crate) fn commit(&mut self, n: u64) {
        let n = n.min(self.hist);
        if n <= self.committed {
            return;
        }
        let later = self.sent.split_off(&(n + 1));
        let answers = self.is_tail() && self.settings.reply_from == ReplyFrom::Tail;
        for (record, _) in std::mem::replace(&mut self.sent, later).into_values() {
            let Record { object, version, client, sequence, outcome, .. } = record;
            if let Some(object) = self.objects.get_mut(&object) {
                object.commit(version);
            }
            if answers {
                self.replies.push_back(UpdateReply { client, sequence, outcome });
            }
        }
        self.committed = n;
        self.show(&Step::Commit(n));
    }

    /// A node learns from its successor what is committed.
    ///
    /// # Errors
    /// [`Refusal::WrongEpoch`], [`Refusal::WrongChain`].
    pub(crate) fn ack(&mut self, ack: Ack) -> Result<(), Refusal> {
        self.check(ack.at)?;
        self.commit(ack.n);
        // handout: from CB: `heard`, once all that was sent is acknowledged
        if let Some(successor) = self.config.successor(self.me)
            && self.sent.is_empty()
        {
            self.heard(successor.node, true, Instant::now());
        }
        // handout: end
        Ok(())
    }

    /// Whether an update waits for its way to the successor.
    /// At most a window's worth is under way, because there are that many forwarders.
    pub(crate) fn has_forward(&self) -> bool {
        let is_waiting = |(_, progress): &(Record, Progress)| *progress == Progress::Waiting;
        self.config.successor(self.me).is_some() && self.sent.values().any(is_waiting)
    }

    /// The next update for the successor, and who that is.
    pub(crate) fn next_forward(&mut self) -> Option<(Member, Forward)> {
        let successor = self.config.successor(self.me)?;
        let (record, progress) =
            self.sent.values_mut().find(|(_, progress)| *progress == Progress::Waiting)?;
        *progress = Progress::UnderWay;
        let at = Header { chain: self.settings.chain, epoch: self.config.epoch };
        Some((successor, Forward { at, record: record.clone() }))
    }

    /// What became of an update on its way to the successor.
    ///
    /// One that was not delivered waits again. One that was stays in `sent` until it is acknowledged: the
    /// successor may die with it.
    pub(crate) fn forwarded(&mut self, epoch: u64, n: u64, is_delivered: bool) {
        if epoch != self.config.epoch {
            return;
        }
        if let Some((_, progress)) = self.sent.get_mut(&n) {
            *progress = if is_delivered { Progress::Delivered } else { Progress::Waiting };
        }
    }

    /// What the predecessor must be told.
    pub(crate) fn next_ack(&self) -> Option<(Member, Ack)> {
        let predecessor = self.config.predecessor(self.me)?;
        let at = Header { chain: self.settings.chain, epoch: self.config.epoch };
        (self.committed > self.told).then_some((predecessor, Ack { at, n: self.committed }))
    }

    /// The predecessor knows that updates up to `n` are committed.
    pub(crate) fn acked(&mut self, epoch: u64, n: u64) {
        if epoch == self.config.epoch {
            self.told = self.told.max(n);
        }
    }
}
