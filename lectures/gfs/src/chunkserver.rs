// handout: drop classic
//! A chunkserver's monitor: its threads, and the handlers.
//!
//! | thread | work |
//! |---|---|
//! | heartbeat, one for the master and each shadow | tells of its chunks, hears what to do |
//! | scrubber | verifies chunks that nobody reads (§5.2) |
// handout: end
// handout: put classic
// //! A chunkserver: its handlers.
// handout: end

use labapi::Persister;
use labrpc::{ClientEnd, Service};
// handout: drop classic
use labrt::sync::{Arc, Monitor};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::Settings;
use crate::master::try_often;
use crate::replica::{Begun, State, Wanted};
use crate::rpc::{
    AppendArgs, ApplyArgs, ChunkError, ChunkPeer, ChunkRpc, ChunkVersion, CloneFrom, CopyChunk, DataId,
    Grant, Handle, Heartbeat, HeartbeatReply, MasterPeer, Mutation, PushData, Raise, Raised, ReadArgs,
    ReadReply, ServerId, Version, WriteArgs,
};
// handout: end
// handout: put classic
// use labrt::sync::Arc;
//
// use crate::Settings;
// use crate::rpc::{AppendArgs, ApplyArgs, ChunkError, ChunkRpc, ChunkVersion, CloneFrom, CopyChunk, Grant};
// use crate::rpc::{PushData, Raise, Raised, ReadArgs, ReadReply, ServerId, WriteArgs};
// handout: end

