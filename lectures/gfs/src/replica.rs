// handout: file guided
//! A chunkserver's chunks: the rules, without threads and calls.
//!
//! What is on the disk survives a crash: bytes, checksums and versions. Leases and the count of mutations do
//! not. A server that has restarted takes part in no lease until it hears of a new version.

use std::collections::{BTreeMap, VecDeque};

use labapi::Persister;
use labrt::rand::random;
use labrt::sync::{Condvar, Settle};
use labrt::time::Instant;

use crate::Settings;
use crate::buffer::Buffer;
use crate::disk::{ChunkDisk, Damaged};
use crate::rpc::{
    ApplyArgs, ChunkError, ChunkVersion, CloneFrom, CopyChunk, Grant, Handle, Mutation, Raise, Raised,
    ReadArgs, ReadReply, Released, ServerId, Version,
};

/// A chunk on this server.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) version: Version,
    /// It got this version in this life of the server, and so takes part in its lease.
    takes_part: bool,
    /// How many mutations under the lease were applied here.
    applied: u64,
    pub(crate) lease: Option<Lease>,
    /// The lease of this version was taken back or given up, and does not come again: a late copy of the
    /// grant would otherwise make a primary that the master knows nothing of.
    revoked: Version,
    /// The primary waits for its secondaries.
    is_busy: bool,
    /// Mutations that wait for the primary, by the numbers of their arrivals.
    line: VecDeque<u64>,
    pub(crate) is_corrupt: bool,
}

/// A lease, at the primary.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) until: Instant,
    pub(crate) secondaries: Vec<ServerId>,
    /// When it was needed last. One that nobody needs is not extended, and ends by itself.
    pub(crate) used: Instant,
}

/// What a client wants of the primary. An append names no offset: that is all the difference (§3.3).
pub(crate) enum Wanted {
    Write { offset: usize },
    Append { length: usize },
}

/// A mutation that was applied at the primary, and now goes to its secondaries.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) apply: ApplyArgs,
    pub(crate) secondaries: Vec<ServerId>,
}

/// What a chunkserver knows.
pub(crate) struct State {
    /// This life of the server, drawn at random: leases and heartbeats name it.
    pub(crate) boot: u64,
    pub(crate) disk: ChunkDisk,
    pub(crate) chunks: BTreeMap<Handle, Replica>,
    pub(crate) buffer: Buffer,
    /// The chunks that have come, gone, or changed their version, each with the number of its last change.
    pub(crate) changes: BTreeMap<Handle, u64>,
    pub(crate) change: u64,
    /// Leases that were given up, which the master does not know yet.
    pub(crate) released: Vec<Released>,
    /// A primary is no longer busy, or no longer the primary.
    is_idle: bool,
    /// A lease was given up.
    has_news: bool,
    /// How many mutations have come to this server as the primary.
    arrivals: u64,
    chunk: usize,
}

/// What threads of a chunkserver wait for.
#[derive(Default)]
pub(crate) struct Signals {
    /// A primary is no longer busy.
    pub(crate) idle: Condvar,
    /// The master should hear something soon.
    pub(crate) news: Condvar,
}

impl Settle for State {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        if std::mem::take(&mut self.is_idle) {
            signals.idle.notify_all();
        }
        if std::mem::take(&mut self.has_news) {
            signals.news.notify_all();
        }
    }
}

// handout: bodies GA
impl State {
    pub(crate) fn new(persister: Persister, settings: &Settings) -> State {
        let disk = ChunkDisk::new(persister, settings.block);
        let chunks = disk.load().into_iter();
        let chunks = chunks.map(|(handle, version)| (handle, Replica { version, ..Replica::default() }));
        State {
            boot: random(),
            chunks: chunks.collect(),
            disk,
            buffer: Buffer::new(settings.buffer),
            changes: BTreeMap::new(),
            change: 0,
            released: Vec::new(),
            is_idle: false,
            has_news: false,
            arrivals: 0,
            chunk: settings.chunk,
        }
    }

    fn changed(&mut self, handle: Handle) {
        self.is_idle = true;
        self.change += 1;
        self.changes.insert(handle, self.change);
    }

    fn replica(&mut self, handle: Handle) -> Result<&mut Replica, ChunkError> {
        self.chunks.get_mut(&handle).ok_or(ChunkError::NoChunk)
    }

