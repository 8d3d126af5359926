//! The clerk: finds the shard's group, then its leader, and repeats a request until a server
//! answers it.

// handout: drop classic
use std::collections::BTreeMap;
// handout: end
use std::fmt;

// handout: drop classic
use kvraft::Operation;
// handout: end
use labrpc::ClientEnd;
// handout: drop classic
use labrt::thread;
use labrt::time::Duration;
use rsm::{ClientSession, LeaderCache, Request};
use shardctrler::{Config, GroupId, SHARDS};
// handout: end

// handout: drop classic
use crate::peers::Peers;
use crate::rpc::{KvError, ShardPeer, key_to_shard};
// handout: end
use crate::setup::MakeEnd;

// handout: drop classic
/// The pause before a retry. The shard is on its way, or the group has not yet adopted the
/// configuration, or it elects a leader. Each takes several round trips.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

// handout: end
/// The key or the value of an operation is too long ([`kvraft::MAX_KEY`],
/// [`kvraft::MAX_VALUE`]). Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key or the value is too long")
    }
}

impl std::error::Error for TooLarge {}

/// A client's side of the service. Each operation blocks until it is done, for ever if no server
/// answers.
///
/// A clerk runs one operation at a time, hence `&mut`: the servers' sessions remember one per
/// clerk.
pub struct Clerk {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    controller: shardctrler::Clerk,
    peers: Peers,
    /// The newest configuration that the clerk knows.
    config: Config,
    /// The groups of that configuration that the clerk has asked, with their last known leaders. A newer
    /// configuration drops those that have left, or have other servers.
    groups: BTreeMap<GroupId, LeaderCache<ShardPeer>>,
    /// One session over all shards.
    session: ClientSession,
    // handout: end
}

// handout: bodies 4B
impl Clerk {
    /// A clerk that reaches the controllers through `controllers`. It reaches the groups' servers
    /// through ends that `make_end` makes from their names.
    ///
    /// # Panics
    /// If `controllers` is empty.
    pub fn new(controllers: Vec<ClientEnd>, make_end: MakeEnd) -> Clerk {
        Clerk {
            controller: shardctrler::Clerk::new(controllers),
            peers: Peers::new(make_end),
            config: Config::default(),
            groups: BTreeMap::new(),
            session: ClientSession::open(),
        }
    }

    /// The value of `key`; empty if it was never written.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn get(&mut self, key: &str) -> Result<String, TooLarge> {
        self.operate(Operation::Get { key: key.to_owned() })
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn put(&mut self, key: &str, value: &str) -> Result<(), TooLarge> {
        let operation = Operation::Put { key: key.to_owned(), value: value.to_owned() };
        self.operate(operation).map(drop)
    }

    /// Adds `value` to the end of the value of `key`.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), TooLarge> {
        let operation = Operation::Append { key: key.to_owned(), value: value.to_owned() };
        self.operate(operation).map(drop)
    }

    fn operate(&mut self, operation: Operation) -> Result<String, TooLarge> {
        if !operation.fits() {
            return Err(TooLarge);
        }
        let shard = key_to_shard(operation.key());
        assert!(shard < SHARDS, "shard {shard} of {SHARDS}");
        let request = self.session.request(operation);
        loop {
            match self.ask(self.config.shards[shard], &request) {
                Some(Ok(value)) => {
                    tracing::debug!(target: "clerk", "number {}: {} done", request.sequence, request.command);
                    return Ok(value);
                }
                Some(Err(KvError::TooLarge)) => return Err(TooLarge),
                Some(Err(KvError::Moving)) => thread::sleep(RETRY_PAUSE),
                Some(Err(KvError::WrongGroup | KvError::WrongLeader)) | None => self.learn(),
            }
        }
    }

    /// Asks the servers of a group. `None` if none of them answers as the leader, or if there is
    /// no such group.
    fn ask(&mut self, group: GroupId, request: &Request<Operation>) -> Option<Result<String, KvError>> {
        if !self.groups.contains_key(&group) {
            let servers = self.peers.all(self.config.groups.get(&group)?);
            self.groups.insert(group, LeaderCache::new(servers));
        }
        self.groups.get_mut(&group)?.ask_each(|server| match server.operate(request).ok()? {
            Err(KvError::WrongLeader) => None,
            answer => Some(answer),
        })
    }

    /// Asks the controllers for the newest configuration. Pauses instead if they have no newer
    /// one: the groups may not have adopted it yet, or a group has no leader. Pauses also if the
    /// controllers do not answer: the known configuration may still be the right one.
    fn learn(&mut self) {
        let newest = self.controller.try_query(-1);
        let Some(newest) = newest.filter(|newest| newest.number > self.config.number) else {
            tracing::debug!(target: "clerk", "configuration {} is the newest known", self.config.number);
            thread::sleep(RETRY_PAUSE);
            return;
        };
        tracing::debug!(target: "clerk", "learns configuration {}", newest.number);
        let same = |group: &GroupId| self.config.groups.get(group) == newest.groups.get(group);
        self.groups.retain(|group, _| same(group));
        self.config = newest;
    }
}
