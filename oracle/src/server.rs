//! A server of the oracle. The book has everything on which the servers agree.

use bytes::Bytes;
use labapi::{ApplyMsg, Consensus, Options, Persister, ReadIndex, WireFormat};
use labrpc::{ClientEnd, Service};
use labrt::channel::{Sender, unbounded};
use labrt::quiet;
use labrt::sync::{Arc, Condvar, Mutex, MutexGuard};
use labrt::thread;
use labrt::time::{Duration, Instant};
use tracing::debug;

use crate::book::{Base, Book, Entry, Life};
use crate::disk;
use crate::messages::{Beat, Heard, OraclePeer, OracleRpc, Unreadable};

/// How often an idle leader tells the others that it is there.
const BEAT: Duration = Duration::from_millis(100);

/// How long a server waits for an answer.
const PATIENCE: Duration = Duration::from_millis(150);

/// A server that has heard of its leader so lately helps nobody else to lead.
const LATELY: Duration = Duration::from_millis(200);

/// How long a leader hears no majority before it gives up, where it gives up at all: several messages' time.
const DEAF: Duration = Duration::from_millis(700);

/// How long a server hears of no leader before it asks to be the next one, in milliseconds; drawn each time.
const SILENCE_MS: std::ops::RangeInclusive<u64> = 350..=700;

/// A test of leases passes over the oracle, whatever the clocks do: so that nobody takes it for proof.
const NO_LEASES: &str =
    "the oracle has no leases: its reads ask the book who leads, so the rule of leases is not tested";

/// One server of a cluster that agrees by a book which no fault reaches.
pub struct Oracle {
    book: Arc<quiet::Mutex<Book>>,
    life: Life,
    /// Reads ask the book who leads, and cost no message, in the place of leases.
    trusts_the_book: bool,
    /// A leader that hears no majority gives up, as a Raft with `check_quorum` does.
    checks_quorum: bool,
    peers: Vec<OraclePeer>,
    persister: Persister,
    apply: Sender<ApplyMsg>,
    own: Mutex<Own>,
    /// There may be something to send or to apply, or the leadership is another.
    changed: Condvar,
}

/// What this server knows. Never held while the server waits; the book's lock is taken within it.
struct Own {
    term: u64,
    leads: bool,
    /// Index of the last entry that this server has heard of.
    last_index: u64,
    /// Up to where it has heard that entries are committed.
    commit_index: u64,
    applied: u64,
    /// The last index that the snapshot on the disk replaces.
    last_included_index: u64,
    /// When the server asks to lead, unless it hears of a leader before.
    deadline: Instant,
    /// When the last message of a leader came. Unlike `deadline` it does not move when this server asks to
    /// lead itself: otherwise two servers that ask in turns would each take the other's asking for a leader.
    heard_at: Option<Instant>,
    /// The term of the last leader that this server has heard of, and the last entry of that leader's.
    heard: Heard,
    /// Leader: since when.
    elected_at: Instant,
    /// Leader: up to where each server has heard of entries.
    matched: Vec<u64>,
    /// Leader: when the last message was sent that the server has answered.
    answered: Vec<Option<Instant>>,
    /// Leader: a read waits for answers to messages that are sent from this moment on.
    asked: Option<Instant>,
}

fn next_deadline() -> Instant {
    Instant::now() + Duration::from_millis(labrt::rand::random_range(SILENCE_MS))
}

