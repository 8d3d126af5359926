// handout: file guided
//! Who is the primary of which chunk, as the master knows it (§3.1). A lease is volatile: a master that
//! starts waits as long as any lease of the life before can last.
//!
//! The master counts from a later moment than the primary, and longer by the clock error. So when a lease is
//! over here, it is over there.

use std::collections::BTreeMap;

use labrt::time::{Duration, Instant};

use crate::rpc::{Handle, ServerId, Version};

/// A lease, as the master has granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The primary.
    pub server: ServerId,
    /// Its life. A primary that restarts has lost its lease, and must not be taken for the one that had it.
    pub boot: u64,
    /// The version that came with the lease.
    pub version: Version,
    /// All replicas that take part, the primary among them: those that had this version when the lease began.
    /// A replica that comes later (a clone) does not take part until the next lease.
    pub members: Vec<ServerId>,
    /// From then on another one may be granted.
    over: Instant,
    /// Whether the primary has acknowledged it. If not, it may have the lease all the same.
    is_known: bool,
    /// Somebody has asked for it back, and waits for its end. It is extended no more: its primary may ask
    /// again and again, though the master does not reach it.
    is_wanted_back: bool,
}

/// What a chunk's lease allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Clients may go to the primary, for so long at least.
    InForce(Lease, Duration),
    /// The lease may be in force, or not: nobody may get another one. Waiting is the price of leases: the
    /// master may know that the primary is unreachable, but not that it has stopped (§3.1).
    Ending,
    /// There is none.
    Free,
}

/// All leases.
#[derive(Debug)]
pub struct Leases {
    leases: BTreeMap<Handle, Lease>,
    /// Leases of an earlier life of the master may last until then. They were in its memory only, and a log
    /// record for each would cost a write to the disk where a short wait after a crash does as well.
    not_before: Instant,
    lease: Duration,
    clock_error: Duration,
}

// handout: bodies GA
impl Leases {
    /// The table of a master that starts now. Leases last for `lease`; clocks of the cluster may differ by
    /// `clock_error` over such a time.
    pub fn new(lease: Duration, clock_error: Duration, now: Instant) -> Leases {
        Leases { leases: BTreeMap::new(), not_before: now + lease + clock_error, lease, clock_error }
    }

    /// What holds for this chunk. A lease that the primary has not acknowledged is `Ending` from the
    /// beginning: it may be in force, so nobody else gets one, and it may not, so no client is sent there.
    pub fn standing(&self, handle: Handle, now: Instant) -> Standing {
        match self.leases.get(&handle) {
            None if now < self.not_before => Standing::Ending,
            None => Standing::Free,
            Some(lease) if now >= lease.over => Standing::Free,
            Some(lease) => {
                // Clients are told the time without the clock error: they must stop before the primary does.
                let left = (lease.over - self.clock_error).duration_since(now);
                let is_in_force = lease.is_known && left > Duration::ZERO;
                if is_in_force { Standing::InForce(lease.clone(), left) } else { Standing::Ending }
            }
        }
    }

    // handout: body GB
    /// Somebody wants the lease back that may be in force now: who has it, and which version came with it. It
    /// is not extended any more.
    pub fn want_back(&mut self, handle: Handle, now: Instant) -> Option<(ServerId, Version)> {
        let lease = self.leases.get_mut(&handle).filter(|lease| now < lease.over)?;
        lease.is_wanted_back = true;
        Some((lease.server, lease.version))
    }

    /// The server is about to be told of its lease, which it counts from an earlier moment than now. `chosen`
    /// is the primary and its life.
    pub fn begin(&mut self, handle: Handle, chosen: (ServerId, u64), version: Version, members: &[ServerId]) {
        let over = Instant::now() + self.lease + self.clock_error;
        let (server, boot) = chosen;
        let members = members.to_vec();
        let (is_known, is_wanted_back) = (false, false);
        self.leases.insert(handle, Lease { server, boot, version, members, over, is_known, is_wanted_back });
    }

    /// The primary knows of its lease.
    pub fn acknowledged(&mut self, handle: Handle) {
        if let Some(lease) = self.leases.get_mut(&handle) {
            lease.is_known = true;
        }
    }

    /// The primary has asked for more time, in a heartbeat that it sent before now. Whether it gets it.
    ///
    /// It counts from the heartbeat, and the table from now, so the table's end is never the earlier one. A
    /// lease that may have ended is not extended: another one may have been granted and ended since.
    pub fn extend(&mut self, handle: Handle, from: (ServerId, u64), version: Version, now: Instant) -> bool {
        let is_in_force = matches!(self.standing(handle, now), Standing::InForce(..));
        let Some(lease) = self.leases.get_mut(&handle) else { return false };
        if !is_in_force || lease.is_wanted_back {
            return false;
        }
        if (lease.server, lease.boot) != from || lease.version != version {
            return false;
        }
        lease.over = now + self.lease + self.clock_error;
        true
    }

    // handout: body GB
    /// The primary no longer has this lease. Whether it was the newest one; news of an older one come late
    /// and must not end the lease that is in force.
    pub fn end(&mut self, handle: Handle, version: Version) -> bool {
        let is_newest = self.leases.get(&handle).is_some_and(|lease| lease.version == version);
        if is_newest {
            self.leases.remove(&handle);
        }
        is_newest
    }
}
