// handout: file never
//! Reads that do not go through the log (dissertation §6.4): how a leader knows that it
//! still is one.
//!
//! A leader that answers from its own state may answer with the past. It may have been
//! deposed without knowing it, and the new leader may have committed writes since. The
//! simple solution sends each read through the log, since no server commits anything
//! without a majority. But a read changes nothing. It is enough to know that this server
//! was the only leader *at some moment after the read began*. There are two ways to know:
//!
//! - **ReadIndex** (§6.4): a majority has answered messages of this term that were sent
//!   after the read began. When they answered they knew of no later leader, and no leader
//!   can have been elected without one of them. This costs a round of heartbeats, which all
//!   reads of that moment share, and no disk writes.
//! - **Leases** (§6.4.1): each server promises to elect no other leader for the shortest
//!   election timeout after a message from its leader. As long as a majority is bound by
//!   such promises, this server is the only leader. This costs nothing, but it relies on
//!   clocks. If a clock runs faster or slower than assumed, two leaders serve reads, and
//!   neither notices. `kvraft`'s tests show what a client then sees. So leases are an
//!   option, and off by default.
//!
//! Both need a leader that knows what is committed. It does once an entry of its own term
//! is committed (§5.4.2). Until then its commit index may be behind what clients have been
//! told.

use labapi::{Lease, Role};
use labrt::time::{Duration, Instant};

use crate::state::State;

/// The times of a lease, each on the clock of the server that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTimes {
    /// How long after a message from its leader a server elects no other.
    pub(crate) promise: Duration,
    /// How long after sending a message a leader relies on the promise of the follower that
    /// answered it.
    pub(crate) trust: Duration,
}

impl LeaseTimes {
    /// A promise lasts for the shortest election timeout. A leader relies on as much of it as
    /// remains on the fastest clock while the leader's own clock is the slowest.
    fn new(lease: Lease, shortest_timeout: Duration) -> LeaseTimes {
        let drift = lease.max_clock_drift;
        assert!((0.0..1.0).contains(&drift), "a clock drift of {drift} is not between 0 and 1");
        let trust = shortest_timeout.mul_f64((1.0 - drift) / (1.0 + drift));
        debug_assert!(trust <= shortest_timeout, "a leader relies on a promise that is over");
        LeaseTimes { promise: shortest_timeout, trust }
    }
}

impl State {
    /// From now on this server makes promises and relies on those of the others, which must do the same. A
    /// leader that hears from no majority gives up (`disturbance.rs`). No server stands for election sooner
    /// than `shortest_timeout` after a message from a leader.
    ///
    /// # Panics
    /// If the drift is not between 0 and 1.
    pub fn keep_leases(&mut self, lease: Lease, shortest_timeout: Duration) {
        debug_assert!(
            shortest_timeout <= self.election_timeout,
            "this server would stand for election before its promise is over"
        );
        self.check_quorum();
        self.lease = Some(LeaseTimes::new(lease, shortest_timeout));
    }

    /// The index up to which a read has to see the log applied; `None` if this server does
    /// not lead, or does not know yet what is committed (dissertation §6.4, steps 1 and 2).
    pub fn read_index(&self) -> Option<u64> {
        debug_assert!(self.commit_index <= self.log().last_index(), "a committed entry is missing");
        let knows = self.log().term(self.commit_index) == Some(self.term());
        (self.is_leader() && knows).then_some(self.commit_index)
    }

    /// Whether a majority has answered messages that were sent at `moment` or later, so that
    /// this server was the only leader then (dissertation §6.4, step 3).
    pub fn led_at(&self, moment: Instant) -> bool {
        let answered = self.others().filter(|&peer| self.peers[peer].acknowledged >= Some(moment)).count();
        debug_assert!(answered < self.servers, "{answered} other servers of {}", self.servers);
        // The server counts itself, too.
        self.is_leader() && answered + 1 >= self.majority()
    }

    /// Whether enough servers to make a majority with this one are still bound by their
    /// promises. Never without the option.
    pub fn holds_lease(&self, now: Instant) -> bool {
        self.lease.is_some_and(|times| {
            // If that moment is before the start of the clock, any answer will do.
            let oldest = now.as_nanos().saturating_sub(times.trust.as_nanos() as u64);
            self.led_at(Instant::from_nanos(oldest))
        })
    }

    /// Makes a heartbeat to each follower due at `now`, because a read waits for the answers.
    pub fn send_heartbeats_at(&mut self, now: Instant) {
        for peer in self.others() {
            self.peers[peer].due = now;
        }
    }

    /// Whether a promise keeps this server from taking part in an election: it disregards
    /// RequestVote RPCs received within the minimum election timeout of hearing from a
    /// current leader (dissertation §4.2.3; §6.4.1 rests on it). It does not even adopt the
    /// candidate's term. A follower that did would refuse the leader that it has promised
    /// to keep.
    ///
    /// A server that has just started may have made a promise before its crash, and does not
    /// remember it. So `last_heartbeat` counts from the start.
    pub(crate) fn is_bound(&self, now: Instant) -> bool {
        match self.lease {
            None => false,
            Some(_) if self.role == Role::Leader => self.holds_lease(now),
            Some(times) => now < self.last_heartbeat + times.promise,
        }
    }

    /// A follower has answered the message that was made at `sent`, and has accepted this
    /// leader.
    ///
    /// The answer counts from `sent` and not from now, because the follower may have left
    /// since. Replies may come in any order, so this only ever moves forward.
    pub(crate) fn note_answer(&mut self, peer: usize, sent: Instant) {
        debug_assert_eq!(self.role, Role::Leader, "only a leader has followers");
        let peer = &mut self.peers[peer];
        peer.probing = false;
        peer.acknowledged = peer.acknowledged.max(Some(sent));
        self.answers += 1;
    }
}
