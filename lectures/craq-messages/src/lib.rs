//! What the processes of the lecture's chain say to each other: operations, errors and configurations, and
//! the messages of clients, nodes and managers. The crate `craq` has the processes, and begins with how it
//! all works; there, these names stand in the module `rpc`.

use labrt::time::Duration;
use rsm::Request;
use serde::{Deserialize, Serialize};

/// A node's number: its place in the list of all nodes, from 0.
pub type NodeId = usize;
/// Names one of the chains. A message of another chain is refused.
pub type ChainId = u64;
/// Names an object of a chain.
pub type ObjectId = u64;
/// Counts the updates of an object, from 1. 0: it was never written.
pub type Version = u64;

/// What a client wants of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Replaces the value.
    Put(#[serde(with = "labgob::bytes")] Vec<u8>),
    /// Adds bytes at the value's end.
    Append(#[serde(with = "labgob::bytes")] Vec<u8>),
    /// Adds a number to the value, which is a number in decimal digits, or empty for 0.
    Increment(i64),
    /// Replaces the value if the newest version is this one, and is committed.
    TestAndSet {
        /// The expected version.
        version: Version,
        /// The new value.
        #[serde(with = "labgob::bytes")]
        value: Vec<u8>,
    },
}

/// What an update has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// The version that the update made.
    pub version: Version,
    /// The new number, after an increment; otherwise 0.
    pub number: i64,
}

/// A version of an object, as a read returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versioned {
    /// Its number. 0: the object was never written, and the value is empty.
    pub version: Version,
    /// What it holds.
    #[serde(with = "labgob::bytes")]
    pub value: Vec<u8>,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadMode {
    /// Linearizable.
    Strong,
    /// The newest version that the node knows, committed or not. It may be old, too: a node that is cut off
    /// goes on answering.
    Eventual,
    /// As `Eventual`, but a version that is not committed must be younger than this, and so must be what the
    /// node may have missed.
    BoundedTime(Duration),
    /// As `Eventual`, but a version that is not committed must be at most so many above the committed one.
    BoundedVersions(u64),
}

/// Why a node does not do what it is asked for. Nothing has changed.
///
/// Often several reasons hold. The reference looks at chain, epoch, role, lease and handover, in this order,
/// and at the request itself last; of a configuration at chain, epoch and membership. The tests do not insist
/// on the order: where two reasons hold, either will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// The message is of another epoch than the node's, which is this one; 0: the node is in no chain. A copy
    /// must be of a later epoch: a member has no use for one of its own.
    WrongEpoch(u64),
    /// The message is of another chain.
    WrongChain,
    /// The node is not the head. Updates go there.
    NotHead,
    /// The node is not the tail, and only the tail can answer this.
    NotTail,
    /// The node is in no chain, or not in that one.
    NotMember,
    /// The node's lease has ended: it cannot know whether it is still in the chain.
    NoLease,
    /// The tail is handing over to a new one.
    HandingOver,
    /// The object has a version that is not committed: a test-and-set cannot be decided, nor can the head
    /// say that the value is no number.
    Busy,
    /// A test-and-set expects another version than the newest, which is this one.
    BadVersion(Version),
    /// An increment of a value that is no number, or beyond the largest number.
    NotANumber,
    /// The client has sent a later request.
    Stale,
    /// A bounded read, and the node may have missed more than the bound allows.
    TooOld,
    /// The node asked the tail and got no answer.
    Unreachable,
    /// A part of a copy comes too early: the parts before it are missing.
    Gap,
}

/// The chain and the epoch that a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The chain.
    pub chain: ChainId,
    /// The number of the configuration.
    pub epoch: u64,
}

/// A node in one of its lives. A node that restarts has lost its objects, and is another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// A number that the node draws when it starts.
    pub life: u64,
}

/// Who is in the chain, in order: the first is the head, the last is the tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Counts the configurations, from 1. 0: there is none yet.
    pub epoch: u64,
    /// From head to tail.
    pub members: Vec<Member>,
}

/// An update, as the head has ordered it and as it goes down the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number among the updates of the chain, from 1.
    pub n: u64,
    /// The object.
    pub object: ObjectId,
    /// The version that it makes.
    pub version: Version,
    /// The full new value. Nodes behind the head need not compute anything.
    #[serde(with = "labgob::bytes")]
    pub value: Vec<u8>,
    /// The client that asked for it.
    pub client: u64,
    /// The number among the client's updates.
    pub sequence: u64,
    /// What the client is told.
    pub outcome: Outcome,
}

/// From client to head: asks for an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Chain and epoch.
    pub at: Header,
    /// The object.
    pub object: ObjectId,
    /// The client, the number, and what to do.
    pub request: Request<Op>,
}

/// What the head says to an update that it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// It is on its way down the chain. The tail will answer.
    UnderWay,
    /// It is committed.
    Done(Outcome),
}

/// From a node to its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Chain and epoch.
    pub at: Header,
    /// The update.
    pub record: Record,
}

/// From a node to its predecessor: the tail has applied all updates up to `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Chain and epoch.
    pub at: Header,
    /// The update's number.
    pub n: u64,
}

/// From tail to client: the update is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReply {
    /// The client.
    pub client: u64,
    /// The number among the client's updates.
    pub sequence: u64,
    /// What the update has done.
    pub outcome: Outcome,
}

/// From client to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Chain and epoch.
    pub at: Header,
    /// The object.
    pub object: ObjectId,
    /// How fresh the answer must be.
    pub mode: ReadMode,
}

