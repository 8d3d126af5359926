//! A consensus module that is none: server 0 leads term 1 for ever, and copies its log to the others again
//! and again. It is enough to try the tester on, and it can be wrong in many ways on purpose.

use std::cell::{Cell, RefCell};
use std::sync::Weak;
use std::time::Duration;

use labapi::{
    ApplyMsg, Consensus, Observer, Persister, Probe, Reply, Request, Role, Shown, WireFormat, digest,
};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::node::Node;
use labrt::sync::{Arc, Mutex};
use labrt::thread;

/// Ways of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is right, as far as it goes.
    Nothing,
    /// All servers believe to lead.
    AllLead,
    /// The leader changes an entry that it has taken.
    LeaderRewrites,
    /// Followers take other commands than the leader sent.
    FollowersAlter,
    /// The leader takes for committed what no other server has.
    CommitsAlone,
    /// Followers hand other commands to the service than they have in their logs.
    AppliesOther,
    /// A follower hands its commands to the service with another term.
    TellsOtherTerm,
    /// Every command is handed to the service twice.
    AppliesTwice,
    /// A follower drops the entries that it has acknowledged.
    Forgets,
    /// A follower adds an entry of its own.
    Invents,
    /// A follower's disk gets nothing.
    NeverWrites,
    /// What a follower writes to its disk is an empty log.
    WritesEmpty,
    /// Its thread runs where a crash does not reach it.
    OutlivesCrash,
    /// A handler panics.
    HandlerPanics,
    /// `get_state` names a smaller term once there are two entries.
    GoesBack,
    /// Server 1 is in a smaller term in its second life.
    ForgetsTerm,
    /// Server 0 votes for servers 1 and 2 in one term.
    VotesTwice,
    /// The leader sends server 2 other commands.
    SendsOther,
    /// A follower writes to its disk after it has answered.
    WritesLate,
    /// Its thread goes on calling others where a crash does not reach it.
    OutlivesCalling,
    /// Its thread goes on handing commands to the service where a crash does not reach it.
    OutlivesApplying,
    /// Followers have everything, and say that they have nothing.
    AdmitsNothing,
    /// The leader takes commands, and sends none.
    KeepsCommands,
    /// The leader does not count what followers have.
    CountsNothing,
    /// Handlers of followers never return.
    NeverReturns,
    /// No server hands anything to its service.
    NeverApplies,
    /// A thread of the leader takes the lock after it got a command, and never gives it up.
    KeepsLock,
    /// Followers take two locks in one order here and in the other there.
    TwoLocks,
    /// Server 2 shows no observer what it does.
    OneHides,
    /// No server shows more than two entries.
    ShowsNoMore,
    /// It writes to its disk when it is dropped, which is no mistake: a crash drops nothing.
    WritesWhenDropped,
    /// It calls another server when it is dropped, which is no mistake either.
    CallsWhenDropped,
    /// The messages cannot be read, although there is a `wire`.
    ReadsNothing,
    /// `start` starts a thread, which is no mistake: it writes, calls another server, and hands nothing over.
    StartSpawns,
}

std::thread_local! {
    /// How the fakes of the run are wrong that this thread plays. One type that is told so is built once; a
    /// type for each way would be built, with the whole tester in it, two dozen times.
    static CHOSEN: Cell<Wrong> = const { Cell::new(Wrong::Nothing) };
    /// The servers of these runs.
    static MADE: RefCell<Vec<Weak<Fake>>> = const { RefCell::new(Vec::new()) };
}

labrpc::service! {
    /// What the fake's servers say to one another.
    pub service FakeRpc, client FakePeer {
        /// Here is all I have, and how much of it is committed; how much do you have now?
        fn copy(args: (Vec<Vec<u8>>, u64)) -> u64;
        /// A candidate asks for a vote: term and candidate.
        fn vote(args: (u64, usize)) -> bool;
    }
}

/// Makes the fake's messages readable. Everything is of term 1, and each copy begins at index 1.
struct FakeWire;

