//! The controller's one RPC. Its argument is the command itself.

use std::collections::BTreeMap;
use std::fmt;

use rsm::Request;
use serde::{Deserialize, Serialize};

/// Number of shards in every configuration.
pub const SHARDS: usize = 10;

/// A group's number, from 1.
pub type GroupId = u64;

/// Stands for "no group" in a configuration.
pub const NO_GROUP: GroupId = 0;

/// A configuration: it assigns each shard to a group. It never changes once it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Place in the sequence of configurations. Configuration 0 has no groups.
    pub number: u64,
    /// The group that owns each shard, [`NO_GROUP`] if there are no groups.
    pub shards: [GroupId; SHARDS],
    /// The names of each group's servers, under which clients reach them.
    ///
    /// The map is ordered: code that walks through the groups must do so in the same order on
    /// all servers.
    pub groups: BTreeMap<GroupId, Vec<String>>,
}

/// A request of an administrator or a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Adds groups, and gives each its share of the shards.
    Join {
        /// New groups with their servers. At least one group; each has at least one server, is
        /// not present yet, and is not [`NO_GROUP`].
        groups: BTreeMap<GroupId, Vec<String>>,
    },
    /// Removes groups, and gives their shards to the others.
    Leave {
        /// At least one group, all of them present.
        groups: Vec<GroupId>,
    },
    /// Gives one shard to one group. The next join or leave may move it again.
    Move {
        /// Below [`SHARDS`].
        shard: usize,
        /// A group that is present.
        group: GroupId,
    },
    /// Asks for a configuration.
    Query {
        /// Number of the configuration. A negative number, or one that does not exist yet,
        /// stands for the newest configuration.
        number: i64,
    },
}

/// A reply of the controller's state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The reply to a query.
    Config(Config),
    /// The change is made, and the new configuration has this number.
    Made(u64),
    /// The command is invalid. Nothing has changed, and no configuration was made.
    Refused(Refusal),
}

/// Why a command is invalid. The controller refuses it as a whole, even if other parts of it
/// are valid, so the administrator learns of the mistake before it has an effect. Of several mistakes any
/// one may be named, by all servers the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A join or leave names no group.
    NoGroups,
    /// A group to join has no servers.
    NoServers(GroupId),
    /// A group to join has the number [`NO_GROUP`].
    Reserved,
    /// A group to join is present already. Its servers stay as they are.
    KnownGroup(GroupId),
    /// A group to leave, or to move a shard to, is not present.
    UnknownGroup(GroupId),
    /// No shard has this number.
    UnknownShard(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoGroups => write!(f, "the command names no group"),
            Refusal::NoServers(group) => write!(f, "group {group} has no servers"),
            Refusal::Reserved => write!(f, "{NO_GROUP} means \"no group\" and cannot join"),
            Refusal::KnownGroup(group) => write!(f, "group {group} is present already"),
            Refusal::UnknownGroup(group) => write!(f, "group {group} is not present"),
            Refusal::UnknownShard(shard) => write!(f, "there is no shard {shard}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why a server did not carry out a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerError {
    /// This server is not the leader, or lost leadership while the clerk waited. In the second
    /// case the command may still take effect. A retry under the same number is harmless.
    WrongLeader,
}

labrpc::service! {
    /// A server of the controller.
    pub service ControllerRpc, client ControllerPeer {
        /// Carries out a command, once for each sequence number of a client.
        fn control(request: Request<Command>) -> Result<Reply, ControllerError>;
    }
}
