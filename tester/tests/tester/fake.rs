//! A consensus module that is none: server 0 leads term 1 for ever, and copies its log to the others again and again. It is
//! enough to try the tester on, and it can be wrong in many ways on purpose.

use labapi::{ApplyMsg, Consensus, Observer, Persister, Role, View, digest};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use std::marker::PhantomData;
use std::time::Duration;

/// How a fake is wrong.
pub(crate) trait Quirk: Send + Sync + 'static {
    /// In this way.
    const WRONG: Wrong;
}

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
    /// The leader takes for committed what nobody else has.
    CommitsAlone,
    /// Followers hand other commands to the service than they have in their logs.
    AppliesOther,
    /// Every command is handed to the service twice.
    AppliesTwice,
    /// A follower drops the entries that it has acknowledged.
    Forgets,
    /// A follower's disk gets nothing.
    NeverWrites,
    /// Its thread runs where a crash does not reach it.
    OutlivesCrash,
    /// A handler panics.
    HandlerPanics,
}

/// Defines quirks as types.
macro_rules! quirks {
    ($($name:ident),*) => {$(
        pub(crate) struct $name;
        impl Quirk for $name {
            const WRONG: Wrong = Wrong::$name;
        }
    )*};
}
quirks!(
    Nothing,
    AllLead,
    LeaderRewrites,
    FollowersAlter,
    CommitsAlone,
    AppliesOther,
    AppliesTwice,
    Forgets,
    NeverWrites,
    OutlivesCrash,
    HandlerPanics
);

labrpc::service! {
    /// What the fake's servers say to one another.
    pub service FakeRpc, client FakePeer {
        /// Here is all I have, and how much of it is committed; how much do you have now?
        fn copy(args: (Vec<Vec<u8>>, u64)) -> u64;
    }
}

/// A server of the fake.
pub(crate) struct Fake<Q> {
    me: usize,
    state: Mutex<State>,
    quirk: PhantomData<Q>,
}

struct State {
    log: Vec<Vec<u8>>,
    commit_index: u64,
    last_applied: u64,
    /// How much each server has, as far as the leader knows.
    has: Vec<u64>,
    disk: Persister,
    observer: Option<Box<dyn Observer>>,
    calls: u64,
}

impl<Q: Quirk> Fake<Q> {
    fn wrong(&self, wrong: Wrong) -> bool {
        Q::WRONG == wrong
    }

    fn role(&self) -> Role {
        if self.me == 0 || self.wrong(Wrong::AllLead) { Role::Leader } else { Role::Follower }
    }

    /// Writes the log to the disk and shows it to the observer.
    fn show(&self, state: &mut State, changed_from: u64) {
        if !self.wrong(Wrong::NeverWrites) || self.me == 0 {
            state.disk.save(&labgob::encode(&state.log), None);
        }
        let log = &state.log;
        let view = View {
            term: 1,
            role: self.role(),
            commit_index: state.commit_index,
            last_included_index: 0,
            last_index: log.len() as u64,
            changed_from,
            entry: &|index| log.get(index as usize - 1).map(|command| (1, digest(command))),
        };
        if let Some(observer) = &mut state.observer {
            observer.observe(&view);
        }
    }

    /// Copies the log to a follower every 10 ms.
    fn lead(&self, peer: usize, client: &FakePeer) {
        loop {
            thread::sleep(Duration::from_millis(10));
            let args = {
                let state = self.state.lock();
                (state.log.clone(), state.commit_index)
            };
            if let Ok(has) = client.copy(&args) {
                let state = &mut *self.state.lock();
                state.has[peer] = has;
                self.advance(state);
            }
        }
    }

    fn advance(&self, state: &mut State) {
        state.has[0] = state.log.len() as u64;
        let mut has = state.has.clone();
        has.sort_unstable();
        // The others beside the leader are too few, if it is to be wrong.
        let alone = self.wrong(Wrong::CommitsAlone);
        let committed = if alone { state.has[0] } else { has[(has.len() - 1) / 2] };
        if committed > state.commit_index {
            state.commit_index = committed;
            self.show(state, u64::MAX);
        }
    }

    fn apply(&self, sender: &Sender<ApplyMsg>) {
        loop {
            thread::sleep(Duration::from_millis(1));
            let message = {
                let state = &mut *self.state.lock();
                if state.last_applied == state.commit_index {
                    continue;
                }
                state.last_applied += 1;
                let index = state.last_applied;
                let mut command = state.log[index as usize - 1].clone();
                if self.wrong(Wrong::AppliesOther) && self.me == 1 {
                    command[0] ^= 1;
                }
                ApplyMsg::Command { index, term: 1, command }
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

impl<Q: Quirk> FakeRpc for Fake<Q> {
    fn copy(&self, (mut log, committed): (Vec<Vec<u8>>, u64)) -> u64 {
        assert!(!self.wrong(Wrong::HandlerPanics), "a handler that panics on purpose");
        let state = &mut *self.state.lock();
        state.calls += 1;
        if self.wrong(Wrong::FollowersAlter) {
            log.iter_mut().for_each(|command| command[0] ^= 1);
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
            self.show(state, common + 1);
        }
        state.log.len() as u64
    }
}

impl<Q: Quirk> Consensus for Fake<Q> {
    fn make(peers: Vec<ClientEnd>, me: usize, disk: Persister, apply: Sender<ApplyMsg>) -> Arc<Self> {
        let log: Vec<Vec<u8>> = labgob::decode(&disk.state()).unwrap_or_default();
        let has = vec![0; peers.len()];
        let state = State { log, commit_index: 0, last_applied: 0, has, disk, observer: None, calls: 0 };
        let fake = Arc::new(Fake { me, state: Mutex::new(state), quirk: PhantomData });
        for (peer, end) in peers.into_iter().enumerate().filter(|_| me == 0) {
            let (fake, client) = (Arc::clone(&fake), FakePeer::new(end).timeout(Duration::from_millis(500)));
            if peer != 0 {
                thread::spawn(move || fake.lead(peer, &client));
            }
        }
        let applier = Arc::clone(&fake);
        thread::spawn(move || applier.apply(&apply));
        if fake.wrong(Wrong::OutlivesCrash) {
            let fake = Arc::clone(&fake);
            labrt::node::Node::new("elsewhere").spawn("immortal", move || {
                loop {
                    thread::sleep(Duration::from_millis(50));
                    fake.show(&mut fake.state.lock(), u64::MAX);
                }
            });
        }
        fake
    }

    fn service(self: &Arc<Self>) -> Service {
        Arc::clone(self).into_service()
    }

    fn start(self: &Arc<Self>, command: Vec<u8>) -> Option<(u64, u64)> {
        if self.role() != Role::Leader {
            return None;
        }
        let state = &mut *self.state.lock();
        state.log.push(command);
        let index = state.log.len() as u64;
        let rewrites = self.wrong(Wrong::LeaderRewrites) && index == 3;
        if rewrites {
            state.log[0][0] ^= 1;
        }
        self.show(state, if rewrites { 1 } else { index });
        self.advance(state);
        Some((index, 1))
    }

    fn get_state(self: &Arc<Self>) -> (u64, bool) {
        (1, self.role() == Role::Leader)
    }

    fn snapshot(self: &Arc<Self>, _index: u64, _snapshot: Vec<u8>) {}

    fn watch(self: &Arc<Self>, observer: Box<dyn Observer>) {
        let state = &mut *self.state.lock();
        state.observer = Some(observer);
        self.show(state, 1);
    }
}
