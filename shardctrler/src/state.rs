//! The controller's state: every configuration there ever was, and what each command does.

use std::collections::BTreeMap;

use labgob::DecodeError;
use rsm::StateMachine;

use crate::rebalance::rebalance;
use crate::rpc::{Command, Config, GroupId, NO_GROUP, Refusal, Reply, SHARDS};

/// All configurations. Those of the past are kept, since a group that was away for a while
/// has to go through them one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// By number; there is always one.
    configs: Vec<Config>,
}

impl Default for Controller {
    fn default() -> Self {
        Controller { configs: vec![Config::default()] }
    }
}

impl Controller {
    /// The newest configuration.
    pub fn newest(&self) -> &Config {
        // Never empty: configurations are added only, and `restore` refuses an empty list.
        &self.configs[self.configs.len() - 1]
    }

    /// The configuration with this number; the newest if the number is negative or of one
    /// that does not exist yet.
    pub fn query(&self, number: i64) -> &Config {
        let index = usize::try_from(number).ok();
        index.and_then(|index| self.configs.get(index)).unwrap_or_else(|| self.newest())
    }

    /// The configuration with these groups added.
    fn join(&self, joining: BTreeMap<GroupId, Vec<String>>) -> Result<Config, Refusal> {
        if joining.is_empty() {
            return Err(Refusal::NoGroups);
        }
        let mut groups = self.newest().groups.clone();
        for (group, servers) in joining {
            // The order is that of the group numbers, so that all servers refuse for the same
            // reason.
            if group == NO_GROUP {
                return Err(Refusal::Reserved);
            }
            if servers.is_empty() {
                return Err(Refusal::NoServers(group));
            }
            if groups.insert(group, servers).is_some() {
                return Err(Refusal::KnownGroup(group));
            }
        }
        Ok(self.rebalanced(groups))
    }

    /// The configuration without these groups.
    fn leave(&self, leaving: &[GroupId]) -> Result<Config, Refusal> {
        if leaving.is_empty() {
            return Err(Refusal::NoGroups);
        }
        let newest = self.newest();
        if let Some(&unknown) = leaving.iter().find(|group| !newest.groups.contains_key(group)) {
            return Err(Refusal::UnknownGroup(unknown));
        }
        let mut groups = newest.groups.clone();
        // To be named twice is to leave once.
        groups.retain(|group, _| !leaving.contains(group));
        Ok(self.rebalanced(groups))
    }

    /// The configuration with one shard on another group. Shares may become uneven: whoever
    /// moves shards by hand knows why.
    fn move_shard(&self, shard: usize, group: GroupId) -> Result<Config, Refusal> {
        let mut config = self.newest().clone();
        if shard >= SHARDS {
            return Err(Refusal::UnknownShard(shard));
        }
        if !config.groups.contains_key(&group) {
            return Err(Refusal::UnknownGroup(group));
        }
        config.shards[shard] = group;
        Ok(config)
    }

    /// The newest configuration with other groups.
    fn rebalanced(&self, groups: BTreeMap<GroupId, Vec<String>>) -> Config {
        let newest = self.newest();
        let present: Vec<GroupId> = groups.keys().copied().collect();
        Config { number: newest.number, shards: rebalance(&newest.shards, &present, NO_GROUP), groups }
    }

    /// Numbers a configuration and keeps it.
    fn keep(&mut self, made: Result<Config, Refusal>) -> Reply {
        match made {
            Ok(mut config) => {
                config.number = self.newest().number + 1;
                let number = config.number;
                self.configs.push(config);
                Reply::Made(number)
            }
            Err(refusal) => Reply::Refused(refusal),
        }
    }
}

impl StateMachine for Controller {
    type Command = Command;
    type Reply = Reply;

    fn apply(&mut self, command: Command) -> Reply {
        let made = match command {
            Command::Query { number } => return Reply::Config(self.query(number).clone()),
            Command::Join { groups } => self.join(groups),
            Command::Leave { groups } => self.leave(&groups),
            Command::Move { shard, group } => self.move_shard(shard, group),
        };
        self.keep(made)
    }

    fn read(&self, command: &Command) -> Option<Reply> {
        match command {
            Command::Query { number } => Some(Reply::Config(self.query(*number).clone())),
            Command::Join { .. } | Command::Leave { .. } | Command::Move { .. } => None,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.configs)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let configs: Vec<Config> = labgob::decode(snapshot)?;
        if configs.is_empty() {
            return Err(DecodeError::Truncated);
        }
        self.configs = configs;
        Ok(())
    }
}
