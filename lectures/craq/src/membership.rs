// handout: file guided
//! A node and the configurations: roles, leases, heartbeats. Pure, as `state.rs`.
//!
//! A node never decides about its role. A configuration of the manager with a higher epoch does, and the
//! manager puts one without this node in force only when the node's lease has ended.

use labrt::time::Instant;

use crate::copy::Handover;
use crate::rpc::{Config, Forward, Granted, Heartbeat, LastReceived, NewConfig, NodeId, Refusal};
use crate::state::{Progress, State, Step};

// handout: bodies CA
impl State {
    /// Takes a configuration that is in force. A repetition changes nothing.
    ///
    /// # Errors
    /// [`Refusal::WrongEpoch`] if the node has a newer one, or has left that one, [`Refusal::NotMember`] if
    /// the node is not in it or has no state.
    pub(crate) fn new_config(&mut self, news: NewConfig, now: Instant) -> Result<LastReceived, Refusal> {
        if news.chain != self.settings.chain {
            return Err(Refusal::WrongChain);
        }
        if news.config.epoch < self.config.epoch || news.config.epoch <= self.left {
            return Err(Refusal::WrongEpoch(self.config.epoch));
        }
        if news.config.place(self.me).is_none() {
            return Err(Refusal::NotMember);
        }
        if news.config.epoch > self.config.epoch {
            // The first configuration is that of empty nodes.
            let has_state = self.config.epoch > 0
                || news.config.epoch == 1
                || self.incoming.as_ref().is_some_and(|copy| copy.is_complete);
            if !has_state {
                return Err(Refusal::NotMember);
            }
            self.settings.lease = news.lease;
            self.enter(news.config, news.successor_has, now);
        }
        Ok(LastReceived { n: self.hist })
    }

    /// Takes the node's place in a configuration. Whatever belongs to the old epoch is over, but not the
    /// lease: it belongs to the node.
    ///
    /// A node whose successor is another one now sends what that one lacks: `successor_has` is what the
    /// manager was told. A head or a middle keeps all of `sent`, since a later successor may need it again.
    fn enter(&mut self, config: Config, successor_has: Option<u64>, now: Instant) {
        self.config = config;
        self.early.clear();
        self.forget_epoch();
        self.show(&Step::Enter);
        let successor_has = successor_has.unwrap_or(0);
        for (&n, (_, progress)) in &mut self.sent {
            *progress = if n <= successor_has { Progress::Delivered } else { Progress::Waiting };
        }
        self.settle_tail(now);
    }

    /// The node is no longer in the chain. What it holds gets old, and may hold what was never committed.
    /// Nothing is worth keeping, not even the answers that clients got: one of them may belong to an update
    /// that was lost with this node's place.
    pub(crate) fn leave(&mut self) {
        let (probe, left) = (self.probe.take(), self.left.max(self.config.epoch));
        *self = State::new(self.me, self.settings, probe);
        self.left = left;
        self.show(&Step::Leave);
    }

    /// What the node tells the manager.
    /// A complaint waits for twice the time after which a silent node is removed anyway: most neighbours that
    /// do not answer are dead, and then there is nobody to choose between.
    pub(crate) fn heartbeat(&self, now: Instant) -> Heartbeat {
        let patience = self.settings.suspicion * 2;
        let is_long = |since: Instant| now.saturating_duration_since(since) > patience;
        Heartbeat {
            chain: self.settings.chain,
            member: self.me,
            epoch: self.config.epoch,
            received: self.hist,
            acked: self.committed,
            complaint: self.trouble.and_then(|(neighbour, since)| is_long(since).then_some(neighbour)),
            handed: self.handover.as_ref().and_then(Handover::handed),
        }
    }

    /// The manager's answer to a heartbeat of `epoch` that left at `sent`. The lease counts from then: when
    /// the answer was made, the node cannot know.
    pub(crate) fn granted(&mut self, granted: Granted, epoch: u64, sent: Instant, now: Instant) {
        if epoch != self.config.epoch || granted.epoch < epoch {
            return;
        }
        if epoch > 0 && !granted.is_member {
            return self.leave();
        }
        if granted.epoch != epoch {
            return;
        }
        if granted.is_granted {
            self.lease_until = self.lease_until.max(Some(sent + self.settings.lease));
            self.settle_tail(now);
        }
        if let Some(spare) = granted.copy_to
            && self.is_tail()
            && self.has_lease(now)
        {
            self.begin_handover(spare);
        }
    }

    // handout: body CB
    /// Whether the successor still owes something for this update. If it was acknowledged meanwhile, only the
    /// answer was lost. It is not sent again, so nothing would ever end the complaint.
    pub(crate) fn waits_for(&self, forward: &Forward) -> bool {
        forward.at.epoch == self.config.epoch && self.sent.contains_key(&forward.record.n)
    }

    // handout: body CB
    /// Whether a neighbour has answered. One that is silent for long is reported to the manager.
    pub(crate) fn heard(&mut self, neighbour: NodeId, has_answered: bool, now: Instant) {
        let about = self.trouble.filter(|(node, _)| *node == neighbour);
        if !has_answered {
            self.trouble = about.or(self.trouble).or(Some((neighbour, now)));
        } else if about.is_some() {
            self.trouble = None;
        }
    }
}
