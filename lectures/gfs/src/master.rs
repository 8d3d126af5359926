// handout: drop classic
//! The master's monitor: one lock, its threads, and the handlers. A shadow is the same, but it only reads.
//!
//! No call to another server is made under the lock. What must not change while the master talks to others
//! is *claimed* first: a chunk whose version is raised, that is copied or cloned, has one such thread.
//!
//! The pattern of every longer step is the same: look and decide under the lock, write the record that makes
//! the decision durable, talk to servers without the lock, take it again, and look whether what was decided
//! still holds. Meanwhile files are renamed, servers die, and other clients ask for the same.
// handout: end
// handout: put classic
// //! The master, and its shadows: their handlers.
// handout: end

// handout: drop classic
use std::collections::{BTreeMap, BTreeSet};

// handout: end
use labapi::Persister;
// handout: drop classic
use labrpc::{ClientEnd, RpcError, Service};
use labrt::sync::{Arc, Condvar, Monitor, MonitorGuard, Settle};
use labrt::thread;
use labrt::time::Instant;

use crate::leases::{Leases, Standing};
use crate::locations::Locations;
use crate::namespace::{Namespace, Record};
use crate::oplog::Oplog;
use crate::path;
use crate::rpc::{
    AddChunk, ChangeRequest, ChunkError, ChunkPeer, ChunkVersion, FileChange, FileId, FindChunk, Handle,
    Heartbeat, HeartbeatReply, Located, MasterError, MasterPeer, MasterRpc, Purpose, ServerId, Shipment,
};
use crate::{Settings, TRIES};
// handout: end
// handout: put classic
// use labrpc::{ClientEnd, Service};
// use labrt::sync::Arc;
//
// use crate::Settings;
// use crate::rpc::{AddChunk, ChangeRequest, FindChunk, Heartbeat, HeartbeatReply};
// use crate::rpc::{Located, MasterError, MasterRpc, Shipment};
// handout: end

// handout: drop classic
/// What the master knows.
pub(crate) struct State {
    pub(crate) log: Oplog,
    pub(crate) locations: Locations,
    pub(crate) leases: Leases,
    /// Chunks with which a thread of the master is busy. In memory only: a crash frees them, and what the
    /// thread had begun is either in the log or never was.
    pub(crate) claims: BTreeSet<Handle>,
    /// Files that a thread adds a chunk to. Two at a time would make two chunks where appenders want one.
    adding: BTreeSet<FileId>,
    /// Chunks that are being made, and are in no file yet. Their servers may tell of them before the log
    /// does.
    pub(crate) creating: BTreeSet<Handle>,
    /// How many records each shadow holds, as it has told. A shadow may be wiped, so this can fall.
    pub(crate) shipped: BTreeMap<usize, u64>,
    /// A shadow has told that it holds more.
    pub(crate) has_shipped: bool,
    /// How long the log was when its readers were woken last.
    told: u64,
    /// Clones under way.
    pub(crate) clones: usize,
    /// Chunks of which a clone has failed, and when the next one may be tried. Without the pause a chunk that
    /// cannot be cloned would keep all others waiting, since it is the neediest each time.
    pub(crate) delayed: BTreeMap<Handle, Instant>,
}

/// What threads of the master wait for.
#[derive(Default)]
pub(crate) struct Signals {
    /// The log has grown.
    pub(crate) grown: Condvar,
    /// A shadow has more of it.
    pub(crate) shipped: Condvar,
}

impl Settle for State {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        let position = self.log.namespace().position();
        if std::mem::replace(&mut self.told, position) < position {
            signals.grown.notify_all();
        }
        if std::mem::take(&mut self.has_shipped) {
            signals.shipped.notify_all();
        }
    }
}

impl State {
    pub(crate) fn namespace(&self) -> &Namespace {
        self.log.namespace()
    }
}

