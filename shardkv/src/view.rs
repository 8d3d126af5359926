//! What a server shows a tester of its group ([`ShardServer::watch_group`](crate::ShardServer::watch_group)).
//! Nothing else of the state leaves the crate, so a solution may keep its state as it likes.

use serde::{Deserialize, Serialize};

/// A group's configuration and shards, after some entry of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Number of changes to the other fields so far. Servers of a group that have equal numbers show equal
    /// views.
    pub changes: u64,
    /// Number of the last configuration that the group adopted.
    pub config: u64,
    /// The tenures that the group still keeps, by shard and then by time.
    pub tenures: Vec<TenureView>,
    /// The handovers whose former owner may still keep a copy, as far as the group knows. Groups that push
    /// their contents know of no such copies, and leave it empty.
    pub garbage: Vec<Handover>,
}

/// Names a handover: a shard goes from one owner to the next, which owns it from this
/// configuration on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Handover {
    /// Number of the shard.
    pub shard: usize,
    /// The first configuration with the next owner.
    pub config: u64,
}

/// A group's tenure of a shard: it begins with the configuration that makes the group the owner.
///
/// A configuration may give a shard to no group ([`shardctrler::NO_GROUP`]). The last owner then keeps the
/// content until some group owns the shard again, which may be many configurations later. Meanwhile its
/// tenure may stay open, or end with that configuration. If the same group is the next owner, the old tenure
/// may go on, or a new one may take its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenureView {
    /// Number of the shard.
    pub shard: usize,
    /// The configuration that began the tenure.
    pub since: u64,
    /// The configuration that ended the tenure, `None` if it is open: the first one in which another group,
    /// or no group, owns the shard. Either the first with another group or the first with no group will do.
    pub until: Option<u64>,
    /// The stage of the tenure.
    pub stage: Stage,
}

/// The stage of a tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The group owns the shard and has not received it yet.
    Pulling,
    /// The group owns the shard and has it.
    Serving,
    /// The group no longer owns the shard and has not received it yet.
    Passing,
    /// The group no longer owns the shard and keeps it until the next owner has it.
    Waiting,
}

// handout: bodies kept
impl Stage {
    /// Whether the group has the shard's content at this stage.
    pub fn has_content(self) -> bool {
        matches!(self, Stage::Serving | Stage::Waiting)
    }
}
