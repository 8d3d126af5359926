//! The invariants of the lab, watched at every step of every test.
//!
//! Nodes show their steps (the probe); what comes to a node and leaves it is seen at its handlers, and all
//! messages on the network (the tap). Nothing here rests on assertions of the solution. If nodes show no
//! steps, `look.rs` says what is left.

mod look;
mod messages;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use craq::rpc::{NewConfig, NodeId, ObjectId};
use craq::{Config, Member, Mode, Outcome, Record, State, Step, Version, Versioned};
use labrpc::{Direction, Name, TapAction, TapEvent};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::{Duration, Instant};
use serde::de::DeserializeOwned;
use tester::Test;

pub(crate) use look::UNWATCHED;
use words::Lives;
pub(crate) use words::{last_served, seconds};

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    labgob::decode(bytes).expect("a message of the lab's own type")
}

type Filter = Box<dyn FnMut(&TapEvent<'_>) -> TapAction + Send>;

/// What was seen of a node in its present life.
#[derive(Default)]
struct Life {
    life: u64,
    config: Config,
    /// Update n is at place n-1.
    history: Vec<Record>,
    /// How many updates it had when it was looked at, if it shows no steps.
    seen: u64,
    committed: u64,
    /// The newest version of each object, and when it was applied; the last update of each client.
    newest: BTreeMap<ObjectId, (Version, Instant)>,
    clients: BTreeMap<u64, u64>,
    /// The newest version that an eventual read was told.
    told: BTreeMap<ObjectId, Version>,
}

impl Life {
    /// Whether the node is in no chain and has no copy of one: so it is after it has left.
    fn is_blank(&self) -> bool {
        self.config.epoch == 0 && self.history.is_empty()
    }
}

/// A role that one node at a time may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Head,
    Tail,
}

#[derive(Default)]
struct Facts {
    lives: BTreeMap<NodeId, Life>,
    /// Whether any node has shown a step.
    is_shown: bool,
    /// What the tails have committed, in order; how many they had when they were looked at.
    committed: Vec<Record>,
    seen: u64,
    /// The epoch in which each of them was committed.
    epochs: Vec<u64>,
    by_client: BTreeMap<(u64, u64), Outcome>,
    /// The committed versions of each object, with their times.
    versions: BTreeMap<ObjectId, Vec<(Version, Vec<u8>, Instant)>>,
    /// The newest epoch in which a node has acted in a role, and the node.
    acted: BTreeMap<Role, (u64, Member)>,
    /// The ends on which managers call nodes, and the configurations that they have told.
    managers: BTreeSet<Name>,
    configs: BTreeMap<u64, Config>,
    /// Requests by method, reads that were answered by node, and reads that were refused by reason.
    counts: BTreeMap<&'static str, u64>,
    reads: BTreeMap<NodeId, u64>,
    refused: BTreeMap<String, u64>,
    /// When the last update was committed, and the longest time between two.
    last_commit: Option<Instant>,
    longest_pause: Duration,
    /// The most versions that a node had of an object.
    most_versions: usize,
    /// Spares that have had a complete copy.
    installed: BTreeSet<NodeId>,
}

/// The watch over a test.
#[derive(Clone)]
pub(crate) struct Watch {
    test: Test,
    mode: Mode,
    facts: Arc<Mutex<Facts>>,
    lives: Lives,
    /// A lock of the runtime, since a filter may call the runtime.
    filter: Arc<labrt::sync::Mutex<Option<Filter>>>,
    /// Off in tests that show an anomaly: what is seen is noted and not judged.
    is_strict: bool,
}

/// What a test asks for.
impl Watch {
    pub(crate) fn new(test: &Test, mode: Mode, is_strict: bool) -> Watch {
        let (test, facts, lives) = (test.clone(), Arc::default(), Lives::default());
        Watch { test, mode, facts, lives, filter: Arc::default(), is_strict }
    }