    /// A good replica of this version. Every question names the version that the asker knows of: that is how
    /// a stale replica is noticed, and a stale client (§4.5).
    ///
    /// # Errors
    /// [`ChunkError::NoChunk`], [`ChunkError::Stale`], [`ChunkError::Corrupt`].
    fn good(&mut self, handle: Handle, version: Version) -> Result<&mut Replica, ChunkError> {
        let replica = self.replica(handle)?;
        match replica.version == version {
            false => Err(ChunkError::Stale),
            true if replica.is_corrupt => Err(ChunkError::Corrupt),
            true => Ok(replica),
        }
    }

    // handout: body GD
    /// A damaged replica serves nobody any more. The next heartbeat tells the master.
    pub(crate) fn damaged(&mut self, handle: Handle, _: Damaged) -> ChunkError {
        tracing::debug!(target: "checksum", "chunk {handle} is damaged");
        if let Some(replica) = self.chunks.get_mut(&handle) {
            replica.is_corrupt = true;
        }
        self.give_up(handle, Vec::new());
        ChunkError::Corrupt
    }

    // handout: body GB
    /// Ends the own lease early. The master learns of it at once, so that it need not wait. `failed` are the
    /// secondaries that must not take part in the next lease: they may have a gap that no version shows.
    fn give_up(&mut self, handle: Handle, failed: Vec<ServerId>) {
        let Some(replica) = self.chunks.get_mut(&handle) else { return };
        if replica.lease.take().is_some() {
            replica.revoked = replica.version;
            self.has_news = true;
            self.released.push(Released { handle, version: replica.version, failed });
        }
    }

    /// A chunk without bytes. A repetition finds it, and is as good as the first.
    pub(crate) fn create(&mut self, chunk: ChunkVersion) -> Result<(), ChunkError> {
        if !self.chunks.contains_key(&chunk.handle) {
            self.install(chunk.handle, chunk.version, &[]);
        }
        self.good(chunk.handle, chunk.version).map(|_| ())
    }

    /// A chunk as it was made elsewhere. It takes part in no lease until its version is raised again: what
    /// the present lease has done since the copy was made is not in it.
    pub(crate) fn install(&mut self, handle: Handle, version: Version, bytes: &[u8]) {
        self.disk.put(handle, version, bytes);
        self.chunks.insert(handle, Replica { version, ..Replica::default() });
        self.changed(handle);
    }

    /// Deletes what the master meant: a replica that is newer than the order has come since.
    pub(crate) fn delete(&mut self, handle: Handle, version: Version) {
        if self.chunks.get(&handle).is_some_and(|replica| replica.version <= version) {
            self.chunks.remove(&handle);
            self.disk.delete(handle);
            self.changed(handle);
        }
    }

    /// Takes a new version, which ends whatever lease there was: mutations under the old one find another
    /// version here. The count of mutations begins at 0, alike on all replicas of the new version.
    ///
    /// # Errors
    /// [`ChunkError::Stale`] unless the replica has exactly the version that it is raised from, or, since the
    /// answer may have been lost, the one that it is raised to: a repetition is answered as the first one.
    pub(crate) fn raise(&mut self, raise: Raise, now: Instant) -> Result<Raised, ChunkError> {
        if self.replica(raise.handle)?.version != raise.to {
            self.good(raise.handle, raise.from)?;
            let revoked = raise.from;
            let fresh = Replica { version: raise.to, takes_part: true, revoked, ..Replica::default() };
            self.chunks.insert(raise.handle, fresh);
            self.disk.set_version(raise.handle, raise.to);
            self.changed(raise.handle);
        }
        Ok(Raised { boot: self.boot, clock: now.as_nanos() })
    }

    /// Becomes the primary, if this is the life and the version that the grant is for.
    ///
    /// # Errors
    /// [`ChunkError::NotPrimary`]: the grant is for another life, or its lease is over already.
    pub(crate) fn grant(&mut self, grant: Grant, now: Instant) -> Result<(), ChunkError> {
        let boot = self.boot;
        let replica = self.good(grant.handle, grant.version)?;
        if grant.boot != boot || replica.revoked >= grant.version {
            return Err(ChunkError::NotPrimary);
        }
        // A repetition must not shorten a lease that was extended since.
        if replica.lease.is_none() {
            let until = Instant::from_nanos(grant.until);
            replica.lease = Some(Lease { until, secondaries: grant.secondaries, used: now });
        }
        Ok(())
    }