impl WireFormat for FakeWire {
    fn request(&self, method: &str, args: &[u8]) -> Option<Request> {
        if CHOSEN.get() == Wrong::ReadsNothing {
            return None;
        }
        if method == "FakeRpc.vote" {
            let (term, candidate) = labgob::decode(args).ok()?;
            return Some(Request::Vote { term, candidate, last_index: 0, last_term: 0 });
        }
        let (log, commit_index): (Vec<Vec<u8>>, u64) = labgob::decode(args).ok()?;
        let entries = log.iter().map(|command| (1, digest(command))).collect();
        Some(Request::Append { term: 1, leader: 0, prev_index: 0, prev_term: 0, entries, commit_index })
    }

    fn reply(&self, method: &str, request: &Request, reply: &[u8]) -> Option<Reply> {
        let granted = match request {
            _ if method == "FakeRpc.vote" => labgob::decode(reply).ok()?,
            Request::Append { entries, .. } => labgob::decode::<u64>(reply).ok()? >= entries.len() as u64,
            _ => return None,
        };
        Some(if granted { Reply::Granted } else { Reply::Refused })
    }
}

/// A server of the fake.
pub(crate) struct Fake {
    me: usize,
    wrong: Wrong,
    state: Mutex<State>,
    other: Mutex<()>,
    peers: Vec<ClientEnd>,
}

struct State {
    /// Whether the disk was not empty at the start.
    second_life: bool,
    log: Vec<Vec<u8>>,
    commit_index: u64,
    last_applied: u64,
    /// How much each server has, as far as the leader knows.
    has: Vec<u64>,
    disk: Persister,
    probe: Probe,
    calls: u64,
}

impl Drop for Fake {
    fn drop(&mut self) {
        if self.wrong(Wrong::WritesWhenDropped) {
            self.show(&mut self.state.lock());
        }
        if self.wrong(Wrong::CallsWhenDropped) {
            let farewell = FakePeer::new(self.peers[2].clone());
            assert!(farewell.vote(&(0, 1)).is_err(), "the dead are not heard");
        }
    }
}

impl Fake {
    /// The servers that are made from now on in this run are wrong in this way. To be called as a run begins,
    /// whose threads are all on one thread of the system.
    pub(crate) fn will_be(wrong: Wrong) {
        CHOSEN.set(wrong);
        MADE.take();
    }

    /// The servers that were made since.
    pub(crate) fn made() -> Vec<Weak<Fake>> {
        MADE.take()
    }

    fn wrong(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn role(&self) -> Role {
        if self.me == 0 || self.wrong(Wrong::AllLead) { Role::Leader } else { Role::Follower }
    }

    /// Writes the log to the disk and shows it to the observer.
    fn show(&self, state: &mut State) {
        let is_lost = self.wrong(Wrong::WritesEmpty) && self.me != 0;
        let written: &[Vec<u8>] = if is_lost { &[] } else { &state.log };
        let bytes = labgob::encode(&written);
        if self.wrong(Wrong::WritesLate) && self.me != 0 {
            let disk = state.disk.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                disk.save(&bytes, None);
            });
        } else if !self.wrong(Wrong::NeverWrites) || self.me == 0 {
            state.disk.save(&bytes, None);
        }
        let hides = self.wrong(Wrong::OneHides) && self.me == 2;
        if hides || self.wrong(Wrong::ShowsNoMore) && state.log.len() > 2 {
            return;
        }
        let State { log, commit_index, probe, .. } = state;
        let shown = Shown { term: 1, role: self.role(), commit_index: *commit_index, last_included_index: 0 };
        probe.show(shown, log.len() as u64, |index| (1, &log[index as usize - 1]));
    }

    /// Copies the log to a follower every 10 ms.
    fn lead(&self, peer: usize, client: &FakePeer) {
        loop {
            thread::sleep(Duration::from_millis(10));
            let args = {
                let state = self.state.lock();
                (state.log.clone(), state.commit_index)
            };
            let args = if self.wrong(Wrong::KeepsCommands) { (Vec::new(), 0) } else { args };
            let args = if self.wrong(Wrong::SendsOther) && peer == 2 { altered(args) } else { args };
            if let Ok(has) = client.copy(&args) {
                let state = &mut *self.state.lock();
                state.has[peer] = has;
                self.advance(state);
            }
        }
    }

    fn advance(&self, state: &mut State) {
        if self.wrong(Wrong::CountsNothing) {
            return;
        }
        state.has[0] = state.log.len() as u64;
        let mut has = state.has.clone();
        has.sort_unstable();
        // The others beside the leader are too few, if it is to be wrong.
        let alone = self.wrong(Wrong::CommitsAlone);
        let committed = if alone { state.has[0] } else { has[(has.len() - 1) / 2] };
        if committed > state.commit_index {
            state.commit_index = committed;
            self.show(state);
        }
    }

    fn apply(&self, sender: &Sender<ApplyMsg>) {
        loop {
            thread::sleep(Duration::from_millis(1));
            let message = {
                let state = &mut *self.state.lock();
                if state.last_applied == state.commit_index || self.wrong(Wrong::NeverApplies) {
                    continue;
                }
                state.last_applied += 1;
                let index = state.last_applied;
                let mut command = state.log[index as usize - 1].clone();
                if self.wrong(Wrong::AppliesOther) && self.me == 1 {
                    command[0] ^= 1;
                }
                let term = if self.wrong(Wrong::TellsOtherTerm) && self.me == 1 { 2 } else { 1 };
                ApplyMsg::Command { index, term, command }
            };
            if sender.send(message.clone()).is_err() {
                return;
            }
            if self.wrong(Wrong::AppliesTwice) && sender.send(message).is_err() {
                return;
            }
        }
    }
}