    /// Whether what is seen is judged.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Has a test decide about each message from now on.
    pub(crate) fn filter(&self, filter: impl FnMut(&TapEvent<'_>) -> TapAction + Send + 'static) {
        *self.filter.lock() = Some(Box::new(filter));
    }

    /// Says that a manager calls nodes on this end.
    pub(crate) fn own(&self, end: usize) {
        self.facts.lock().managers.insert(Name::from(end));
    }

    pub(crate) fn unfilter(&self) {
        *self.filter.lock() = None;
    }

    /// How many requests of a method there were.
    pub(crate) fn count(&self, method: &str) -> u64 {
        self.facts.lock().counts.get(method).copied().unwrap_or(0)
    }

    /// How many reads a node has answered.
    pub(crate) fn reads(&self, node: NodeId) -> u64 {
        self.facts.lock().reads.get(&node).copied().unwrap_or(0)
    }

    /// How many updates are committed.
    pub(crate) fn committed(&self) -> u64 {
        let facts = self.facts.lock();
        facts.seen.max(facts.committed.len() as u64)
    }

    /// The committed version of an object, and its value.
    pub(crate) fn object(&self, object: ObjectId) -> Versioned {
        self.facts.lock().object(object)
    }

    /// The last update that a node has.
    pub(crate) fn hist(&self, node: NodeId) -> u64 {
        self.facts.lock().lives.get(&node).map_or(0, |life| life.seen.max(life.history.len() as u64))
    }

    /// The configuration that a node is in.
    pub(crate) fn config(&self, node: NodeId) -> Config {
        self.facts.lock().lives.get(&node).map_or_else(Config::default, |life| life.config.clone())
    }

    /// The newest configuration that a manager has told a node.
    pub(crate) fn newest(&self) -> Config {
        self.facts.lock().configs.last_key_value().map_or_else(Config::default, |(_, one)| one.clone())
    }

    /// The nodes of the newest configuration.
    pub(crate) fn chain(&self) -> Vec<NodeId> {
        self.newest().members.iter().map(|member| member.node).collect()
    }

    /// The longest time between two commits so far; forgets it.
    pub(crate) fn take_longest_pause(&self) -> Duration {
        let mut facts = self.facts.lock();
        facts.last_commit = None;
        std::mem::take(&mut facts.longest_pause)
    }

    /// The most versions of an object that a node has held at a time.
    pub(crate) fn most_versions(&self) -> usize {
        self.facts.lock().most_versions
    }

    pub(crate) fn is_installed(&self, node: NodeId) -> bool {
        self.facts.lock().installed.contains(&node)
    }

    #[track_caller]
    fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        self.test.expect(holds || !self.is_strict, || self.words(format!("invariant {}", what())));
    }
}

impl Facts {
    fn object(&self, object: ObjectId) -> Versioned {
        let newest = self.versions.get(&object).and_then(|versions| versions.last());
        newest.map_or(Versioned { version: 0, value: Vec::new() }, |(version, value, _)| Versioned {
            version: *version,
            value: value.clone(),
        })
    }

    /// An update has been committed.
    fn commits_now(&mut self) {
        let now = Instant::now();
        let pause = self.last_commit.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.longest_pause = self.longest_pause.max(pause);
    }

    /// The version of an object that was committed at a moment.
    fn version_at(&self, object: ObjectId, moment: Instant) -> Version {
        let versions = self.versions.get(&object).map_or(&[][..], Vec::as_slice);
        versions.iter().rev().find(|(_, _, at)| *at <= moment).map_or(0, |(version, _, _)| *version)
    }
}

