//! All messages: between clients, the master, its shadows and chunkservers.
//!
//! | message of the lecture | here |
//! |---|---|
//! | `Create, Delete, Rename, Snapshot` | [`MasterRpc::change`] with a [`FileChange`] |
//! | `List` | [`MasterRpc::list`] |
//! | `FindChunk`, `AddChunk` | [`MasterRpc::find_chunk`], [`MasterRpc::add_chunk`] |
//! | `Heartbeat`, `LogShip` | [`MasterRpc::heartbeat`], [`MasterRpc::ship_log`] |
//! | `GrantLease` | [`ChunkRpc::raise`], to all replicas, then [`ChunkRpc::grant`], to the primary |
//! | `PushData`, `Write`, `Append`, `Apply`, `Read` | the same names in [`ChunkRpc`] |
//! | `CloneFrom` | [`ChunkRpc::clone_replica`] |

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a chunk. No two chunks ever have the same.
pub type Handle = u64;
/// The version of a chunk, from 1. Each lease has its own.
pub type Version = u64;
/// The number of a chunkserver, from 0. The nearer two numbers, the nearer the servers.
pub type ServerId = usize;
/// The number of a file: it stays when the name changes, and no other file gets it.
pub type FileId = u64;

/// Why the master did not do what it was asked for. Nothing has changed. A change that was refused stays
/// refused: a late copy of it is not carried out, though nothing is in its way any more, and though the
/// master may have restarted. `Retry` alone is no such refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MasterError {
    /// There is no file of this name.
    NoFile,
    /// There is a file of this name already.
    Exists,
    /// The text is no path of a file; or it is the name of a deleted file, which only the master makes. A
    /// deleted file is read and renamed, and nothing else: it is not written.
    BadPath,
    /// The file has no chunk of this index: it ends before.
    NoChunk,
    /// No living chunkserver has the current version of the chunk.
    Unavailable,
    /// A shadow was asked for a change, or for a chunk to write to.
    ReadOnly,
    /// Not now: a lease must run out, or the chunk or file is being changed. Ask again soon. A late copy of a
    /// change hears the same if its client has made another one since: nobody waits for that answer.
    Retry,
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MasterError::NoFile => "there is no such file",
            MasterError::Exists => "the file exists already",
            MasterError::BadPath => "this is no path of a file",
            MasterError::NoChunk => "the file ends before this place",
            MasterError::Unavailable => "no server that can be reached has the current version",
            MasterError::ReadOnly => "a shadow changes nothing",
            MasterError::Retry => "not now, but soon",
        })
    }
}

impl std::error::Error for MasterError {}

/// Why a chunkserver did not do what it was asked for. After all but `Failed` this server's replica is as it
/// was, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChunkError {
    /// The server does not have the chunk.
    NoChunk,
    /// The server's replica has another version than the one asked for.
    Stale,
    /// A checksum does not match: the replica is damaged. The server tells the master.
    Corrupt,
    /// The server has no lease for this version of the chunk, or it ran out before the mutation was done
    /// everywhere.
    NotPrimary,
    /// Data that were to be pushed before are not in the buffer.
    MissingData,
    /// A mutation before this one is missing here.
    Gap,
    /// The chunk has no room for the record and is padded to its end now. Use the next chunk.
    Padded,
    /// The range does not lie in a chunk, or a record is longer than a quarter of one.
    OutOfRange,
    /// These replicas may not have applied the mutation. The region is inconsistent.
    Failed(Vec<ServerId>),
    /// Another server, which was to be asked, gave no answer.
    Unreachable,
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkError::NoChunk => write!(f, "the server does not have the chunk"),
            ChunkError::Stale => write!(f, "the replica has another version"),
            ChunkError::Corrupt => write!(f, "the replica is damaged"),
            ChunkError::NotPrimary => write!(f, "the server has no lease for the chunk"),
            ChunkError::MissingData => write!(f, "the data were not pushed, or are no longer in the buffer"),
            ChunkError::Gap => write!(f, "an earlier mutation is missing"),
            ChunkError::Padded => write!(f, "the chunk is full"),
            ChunkError::OutOfRange => write!(f, "the range does not lie in a chunk"),
            ChunkError::Failed(servers) => write!(f, "servers {servers:?} may not have applied the mutation"),
            ChunkError::Unreachable => write!(f, "another server gave no answer"),
        }
    }
}

impl std::error::Error for ChunkError {}

/// The number of a client's change, so that a repetition is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpId {
    /// The client, drawn at random.
    pub client: u64,
    /// Counted from 1. A client has one change under way at a time.
    pub number: u64,
}

/// A change of the name space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileChange {
    /// A new, empty file.
    Create {
        /// Its name.
        path: String,
    },
    /// Hides a file. It can be restored by a rename, until it is reclaimed.
    Delete {
        /// Its name.
        path: String,
    },
    /// Gives a file, also a deleted one, another name. The file is looked for first: without it the answer
    /// is `NoFile`, whatever has the new name. Its own name is taken, too, so that is `Exists`; with
    /// `replace` nothing happens.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
        /// Whether a file that has the new name is deleted in the same step. Otherwise that is an error.
        replace: bool,
    },
    /// Makes a file that shares all chunks of another one, which is looked for first: without it the answer
    /// is `NoFile`, whatever has the new name.
    Snapshot {
        /// The file.
        from: String,
        /// The new file's name.
        to: String,
    },
}

