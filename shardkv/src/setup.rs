//! What a server is given.

use labapi::Persister;
use labrpc::ClientEnd;
use labrt::sync::Arc;
use shardctrler::GroupId;

/// Makes a network end from a server's name. Calls on the end go to that server.
pub type MakeEnd = Arc<dyn Fn(&str) -> ClientEnd + Send + Sync>;

/// The arguments of [`ShardServer::start`](crate::ShardServer::start).
pub struct Setup {
    /// An end to each server of the group, this one included.
    pub ends: Vec<ClientEnd>,
    /// This server's place in `ends`.
    pub me: usize,
    /// This server's disk, with what an earlier life wrote.
    pub persister: Persister,
    /// A snapshot replaces the log once Raft's state takes this many bytes; `None`: never.
    pub max_raft_state: Option<usize>,
    /// The group's number; not [`shardctrler::NO_GROUP`].
    pub group: GroupId,
    /// An end to each controller.
    pub controllers: Vec<ClientEnd>,
    /// Makes ends to the servers of other groups.
    pub make_end: MakeEnd,
}