/// From node to tail: which version of the object is committed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionQuery {
    /// Chain and epoch.
    pub at: Header,
    /// The object.
    pub object: ObjectId,
}

/// From manager to node: a configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConfig {
    /// The chain.
    pub chain: ChainId,
    /// The configuration.
    pub config: Config,
    /// The last update that the node's successor has; None for the tail.
    pub successor_has: Option<u64>,
    /// For how long a heartbeat that is granted gives the right to act. The reference's nodes keep what they
    /// were granted in the epoch before; a node may also wait for a heartbeat that is granted in this one.
    pub lease: Duration,
}

/// A node's answer to a new configuration, which the manager tells to its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReceived {
    /// The last update that the node has.
    pub n: u64,
}

/// From node to manager: the node is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The chain.
    pub chain: ChainId,
    /// Who says it.
    pub member: Member,
    /// The node's epoch; 0 if it is in no chain.
    pub epoch: u64,
    /// The last update that the node has.
    pub received: u64,
    /// The last update that the node knows to be committed.
    pub acked: u64,
    /// A neighbour that has not answered for long.
    pub complaint: Option<NodeId>,
    /// The node to which this one, the tail, has handed over.
    pub handed: Option<Member>,
}

/// The manager's answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The epoch of the configuration in force.
    pub epoch: u64,
    /// Whether the node may act in that epoch, from the moment of its heartbeat on for the lease's length.
    pub is_granted: bool,
    /// Whether the node is in that configuration. If not, it is a spare.
    pub is_member: bool,
    /// For the tail: the spare that shall become the next tail.
    pub copy_to: Option<Member>,
}

/// This manager does not lead, or could not find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotLeader;

/// From tail to joining node: a part of its state.
///
/// It names no life. If the spare has restarted, its next life takes the copy, or refuses a part of which it
/// lacks those before. The tail's heartbeats say for whom the copy was ([`Heartbeat::handed`]), and a manager
/// that has heard of the next life lets neither of them join for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyState {
    /// Chain, and the tail's epoch.
    pub at: Header,
    /// Tells the tail's attempts in this epoch apart.
    pub attempt: u64,
    /// The part's number, from 0.
    pub part: u64,
    /// What it holds.
    pub content: Content,
}

/// What a part of a copy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// First: the objects, as they are after update `n`, follow.
    Begin {
        /// The number of the last update.
        n: u64,
    },
    /// Objects with their committed versions.
    Objects(Vec<(ObjectId, Versioned)>),
    /// What the clients were told last: client, number of the update, number among the client's, outcome.
    Sessions(Vec<(u64, Session)>),
    /// Updates behind `n`.
    Suffix {
        /// In order.
        records: Vec<Record>,
        /// Whether the tail has stepped back, so that no update is missing.
        is_last: bool,
    },
}

/// What a client was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The number among the client's updates.
    pub sequence: u64,
    /// The number among the chain's updates.
    pub n: u64,
    /// What the update has done.
    pub outcome: Outcome,
}

labrpc::service! {
    /// A node of a chain.
    pub service NodeRpc, client NodePeer {
        /// Takes an update, at the head.
        fn update(update: Update) -> Result<Taken, Refusal>;
        /// Takes an update from the predecessor.
        fn forward(forward: Forward) -> Result<(), Refusal>;
        /// Learns from the successor what is committed.
        fn ack(ack: Ack) -> Result<(), Refusal>;
        /// Reads an object.
        fn read(read: Read) -> Result<Versioned, Refusal>;
        /// Tells which version of an object is committed, at the tail.
        fn version_query(query: VersionQuery) -> Result<Version, Refusal>;
        /// Takes a configuration that is in force.
        fn new_config(news: NewConfig) -> Result<LastReceived, Refusal>;
        /// Takes a part of the tail's state, at a spare.
        fn copy_state(part: CopyState) -> Result<(), Refusal>;
    }
}

labrpc::service! {
    /// A manager.
    pub service ManagerRpc, client ManagerPeer {
        /// A node is alive. Each node numbers its heartbeats, so that a late one is known.
        fn heartbeat(heartbeat: Request<Heartbeat>) -> Result<Granted, NotLeader>;
        /// The configuration in force.
        fn config(chain: ChainId) -> Result<Config, NotLeader>;
    }
}

labrpc::service! {
    /// The clients, as the tail sees them.
    pub service ReplyRpc, client ReplyPeer {
        /// Updates are committed.
        fn update_reply(replies: Vec<UpdateReply>) -> ();
    }
}

impl Config {
    /// The place of a member, 0 for the head.
    pub fn place(&self, member: Member) -> Option<usize> {
        self.members.iter().position(|&one| one == member)
    }

    /// The member at the head.
    pub fn head(&self) -> Option<Member> {
        self.members.first().copied()
    }

    /// The member at the tail.
    pub fn tail(&self) -> Option<Member> {
        self.members.last().copied()
    }

    /// The member before this one.
    pub fn predecessor(&self, member: Member) -> Option<Member> {
        self.members.get(self.place(member)?.checked_sub(1)?).copied()
    }

    /// The member behind this one.
    pub fn successor(&self, member: Member) -> Option<Member> {
        self.members.get(self.place(member)? + 1).copied()
    }

    /// The next configuration, with these members.
    pub fn followed_by(&self, members: Vec<Member>) -> Config {
        Config { epoch: self.epoch + 1, members }
    }
}