/// A chunkserver.
pub struct ChunkServer {
    // handout: drop classic
    me: ServerId,
    state: Monitor<State>,
    servers: Vec<ChunkPeer>,
    masters: Vec<MasterPeer>,
    settings: Settings,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl ChunkServer {
    /// Starts chunkserver `me` and returns at once. `masters` reach the master, and then its shadows;
    /// `servers` reach all chunkservers, by number, itself included. `persister` holds the chunks of an
    /// earlier life. The threads belong to the caller's computer, and end with it.
    pub fn start(
        me: ServerId,
        masters: Vec<ClientEnd>,
        servers: Vec<ClientEnd>,
        persister: Persister,
        settings: Settings,
    ) -> Arc<ChunkServer> {
        let state = Monitor::new(State::new(persister, &settings));
        let masters = masters.into_iter().map(|end| MasterPeer::new(end).timeout(settings.call)).collect();
        let servers = servers.into_iter().map(|end| ChunkPeer::new(end).timeout(settings.call)).collect();
        let server = Arc::new(ChunkServer { me, state, servers, masters, settings });
        for master in 0..server.masters.len() {
            let heart = Arc::clone(&server);
            thread::spawn_named("heartbeat", move || heart.run_heartbeats(master));
        }
        // handout: from GD: the scrubber
        let scrubber = Arc::clone(&server);
        thread::spawn_named("scrubber", move || scrubber.run_scrubber());
        // handout: end
        server
    }

    /// What the server offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    /// Tells one master of this server, again and again.
    ///
    /// A full list of a server with many chunks is long, so a heartbeat usually tells what has changed since
    /// the last one that was answered (`known`). A lost answer costs nothing: the next heartbeat tells the
    /// same again. The master asks for a full list when it does not know this life of the server.
    fn run_heartbeats(&self, master: usize) {
        let (mut number, mut known, mut is_full) = (0, 0, true);
        loop {
            number += 1;
            let next = Instant::now() + self.settings.heartbeat;
            let (beat, change) = self.heartbeat(number, is_full, known);
            let answer = self.masters[master].heartbeat(&beat);
            if let Ok(reply) = &answer {
                is_full = reply.wants_full;
                if !is_full {
                    known = change;
                }
                // Shadows order nothing.
                if master == 0 && !is_full {
                    self.obey(&beat, reply);
                }
            }
            // A lease that was given up is told at once: until then clients are sent to a primary that is
            // none.
            let mut state = self.state.lock();
            while Instant::now() < next && (answer.is_err() || master > 0 || state.released.is_empty()) {
                state.wait_until(|on| &on.news, next);
            }
        }
    }

    /// A heartbeat with what has changed since the change `known`; and the newest change. A chunk that is
    /// gone is told without a version. Corrupt chunks are told each time: they stay until the master has a
    /// good copy elsewhere, and it may have been restarted since. Extensions ride on heartbeats (§3.1): a
    /// primary asks for more time for each lease that is in force and was used within a lease's length.
    fn heartbeat(&self, number: u64, is_full: bool, known: u64) -> (Heartbeat, u64) {
        let state = self.state.lock();
        let now = Instant::now();
        let version = |handle: &Handle| state.chunks.get(handle).map(|replica| replica.version);
        let chunks: Vec<(Handle, Option<Version>)> = if is_full {
            state.chunks.keys().map(|handle| (*handle, version(handle))).collect()
        } else {
            let changed = state.changes.iter().filter(|(_, change)| **change > known);
            changed.map(|(handle, _)| (*handle, version(handle))).collect()
        };
        let corrupt = state.chunks.iter().filter(|(_, replica)| replica.is_corrupt);
        let wishes = state.chunks.iter().filter_map(|(handle, replica)| {
            let lease = replica.lease.as_ref()?;
            let is_wanted = now < lease.until && now < lease.used + self.settings.lease;
            is_wanted.then_some((*handle, replica.version))
        });
        let used = (state.chunks.len() * self.settings.chunk) as u64;
        let beat = Heartbeat {
            server: self.me,
            boot: state.boot,
            number,
            clock: now.as_nanos(),
            is_full,
            chunks,
            corrupt: corrupt.map(|(handle, _)| *handle).collect(),
            wishes: wishes.collect(),
            released: state.released.clone(),
            free: self.settings.capacity.saturating_sub(used),
        };
        (beat, state.change)
    }

    /// Does what the answer to a heartbeat says.
    ///
    /// An extension counts from when the heartbeat left, by this server's clock, however late the answer is:
    /// the master counts from when the heartbeat came, which is later, so it never believes in less time than
    /// the primary has. A chunk to be deleted is named with the version that the master means; one that has
    /// been cloned here since is another matter.
    fn obey(&self, beat: &Heartbeat, reply: &HeartbeatReply) {
        let mut state = self.state.lock();
        state.released.retain(|released| !beat.released.contains(released));
        let until = Instant::from_nanos(beat.clock) + self.settings.lease;
        for &(handle, version) in &reply.extended {
            state.extend(handle, version, until);
        }
        for &(handle, version) in &reply.delete {
            state.delete(handle, version);
        }
    }

    // handout: body GD
    /// Verifies one chunk after the other, a little at a time. A replica that nobody reads may be damaged for
    /// long, and counts as a good one meanwhile: if the others are lost, so is the chunk (§5.2).
    fn run_scrubber(&self) {
        let mut last = 0;
        loop {
            thread::sleep(self.settings.scrub);
            let mut state = self.state.lock();
            let mut next = state.chunks.range(last + 1..).chain(state.chunks.range(..=last));
            let Some((&handle, replica)) = next.next() else { continue };
            let version = replica.version;
            last = handle;
            if let Err(damaged) = state.disk.verify(handle, version) {
                state.damaged(handle, damaged);
            }
        }
    }

    /// Carries out a mutation as the primary: here first, then on all secondaries. One mutation of a chunk
    /// after the other.
    ///
    /// The order in which the primary applies mutations is the order for everybody (§3.1). With one under way
    /// at a time a secondary can be missing the last one only, so its number is enough to tell. Chunks do not
    /// wait for one another.
    ///
    /// # Errors
    /// [`ChunkError::Failed`] names the secondaries that may lack the mutation. It is not taken back where it
    /// was applied: the region is inconsistent, and the client tries again.
    fn mutate(&self, chunk: ChunkVersion, wanted: &Wanted, data: &[DataId]) -> Result<Mutation, ChunkError> {
        let begun = {
            let mut state = self.state.lock();
            let turn = state.line_up(chunk.handle);
            loop {
                match state.begin(chunk, turn, wanted, data, Instant::now()) {
                    Ok(Some(begun)) => break begun,
                    Ok(None) => state.wait(|on| &on.idle),
                    Err(refusal) => {
                        state.leave_line(chunk.handle, turn);
                        return Err(refusal);
                    }
                }
            }
        };
        let failed = self.forward(&begun);
        self.state.lock().finish(&begun, failed, Instant::now())?;
        Ok(begun.apply.mutation)
    }

    /// Returns the secondaries that have not acknowledged the mutation. All are asked at the same time, so
    /// the slowest decides how long it takes, and not their number.
    fn forward(&self, begun: &Begun) -> Vec<ServerId> {
        let asked: Vec<_> = begun
            .secondaries
            .iter()
            .map(|&server| {
                let (peer, apply) = (self.servers[server].clone(), begun.apply.clone());
                let ask = move || matches!(try_often(|| peer.apply(&apply)), Ok(Ok(())));
                (server, thread::spawn_named("forward", ask))
            })
            .collect();
        let answers = asked.into_iter().map(|(server, answer)| (server, answer.join().unwrap_or(false)));
        answers.filter(|(_, applied)| !applied).map(|(server, _)| server).collect()
    }

    // handout: body GB
    /// Fetches a chunk, no faster than a clone may be: repair must not take the network from clients (§4.3).
    ///
    /// # Errors
    /// As the source refuses; [`ChunkError::Unreachable`] if it does not answer.
    fn fetch(&self, order: CloneFrom) -> Result<Vec<u8>, ChunkError> {
        let CloneFrom { handle, version, source } = order;
        let mut bytes = Vec::new();
        loop {
            let length = self.settings.piece.min(self.settings.chunk - bytes.len());
            let args = ReadArgs { handle, version, offset: bytes.len(), length };
            let answer = try_often(|| self.servers[source].read(&args));
            let reply = answer.map_err(|_| ChunkError::Unreachable)??;
            let seconds = reply.bytes.len() as f64 / self.settings.clone_rate as f64;
            thread::sleep(Duration::from_secs_f64(seconds));
            bytes.extend_from_slice(&reply.bytes);
            if reply.bytes.is_empty() || bytes.len() >= reply.chunk_length {
                return Ok(bytes);
            }
        }
    }
}

// handout: bodies GA
impl ChunkRpc for ChunkServer {
    /// Data go on to the next server of the chain when they have come, and the answer comes back when the
    /// last one has them: "ok" means that all have (§3.2).
    fn push_data(&self, push: PushData) -> Result<(), ChunkError> {
        let PushData { id, bytes, mut chain } = push;
        self.state.lock().buffer.put(id, bytes.clone());
        if chain.is_empty() {
            return Ok(());
        }
        let next = chain.remove(0);
        let peer = self.servers.get(next).ok_or(ChunkError::Unreachable)?;
        let answer = peer.push_data(&PushData { id, bytes, chain });
        answer.map_err(|_| ChunkError::Unreachable)?
    }

