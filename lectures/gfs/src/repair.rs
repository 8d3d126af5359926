// handout: file guided
//! What the master does on its own: it repairs chunks with too few replicas (§4.3), reclaims deleted files
//! and orphaned chunks (§4.4), and learns from heartbeats.

use labrt::rand::random;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::leases::Standing;
use crate::master::{Master, State};
use crate::namespace::Record;
use crate::rpc::{CloneFrom, Handle, Heartbeat, MasterError, Released, ServerId, Version};

// handout: bodies GA
impl Master {
    /// Looks at everything now and then. What it does is never urgent and never needed for correctness: it
    /// can stop anywhere, and the next round finds what is left to do (§4.4 praises just that).
    pub(crate) fn run_keeper(self: &Arc<Self>) {
        loop {
            thread::sleep(self.settings.look);
            self.reclaim(Instant::now());
            // handout: from GB: `repair`
            // A master that has just started does not know yet what the servers have.
            if Instant::now() >= self.started + self.settings.silence {
                self.repair();
            }
            // handout: end
        }
    }

    /// Deleted files whose time is over are gone for good. Their chunks become orphans, of which servers hear
    /// when they tell of them: also a server that was down for a week.
    fn reclaim(&self, now: Instant) {
        let mut state = self.lock();
        let is_due = |at: u64| now >= Instant::from_nanos(at) + self.settings.trash;
        let deleted = state.namespace().deleted().into_iter();
        for (name, _) in deleted.filter(|(_, at)| is_due(*at)) {
            state.log.append(&Record::Reclaim(name));
        }
    }

    // handout: body GB
    /// Starts clones of the chunks that have lost most, as many as may run. Two servers that fail leave some
    /// chunks with one replica and many with two; those with one must not wait behind the others (§4.3).
    fn repair(self: &Arc<Self>) {
        let now = Instant::now();
        let chosen: Vec<Handle> = {
            let mut state = self.lock();
            state.delayed.retain(|_, next| now < *next);
            state.trim(self.settings.replicas, now);
            let room = self.settings.clones.saturating_sub(state.clones);
            let chosen = state.lacking(self.settings.replicas, now).into_iter().take(room).collect();
            state.clones += Vec::len(&chosen);
            chosen
        };
        for handle in chosen {
            let master = Arc::clone(self);
            thread::spawn_named("clone", move || {
                let result = master.claiming(&[handle], || master.clone_chunk(handle));
                tracing::debug!(target: "repair", "clone of chunk {handle}: {result:?}");
                let mut state = master.lock();
                state.clones -= 1;
                if result.is_err() {
                    // Nobody can write while a clone is tried, so there must be time between two tries.
                    state.delayed.insert(handle, Instant::now() + master.settings.silence * 2);
                }
            });
        }
    }

    // handout: body GB
    /// Has one more server fetch a claimed chunk. Its lease is taken back first: a mutation meanwhile would
    /// not reach the new replica.
    ///
    /// The claim is held until the end, so no lease is granted either: writers of the chunk wait meanwhile,
    /// and readers do not.
    ///
    /// # Errors
    /// [`MasterError::Retry`], [`MasterError::Unavailable`], [`MasterError::NoFile`]: it is tried again
    /// later.
    fn clone_chunk(&self, handle: Handle) -> Result<(), MasterError> {
        self.revoke(handle)?;
        let (version, source, target) = {
            let state = self.lock();
            let now = Instant::now();
            let version = state.namespace().chunk(handle).ok_or(MasterError::NoFile)?.version;
            let sources = state.locations.replicas(handle, version, now);
            let source = pick(&sources).ok_or(MasterError::Unavailable)?;
            // A server with a damaged copy is the last choice: it may fetch a good one in its place.
            let holders: Vec<ServerId> = (0..self.servers.len())
                .filter(|&server| state.locations.chunks(server).iter().any(|(held, ..)| *held == handle))
                .collect();
            let choose = |except: &[ServerId]| {
                // Of two, so that one that cannot reach the source does not get every order.
                pick(&state.locations.choose(2, self.settings.chunk, except, now))
            };
            (version, source, choose(&holders).or_else(|| choose(&sources)).ok_or(MasterError::Unavailable)?)
        };
        let order = CloneFrom { handle, version, source };
        let length = Duration::from_secs_f64(self.settings.chunk as f64 / self.settings.clone_rate as f64);
        let peer = self.servers[target].timeout(length * 2 + self.settings.call * 4);
        match peer.clone_replica(&order) {
            Ok(Ok(())) => {
                self.lock().locations.note(target, handle, version);
                Ok(())
            }
            // If it is there all the same, its server will tell.
            _ => Err(MasterError::Retry),
        }
    }
}

