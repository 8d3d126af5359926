//! Sizes and times.

use labrt::time::Duration;

/// How often a call to a server is tried before the server counts as one that does not answer.
pub const TRIES: usize = 3;

/// What all processes of a store agree on. The defaults are the paper's, made smaller: a chunk of 64 KiB
/// stands for 64 MiB, a checksum block of 64 bytes for 64 KiB, a lease of 600 ms for 60 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Length of a full chunk, in bytes.
    pub chunk: usize,
    /// Bytes under one checksum.
    pub block: usize,
    /// The longest piece in which data are pushed, in bytes.
    pub piece: usize,
    /// Bytes of pushed data that a chunkserver keeps for mutations to come.
    pub buffer: usize,
    /// Bytes that fit on a chunkserver's disk.
    pub capacity: u64,
    /// On how many chunkservers a chunk should be.
    pub replicas: usize,
    /// How long a lease lasts, on the primary's clock.
    pub lease: Duration,
    /// Bound on what clocks may differ by over a lease (the `e` of the rules). The master waits that much
    /// longer than the lease.
    pub clock_error: Duration,
    /// How often a chunkserver tells the master of itself.
    pub heartbeat: Duration,
    /// A chunkserver that was silent for this long counts as dead.
    pub silence: Duration,
    /// How long a server waits for the answer to one call.
    pub call: Duration,
    /// How often the master looks for chunks to repair and files to reclaim.
    pub look: Duration,
    /// How many clones may run at once.
    pub clones: usize,
    /// Bytes a second of one clone.
    pub clone_rate: u64,
    /// How often a chunkserver verifies one of its chunks that nobody reads.
    pub scrub: Duration,
    /// How long a deleted file can be restored.
    pub trash: Duration,
    /// The master writes a checkpoint when its log has this many bytes.
    pub checkpoint: usize,
    /// How many shadows must hold a record of the log before the change is answered.
    pub remote_copies: usize,
    /// How often the log is shipped to shadows. With remote copies it is shipped at once, too.
    pub ship: Duration,
    /// How long a client uses what it knows of a chunk's place.
    pub cache: Duration,
    /// How long a client tries an operation before it gives up.
    pub patience: Duration,
}

impl Settings {
    /// The longest single mutation: a quarter of a chunk, so that padding behind a record wastes little
    /// (§3.3). Longer writes are several mutations.
    pub fn longest_mutation(&self) -> usize {
        self.chunk / 4
    }
}

impl Default for Settings {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Settings {
            chunk: 64 << 10,
            block: 64,
            piece: 4 << 10,
            buffer: 1 << 20,
            capacity: 64 << 20,
            replicas: 3,
            lease: ms(600),
            clock_error: ms(100),
            heartbeat: ms(100),
            silence: ms(1000),
            call: ms(300),
            look: ms(50),
            clones: 4,
            clone_rate: 1 << 20,
            scrub: ms(500),
            trash: ms(5000),
            checkpoint: 4 << 10,
            remote_copies: 0,
            ship: ms(200),
            cache: Duration::from_secs(60),
            patience: Duration::from_secs(30),
        }
    }
}