// handout: end
/// A master, or a shadow.
pub struct Master {
    // handout: drop classic
    pub(crate) state: Monitor<State>,
    pub(crate) servers: Vec<ChunkPeer>,
    pub(crate) shadows: Vec<MasterPeer>,
    pub(crate) settings: Settings,
    is_shadow: bool,
    pub(crate) started: Instant,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl Master {
    /// Starts the master and returns at once. `servers` reach the chunkservers, `shadows` the shadows.
    /// `persister` holds the log of an earlier life.
    ///
    /// # Panics
    /// If the checkpoint on the disk is damaged.
    pub fn start(
        servers: Vec<ClientEnd>,
        shadows: Vec<ClientEnd>,
        persister: Persister,
        settings: Settings,
    ) -> Arc<Master> {
        let master = Master::new(servers, shadows, persister, settings, false);
        let keeper = Arc::clone(&master);
        thread::spawn_named("keeper", move || keeper.run_keeper());
        for shadow in 0..master.shadows.len() {
            let shipper = Arc::clone(&master);
            thread::spawn_named("shipper", move || shipper.run_shipper(shadow));
        }
        master
    }

    // handout: body GC
    /// Starts a shadow (§5.1.3): it follows the master's log, hears the heartbeats of chunkservers, and
    /// answers reads. What it knows may be a little old.
    ///
    /// # Panics
    /// As [`Master::start`].
    pub fn start_shadow(persister: Persister, settings: Settings) -> Arc<Master> {
        Master::new(Vec::new(), Vec::new(), persister, settings, true)
    }

    fn new(
        servers: Vec<ClientEnd>,
        shadows: Vec<ClientEnd>,
        persister: Persister,
        settings: Settings,
        is_shadow: bool,
    ) -> Arc<Master> {
        let started = Instant::now();
        let state = State {
            log: Oplog::open(persister, settings.checkpoint),
            locations: Locations::new(settings.silence),
            leases: Leases::new(settings.lease, settings.clock_error, started),
            claims: BTreeSet::new(),
            adding: BTreeSet::new(),
            creating: BTreeSet::new(),
            shipped: (0..shadows.len()).map(|shadow| (shadow, 0)).collect(),
            has_shipped: false,
            told: 0,
            clones: 0,
            delayed: BTreeMap::new(),
        };
        let servers = servers.into_iter().map(|end| ChunkPeer::new(end).timeout(settings.call)).collect();
        let shadows = shadows.into_iter().map(|end| MasterPeer::new(end).timeout(settings.call)).collect();
        Arc::new(Master { state: Monitor::new(state), servers, shadows, settings, is_shadow, started })
    }

    /// What the master offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    pub(crate) fn lock(&self) -> MonitorGuard<'_, State> {
        self.state.lock()
    }

    /// Makes a step of the durable state, and waits until the remote copies have it, too: a client is
    /// answered only when the loss of this disk would not take the change with it (§2.6.3, §5.1.3).
    ///
    /// # Errors
    /// [`MasterError::Retry`]: the remote copies do not have it in time. The step is made all the same, and
    /// the same change, asked for again, is answered when they have it.
    pub(crate) fn commit(&self, record: &Record) -> Result<String, MasterError> {
        let answer = self.lock().log.append(record);
        self.wait_for_copies().map(|()| answer)
    }

    /// Waits until enough shadows hold the log as it is now (§5.1.3). Steps of other threads that came just
    /// before are waited for as well: what this client was told may rest on them.
    pub(crate) fn wait_for_copies(&self) -> Result<(), MasterError> {
        let mut state = self.lock();
        let position = state.namespace().position();
        let deadline = Instant::now() + self.settings.call * TRIES as u32;
        let has_it = |state: &State| {
            let copies = state.shipped.values().filter(|shipped| **shipped >= position);
            copies.count() >= self.settings.remote_copies
        };
        while !has_it(&state) {
            if Instant::now() >= deadline {
                return Err(MasterError::Retry);
            }
            state.wait_until(|on| &on.shipped, deadline);
        }
        Ok(())
    }

