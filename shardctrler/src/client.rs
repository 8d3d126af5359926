//! The clerk: finds the leader and repeats a request until a server answers it.

use std::collections::BTreeMap;

use labrpc::ClientEnd;
// handout: drop classic
use rsm::{CALL_TIMEOUT, ClientSession, LeaderCache};
// handout: end

// handout: drop classic
use crate::rpc::{Command, Config, ControllerPeer, GroupId, Refusal, Reply};
// handout: end
// handout: put classic
// use crate::rpc::{Config, GroupId, Refusal};
// handout: end

/// An administrator's or a client's side of the controller. All methods but
/// [`Clerk::try_query`] block until a server answers, for ever if none does.
///
/// A clerk runs one command at a time, hence `&mut`: the servers' sessions remember one per
/// clerk.
pub struct Clerk {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    servers: LeaderCache<ControllerPeer>,
    session: ClientSession,
    // handout: end
}

// handout: bodies 4A
impl Clerk {
    /// A clerk that reaches the servers through `ends`, which may be in any order.
    ///
    /// # Panics
    /// If `ends` is empty.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        let peers = ends.into_iter().map(|end| ControllerPeer::new(end).timeout(CALL_TIMEOUT));
        Clerk { servers: LeaderCache::new(peers.collect()), session: ClientSession::open() }
    }

    /// Returns the configuration with this number. If the number is negative, or there is no
    /// such configuration yet, returns the newest.
    pub fn query(&mut self, number: i64) -> Config {
        match self.carry_out(Command::Query { number }) {
            Reply::Config(config) => config,
            other => unreachable!("the reply to a query is a configuration, not {other:?}"),
        }
    }

    /// As [`Clerk::query`], but gives up after it has asked each server once, for callers that
    /// have other work to do. Returns `None` then.
    pub fn try_query(&mut self, number: i64) -> Option<Config> {
        let request = self.session.request(Command::Query { number });
        match self.servers.ask_each(|server| server.control(&request).ok()?.ok())? {
            Reply::Config(config) => Some(config),
            other => unreachable!("the reply to a query is a configuration, not {other:?}"),
        }
    }

    /// Adds groups with their servers, and returns the number of the new configuration.
    ///
    /// # Errors
    /// If a group is present already, has no servers or is [`crate::NO_GROUP`], or if `groups`
    /// is empty. Nothing has changed.
    pub fn join(&mut self, groups: BTreeMap<GroupId, Vec<String>>) -> Result<u64, Refusal> {
        self.change(Command::Join { groups })
    }

    /// Removes groups, and returns the number of the new configuration.
    ///
    /// # Errors
    /// If a group is not present, or if `groups` is empty. Nothing has changed.
    pub fn leave(&mut self, groups: &[GroupId]) -> Result<u64, Refusal> {
        self.change(Command::Leave { groups: groups.to_vec() })
    }

    /// Gives one shard to one group, and returns the number of the new configuration.
    ///
    /// # Errors
    /// If there is no such shard or group. Nothing has changed.
    pub fn move_shard(&mut self, shard: usize, group: GroupId) -> Result<u64, Refusal> {
        self.change(Command::Move { shard, group })
    }

    fn change(&mut self, command: Command) -> Result<u64, Refusal> {
        match self.carry_out(command) {
            Reply::Made(number) => Ok(number),
            Reply::Refused(refusal) => Err(refusal),
            Reply::Config(config) => unreachable!("the reply to a change is configuration {}", config.number),
        }
    }

    fn carry_out(&mut self, command: Command) -> Reply {
        let request = self.session.request(command);
        let reply = self.servers.ask(|server| server.control(&request).ok()?.ok());
        tracing::debug!(target: "clerk", "number {}: {:?}", request.sequence, request.command);
        reply
    }
}