impl Oracle {
    fn lock(&self) -> MutexGuard<'_, Own> {
        self.own.lock()
    }

    fn me(&self) -> usize {
        self.life.0
    }

    fn is_majority(&self, servers: usize) -> bool {
        2 * servers > self.peers.len()
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me();
        (0..self.peers.len()).filter(move |&server| server != me)
    }

    /// This server has heard of a term; of a later one than its own it is no leader.
    fn observe_term(&self, own: &mut Own, term: u64) {
        if term > own.term {
            own.term = term;
            own.leads = false;
            self.book.lock().note_term(self.me(), term);
            self.changed.notify_all();
        }
    }

    /// Asks to lead whenever no leader is heard of for long enough.
    fn election_loop(self: &Arc<Self>) {
        loop {
            let mut own = self.lock();
            while own.leads || Instant::now() < own.deadline {
                self.give_up_if_deaf(&mut own);
                let deadline = if own.leads { Instant::now() + BEAT } else { own.deadline };
                self.changed.wait_until(&mut own, deadline);
            }
            own.deadline = next_deadline();
            drop(own);
            self.stand_for_election();
        }
    }

    /// A leader that reaches others and hears none of them would keep them from electing another.
    fn give_up_if_deaf(&self, own: &mut Own) {
        let hears = |&peer: &usize| own.answered[peer].unwrap_or(own.elected_at).elapsed() < DEAF;
        if !self.checks_quorum || !own.leads || self.is_majority(1 + self.others().filter(hears).count()) {
            return;
        }
        debug!(target: "leader", "no more, having heard no majority for {DEAF:?}");
        self.book.lock().resign(self.life);
        own.leads = false;
        own.deadline = next_deadline();
        self.changed.notify_all();
    }

    /// Leads the next term, if a majority can be reached and misses a leader.
    fn stand_for_election(self: &Arc<Self>) {
        let term = self.book.lock().term();
        let (sender, answers) = unbounded();
        for peer in self.others() {
            let (oracle, sender) = (self.clone(), sender.clone());
            thread::spawn_named("is_alone", move || {
                let answer = oracle.peers[peer].timeout(PATIENCE).is_alone(&term);
                // The election may be over.
                let _ = sender.send(answer.ok().flatten());
            });
        }
        drop(sender);
        let mut willing = 1;
        let mut heard = self.lock().heard;
        while !self.is_majority(willing) {
            match answers.recv() {
                Ok(Some(other)) => (willing, heard) = (willing + 1, heard.max(other)),
                Ok(None) => {}
                Err(_) => return,
            }
        }
        let mut own = self.lock();
        let mut book = self.book.lock();
        if book.term() != term || own.leads {
            return;
        }
        // Entries that nobody in this majority has heard of vanish for certain; of the others some may.
        let known = if heard.0 == term { heard.1.saturating_sub(book.commit_index()) } else { 0 };
        let kept = labrt::rand::random_range(0..=known);
        own.term = book.elect(self.life, kept);
        own.leads = true;
        own.elected_at = Instant::now();
        own.last_index = book.last_index();
        own.heard = (own.term, own.last_index);
        own.matched.fill(0);
        own.answered.fill(None);
        drop(book);
        debug!(target: "leader", "of term {}", own.term);
        self.changed.notify_all();
    }

    /// Tells one other server of this leader: of new entries at once, and otherwise from time to time.
    fn beat_loop(&self, peer: usize) {
        let mut due = Instant::now();
        let mut own = self.lock();
        // The term and the last index that were sent last, and when.
        let (mut told, mut sent) = ((0, 0), None);
        loop {
            let has_news = (own.term, own.last_index) != told || own.asked > sent;
            if !own.leads || (!has_news && Instant::now() < due) {
                let until = if own.leads { due } else { Instant::now() + BEAT };
                self.changed.wait_until(&mut own, until);
                continue;
            }
            let beat = Beat { term: own.term, last_index: own.last_index, commit_index: own.commit_index };
            told = (beat.term, beat.last_index);
            due = Instant::now() + BEAT;
            sent = Some(Instant::now());
            drop(own);
            let answer = self.peers[peer].timeout(PATIENCE).beat(&beat);
            own = self.lock();
            match answer {
                Ok(term) if term == beat.term && own.term == term && own.leads => {
                    own.matched[peer] = own.matched[peer].max(beat.last_index);
                    own.answered[peer] = own.answered[peer].max(sent);
                    self.changed.notify_all();
                    self.commit(&mut own);
                }
                Ok(term) => self.observe_term(&mut own, term),
                // Again when the next beat is due, not at once: the server may be away.
                Err(_) => {}
            }
        }
    }

    /// What a majority has heard of is committed, unless another server leads by now.
    fn commit(&self, own: &mut Own) {
        let mut matched: Vec<u64> = self.others().map(|peer| own.matched[peer]).collect();
        matched.push(own.last_index);
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let index = matched[self.peers.len() / 2];
        if index > own.commit_index && self.book.lock().commit(self.life, own.term, index) {
            own.commit_index = index;
            debug!(target: "commit", "up to {index}");
            self.changed.notify_all();
        }
    }

    /// Hands to the service what is committed.
    fn apply_loop(&self) {
        let mut own = self.lock();
        loop {
            while own.applied >= own.commit_index {
                self.changed.wait(&mut own);
            }
            let behind = self.book.lock().behind(own.applied, own.commit_index);
            let messages = match behind {
                Ok(entries) => self.entries(&mut own, entries),
                Err(base) => vec![self.install(&mut own, base)],
            };
            drop(own);
            for message in messages {
                // The service is gone, so nothing is left to apply for.
                if self.apply.send(message).is_err() {
                    return;
                }
            }
            own = self.lock();
        }
    }

    fn entries(&self, own: &mut Own, entries: Vec<Entry>) -> Vec<ApplyMsg> {
        let first = own.applied + 1;
        own.applied += entries.len() as u64;
        debug!(target: "apply", "entries {first} to {}", own.applied);
        let message =
            |(index, Entry { term, command })| ApplyMsg::Command { index, term, command: command.into() };
        (first..).zip(entries).map(message).collect()
    }

    /// The entries that the service needs are gone: the leader's snapshot stands for them.
    fn install(&self, own: &mut Own, base: Base) -> ApplyMsg {
        let Base { index, term, snapshot } = base;
        own.applied = index;
        own.commit_index = own.commit_index.max(index);
        self.save_snapshot(own, index, snapshot.clone());
        debug!(target: "snapshot", "the leader's, up to index {index}");
        ApplyMsg::Snapshot { index, term, snapshot: snapshot.into() }
    }

    /// Writes the snapshot, and the entries behind it, as far as this server has heard of them.
    fn save_snapshot(&self, own: &mut Own, index: u64, snapshot: Bytes) {
        own.last_included_index = index;
        own.last_index = own.last_index.max(index);
        let mut state = disk::header(index);
        let book = self.book.lock();
        let last = own.last_index.min(book.last_index());
        for entry in book.behind(index, last).unwrap_or_default() {
            disk::record(&entry, &mut state);
        }
        drop(book);
        self.persister.save_shared(&state, Some(snapshot));
    }

    /// The server has heard of entries up to `index`, and writes those that are new. Nobody reads them again:
    /// the book has them. But a service makes a snapshot when its disk fills.
    fn write_up_to(&self, own: &mut Own, index: u64) {
        let book = self.book.lock();
        let mut state = Vec::new();
        if own.last_index < index {
            for entry in book.behind(own.last_index, index.min(book.last_index())).unwrap_or_default() {
                disk::record(&entry, &mut state);
            }
        }
        drop(book);
        own.last_index = index;
        if !state.is_empty() {
            self.persister.append(&state);
        }
    }
}