/// Invariants 1, 2, 3, 5 and 7: a node's steps.
impl Watch {
    /// A node shows a step.
    pub(crate) fn probe(&self, step: &Step<'_>, state: &State) {
        let mut facts = self.facts.lock();
        let facts = &mut *facts;
        facts.is_shown = true;
        let me = state.me();
        let life = facts.lives.entry(me.node).or_default();
        if !self.is_strict {
            life.config = state.config().clone();
            return;
        }
        if life.life != me.life || matches!(step, Step::Leave) {
            *life = Life { life: me.life, ..Life::default() };
        }
        match step {
            Step::Leave => {}
            Step::Install => self.installed(facts, state),
            // What a spare does while its copy arrives is seen when it is complete.
            _ if state.config().epoch == 0 => {}
            Step::Enter => self.entered(facts, state),
            Step::Apply(record) => self.applied(facts, state, record),
            Step::Commit(n) => self.commits(facts, state, *n),
        }
        self.check_sent(facts, state);
    }

    /// Invariant 3: a copy is what was committed, and all of it at the time.
    fn installed(&self, facts: &mut Facts, state: &State) {
        let hist = state.hist();
        self.expect(hist as usize <= facts.committed.len(), || {
            format!("3: a copy holds update {hist}, but {} are committed", facts.committed.len())
        });
        let history = facts.committed[..hist as usize].to_vec();
        let mut expected: BTreeMap<ObjectId, (Version, &Vec<u8>)> = BTreeMap::new();
        for record in &history {
            expected.insert(record.object, (record.version, &record.value));
        }
        for (id, object) in state.objects() {
            let found = object.at(object.newest()).map(|held| (held.version, held.value));
            let (version, value) =
                expected.remove(&id).map_or((0, Vec::new()), |(v, value)| (v, value.clone()));
            self.expect(found == Some((version, value.clone())), || {
                format!("3: a copy up to update {hist} has object {id} as {found:?}, not {version} {value:?}")
            });
        }
        self.expect(expected.is_empty(), || format!("3: a copy up to update {hist} lacks {expected:?}"));
        let clients = history.iter().map(|record| (record.client, record.sequence)).collect();
        let now = Instant::now();
        let newest = history.iter().map(|record| (record.object, (record.version, now))).collect();
        let life = state.me().life;
        let installed = Life { life, history, committed: hist, newest, clients, ..Life::default() };
        facts.lives.insert(state.me().node, installed);
        facts.installed.insert(state.me().node);
    }

    fn entered(&self, facts: &mut Facts, state: &State) {
        let (me, config) = (state.me(), state.config());
        self.expect(facts.configs.get(&config.epoch) == Some(config), || {
            format!("8: {me:?} takes {config:?}, which no manager has made")
        });
        if let Some(life) = facts.lives.get_mut(&me.node) {
            self.expect(life.config.epoch < config.epoch, || {
                format!("8: {me:?} goes from epoch {} to {}", life.config.epoch, config.epoch)
            });
            life.config = config.clone();
        }
        // What is committed is at every node of a later chain. A node may hear of an earlier one late.
        let life = &facts.lives[&me.node];
        let known = facts.epochs.partition_point(|&epoch| epoch <= config.epoch);
        self.expect(life.history.len() >= known, || {
            format!("3: {me:?} enters epoch {} with {} updates of {known}", config.epoch, life.history.len())
        });
        let from = (life.committed as usize).min(known);
        self.expect(life.history[from..known] == facts.committed[from..known], || {
            format!("3: {me:?} enters epoch {} without an update that is committed", config.epoch)
        });
        let pairs = [config.predecessor(me).map(|one| (one, me)), config.successor(me).map(|one| (me, one))];
        for (front, back) in pairs.into_iter().flatten() {
            self.check_prefix(facts, config.epoch, front, back);
        }
    }

    /// Invariant 1 for two neighbours that are in the same epoch.
    fn check_prefix(&self, facts: &Facts, epoch: u64, front: Member, back: Member) {
        let find = |member: Member| {
            let life = facts.lives.get(&member.node)?;
            (life.life == member.life && life.config.epoch == epoch).then_some(life)
        };
        let (Some(ahead), Some(behind)) = (find(front), find(back)) else { return };
        self.expect(ahead.history.starts_with(&behind.history), || {
            format!("1: what {back:?} has is no prefix of what {front:?} has, in epoch {epoch}")
        });
    }