    /// Does something with chunks that no other thread is busy with: all of them at once or none, so that two
    /// threads never wait for each other. Nobody waits for a claim; clients ask again.
    ///
    /// # Errors
    /// [`MasterError::Retry`] if one is; and those of `work`.
    pub(crate) fn claiming<T>(
        &self,
        handles: &[Handle],
        work: impl FnOnce() -> Result<T, MasterError>,
    ) -> Result<T, MasterError> {
        {
            let mut state = self.lock();
            if handles.iter().any(|handle| state.claims.contains(handle)) {
                return Err(MasterError::Retry);
            }
            state.claims.extend(handles);
        }
        let result = work();
        let mut state = self.lock();
        state.claims.retain(|claimed| !handles.contains(claimed));
        result
    }

    /// Asks servers at once, each until it answers, but not too often. None: no answer, or a refusal.
    pub(crate) fn ask_all<T: Send + 'static>(
        &self,
        servers: &[ServerId],
        ask: impl Fn(&ChunkPeer) -> Result<Result<T, ChunkError>, RpcError> + Clone + Send + 'static,
    ) -> Vec<(ServerId, Option<T>)> {
        let asked: Vec<_> = servers
            .iter()
            .map(|&server| {
                let (peer, ask) = (self.servers[server].clone(), ask.clone());
                (server, thread::spawn_named("ask", move || try_often(|| ask(&peer)).ok()?.ok()))
            })
            .collect();
        // A thread ends with an error only if its node is killed, and this one with it.
        asked.into_iter().map(|(server, answer)| (server, answer.join().unwrap_or_default())).collect()
    }

    /// The file's chunk at this place; without a place, its last one. File, index, how many chunks there are,
    /// and handle.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::BadPath`], [`MasterError::NoChunk`].
    fn resolve(
        namespace: &Namespace,
        path: &str,
        index: Option<u64>,
    ) -> Result<(FileId, u64, u64, Handle), MasterError> {
        let file = namespace.file(path)?;
        let chunks = file.chunks.len() as u64;
        let index = index.unwrap_or(chunks.saturating_sub(1));
        let handle = usize::try_from(index).ok().and_then(|index| file.chunks.get(index));
        Ok((file.id, index, chunks, *handle.ok_or(MasterError::NoChunk)?))
    }

    /// Where to read: all good replicas of the version in the log. A shadow takes the highest version that
    /// servers tell, if that is higher: they tell it first, and its log may lack the last records for long.
    ///
    /// No lease is needed, and none is looked at: readers do not disturb writers (§2.4). They may see a
    /// mutation on one replica and not yet on another.
    fn find_for_reading(&self, question: &FindChunk) -> Result<Located, MasterError> {
        let state = self.lock();
        let (file, index, chunks, handle) =
            Master::resolve(state.namespace(), &question.path, question.index)?;
        let logged = state.namespace().chunk(handle).map_or(0, |chunk| chunk.version);
        let version = if self.is_shadow { logged.max(state.locations.highest(handle)) } else { logged };
        let replicas = state.locations.replicas(handle, version, Instant::now());
        if replicas.is_empty() {
            return Err(MasterError::Unavailable);
        }
        let (primary, lease_left_ms) = (None, 0);
        Ok(Located { file, index, chunks, handle, version, replicas, primary, lease_left_ms })
    }

    /// Finds the chunk's lease, or has one granted; first the chunk is copied if a snapshot has it, too. Each
    /// round looks anew: after a copy the file has another chunk at this place, which needs a lease itself.
    fn find_for_writing(&self, path: &str, index: Option<u64>) -> Result<Located, MasterError> {
        path::check_new(path)?;
        let mut index = index;
        loop {
            let (file, handle) = {
                let state = self.lock();
                let (file, at, chunks, handle) = Master::resolve(state.namespace(), path, index)?;
                // The last one is the same one in each round.
                index = Some(at);
                let now = Instant::now();
                match state.leases.standing(handle, now) {
                    Standing::InForce(lease, left) => {
                        return Ok(Located {
                            file,
                            index: at,
                            chunks,
                            handle,
                            version: lease.version,
                            replicas: lease.members,
                            primary: Some(lease.server),
                            lease_left_ms: left.as_millis() as u64,
                        });
                    }
                    Standing::Ending => return Err(MasterError::Retry),
                    Standing::Free if state.locations.is_settling(now) => return Err(MasterError::Retry),
                    Standing::Free => {}
                }
                (file, handle)
            };
            self.claiming(&[handle], || self.lend(file, handle))?;
        }
    }

    /// Grants a lease for a claimed chunk, or has the file get a copy of its own first. Before the claim
    /// another thread may have granted one, or made a snapshot: only what is looked up behind it counts.
    fn lend(&self, file: FileId, handle: Handle) -> Result<(), MasterError> {
        let (standing, refs) = {
            let state = self.lock();
            let refs = state.namespace().chunk(handle).map_or(0, |chunk| chunk.refs);
            (state.leases.standing(handle, Instant::now()), refs)
        };
        match (standing, refs) {
            (Standing::Free, 0 | 1) => self.grant(handle),
            (Standing::Free, _) => self.copy_on_write(file, handle),
            _ => Ok(()),
        }
    }

    /// Makes a chunk on new servers, and then the file's last one. A handle is used up first: a chunk that
    /// was made on some servers and is in no file is an orphan, and its handle must not come to mean another
    /// one.
    ///
    /// # Errors
    /// [`MasterError::Unavailable`] without servers, [`MasterError::Retry`] if another thread was faster.
    fn add(&self, path: &str, next: u64) -> Result<(), MasterError> {
        let (file, handle, targets) = {
            let mut state = self.lock();
            let file = state.namespace().file(path)?.id;
            let (replicas, bytes) = (self.settings.replicas, self.settings.chunk);
            let targets = state.locations.choose(replicas, bytes, &[], Instant::now());
            if targets.is_empty() {
                return Err(MasterError::Unavailable);
            }
            if !state.adding.insert(file) {
                return Err(MasterError::Retry);
            }
            let handle = state.namespace().next_handle();
            state.creating.insert(handle);
            state.log.append(&Record::Allocate);
            (file, handle, targets)
        };
        let chunk = ChunkVersion { handle, version: 1 };
        let made = self.ask_all(&targets, move |peer| peer.create(&chunk));
        let mut state = self.lock();
        state.adding.remove(&file);
        state.creating.remove(&handle);
        let made: Vec<ServerId> =
            made.into_iter().filter_map(|(server, made)| made.map(|()| server)).collect();
        // The file may have another name by now, or none.
        let still = state.namespace().file(path).is_ok_and(|now| now.id == file);
        if made.is_empty() || !still || state.namespace().file(path)?.chunks.len() as u64 != next {
            return Err(MasterError::Retry);
        }
        made.into_iter().for_each(|server| state.locations.note(server, handle, 1));
        state.log.append(&Record::AddChunk(file, handle));
        Ok(())
    }

    // handout: body GD
    /// Takes back the leases of all chunks of the file. While it has them, no lease is granted, so no
    /// mutation can change a chunk when the snapshot begins to share it (§3.4).
    fn snapshot(&self, request: &ChangeRequest, from: &str) -> Result<String, MasterError> {
        // Of a file that is gone by now nothing is claimed, and the change is refused below.
        let chunks = self.lock().namespace().file(from).map(|file| file.chunks.clone()).unwrap_or_default();
        self.claiming(&chunks, || {
            chunks.iter().try_for_each(|&handle| self.revoke(handle))?;
            let mut state = self.lock();
            if state.namespace().file(from).is_ok_and(|file| file.chunks != chunks) {
                return Err(MasterError::Retry);
            }
            Master::record_change(&mut state, request)
        })
    }

    /// Checks a change and writes it down, under one lock: between the two no other change may come. The time
    /// is in the record, since a master that reads the log later has another one.
    fn record_change(state: &mut State, request: &ChangeRequest) -> Result<String, MasterError> {
        let ChangeRequest { op, change } = request.clone();
        if let Some(answer) = state.check(request)? {
            return Ok(answer);
        }
        Ok(state.log.append(&Record::Change { op, change, at: Instant::now().as_nanos() }))
    }

    fn decide(&self, request: &ChangeRequest) -> Result<String, MasterError> {
        let checked = self.lock().check(request)?;
        match (checked, &request.change) {
            (Some(answer), _) => Ok(answer),
            (None, FileChange::Snapshot { from, .. }) => self.snapshot(request, from),
            (None, _) => Master::record_change(&mut self.lock(), request),
        }
    }

    fn refuse_if_shadow(&self) -> Result<(), MasterError> {
        if self.is_shadow { Err(MasterError::ReadOnly) } else { Ok(()) }
    }
}