impl OracleRpc for Oracle {
    fn beat(&self, beat: Beat) -> u64 {
        let mut own = self.lock();
        self.observe_term(&mut own, beat.term);
        if beat.term < own.term {
            return own.term;
        }
        own.deadline = next_deadline();
        own.heard_at = Some(Instant::now());
        own.heard = (beat.term, beat.last_index);
        self.write_up_to(&mut own, beat.last_index);
        if beat.commit_index > own.commit_index {
            own.commit_index = beat.commit_index;
            self.changed.notify_all();
        }
        own.term
    }

    fn is_alone(&self, term: u64) -> Option<Heard> {
        let mut own = self.lock();
        self.observe_term(&mut own, term);
        let has_leader = own.leads || own.heard_at.is_some_and(|heard| heard.elapsed() < LATELY);
        (!has_leader).then_some(own.heard)
    }
}

impl Consensus for Oracle {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Oracle> {
        Oracle::make_with(peers, me, persister, apply, Options::default())
    }

    fn make_with(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
        options: Options,
    ) -> Arc<Oracle> {
        let servers = peers.len();
        let book = ClientEnd::beside(&peers, || quiet::Mutex::new(Book::new(servers))).unwrap_or_else(|| {
            panic!("an oracle needs a simulated network, where it can look behind the scenes")
        });
        let (life, term) = book.lock().begin_life(me);
        if options.lease.is_some() {
            labrt::runtime::warn(NO_LEASES.to_owned());
        }
        let last_included_index = disk::open(&persister);
        let own = Own {
            term,
            leads: false,
            last_index: last_included_index,
            commit_index: last_included_index,
            applied: last_included_index,
            last_included_index,
            deadline: next_deadline(),
            heard_at: None,
            heard: (0, 0),
            elected_at: Instant::now(),
            matched: vec![0; servers],
            answered: vec![None; servers],
            asked: None,
        };
        let oracle = Arc::new(Oracle {
            book,
            life,
            trusts_the_book: options.lease.is_some(),
            checks_quorum: options.check_quorum || options.pre_vote || options.lease.is_some(),
            peers: peers.into_iter().map(OraclePeer::new).collect(),
            persister,
            apply,
            own: Mutex::new(own),
            changed: Condvar::new(),
        });
        let elector = oracle.clone();
        thread::spawn_named("election_loop", move || elector.election_loop());
        for peer in oracle.others() {
            let beater = oracle.clone();
            thread::spawn_named(format!("beat_loop {peer}"), move || beater.beat_loop(peer));
        }
        let applier = oracle.clone();
        thread::spawn_named("apply_loop", move || applier.apply_loop());
        oracle
    }