/// The same message with other commands.
fn altered((mut log, commit_index): (Vec<Vec<u8>>, u64)) -> (Vec<Vec<u8>>, u64) {
    log.iter_mut().for_each(|command| command[0] ^= 1);
    (log, commit_index)
}

fn wait_for_ever() {
    let (_sender, nothing) = labrt::channel::bounded::<()>(1);
    let _ = nothing.recv();
}

/// A node that no crash of a server reaches.
fn elsewhere() -> Node {
    Node::new("elsewhere")
}

impl Fake {
    /// Starts threads that live on when the server is crashed.
    fn start_immortals(self: &Arc<Self>, peers: &[ClientEnd], apply: &Sender<ApplyMsg>) {
        let fake = Arc::clone(self);
        if self.wrong(Wrong::OutlivesCrash) {
            elsewhere().spawn("immortal", move || {
                loop {
                    thread::sleep(Duration::from_millis(50));
                    fake.show(&mut fake.state.lock());
                }
            });
        } else if self.wrong(Wrong::OutlivesCalling) && self.me == 1 {
            let client = FakePeer::new(peers[2].clone());
            elsewhere().spawn("immortal", move || {
                loop {
                    thread::sleep(Duration::from_millis(50));
                    // Whether there is an answer does not matter.
                    let _ = client.vote(&(0, 1));
                }
            });
        } else if self.wrong(Wrong::OutlivesApplying) && self.me == 1 {
            let apply = apply.clone();
            elsewhere().spawn("immortal", move || {
                thread::sleep(Duration::from_secs(1));
                let _ = apply.send(ApplyMsg::Command { index: 1, term: 1, command: vec![1] });
            });
        }
    }

    /// Takes the locks of [`Wrong::TwoLocks`], the other one first.
    fn lock_the_other_way(&self) {
        loop {
            let other = self.other.lock();
            thread::sleep(Duration::from_millis(1));
            drop(self.state.lock());
            drop(other);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A thread of a command: writes to the disk, calls another server, and writes again, for ever.
    fn work_for_ever(self: &Arc<Self>) {
        let disk = self.state.lock().disk.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_millis(20));
                disk.append(&[]);
            }
        });
    }
}

impl FakeRpc for Fake {
    fn vote(&self, _args: (u64, usize)) -> bool {
        // The vote is on the disk, as it should be.
        self.state.lock().disk.append(&[]);
        self.wrong(Wrong::VotesTwice)
    }