// handout: bodies kept
// handout: drop classic
/// Tries a call until there is an answer.
pub(crate) fn try_often<T>(call: impl Fn() -> Result<T, RpcError>) -> Result<T, RpcError> {
    let mut answer = call();
    for _ in 1..TRIES {
        if answer.is_ok() {
            break;
        }
        answer = call();
    }
    answer
}

// handout: end
// handout: bodies GA
impl MasterRpc for Master {
    /// Answered when enough copies of the log have it, also if it is refused, or was made already.
    fn change(&self, request: ChangeRequest) -> Result<String, MasterError> {
        self.refuse_if_shadow()?;
        let answer = self.decide(&request);
        self.wait_for_copies()?;
        tracing::debug!(target: "name", "{:?}: {answer:?}", request.change);
        answer
    }

    /// Not through the log, and without a wait for copies: a name that a crash takes back may be listed.
    fn list(&self, prefix: String) -> Vec<String> {
        self.lock().namespace().list(&prefix)
    }

    fn find_chunk(&self, question: FindChunk) -> Result<Located, MasterError> {
        match question.purpose {
            Purpose::Read => self.find_for_reading(&question),
            Purpose::Write => {
                self.refuse_if_shadow()?;
                self.find_for_writing(&question.path, question.index)
            }
        }
    }

