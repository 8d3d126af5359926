//! What clerks say to controllers: one RPC, whose argument is the command itself.

use std::collections::BTreeMap;
use std::fmt;

use rsm::Request;
use serde::{Deserialize, Serialize};

/// Number of shards, in every configuration.
pub const SHARDS: usize = 10;

/// Names a group, from 1.
pub type GroupId = u64;

/// Stands in a configuration for "no group".
pub const NO_GROUP: GroupId = 0;

/// Says which group serves which shard. WithSessions made, a configuration never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its number. Configuration 0 has no groups; each further one has the next number.
    pub number: u64,
    /// The group that serves each shard, [`NO_GROUP`] if there are no groups.
    pub shards: [GroupId; SHARDS],
    /// Each group's servers, by the names under which they are reached.
    ///
    /// Ordered: whatever goes through these groups one by one must do so in the same order
    /// on all servers.
    pub groups: BTreeMap<GroupId, Vec<String>>,
}

/// What an administrator or a client wants of the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Adds groups, and lets each have its share of the shards.
    Join {
        /// New groups with their servers: at least one group, each with at least one server,
        /// none of them present, none called [`NO_GROUP`].
        groups: BTreeMap<GroupId, Vec<String>>,
    },
    /// Takes groups away, and gives their shards to the others.
    Leave {
        /// At least one group, all of them present.
        groups: Vec<GroupId>,
    },
    /// Gives one shard to one group, and leaves it at that: the next join or leave may well
    /// take it away again.
    Move {
        /// Below [`SHARDS`].
        shard: usize,
        /// A group that is present.
        group: GroupId,
    },
    /// Asks for a configuration.
    Query {
        /// Its number. For a negative one, and one that does not exist yet, the newest
        /// configuration is the answer.
        number: i64,
    },
}

/// What a controller's state machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The configuration that was asked for.
    Config(Config),
    /// The change is made; the new configuration has this number.
    Made(u64),
    /// The command makes no sense. Nothing has changed, and no configuration was made.
    Refused(Refusal),
}

/// What is wrong with a command. It is refused as a whole, also if other parts of it would
/// make sense: so the administrator learns of the mistake while it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A join or leave without any group.
    NoGroups,
    /// A group to join has no servers.
    NoServers(GroupId),
    /// A group to join is called [`NO_GROUP`].
    Reserved,
    /// A group to join is present already. Its servers stay what they are.
    KnownGroup(GroupId),
    /// A group to leave, or to move a shard to, is not present.
    UnknownGroup(GroupId),
    /// There is no shard with this number.
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

/// Why a server did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerError {
    /// Only the leader serves clerks, and this server is none, or ceased to be one while the
    /// clerk waited. In the latter case the command may still be carried out; asking again
    /// under the same number does no harm.
    WrongLeader,
}

labrpc::service! {
    /// A server of the controller.
    pub service ControllerRpc, client ControllerPeer {
        /// Carries out a command, once for each sequence number of a client.
        fn control(request: Request<Command>) -> Result<Reply, ControllerError>;
    }
}
