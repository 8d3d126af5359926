//! Reads that do not go through the log (dissertation §6.4): how a leader knows that it
//! still is one.
//!
//! A leader that answers from its own state may answer with the past: it may have been
//! deposed without knowing it, and the new leader may have committed writes since. Sending
//! each read through the log is the simple way out, since nobody commits anything without a
//! majority. But a read changes nothing, so that it is enough to know that *at some moment
//! after the read was asked for* this server was the only leader. There are two ways to
//! know:
//!
//! - **ReadIndex** (§6.4): a majority has answered messages of this term which were sent
//!   after the read was asked for. While they answered they knew of no later leader; and
//!   one that was elected without any of them cannot be. This costs a round of heartbeats,
//!   which all reads of that moment share, and no writing to disks.
//! - **Leases** (§6.4.1): servers promise to elect nobody within a minimum election timeout
//!   of hearing from their leader. So as long as a majority has heard from it more recently,
//!   it is the only one. This costs nothing at all, but it believes in clocks: should one
//!   of them run faster or slower than was assumed, two leaders serve reads, and nobody
//!   notices. `kvraft`'s tests show what a client then sees. Hence it is an option, and off.
//!
//! Both need the leader to know what is committed, which it does once an entry of its own
//! term is (§5.4.2): before that, its commit index may be behind what clients have been
//! told.

use labapi::Role;
use labrt::time::{Duration, Instant};

use crate::state::State;

/// What a server may assume about clocks when it serves reads from a lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// By how much any server's clock may run fast or slow, as a fraction: with 0.01 a
    /// second on a clock is between 0.99 and 1.01 s. Between 0 and 1.
    pub max_clock_drift: f64,
}

/// Choices that change what a server promises or assumes. All servers of a cluster must
/// make the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// Serve reads from leases. `None`, the default, believes no clock.
    pub lease: Option<Lease>,
}

/// The times of a lease, each on the clock of the server that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTimes {
    /// So long after hearing from a leader a server elects no other.
    pub(crate) promise: Duration,
    /// So long after sending a message a leader counts on the promise of who answers it.
    pub(crate) trust: Duration,
}

impl LeaseTimes {
    /// A promise as long as the shortest election timeout; and as much of it as is over for
    /// nobody, when the leader's clock is as slow and the other's as fast as they may be.
    fn new(lease: Lease, shortest_timeout: Duration) -> LeaseTimes {
        let drift = lease.max_clock_drift;
        assert!((0.0..1.0).contains(&drift), "a clock drift of {drift} is not between 0 and 1");
        let trust = shortest_timeout.mul_f64((1.0 - drift) / (1.0 + drift));
        LeaseTimes { promise: shortest_timeout, trust }
    }
}

impl State {
    /// From now on this server makes and trusts promises, as all the others must. No server
    /// stands for election sooner than `shortest_timeout` after it has heard from a leader.
    ///
    /// # Panics
    /// If the drift is not between 0 and 1.
    pub fn keep_leases(&mut self, lease: Lease, shortest_timeout: Duration) {
        self.lease = Some(LeaseTimes::new(lease, shortest_timeout));
    }

    /// Up to which index a read has to see the log, if this server leads, and knows what is
    /// committed (dissertation §6.4, step 1 and 2).
    pub fn read_index(&self) -> Option<u64> {
        let knows = self.log().term(self.commit_index) == Some(self.term());
        (self.is_leader() && knows).then_some(self.commit_index)
    }

    /// Whether a majority has answered messages that were sent at `moment` or later, and so
    /// this server was the only leader then (dissertation §6.4, step 3).
    pub fn led_at(&self, moment: Instant) -> bool {
        let answered = self.others().filter(|&peer| self.peers[peer].acknowledged >= Some(moment)).count();
        // The server itself agrees.
        self.is_leader() && answered + 1 >= self.majority()
    }

    /// Whether the servers that make a majority with this one have promised to elect no
    /// other yet. Never without the option.
    pub fn holds_lease(&self, now: Instant) -> bool {
        self.lease.is_some_and(|times| {
            // A moment before the start of the clock: then any answer will do.
            let oldest = now.as_nanos().saturating_sub(times.trust.as_nanos() as u64);
            self.led_at(Instant::from_nanos(oldest))
        })
    }

    /// Lets every follower hear from this leader as soon as it can, because a read waits
    /// for the answers.
    pub fn speak_up(&mut self, now: Instant) {
        for peer in self.others() {
            self.peers[peer].due = now;
        }
    }

    /// Whether a promise keeps this server from taking part in an election. It then does not
    /// even look at the candidate's term: a follower that moved on to it would refuse the
    /// leader that it has promised to keep.
    ///
    /// A server that has just started may have made the promise in its last life, and
    /// forgotten it; `last_heartbeat` counts from the start, therefore.
    pub(crate) fn is_bound(&self, now: Instant) -> bool {
        match self.lease {
            None => false,
            Some(_) if self.role == Role::Leader => self.holds_lease(now),
            Some(times) => now < self.last_heartbeat + times.promise,
        }
    }

    /// A follower has answered the last message to it, as one of this leader's.
    pub(crate) fn note_answer(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        peer.acknowledged = peer.acknowledged.max(Some(peer.sent));
        self.answers += 1;
    }
}