    /// At an offset that the client has chosen: if two clients choose overlapping ones, the primary's order
    /// decides, piece by piece, and the region holds a mixture on which all replicas agree (§2.7.1).
    fn write(&self, args: WriteArgs) -> Result<(), ChunkError> {
        let chunk = ChunkVersion { handle: args.handle, version: args.version };
        self.mutate(chunk, &Wanted::Write { offset: args.offset }, &args.data).map(|_| ())
    }

    // handout: body GB
    /// Where the record stands, which the primary alone decides (§3.3).
    fn append(&self, args: AppendArgs) -> Result<usize, ChunkError> {
        let chunk = ChunkVersion { handle: args.handle, version: args.version };
        match self.mutate(chunk, &Wanted::Append { length: args.length }, &args.data)? {
            Mutation::Write { offset, .. } => Ok(offset),
            Mutation::Pad { .. } => Err(ChunkError::Padded),
        }
    }

    fn apply(&self, args: ApplyArgs) -> Result<(), ChunkError> {
        self.state.lock().apply(&args)
    }

    fn read(&self, args: ReadArgs) -> Result<ReadReply, ChunkError> {
        self.state.lock().read(&args)
    }

    fn create(&self, chunk: ChunkVersion) -> Result<(), ChunkError> {
        self.state.lock().create(chunk)
    }

    fn raise(&self, raise: Raise) -> Result<Raised, ChunkError> {
        self.state.lock().raise(raise, Instant::now())
    }

    fn grant(&self, grant: Grant) -> Result<(), ChunkError> {
        self.state.lock().grant(grant, Instant::now())
    }

    // handout: body GB
    /// Answers when the lease is gone *and* nothing is under way under it: whoever takes a lease back is
    /// about to copy the chunk, and a mutation that ended later would be in the original only.
    fn revoke(&self, chunk: ChunkVersion) -> Result<(), ChunkError> {
        let mut state = self.state.lock();
        while !state.is_revoked(chunk)? {
            state.wait(|on| &on.idle);
        }
        Ok(())
    }

    // handout: body GD
    fn copy(&self, copy: CopyChunk) -> Result<(), ChunkError> {
        self.state.lock().copy(copy)
    }

    // handout: body GB
    /// Looks twice whether the copy is wanted: fetching takes long, and the chunk may have come by another
    /// order meanwhile, or a newer version of it.
    fn clone_replica(&self, order: CloneFrom) -> Result<(), ChunkError> {
        if !self.state.lock().wants(order) {
            return Ok(());
        }
        let bytes = self.fetch(order)?;
        self.state.lock().cloned(order, &bytes);
        Ok(())
    }
}