    // handout: body GB
    /// Whether the lease of this version is gone, and nothing is under way under it.
    pub(crate) fn is_revoked(&mut self, chunk: ChunkVersion) -> Result<bool, ChunkError> {
        let replica = self.replica(chunk.handle)?;
        if replica.version != chunk.version {
            return Ok(true);
        }
        replica.revoked = chunk.version;
        replica.lease = None;
        Ok(!replica.is_busy)
    }

    /// The master has extended a lease until this moment.
    pub(crate) fn extend(&mut self, handle: Handle, version: Version, until: Instant) {
        if let Ok(Replica { lease: Some(lease), .. }) = self.good(handle, version) {
            lease.until = lease.until.max(until);
        }
    }

    // handout: body GD
    /// Copies a chunk on the own disk, for a file that no longer shares it (§3.4). The copy has the
    /// original's version: all replicas that copy it are equal, and count as current.
    pub(crate) fn copy(&mut self, copy: CopyChunk) -> Result<(), ChunkError> {
        if !self.chunks.contains_key(&copy.to) {
            self.good(copy.from, copy.version)?;
            let bytes = self.disk.read(copy.from, 0, self.chunk);
            let bytes = bytes.map_err(|damaged| self.damaged(copy.from, damaged))?;
            self.install(copy.to, copy.version, &bytes);
        }
        self.good(copy.to, copy.version).map(|_| ())
    }

    // handout: body GB
    /// A replica that came from another server.
    pub(crate) fn cloned(&mut self, order: CloneFrom, bytes: &[u8]) {
        if self.wants(order) {
            self.install(order.handle, order.version, bytes);
        }
    }

    // handout: body GB
    /// Whether the own replica is older or damaged.
    pub(crate) fn wants(&self, order: CloneFrom) -> bool {
        let own = self.chunks.get(&order.handle);
        own.is_none_or(|own| own.version < order.version || own.version == order.version && own.is_corrupt)
    }

    /// Reads, and tells how long the chunk is here. A damaged block is never returned: the reader hears
    /// [`ChunkError::Corrupt`] and goes to another replica (§5.2).
    pub(crate) fn read(&mut self, args: &ReadArgs) -> Result<ReadReply, ChunkError> {
        let in_chunk = args.offset.checked_add(args.length).is_some_and(|end| end <= self.chunk);
        if !in_chunk {
            return Err(ChunkError::OutOfRange);
        }
        self.good(args.handle, args.version)?;
        let bytes = self.disk.read(args.handle, args.offset, args.length);
        let bytes = bytes.map_err(|damaged| self.damaged(args.handle, damaged))?;
        Ok(ReadReply { bytes, chunk_length: self.disk.length(args.handle) })
    }

    /// At a secondary. Mutations come in the primary's order, or not at all.
    ///
    /// The number says everything: the next one is carried out; an earlier one was, and is acknowledged
    /// again; a later one means that one is missing here, and what stands behind a gap could be anywhere.
    ///
    /// # Errors
    /// [`ChunkError::Gap`], [`ChunkError::MissingData`], and those of `good`.
    pub(crate) fn apply(&mut self, args: &ApplyArgs) -> Result<(), ChunkError> {
        let replica = self.good(args.handle, args.version)?;
        if !replica.takes_part || args.serial > replica.applied + 1 {
            return Err(ChunkError::Gap);
        }
        if args.serial <= replica.applied {
            return Ok(());
        }
        self.carry_out(args.handle, args.serial, &args.mutation)
    }

