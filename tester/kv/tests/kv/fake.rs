//! A key/value service that is none: server 0 leads for ever, and sends a copy of everything to the others
//! before it answers. It is enough to try the tester on, and it can be wrong in many ways on purpose.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use labapi::{KvClerk, KvServer, Persister};
use labrpc::{ClientEnd, Service};
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use serde::{Deserialize, Serialize};

/// Ways of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KvWrong {
    /// It is right, as far as it goes.
    Right,
    /// Every 40th append is acknowledged and forgotten.
    Loses,
    /// A request that comes again is carried out again.
    Duplicates,
    /// Every server answers reads from its own copy.
    ReadsStale,
    /// The 40th request is never answered.
    Hangs,
    /// A request takes as long as a heartbeat.
    Slow,
    /// There are no snapshots, however long the state.
    KeepsAll,
    /// There are snapshots, although there should be none.
    Snapshots,
    /// It is right, and tells its Raft's state only while no request is at work.
    TellsWhenFree,
}

std::thread_local! {
    /// How the fakes of the run are wrong that this thread plays. One type that is told so is built once; a
    /// type for each way would be built, with the whole tester in it, again and again.
    static CHOSEN: Cell<KvWrong> = const { Cell::new(KvWrong::Right) };
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    Get,
    Put,
    Append,
}

/// A request: the clerk, the request's number, the command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    client: u64,
    sequence: u64,
    verb: Verb,
    key: String,
    value: String,
}

/// All that a server knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Copy {
    version: u64,
    values: BTreeMap<String, String>,
    last: BTreeMap<u64, u64>,
    appends: u64,
}

labrpc::service! {
    /// What the fake's servers are asked.
    pub service FakeKvRpc, client FakeKvPeer {
        /// Carry this out; None if another server should be asked, or it should be asked again.
        fn operate(ask: Ask) -> Option<String>;
        /// Here is all I know.
        fn copy(copy: Copy) -> ();
    }
}

/// A server of the fake.
pub(crate) struct FakeKv {
    me: usize,
    wrong: KvWrong,
    max_raft_state: Option<usize>,
    peers: Vec<FakeKvPeer>,
    disk: Persister,
    copy: Mutex<Copy>,
}

impl FakeKv {
    /// The servers that are made from now on in this run are wrong in this way. To be called as a run begins,
    /// whose threads are all on one thread of the system.
    pub(crate) fn will_be(wrong: KvWrong) {
        CHOSEN.set(wrong);
    }

    fn wrong(&self, wrong: KvWrong) -> bool {
        self.wrong == wrong
    }

    /// Carries it out here, and returns what the others must know before it is answered.
    fn apply(&self, ask: &Ask) -> (String, Copy) {
        let mut copy = self.copy.lock();
        if self.wrong(KvWrong::TellsWhenFree) {
            thread::sleep(Duration::from_millis(5));
        }
        let again = copy.last.get(&ask.client).is_some_and(|&last| last >= ask.sequence);
        if ask.verb != Verb::Get && (!again || self.wrong(KvWrong::Duplicates)) {
            self.write(&mut copy, ask);
        }
        let value = copy.values.get(&ask.key).cloned().unwrap_or_default();
        (value, copy.clone())
    }

    fn write(&self, copy: &mut Copy, ask: &Ask) {
        copy.version += 1;
        copy.last.insert(ask.client, ask.sequence);
        let value = copy.values.entry(ask.key.clone()).or_default();
        if ask.verb == Verb::Put {
            value.clear();
        } else {
            copy.appends += 1;
            if self.wrong(KvWrong::Loses) && copy.appends.is_multiple_of(40) {
                return;
            }
        }
        value.push_str(&ask.value);
        self.save(copy);
    }

    fn save(&self, copy: &Copy) {
        let bytes = labgob::encode(copy);
        let snapshots =
            self.max_raft_state.is_some() && !self.wrong(KvWrong::KeepsAll) || self.wrong(KvWrong::Snapshots);
        if snapshots { self.disk.save(&[], Some(&bytes)) } else { self.disk.save(&bytes, None) }
    }

    /// Sends a copy to as many as a majority needs.
    fn spread(&self, copy: &Copy) -> bool {
        let mut missing = self.peers.len() / 2;
        for peer in &self.peers[1..] {
            if missing > 0 && peer.timeout(Duration::from_millis(200)).copy(copy).is_ok() {
                missing -= 1;
            }
        }
        missing == 0
    }
}

impl FakeKvRpc for FakeKv {
    fn operate(&self, ask: Ask) -> Option<String> {
        if self.wrong(KvWrong::ReadsStale) && ask.verb == Verb::Get {
            return Some(self.copy.lock().values.get(&ask.key).cloned().unwrap_or_default());
        }
        if self.me != 0 {
            return None;
        }
        if self.wrong(KvWrong::Slow) {
            thread::sleep(Duration::from_millis(50));
        }
        let (value, copy) = self.apply(&ask);
        if self.wrong(KvWrong::Hangs) && copy.version == 40 {
            thread::sleep(Duration::from_secs(3600));
        }
        self.spread(&copy).then_some(value)
    }

    fn copy(&self, copy: Copy) {
        let mut own = self.copy.lock();
        if copy.version > own.version {
            *own = copy;
        }
    }
}

impl KvServer for FakeKv {
    type Clerk = FakeClerk;

    fn start(ends: Vec<ClientEnd>, me: usize, disk: Persister, max_raft_state: Option<usize>) -> Arc<Self> {
        let peers = ends.into_iter().map(FakeKvPeer::new).collect();
        let (state, snapshot) = (disk.state(), disk.snapshot());
        let copy = labgob::decode(if state.is_empty() { &snapshot } else { &state }).unwrap_or_default();
        Arc::new(FakeKv { me, wrong: CHOSEN.get(), max_raft_state, peers, disk, copy: Mutex::new(copy) })
    }

    fn services(self: &Arc<Self>) -> Vec<Service> {
        vec![Arc::clone(self).into_service()]
    }

    fn is_leader(self: &Arc<Self>) -> bool {
        self.me == 0
    }

    fn raft_state(self: &Arc<Self>) -> Option<(u64, bool)> {
        let is_free = self.wrong(KvWrong::TellsWhenFree) && self.copy.try_lock().is_some();
        is_free.then_some((7, self.me == 0))
    }

    fn clerk(ends: Vec<ClientEnd>) -> FakeClerk {
        let servers = ends.into_iter().map(FakeKvPeer::new).collect();
        FakeClerk { servers, client: labrt::rand::random(), sequence: 0, next: 0 }
    }
}

/// A clerk of the fake.
pub(crate) struct FakeClerk {
    servers: Vec<FakeKvPeer>,
    client: u64,
    sequence: u64,
    next: usize,
}

impl FakeClerk {
    fn operate(&mut self, verb: Verb, key: &str, value: &str) -> String {
        self.sequence += 1;
        let ask = Ask {
            client: self.client,
            sequence: self.sequence,
            verb,
            key: key.to_owned(),
            value: value.to_owned(),
        };
        loop {
            let answer = self.servers[self.next].operate(&ask);
            if let Ok(Some(value)) = answer {
                return value;
            }
            self.next = (self.next + 1) % self.servers.len();
        }
    }
}

impl KvClerk for FakeClerk {
    fn get(&mut self, key: &str) -> String {
        self.operate(Verb::Get, key, "")
    }

    fn put(&mut self, key: &str, value: &str) {
        self.operate(Verb::Put, key, value);
    }

    fn append(&mut self, key: &str, value: &str) {
        self.operate(Verb::Append, key, value);
    }
}