    fn applied(&self, facts: &mut Facts, state: &State, record: &Record) {
        let (me, config) = (state.me(), state.config());
        let n = record.n as usize;
        if let Some(front) = config.predecessor(me) {
            // A predecessor that has restarted, or learned that it is no member, has forgotten what it sent.
            let is_there = |life: &&Life| life.life == front.life && life.config.epoch == config.epoch;
            if let Some(known) = facts.lives.get(&front.node).filter(is_there) {
                let original = known.history.get(n - 1);
                self.expect(original == Some(record), || {
                    format!("1: {me:?} applies {record:?}; its predecessor has {original:?}")
                });
            }
        } else {
            self.acts(facts, Role::Head, state.me(), config.epoch);
        }
        let Some(life) = facts.lives.get_mut(&me.node) else { return };
        self.expect(n == life.history.len() + 1 && state.hist() == record.n, || {
            format!("1: {me:?} applies update {n} after {}", life.history.len())
        });
        let last = life.clients.insert(record.client, record.sequence);
        self.expect(last.is_none_or(|last| last < record.sequence), || {
            format!("5: {me:?} carries out {record:?}, and the client's {last:?} before")
        });
        let newest = life.newest.insert(record.object, (record.version, Instant::now()));
        let before = newest.map_or(0, |(version, _)| version);
        self.expect(record.version == before + 1, || format!("7: version {before} and then {record:?}"));
        life.history.push(record.clone());
        let versions = state.object(record.object).map_or(0, |object| object.versions().len());
        facts.most_versions = facts.most_versions.max(versions);
        self.check_object(state, record.object, record.version);
    }

    /// Invariant 7.
    fn check_object(&self, state: &State, id: ObjectId, newest: Version) {
        let Some(object) = state.object(id) else {
            self.test.fail(self.words(format!("invariant 7: {:?} has no object {id}", state.me())));
        };
        let versions = object.versions();
        let is_row = versions.windows(2).all(|pair| pair[1] == pair[0] + 1);
        self.expect(is_row && versions.last() == Some(&object.newest()) && object.newest() >= newest, || {
            format!("7: {:?} holds versions {versions:?} of object {id}, and {newest} is there", state.me())
        });
        let is_single = self.mode == Mode::Plain || object.is_clean();
        self.expect(!is_single || versions.len() == 1, || {
            format!("7: {:?} holds versions {versions:?} of object {id}, which is clean", state.me())
        });
    }

    fn commits(&self, facts: &mut Facts, state: &State, n: u64) {
        let (me, config) = (state.me(), state.config());
        if state.is_tail() {
            self.acts(facts, Role::Tail, me, config.epoch);
            self.tail_commits(facts, state, n);
        }
        let known = facts.committed.len() as u64;
        self.expect(n <= known, || {
            format!("3: {me:?} takes {n} updates for committed; the tail has {known}")
        });
        let life = facts.lives.get_mut(&me.node).expect("it has applied updates");
        let from = life.committed as usize;
        let mine = life.history.get(from..n as usize);
        self.expect(mine == facts.committed.get(from..n as usize), || {
            format!("3: {me:?} takes for committed what is not")
        });
        life.committed = n;
        for record in &facts.committed[from..n as usize] {
            self.check_object(state, record.object, record.version);
            let committed = state.object(record.object).map_or(0, craq::Object::committed);
            self.expect(committed >= record.version, || {
                format!("7: {me:?} knows that {record:?} is committed, and not that its version is")
            });
        }
    }