    fn copy(&self, (mut log, committed): (Vec<Vec<u8>>, u64)) -> u64 {
        if self.wrong(Wrong::HandlerPanics) {
            // Outside of the tests, as a solution's panics are: in std.
            let none = usize::from(self.wrong(Wrong::Nothing));
            let _ = (0..1).step_by(none);
        }
        if self.wrong(Wrong::NeverReturns) {
            wait_for_ever();
        }
        let state = &mut *self.state.lock();
        if self.wrong(Wrong::TwoLocks) {
            thread::sleep(Duration::from_millis(1));
            drop(self.other.lock());
        }
        state.calls += 1;
        if self.wrong(Wrong::FollowersAlter) {
            log.iter_mut().for_each(|command| command[0] ^= 1);
        }
        if self.wrong(Wrong::Invents) && self.me == 1 {
            log.push(b"invented".to_vec());
        }
        if self.wrong(Wrong::Forgets) && state.calls.is_multiple_of(5) {
            log.clear();
        }
        let common = state.log.iter().zip(&log).take_while(|(a, b)| a == b).count() as u64;
        let changed =
            (state.log.len(), state.commit_index) != (log.len(), committed) || common < log.len() as u64;
        state.log = log;
        state.commit_index = committed.min(state.log.len() as u64);
        if changed {
            self.show(state);
        }
        if self.wrong(Wrong::AdmitsNothing) { 0 } else { state.log.len() as u64 }
    }
}

impl Consensus for Fake {
    fn make(peers: Vec<ClientEnd>, me: usize, disk: Persister, apply: Sender<ApplyMsg>) -> Arc<Self> {
        let log: Vec<Vec<u8>> = labgob::decode(&disk.state()).unwrap_or_default();
        let has = vec![0; peers.len()];
        let second_life = !disk.state().is_empty();
        let state = State {
            log,
            second_life,
            commit_index: 0,
            last_applied: 0,
            has,
            disk,
            probe: Probe::default(),
            calls: 0,
        };
        let (wrong, state) = (CHOSEN.get(), Mutex::new(state));
        let fake = Arc::new(Fake { me, wrong, state, other: Mutex::default(), peers: peers.clone() });
        MADE.with_borrow_mut(|made| made.push(Arc::downgrade(&fake)));
        if fake.wrong(Wrong::TwoLocks) && me != 0 {
            let fake = Arc::clone(&fake);
            thread::spawn(move || fake.lock_the_other_way());
        }
        fake.start_immortals(&peers, &apply);
        if fake.wrong(Wrong::VotesTwice) && me != 0 {
            let client = FakePeer::new(peers[0].clone());
            thread::spawn(move || {
                // By then there are links.
                thread::sleep(Duration::from_millis(5));
                client.vote(&(1, me))
            });
        }
        for (peer, end) in peers.into_iter().enumerate().filter(|_| me == 0) {
            let (fake, client) = (Arc::clone(&fake), FakePeer::new(end).timeout(Duration::from_millis(500)));
            if peer != 0 {
                thread::spawn(move || fake.lead(peer, &client));
            }
        }
        let applier = Arc::clone(&fake);
        thread::spawn(move || applier.apply(&apply));
        fake
    }

    fn service(self: &Arc<Self>) -> Service {
        Arc::clone(self).into_service()
    }

    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        if self.role() != Role::Leader {
            return None;
        }
        if self.wrong(Wrong::StartSpawns) {
            self.work_for_ever();
        }
        if self.wrong(Wrong::KeepsLock) {
            let fake = Arc::clone(self);
            thread::spawn_named("keeper", move || {
                thread::sleep(Duration::from_millis(5));
                let _state = fake.state.lock();
                wait_for_ever();
            });
        }
        let state = &mut *self.state.lock();
        state.log.push(command);
        let index = state.log.len() as u64;
        let rewrites = self.wrong(Wrong::LeaderRewrites) && index == 3;
        if rewrites {
            state.log[0][0] ^= 1;
        }
        self.show(state);
        self.advance(state);
        Some((index, 1))
    }

    fn get_state(self: &Arc<Self>) -> (u64, bool) {
        let state = self.state.lock();
        let forgets = self.wrong(Wrong::ForgetsTerm) && self.me == 1 && !state.second_life;
        let goes_back = self.wrong(Wrong::GoesBack) && state.log.len() < 2;
        (if forgets || goes_back { 2 } else { 1 }, self.role() == Role::Leader)
    }

    fn snapshot(self: &Arc<Self>, _index: u64, _snapshot: Vec<u8>) {}

    fn watch(self: &Arc<Self>, observer: Box<dyn Observer>) {
        let state = &mut *self.state.lock();
        state.probe.attach(observer);
        self.show(state);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        Some(&FakeWire)
    }
}