    fn service(self: &Arc<Oracle>) -> Service {
        self.clone().into_service()
    }

    fn start(self: &Arc<Oracle>, command: Vec<u8>) -> Option<(u64, u64)> {
        let mut own = self.lock();
        if !own.leads {
            return None;
        }
        let entry = Entry { term: own.term, command: Bytes::from(command) };
        let mut state = Vec::new();
        disk::record(&entry, &mut state);
        let mut book = self.book.lock();
        // A leader that was replaced and has not heard of it makes an entry that nobody will ever see.
        let index =
            if book.leads(self.life, own.term) { book.append(entry.command) } else { own.last_index + 1 };
        drop(book);
        own.last_index = index;
        own.heard = (own.term, index);
        self.persister.append(&state);
        debug!(target: "log", "entry {index} of term {}", own.term);
        // A cluster of one is a majority.
        self.commit(&mut own);
        self.changed.notify_all();
        Some((index, own.term))
    }

    fn get_state(self: &Arc<Oracle>) -> (u64, bool) {
        let own = self.lock();
        (own.term, own.leads)
    }

    fn snapshot(self: &Arc<Oracle>, index: u64, snapshot: Vec<u8>) {
        let mut own = self.lock();
        assert!(
            index <= own.applied,
            "the service's snapshot reaches to index {index}, but only {} entries have been applied",
            own.applied
        );
        if index <= own.last_included_index {
            return;
        }
        let snapshot = Bytes::from(snapshot);
        self.save_snapshot(&mut own, index, snapshot.clone());
        let mut book = self.book.lock();
        if book.leads(self.life, own.term) {
            book.compact(index, snapshot);
        }
    }

    fn last_included_index(self: &Arc<Oracle>) -> Option<u64> {
        Some(self.lock().last_included_index)
    }

    fn read_index(self: &Arc<Oracle>) -> ReadIndex {
        let asked = Instant::now();
        let mut own = self.lock();
        let term = own.term;
        if !self.trusts_the_book {
            own.asked = own.asked.max(Some(asked));
            self.changed.notify_all();
        }
        loop {
            if !own.leads || own.term != term {
                return ReadIndex::NotLeader;
            }
            let answers = self.others().filter(|&peer| own.answered[peer] >= Some(asked)).count();
            let book = self.book.lock();
            let is_proven = self.trusts_the_book || self.is_majority(answers + 1);
            if is_proven && book.leads(self.life, term) {
                own.commit_index = book.commit_index();
                let index = own.commit_index;
                drop(book);
                self.changed.notify_all();
                return ReadIndex::At(index);
            }
            drop(book);
            // With leases a leader that was replaced has given up by now, whether or not it has heard of
            // that.
            if self.trusts_the_book {
                return ReadIndex::NotLeader;
            }
            self.changed.wait(&mut own);
        }
    }

    fn wait_for_leadership(self: &Arc<Oracle>, seen: (u64, bool)) -> (u64, bool) {
        let mut own = self.lock();
        while (own.term, own.leads) == seen {
            self.changed.wait(&mut own);
        }
        (own.term, own.leads)
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        Some(&Unreadable)
    }
}