    /// Invariant 3: what the tail applies is committed, and all nodes of its chain have it.
    fn tail_commits(&self, facts: &mut Facts, state: &State, n: u64) {
        let (me, config) = (state.me(), state.config());
        let from = facts.committed.len();
        for place in from..n as usize {
            let record = facts.lives[&me.node].history.get(place).cloned();
            let Some(record) = record else {
                let what = format!("invariant 3: {me:?} commits {n} updates, and has shown {place}");
                self.test.fail(self.words(what));
            };
            for member in &config.members {
                // A member that has started again, or learned that it is none, is not there.
                let is_there = |life: &&Life| life.life == member.life && !life.is_blank();
                let Some(life) = facts.lives.get(&member.node).filter(is_there) else { continue };
                self.expect(life.history.get(place) == Some(&record), || {
                    format!("3: {me:?} commits {record:?}, which {member:?} does not have")
                });
            }
            let before = facts.by_client.insert((record.client, record.sequence), record.outcome);
            self.expect(before.is_none(), || format!("5: {record:?} is committed a second time"));
            let now = Instant::now();
            let versions = facts.versions.entry(record.object).or_default();
            versions.push((record.version, record.value.clone(), now));
            facts.committed.push(record);
            facts.epochs.push(config.epoch);
            facts.commits_now();
        }
    }

    /// Invariant 2: what a node keeps is what it does not know to be committed, so its history is the tail's,
    /// or any successor's, followed by a part of that.
    fn check_sent(&self, facts: &Facts, state: &State) {
        if state.config().epoch == 0 {
            return;
        }
        let (committed, hist) = (state.committed(), state.hist());
        let kept = state.sent().into_iter().map(|record| record.n);
        self.expect(kept.eq(committed + 1..=hist), || {
            let kept: Vec<u64> = state.sent().into_iter().map(|record| record.n).collect();
            format!("2: {:?} has {hist} updates, knows {committed} committed, keeps {kept:?}", state.me())
        });
        let known = facts.lives.get(&state.me().node).map_or(0, |life| life.history.len() as u64);
        self.expect(known == hist, || format!("2: {:?} has {hist} updates and showed {known}", state.me()));
    }
}

/// Invariant 8.
impl Watch {
    /// A node acts in a role. No other one may have done so in a later epoch, or in this one.
    fn acts(&self, facts: &mut Facts, role: Role, member: Member, epoch: u64) {
        let before = *facts.acted.entry(role).or_insert((epoch, member));
        let is_alone = before.1 == member || before.0 < epoch;
        self.expect(is_alone, || {
            format!(
                "8: {member:?} acts as {role:?} of epoch {epoch}, and {:?} did so in {}",
                before.1, before.0
            )
        });
        if epoch >= before.0 {
            facts.acted.insert(role, (epoch, member));
        }
    }

    /// A node that answers acts, if it has the role.
    fn answers(&self, facts: &mut Facts, node: NodeId, role: Role) {
        let Some(life) = facts.lives.get(&node) else { return };
        let member = Member { node, life: life.life };
        let holder = match role {
            Role::Head => life.config.head(),
            Role::Tail => life.config.tail(),
        };
        let epoch = life.config.epoch;
        if holder == Some(member) {
            self.acts(facts, role, member, epoch);
        }
    }
}

/// The network.
impl Watch {
    /// The network's tap.
    pub(crate) fn tap(&self, event: &TapEvent<'_>) -> TapAction {
        if event.direction == Direction::Request {
            let mut facts = self.facts.lock();
            *facts.counts.entry(event.method).or_default() += 1;
            if facts.managers.contains(event.end) && event.method == "NodeRpc.new_config" {
                let news: NewConfig = decode(event.bytes);
                let known = facts.configs.entry(news.config.epoch).or_insert_with(|| news.config.clone());
                let is_same = *known == news.config;
                drop(facts);
                self.expect(is_same, || format!("8: two configurations have one epoch: {:?}", news.config));
            }
        }
        self.filter.lock().as_mut().map_or(TapAction::Deliver, |filter| filter(event))
    }
}