    /// The same at primary and secondaries: the offset is decided already, so that equal replicas stay equal.
    fn carry_out(&mut self, handle: Handle, serial: u64, mutation: &Mutation) -> Result<(), ChunkError> {
        let (offset, bytes) = match mutation {
            Mutation::Write { offset, data } => {
                (*offset, self.buffer.get(data).ok_or(ChunkError::MissingData)?)
            }
            Mutation::Pad { from } => (*from, vec![0; self.chunk.saturating_sub(*from)]),
        };
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.chunk) {
            return Err(ChunkError::OutOfRange);
        }
        self.disk.write(handle, offset, &bytes).map_err(|damaged| self.damaged(handle, damaged))?;
        self.replica(handle)?.applied = serial;
        Ok(())
    }

    /// A mutation has come. Its turn is behind those that wait: if whoever wakes first went first, a client
    /// could wait until its call times out while later ones pass.
    pub(crate) fn line_up(&mut self, handle: Handle) -> u64 {
        self.arrivals += 1;
        if let Some(replica) = self.chunks.get_mut(&handle) {
            replica.line.push_back(self.arrivals);
        }
        self.arrivals
    }

    /// A mutation is refused, and holds up nobody.
    pub(crate) fn leave_line(&mut self, handle: Handle, turn: u64) {
        if let Some(replica) = self.chunks.get_mut(&handle) {
            replica.line.retain(|&waiting| waiting != turn);
        }
        self.is_idle = true;
    }

    /// At the primary: gives the mutation its place, and applies it here. None: it is not its turn, since the
    /// primary is busy, or others came earlier.
    pub(crate) fn begin(
        &mut self,
        chunk: ChunkVersion,
        turn: u64,
        wanted: &Wanted,
        data: &[crate::rpc::DataId],
        now: Instant,
    ) -> Result<Option<Begun>, ChunkError> {
        let ChunkVersion { handle, version } = chunk;
        let replica = self.good(handle, version)?;
        let is_next = !replica.is_busy && replica.line.front() == Some(&turn);
        let serial = replica.applied + 1;
        let lease = replica.lease.as_mut().filter(|lease| now < lease.until);
        let lease = lease.ok_or(ChunkError::NotPrimary)?;
        lease.used = now;
        let secondaries = lease.secondaries.clone();
        if !is_next {
            return Ok(None);
        }
        let mutation = self.mutation(handle, wanted, data)?;
        self.carry_out(handle, serial, &mutation)?;
        let replica = self.replica(handle)?;
        replica.is_busy = true;
        replica.line.pop_front();
        Ok(Some(Begun { apply: ApplyArgs { handle, version, serial, mutation }, secondaries }))
    }

    /// Where the data go. A record that does not fit is not begun: the chunk is padded instead, and its
    /// client goes on with the next chunk. Records of a quarter of a chunk at most keep the padding small
    /// (§3.3).
    fn mutation(
        &mut self,
        handle: Handle,
        wanted: &Wanted,
        data: &[crate::rpc::DataId],
    ) -> Result<Mutation, ChunkError> {
        let data = data.to_vec();
        match *wanted {
            Wanted::Write { offset } => Ok(Mutation::Write { offset, data }),
            Wanted::Append { length } if length > self.chunk / 4 => Err(ChunkError::OutOfRange),
            Wanted::Append { length } => match self.disk.length(handle) {
                full if full >= self.chunk => Err(ChunkError::Padded),
                from if from + length > self.chunk => Ok(Mutation::Pad { from }),
                offset => Ok(Mutation::Write { offset, data }),
            },
        }
    }

    /// At the primary: all secondaries have answered, or will not. `failed` did not apply the mutation, or it
    /// is unknown whether they did. It counts only if the lease lasted until now: later another primary may
    /// have been chosen, or another server may have copied a replica without it.
    pub(crate) fn finish(
        &mut self,
        begun: &Begun,
        failed: Vec<ServerId>,
        now: Instant,
    ) -> Result<(), ChunkError> {
        let ApplyArgs { handle, version, .. } = begun.apply;
        self.is_idle = true;
        // With another version, the lease is over, and the chunk no longer busy.
        let replica = self.chunks.get_mut(&handle).filter(|replica| replica.version == version);
        let replica = replica.ok_or(ChunkError::NotPrimary)?;
        replica.is_busy = false;
        let is_in_force = replica.lease.as_ref().is_some_and(|lease| now < lease.until);
        if !failed.is_empty() {
            // A replica with a gap applies nothing any more. A new lease goes on without it.
            self.give_up(handle, failed.clone());
            return Err(ChunkError::Failed(failed));
        }
        if is_in_force { Ok(()) } else { Err(ChunkError::NotPrimary) }
    }
}
