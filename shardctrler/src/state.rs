//! The controller's state: all configurations, and the effect of each command.

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use labgob::DecodeError;
use rsm::StateMachine;

// handout: drop classic
use crate::rebalance::rebalance;
use crate::rpc::{Command, Config, GroupId, NO_GROUP, Refusal, Reply, SHARDS};
// handout: end
// handout: put classic
// use crate::rpc::{Command, Reply};
// handout: end

// handout: put classic
// /// The service that the servers replicate.
// handout: end
// handout: drop classic
/// All configurations. The old ones stay, because a group that was down for a while has to go
/// through them one by one.
// handout: end
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    /// The configuration at place n has number n. There is always at least one.
    configs: Vec<Config>,
    // handout: end
}

// handout: bodies 4A
impl Default for Controller {
    fn default() -> Self {
        Controller { configs: vec![Config::default()] }
    }
}

// handout: drop classic
impl Controller {
    /// The newest configuration.
    pub fn newest(&self) -> &Config {
        self.configs.last().expect("configuration 0 is never removed, and `restore` refuses an empty list")
    }

    /// The configuration with this number, or the newest if the number is negative or does not
    /// exist yet.
    pub fn query(&self, number: i64) -> &Config {
        let index = usize::try_from(number).ok();
        index.and_then(|index| self.configs.get(index)).unwrap_or_else(|| self.newest())
    }

    /// The next configuration if these groups join.
    fn join(&self, joining: BTreeMap<GroupId, Vec<String>>) -> Result<Config, Refusal> {
        if joining.is_empty() {
            return Err(Refusal::NoGroups);
        }
        let mut groups = self.newest().groups.clone();
        for (group, servers) in joining {
            // The groups come in ascending order, so all servers refuse for the same reason.
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

    /// The next configuration if these groups leave. A group that is named twice leaves once.
    fn leave(&self, leaving: &[GroupId]) -> Result<Config, Refusal> {
        if leaving.is_empty() {
            return Err(Refusal::NoGroups);
        }
        let newest = self.newest();
        if let Some(&unknown) = leaving.iter().find(|group| !newest.groups.contains_key(group)) {
            return Err(Refusal::UnknownGroup(unknown));
        }
        let mut groups = newest.groups.clone();
        groups.retain(|group, _| !leaving.contains(group));
        Ok(self.rebalanced(groups))
    }

    /// The next configuration if one shard moves. The groups' shares may become uneven: the
    /// administrator has reasons for a move by hand.
    fn move_shard(&self, shard: usize, group: GroupId) -> Result<Config, Refusal> {
        let newest = self.newest();
        if shard >= SHARDS {
            return Err(Refusal::UnknownShard(shard));
        }
        if !newest.groups.contains_key(&group) {
            return Err(Refusal::UnknownGroup(group));
        }
        let mut config = Config { number: newest.number + 1, ..newest.clone() };
        config.shards[shard] = group;
        Ok(config)
    }

    /// The next configuration with these groups, rebalanced.
    fn rebalanced(&self, groups: BTreeMap<GroupId, Vec<String>>) -> Config {
        let newest = self.newest();
        let present: Vec<GroupId> = groups.keys().copied().collect();
        let shards = rebalance(&newest.shards, &present, NO_GROUP);
        let moved = newest.shards.iter().zip(&shards).filter(|(before, after)| before != after).count();
        tracing::debug!(target: "rebalance", "{} groups, {moved} shards move", present.len());
        Config { number: newest.number + 1, shards, groups }
    }

    /// Adds the configuration that a command makes to the list.
    fn keep(&mut self, made: Result<Config, Refusal>) -> Reply {
        match made {
            Ok(config) => {
                let number = config.number;
                assert!(number == self.newest().number + 1, "configuration {number} is not the next one");
                assert!(is_sound(&config), "configuration {number} is not sound: {config:?}");
                tracing::debug!(target: "config", "{number} made: {:?}", config.shards);
                self.configs.push(config);
                Reply::Made(number)
            }
            Err(refusal) => {
                tracing::debug!(target: "refuse", "{refusal}");
                Reply::Refused(refusal)
            }
        }
    }
}

/// Every shard is on a group that is present, or all are on [`NO_GROUP`] because no group is; and
/// every group has a server. Looked at for each configuration that is made or restored.
fn is_sound(config: &Config) -> bool {
    let Config { shards, groups, .. } = config;
    let owned = |owner: &GroupId| groups.contains_key(owner) || groups.is_empty() && *owner == NO_GROUP;
    shards.iter().all(owned)
        && !groups.contains_key(&NO_GROUP)
        && groups.values().all(|servers| !servers.is_empty())
}

// handout: end
impl StateMachine for Controller {
    type Command = Command;
    type Reply = Reply;

    fn apply(&mut self, command: Command) -> Reply {
        tracing::debug!(target: "apply", "{command:?}");
        let newest = self.newest().number;
        assert!(
            newest + 1 == self.configs.len() as u64,
            "place {newest} does not hold configuration {newest}"
        );
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
            Command::Query { number } => {
                let config = self.query(*number);
                tracing::debug!(target: "read", "query {number}: configuration {}", config.number);
                Some(Reply::Config(config.clone()))
            }
            Command::Join { .. } | Command::Leave { .. } | Command::Move { .. } => None,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        tracing::debug!(target: "snapshot", "{} configurations", self.configs.len());
        labgob::encode(&self.configs)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let configs: Vec<Config> = labgob::decode(snapshot)?;
        if configs.is_empty() {
            return Err(DecodeError::Truncated);
        }
        let numbers = configs.iter().map(|config| config.number);
        if !numbers.eq(0..configs.len() as u64) || !configs.iter().all(is_sound) {
            return Err(DecodeError::Invalid("these are not the configurations of a controller".to_owned()));
        }
        tracing::debug!(target: "restore", "{} configurations", configs.len());
        self.configs = configs;
        Ok(())
    }
}