    fn add_chunk(&self, question: AddChunk) -> Result<Located, MasterError> {
        self.refuse_if_shadow()?;
        path::check_new(&question.path)?;
        let next = question.after.map_or(0, |after| after.saturating_add(1));
        let chunks = self.lock().namespace().file(&question.path)?.chunks.len() as u64;
        if next > chunks {
            return Err(MasterError::NoChunk);
        }
        // Another client may have added it: all appenders go on in one chunk. That is what makes appends of
        // many clients cheap, and it is why the client says behind which chunk it wants one (§3.3).
        if next == chunks {
            self.add(&question.path, next)?;
            self.wait_for_copies()?;
        }
        self.find_for_writing(&question.path, Some(next))
    }

    /// Never waits for anything: a master that is late here takes living servers for dead.
    fn heartbeat(&self, beat: Heartbeat) -> HeartbeatReply {
        let now = Instant::now();
        let mut state = self.lock();
        let is_news = state.locations.hear(&beat, now);
        let wants_full = state.locations.wants_full(beat.server, beat.boot);
        let mut reply = HeartbeatReply { wants_full, ..HeartbeatReply::default() };
        if !self.is_shadow && is_news {
            state.take_news(&beat);
            reply.extended = state.extend(&beat, now);
            reply.delete = state.garbage(beat.server, self.settings.replicas, now);
        }
        reply
    }

    // handout: body GC
    fn ship_log(&self, shipment: Shipment) -> u64 {
        self.follow(&shipment)
    }
}