// handout: body GB
/// Any of them: with a rule that always names the same one, that one would get all the work.
fn pick(servers: &[ServerId]) -> Option<ServerId> {
    servers.iter().copied().min_by_key(|_| random::<u64>())
}

// handout: bodies GA
impl State {
    /// What a heartbeat says of leases and versions. A version that is higher than the one in the log is that
    /// of an earlier life of the master, which was about to confirm it: it counts.
    pub(crate) fn take_news(&mut self, beat: &Heartbeat) {
        for Released { handle, version, failed } in &beat.released {
            // The next lease goes on without the replicas that the primary could not reach, although the
            // master may reach them.
            if self.leases.end(*handle, *version) {
                failed.iter().for_each(|&server| self.locations.doom(server, *handle));
            }
        }
        for &(handle, version) in &beat.chunks {
            let known = self.namespace().chunk(handle).map(|chunk| chunk.version);
            let is_higher = matches!((known, version), (Some(known), Some(version)) if version > known);
            if is_higher && !self.claims.contains(&handle) {
                self.log.append(&Record::Confirm(handle, version.unwrap_or_default()));
            }
        }
    }

    /// The leases that the server may keep.
    pub(crate) fn extend(&mut self, beat: &Heartbeat, now: Instant) -> Vec<(Handle, Version)> {
        let wishes = beat.wishes.iter().copied();
        let from = (beat.server, beat.boot);
        wishes.filter(|&(handle, version)| self.leases.extend(handle, from, version, now)).collect()
    }

    /// Chunks that the server shall delete: orphans; stale replicas, if there is a good one; and those that
    /// are of no use, once `goal` good ones have replaced them. The last known data of a chunk are never
    /// deleted, however old.
    pub(crate) fn garbage(&self, server: ServerId, goal: usize, now: Instant) -> Vec<(Handle, Version)> {
        let chunks = self.locations.chunks(server).into_iter();
        let is_garbage = |&(handle, version, is_good): &(Handle, Version, bool)| {
            let Some(chunk) = self.namespace().chunk(handle) else { return !self.creating.contains(&handle) };
            let good = self.locations.replicas(handle, chunk.version, now).len();
            if version < chunk.version { good > 0 } else { !is_good && good >= goal }
        };
        chunks.filter(is_garbage).map(|(handle, version, _)| (handle, version)).collect()
    }

    // handout: body GB
    /// Chunks that lack replicas and have one to copy, those that have the fewest first.
    pub(crate) fn lacking(&self, goal: usize, now: Instant) -> Vec<Handle> {
        let mut lacking: Vec<(usize, Handle)> = Vec::new();
        for (handle, chunk) in self.namespace().chunks() {
            let good = self.locations.replicas(handle, chunk.version, now).len();
            let can_be_cloned = self.leases.standing(handle, now) != Standing::Ending
                && !self.claims.contains(&handle)
                && self.delayed.get(&handle).is_none_or(|next| now >= *next)
                && good < self.locations.alive(now).len();
            if good > 0 && good < goal && can_be_cloned {
                lacking.push((good, handle));
            }
        }
        lacking.sort_unstable();
        lacking.into_iter().map(|(_, handle)| handle).collect()
    }

    // handout: body GB
    /// Chunks with too many replicas lose one, where most others are. A server that was believed to be dead
    /// may have come back.
    fn trim(&mut self, goal: usize, now: Instant) {
        let spare: Vec<(Handle, ServerId)> = self
            .namespace()
            .chunks()
            .into_iter()
            .filter_map(|(handle, chunk)| {
                let good = self.locations.replicas(handle, chunk.version, now);
                let is_quiet = self.leases.standing(handle, now) == Standing::Free;
                let most = good.iter().copied().max_by_key(|&server| self.locations.load(server))?;
                (good.len() > goal && is_quiet && !self.claims.contains(&handle)).then_some((handle, most))
            })
            .collect();
        spare.into_iter().for_each(|(handle, server)| self.locations.doom(server, handle));
    }
}