/// A numbered change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// Its number.
    pub op: OpId,
    /// The change.
    pub change: FileChange,
}

/// What a chunk's place is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Reading: any replica will do.
    Read,
    /// Writing: a lease must be in force.
    Write,
}

/// A question for a chunk's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindChunk {
    /// The file's name.
    pub path: String,
    /// The chunk's position in the file, from 0; None: the last one.
    pub index: Option<u64>,
    /// What for.
    pub purpose: Purpose,
}

/// A question for the chunk behind the last one that the client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddChunk {
    /// The file's name.
    pub path: String,
    /// The last chunk that the client has seen; None: it has seen none.
    pub after: Option<u64>,
}

/// Where a chunk is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The file that had the name.
    pub file: FileId,
    /// The chunk's position in the file.
    pub index: u64,
    /// How many chunks the file has.
    pub chunks: u64,
    /// The chunk.
    pub handle: Handle,
    /// Its current version.
    pub version: Version,
    /// The chunkservers that have this version.
    pub replicas: Vec<ServerId>,
    /// For writing: the replica that has the lease.
    pub primary: Option<ServerId>,
    /// For writing: how long the lease lasts at least, in milliseconds.
    pub lease_left_ms: u64,
}

/// What a chunkserver tells the master, and every shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The server.
    pub server: ServerId,
    /// Drawn at random when the server started.
    pub boot: u64,
    /// Grows with each heartbeat of this life.
    pub number: u64,
    /// The server's clock when it was sent, in nanoseconds.
    pub clock: u64,
    /// Whether `chunks` are all chunks of the server. Otherwise they are those that have changed since the
    /// last heartbeat that was answered.
    pub is_full: bool,
    /// Chunks with their versions; None: the server no longer has it.
    pub chunks: Vec<(Handle, Option<Version>)>,
    /// Damaged chunks.
    pub corrupt: Vec<Handle>,
    /// Leases that the server would like to keep: those that clients have used lately.
    pub wishes: Vec<(Handle, Version)>,
    /// Leases that the server has given up.
    pub released: Vec<Released>,
    /// Bytes that are free on its disk. Each chunk there counts as a full one, since it may become one.
    pub free: u64,
}

/// A lease that its primary has given up before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The chunk.
    pub handle: Handle,
    /// The version of the lease.
    pub version: Version,
    /// The replicas that did not acknowledge a mutation. Empty: the primary's own replica is damaged.
    pub failed: Vec<ServerId>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// The next heartbeat shall list all chunks.
    pub wants_full: bool,
    /// Leases that last until the heartbeat's `clock` plus the lease's length.
    pub extended: Vec<(Handle, Version)>,
    /// Chunks to be deleted, unless the server has a higher version by now.
    pub delete: Vec<(Handle, Version)>,
}

/// Records of the master's log, for a shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The number of records before `records`.
    pub position: u64,
    /// The encoded state at `position`, for a shadow that is too far behind.
    pub checkpoint: Option<Vec<u8>>,
    /// Encoded records, in order.
    pub records: Vec<Vec<u8>>,
}

/// Data on their way along a chain of replicas.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushData {
    /// Their number.
    pub id: DataId,
    /// The data.
    #[serde(with = "labgob::bytes")]
    pub bytes: Vec<u8>,
    /// The servers behind this one.
    pub chain: Vec<ServerId>,
}

impl fmt::Debug for PushData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushData({:?}, {} bytes, then {:?})", self.id, self.bytes.len(), self.chain)
    }
}

/// The number of pushed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataId {
    /// The client, drawn at random.
    pub client: u64,
    /// Counted by the client.
    pub number: u64,
}

/// A write at an offset, for the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteArgs {
    /// The chunk.
    pub handle: Handle,
    /// The version that the client knows.
    pub version: Version,
    /// Where in the chunk, in bytes.
    pub offset: usize,
    /// The pushed data, one behind the other.
    pub data: Vec<DataId>,
}

/// An append, for the primary, which chooses the offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendArgs {
    /// The chunk.
    pub handle: Handle,
    /// The version that the client knows.
    pub version: Version,
    /// The pushed data, one behind the other.
    pub data: Vec<DataId>,
    /// Their length, in bytes.
    pub length: usize,
}

/// What the primary has its secondaries do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutation {
    /// Pushed data go to this offset.
    Write {
        /// In bytes.
        offset: usize,
        /// The data, one behind the other.
        data: Vec<DataId>,
    },
    /// Zeros from this offset to the chunk's end.
    Pad {
        /// In bytes.
        from: usize,
    },
}

