// handout: file guided
//! How a lease is granted and taken back (§3.1), and what happens to a chunk that a snapshot shares (§3.4).
//!
//! A new lease comes with a new version. An example, for a chunk of version 4 on servers 1, 2 and 3:
//!
//! ```text
//! log: reserve 5     raise 4 → 5 at 1, 2, 3     server 3 does not answer, but may have 5 now
//! log: reserve 6     raise 5 → 6 at 1, 2        both answer
//! log: confirm 6     lease for 6 to server 2, with 1 as its secondary
//! ```
//!
//! A version counts only when all that were asked for it have it. So a replica that has the current version
//! takes part in its lease, and misses no mutation. Whatever version server 3 comes back with, it is stale.

use labrt::rand::random_range;
use labrt::time::Instant;

use crate::master::{Master, try_often};
use crate::namespace::Record;
use crate::rpc::{
    ChunkVersion, CopyChunk, FileId, Grant, Handle, MasterError, Raise, Raised, ServerId, Version,
};

// handout: bodies GA
impl Master {
    /// Gives the chunk a new version, and one of its replicas a lease. The chunk is claimed, and has none.
    ///
    /// The moment at which the lease ends is on the primary's own clock, counted from when the primary said
    /// what time it is. So neither a slow message nor two clocks that differ can make the lease longer at the
    /// primary than in the master's table.
    ///
    /// # Errors
    /// [`MasterError::Retry`]: the primary did not answer, or refused. Those of `raise`.
    pub(crate) fn grant(&self, handle: Handle) -> Result<(), MasterError> {
        let (version, members) = self.raise(handle)?;
        let (primary, raised) = members[random_range(0..members.len())];
        let everybody: Vec<ServerId> = members.iter().map(|(server, _)| *server).collect();
        // In the table before the grant leaves: from then on the primary may act, whether it answers or not.
        self.lock().leases.begin(handle, (primary, raised.boot), version, &everybody);
        let secondaries = everybody.iter().copied().filter(|&server| server != primary).collect();
        let until = raised.clock + self.settings.lease.as_nanos() as u64;
        let grant = Grant { handle, version, boot: raised.boot, until, secondaries };
        tracing::debug!(target: "lease", "{grant:?} for server {primary}");
        match try_often(|| self.servers[primary].grant(&grant)) {
            Ok(Ok(())) => {
                self.lock().leases.acknowledged(handle);
                Ok(())
            }
            // It has crashed since, or has another version by now: it does not have the lease.
            Ok(Err(_)) => {
                self.lock().leases.end(handle, version);
                Err(MasterError::Retry)
            }
            // Perhaps it has it. The lease runs until its time is over; a new one before would make two.
            Err(_) => Err(MasterError::Retry),
        }
    }

    /// Raises the version at all current replicas; those that do not answer are current no longer. Each round
    /// goes on with those that answered in the round before, under a new number, until all of a round have.
    ///
    /// # Errors
    /// [`MasterError::Unavailable`] if no replica is left, [`MasterError::NoFile`], [`MasterError::Retry`].
    fn raise(&self, handle: Handle) -> Result<(Version, Vec<(ServerId, Raised)>), MasterError> {
        let (mut from, mut targets) = {
            let state = self.lock();
            let version = state.namespace().chunk(handle).ok_or(MasterError::NoFile)?.version;
            (version, state.locations.replicas(handle, version, Instant::now()))
        };
        loop {
            if targets.is_empty() {
                return Err(MasterError::Unavailable);
            }
            let to = self.reserve(handle)?;
            let raise = Raise { handle, from, to };
            let answers = self.ask_all(&targets, move |peer| peer.raise(&raise));
            let raised: Vec<(ServerId, Raised)> = answers
                .iter()
                .filter_map(|(server, raised)| raised.map(|raised| (*server, raised)))
                .collect();
            {
                let mut state = self.lock();
                for (server, answer) in &answers {
                    match answer {
                        // One that did not answer may have the new version, the old one, or have lost both.
                        Some(_) => state.locations.note(*server, handle, to),
                        None => state.locations.doubt(*server, handle),
                    }
                }
            }
            if raised.len() == targets.len() {
                self.commit(&Record::Confirm(handle, to))?;
                return Ok((to, raised));
            }
            (from, targets) = (to, raised.into_iter().map(|(server, _)| server).collect());
        }
    }

    /// A number that no version of the chunk has ever had. It is in the log before any server hears of it: a
    /// master that crashed in between and gave the number again, to other replicas, would have two sets of
    /// replicas of one version, with different bytes and no way to tell them apart.
    fn reserve(&self, handle: Handle) -> Result<Version, MasterError> {
        let to = {
            let mut state = self.lock();
            let chunk = state.namespace().chunk(handle).ok_or(MasterError::NoFile)?;
            let to = chunk.reserved.max(state.locations.highest(handle)) + 1;
            state.log.append(&Record::Reserve(handle, to));
            to
        };
        self.wait_for_copies().map(|()| to)
    }

    // handout: body GB
    /// Takes the lease of a claimed chunk back. When it returns, no mutation of it can succeed any more. That
    /// is what a snapshot and a clone need: bytes that stand still (§3.4).
    ///
    /// # Errors
    /// [`MasterError::Retry`]: the primary does not answer, so its lease has to run out.
    pub(crate) fn revoke(&self, handle: Handle) -> Result<(), MasterError> {
        let holder = {
            let mut state = self.lock();
            let now = Instant::now();
            match state.leases.want_back(handle, now) {
                Some(holder) => holder,
                None if state.leases.standing(handle, now) == crate::leases::Standing::Free => return Ok(()),
                None => return Err(MasterError::Retry),
            }
        };
        let (server, version) = holder;
        try_often(|| self.servers[server].revoke(&ChunkVersion { handle, version }))
            .map_err(|_| MasterError::Retry)
            // A refusal says that it does not have the lease.
            .map(|_| {
                self.lock().leases.end(handle, version);
            })
    }

    // handout: body GD
    /// Gives the file a copy of a claimed chunk that others share. Each replica copies it on its own disk, so
    /// nothing crosses the network (§3.4). The file that writes gets the copy; the others keep the original.
    ///
    /// # Errors
    /// [`MasterError::Unavailable`] without a replica, [`MasterError::Retry`] if none has copied it.
    pub(crate) fn copy_on_write(&self, file: FileId, handle: Handle) -> Result<(), MasterError> {
        let (version, to, targets) = {
            let mut state = self.lock();
            let version = state.namespace().chunk(handle).ok_or(MasterError::NoFile)?.version;
            let targets = state.locations.replicas(handle, version, Instant::now());
            if targets.is_empty() {
                return Err(MasterError::Unavailable);
            }
            // In no file yet, so servers that tell of it must not be told to delete it as an orphan.
            let to = state.namespace().next_handle();
            state.log.append(&Record::Allocate);
            state.creating.insert(to);
            (version, to, targets)
        };
        let copy = CopyChunk { from: handle, version, to };
        let answers = self.ask_all(&targets, move |peer| peer.copy(&copy));
        {
            let mut state = self.lock();
            let copied = answers.iter().filter(|(_, answer)| answer.is_some());
            let copied: Vec<ServerId> = copied.map(|(server, _)| *server).collect();
            copied.iter().for_each(|&server| state.locations.note(server, to, version));
            state.creating.remove(&to);
            if copied.is_empty() {
                return Err(MasterError::Retry);
            }
            state.log.append(&Record::Copied(file, handle, to));
        }
        tracing::debug!(target: "snapshot", "chunk {handle} is copied to {to}");
        self.wait_for_copies()
    }
}
