//! The clerk: finds the leader, and asks until there is an answer.

use std::collections::BTreeMap;

use labrpc::ClientEnd;
use rsm::{CALL_TIMEOUT, LeaderCache, Request};

use crate::rpc::{Command, Config, ControllerPeer, GroupId, Refusal, Reply};

/// An administrator's or a client's side of the controller. All its methods block until there
/// is an answer, for ever if no server ever answers.
///
/// One command at a time, hence `&mut`: the sessions of the servers remember one per clerk.
pub struct Clerk {
    servers: LeaderCache<ControllerPeer>,
    /// Tells this clerk from all others; drawn at random.
    client: u64,
    /// Number of the last command, from 1.
    sequence: u64,
}

impl Clerk {
    /// A clerk that reaches the servers through `ends`, which may be in any order.
    ///
    /// # Panics
    /// Without any server.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        let peers = ends.into_iter().map(|end| ControllerPeer::new(end).timeout(CALL_TIMEOUT));
        Clerk { servers: LeaderCache::new(peers.collect()), client: labrt::rand::random(), sequence: 0 }
    }

    /// The configuration with this number, or the newest if the number is negative or of one
    /// that does not exist yet.
    pub fn query(&mut self, number: i64) -> Config {
        match self.carry_out(Command::Query { number }) {
            Reply::Config(config) => config,
            other => unreachable!("a query is answered by a configuration, not by {other:?}"),
        }
    }

    /// As [`Clerk::query`], but gives up once each server was asked in vain: for who can do
    /// something else meanwhile.
    pub fn try_query(&mut self, number: i64) -> Option<Config> {
        let request = self.request(Command::Query { number });
        match self.servers.ask_each(|server| server.control(&request).ok()?.ok())? {
            Reply::Config(config) => Some(config),
            other => unreachable!("a query is answered by a configuration, not by {other:?}"),
        }
    }

    /// Adds groups with their servers, and returns the number of the new configuration.
    ///
    /// # Errors
    /// If a group is present already, has no servers, or there is none. Nothing has changed.
    pub fn join(&mut self, groups: BTreeMap<GroupId, Vec<String>>) -> Result<u64, Refusal> {
        self.change(Command::Join { groups })
    }

    /// Takes groups away, and returns the number of the new configuration.
    ///
    /// # Errors
    /// If a group is not present, or none is named. Nothing has changed.
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
            Reply::Config(_) => unreachable!("a change is not answered by a configuration"),
        }
    }

    /// Numbers a command. The number is the command's, however often it is sent.
    fn request(&mut self, command: Command) -> Request<Command> {
        self.sequence += 1;
        Request { client: self.client, sequence: self.sequence, command }
    }

    fn carry_out(&mut self, command: Command) -> Reply {
        let request = self.request(command);
        self.servers.ask(|server| server.control(&request).ok()?.ok())
    }
}