/// A mutation, with its place in the primary's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyArgs {
    /// The chunk.
    pub handle: Handle,
    /// Its version, which names the lease.
    pub version: Version,
    /// Its number among the mutations under the lease, from 1.
    pub serial: u64,
    /// The mutation.
    pub mutation: Mutation,
}

/// A read at a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadArgs {
    /// The chunk.
    pub handle: Handle,
    /// The version that the reader knows.
    pub version: Version,
    /// Where in the chunk, in bytes.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReply {
    /// The bytes: fewer than asked for where the replica ends.
    #[serde(with = "labgob::bytes")]
    pub bytes: Vec<u8>,
    /// Length of the replica.
    pub chunk_length: usize,
}

impl fmt::Debug for ReadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadReply({} bytes of {})", self.bytes.len(), self.chunk_length)
    }
}

/// A chunk in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkVersion {
    /// The chunk.
    pub handle: Handle,
    /// The version.
    pub version: Version,
}

/// A new version, before a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The chunk.
    pub handle: Handle,
    /// The version that the replica must have.
    pub from: Version,
    /// The version that it has from now on.
    pub to: Version,
}

/// A replica has the new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// The server's life, as in its heartbeats.
    pub boot: u64,
    /// Its clock, in nanoseconds.
    pub clock: u64,
}

/// A lease for the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The chunk.
    pub handle: Handle,
    /// The version of the lease.
    pub version: Version,
    /// The life of the server that the lease is for: another one must not have it.
    pub boot: u64,
    /// When the lease ends, on the primary's clock. It is counted from the clock of its [`Raised`], so a
    /// grant that comes late, or twice, lasts no longer.
    pub until: u64,
    /// The other replicas.
    pub secondaries: Vec<ServerId>,
}

/// A copy of a chunk on the same server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyChunk {
    /// The chunk.
    pub from: Handle,
    /// The version that the replica must have; the copy gets it, too.
    pub version: Version,
    /// The copy.
    pub to: Handle,
}

/// An order to fetch a chunk from another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneFrom {
    /// The chunk.
    pub handle: Handle,
    /// Its current version.
    pub version: Version,
    /// A server that has it.
    pub source: ServerId,
}

labrpc::service! {
    /// The master, or one of its shadows, which refuse changes.
    pub service MasterRpc, client MasterPeer {
        /// Changes the name space. A delete, and a rename that replaces a file, return the name under which
        /// the deleted file can be restored; others return an empty text.
        fn change(request: ChangeRequest) -> Result<String, MasterError>;
        /// The names that begin with `prefix`, in order. Deleted files are among them only if the prefix is
        /// one of theirs.
        fn list(prefix: String) -> Vec<String>;
        /// Where a chunk is.
        fn find_chunk(question: FindChunk) -> Result<Located, MasterError>;
        /// Where the next chunk is, for writing; makes it if there is none. `NoChunk`: the file ends before.
        fn add_chunk(question: AddChunk) -> Result<Located, MasterError>;
        /// A chunkserver lives.
        fn heartbeat(heartbeat: Heartbeat) -> HeartbeatReply;
        /// At a shadow: the log goes on. Returns how many records the shadow holds.
        fn ship_log(shipment: Shipment) -> u64;
    }
}

labrpc::service! {
    /// A chunkserver.
    pub service ChunkRpc, client ChunkPeer {
        /// Data for a mutation to come. They are passed on; the answer says that the whole chain has them.
        fn push_data(push: PushData) -> Result<(), ChunkError>;
        /// At the primary: writes at an offset on all replicas.
        fn write(args: WriteArgs) -> Result<(), ChunkError>;
        /// At the primary: writes behind the chunk's end on all replicas. Returns the offset in the chunk.
        fn append(args: AppendArgs) -> Result<usize, ChunkError>;
        /// At a secondary: the next mutation of the primary's order. "Ok" says that it and all before it are
        /// applied here. One that comes early is refused ([`ChunkError::Gap`]), or waits for those before it.
        fn apply(args: ApplyArgs) -> Result<(), ChunkError>;
        /// Reads from this replica.
        fn read(args: ReadArgs) -> Result<ReadReply, ChunkError>;
        /// Makes an empty chunk. A repetition finds it; [`ChunkError::Stale`]: it has another version here.
        fn create(chunk: ChunkVersion) -> Result<(), ChunkError>;
        /// Gives a replica a new version, also if it has it by now. The leases of the old one are over.
        fn raise(raise: Raise) -> Result<Raised, ChunkError>;
        /// Makes the server the primary of a chunk.
        fn grant(grant: Grant) -> Result<(), ChunkError>;
        /// Takes the lease of this version back. When it returns, no mutation is under way.
        /// [`ChunkError::NoChunk`]: the server does not have the chunk.
        fn revoke(chunk: ChunkVersion) -> Result<(), ChunkError>;
        /// Copies a chunk on this server.
        fn copy(copy: CopyChunk) -> Result<(), ChunkError>;
        /// Fetches a replica from another server. [`ChunkError::Stale`] and others: the source's refusal.
        fn clone_replica(order: CloneFrom) -> Result<(), ChunkError>;
    }
}
