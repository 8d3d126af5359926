//! The clerk: finds the group, then its leader, and asks until there is an answer.

use std::collections::BTreeMap;
use std::fmt;

use kvraft::Operation;
use labrpc::ClientEnd;
use labrt::thread;
use labrt::time::Duration;
use rsm::{LeaderCache, Request};
use shardctrler::{Config, GroupId};

use crate::peers::{MakeEnd, Peers};
use crate::rpc::{KvError, ShardPeer, key_to_shard};

/// The pause before a clerk tries again: a shard is on its way, or a group is about to learn
/// that it is its own, or elects a leader. Each takes several round trips.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Key or value of an operation are too long ([`kvraft::MAX_KEY`], [`kvraft::MAX_VALUE`]).
/// Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key or the value is too long")
    }
}

impl std::error::Error for TooLarge {}

/// A client's side of the service. Each operation blocks until it is done, for ever if it
/// never can be.
///
/// One operation at a time, hence `&mut`: the sessions of the servers remember one per
/// clerk.
pub struct Clerk {
    controller: shardctrler::Clerk,
    peers: Peers,
    /// The newest configuration that the clerk has heard of.
    config: Config,
    /// The servers of its groups, as far as they were needed, and who leads them.
    groups: BTreeMap<GroupId, LeaderCache<ShardPeer>>,
    /// Tells this clerk from all others; drawn at random.
    client: u64,
    /// Number of the last operation, from 1, whichever shard it was about.
    sequence: u64,
}

impl Clerk {
    /// A clerk that reaches the controllers through `controllers`, and servers by their names
    /// through ends that `make_end` makes.
    ///
    /// # Panics
    /// Without any controller.
    pub fn new(controllers: Vec<ClientEnd>, make_end: MakeEnd) -> Clerk {
        Clerk {
            controller: shardctrler::Clerk::new(controllers),
            peers: Peers::new(make_end),
            config: Config::default(),
            groups: BTreeMap::new(),
            client: labrt::rand::random(),
            sequence: 0,
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

    /// Adds `value` at the end of the value of `key`.
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
        // The number is the operation's, however often and to whichever group it is sent.
        self.sequence += 1;
        let request = Request { client: self.client, sequence: self.sequence, command: operation };
        loop {
            match self.ask(self.config.shards[shard], &request) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(KvError::TooLarge)) => return Err(TooLarge),
                Some(Err(KvError::Moving)) => thread::sleep(RETRY_PAUSE),
                Some(Err(KvError::WrongGroup | KvError::WrongLeader)) | None => self.learn(),
            }
        }
    }

    /// Asks the servers of a group; `None` if none of them leads, or there is no such group.
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

    /// Asks for the newest configuration. If it is the known one, the groups may yet have to
    /// learn of it, or one of them is without a leader. If the controllers do not answer, the
    /// known one may still be right: a clerk needs them only when something has changed.
    fn learn(&mut self) {
        let newest = self.controller.try_query(-1);
        let Some(newest) = newest.filter(|newest| newest.number > self.config.number) else {
            thread::sleep(RETRY_PAUSE);
            return;
        };
        let same = |group: &GroupId| self.config.groups.get(group) == newest.groups.get(group);
        self.groups.retain(|group, _| same(group));
        self.config = newest;
    }
}
