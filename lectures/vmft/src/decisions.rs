// handout: file guided
//! A host and the other one: messages, suspicion, going on alone, and repair. Pure, as `state.rs`.
//!
//! Rules R7 (who goes on alone), R8 and R9 (going live), R10 (repair), R11 (flow).

use labrt::time::{Duration, Instant};

use crate::log::Log;
use crate::machine::{Machine, Output};
use crate::record::Held;
use crate::rpc::{ArbiterError, Clone as CloneMessage, Heartbeat, HostError, LogAck, LogBatch};
use crate::state::{Guest, Role, State};

/// The step of the processor's share, and the time between two steps (R11).
const SHARE_STEP: f64 = 1.0 / 32.0;
const SHARE_INTERVAL: Duration = Duration::from_millis(20);

// handout: bodies VB
/// The other host.
impl State {
    /// Takes entries (backup).
    ///
    /// # Errors
    /// [`HostError`], if they are of another epoch or this host is no backup. A host that has won the flag is
    /// none: it must not acknowledge what it will not replay before it goes live. A backup that is off is
    /// still one: its answer to the last entry may have been lost.
    pub fn receive(&mut self, batch: LogBatch, now: Instant) -> Result<LogAck, HostError> {
        self.hear(batch.epoch, Role::Backup, now)?;
        let Guest::Replayed(replayer) = &mut self.guest else { return Err(HostError::WrongRole) };
        replayer.receive(batch.entries);
        replayer.forget_outputs(batch.released);
        self.released = self.released.max(batch.released);
        Ok(self.ack())
    }

    /// Takes a sign of life.
    ///
    /// # Errors
    /// [`HostError`], if it is of another epoch or not of this host's other half.
    pub fn heartbeat(&mut self, heartbeat: Heartbeat, now: Instant) -> Result<LogAck, HostError> {
        let role = if heartbeat.is_primary { Role::Backup } else { Role::Primary };
        self.hear(heartbeat.epoch, role, now)?;
        Ok(self.ack())
    }

    /// Only messages of this epoch count, and only those for this role.
    fn hear(&mut self, epoch: u64, role: Role, now: Instant) -> Result<(), HostError> {
        if epoch != self.epoch {
            return Err(HostError::WrongEpoch(self.epoch));
        }
        // A backup whose machine is off acknowledges the entry that says so, in case its first answer was
        // lost.
        let is_backup = matches!(self.guest, Guest::Replayed(_));
        if self.role != role && !(role == Role::Backup && self.role == Role::Off && is_backup) {
            return Err(HostError::WrongRole);
        }
        (self.heard, self.has_begun) = (now, true);
        Ok(())
    }

    fn ack(&self) -> LogAck {
        let (received_seq, replayed_seq) = match &self.guest {
            Guest::Replayed(replayer) => (replayer.received(), replayer.replayed()),
            Guest::Recorded(_) | Guest::None => (0, 0),
        };
        let replayed_icount = self.machine().map_or(0, Machine::icount);
        LogAck { epoch: self.epoch, received_seq, replayed_seq, replayed_icount }
    }

    /// The next message of the log.
    pub fn batch(&mut self, now: Instant) -> LogBatch {
        let (epoch, released) = (self.epoch, self.released);
        LogBatch { epoch, entries: self.log.batch(), released, sent_at: now.as_nanos() }
    }

    /// The other host has answered a message.
    pub fn acknowledged(&mut self, ack: LogAck, now: Instant) {
        if ack.epoch != self.epoch || !matches!(self.role, Role::Primary | Role::Backup) {
            return;
        }
        self.heard = now;
        if self.role == Role::Primary {
            self.log.acknowledge(ack);
            self.control_share(now);
            self.release();
        }
    }

    /// R11: a backup that falls behind slows the primary down, in small steps.
    ///
    /// What counts is the work that the backup has to do, not how old it is: when both are equally fast
    /// again, the work stays the same, while what was recorded at a higher speed still gets older. Half of
    /// the allowed lag is the bound, so that a backup of half the primary's speed does that work within the
    /// allowed lag.
    fn control_share(&mut self, now: Instant) {
        if now < self.share_changed + SHARE_INTERVAL {
            return;
        }
        let icount = self.machine().map_or(0, Machine::icount);
        let behind = icount.saturating_sub(self.log.replayed_icount());
        let bound = (self.settings.max_lag.as_secs_f64() * self.settings.speed as f64 / 2.0) as u64;
        let step = match behind {
            _ if behind > bound && behind >= self.was_behind => -SHARE_STEP,
            _ if behind < bound / 4 => SHARE_STEP,
            _ => 0.0,
        };
        self.share = (self.share + step).clamp(SHARE_STEP, 1.0);
        (self.share_changed, self.was_behind) = (now, behind);
    }

    /// The primary's share of its processor.
    pub fn share(&self) -> f64 {
        self.share
    }
}

/// Going on alone, and repair.
impl State {
    /// When this host will suspect the other one; None if it has none, or asks already.
    pub(crate) fn suspects_at(&self) -> Option<Instant> {
        let has_peer = match &self.guest {
            Guest::Replayed(replayer) => self.role == Role::Backup && !replayer.will_end(),
            Guest::Recorded(_) => self.role == Role::Primary,
            Guest::None => false,
        };
        has_peer.then(|| self.heard + self.settings.timeout)
    }

    /// R7: whether this host must ask for the flag, and if so, whether the flag may be reset for its epoch
    /// before.
    pub fn question(&mut self, now: Instant) -> Option<(u64, bool)> {
        let is_due = self.suspects_at().is_some_and(|at| at <= now);
        if is_due && !self.asks {
            tracing::debug!(target: "suspect", "the other host is silent since {:?}", self.heard);
        }
        self.asks = is_due || (self.asks && self.suspects_at().is_some());
        self.asks.then_some((self.epoch, self.has_begun))
    }

    /// R7: the arbiter's answer to the question of an epoch: the old value of the flag.
    pub fn decided(&mut self, epoch: u64, old: Result<bool, ArbiterError>, now: Instant) {
        if epoch != self.epoch {
            return;
        }
        match (old, self.role) {
            (Ok(false), Role::Primary) => self.go_on_alone(),
            (Ok(false), Role::Backup) => {
                self.role = Role::Winner;
                // It may have replayed everything already.
                self.step_replaying(now);
            }
            (Ok(true), Role::Primary | Role::Backup) => self.end(Role::Lost),
            // The clone was of a failed attempt, and a later one has succeeded: this host is free as before.
            (Err(ArbiterError::WrongEpoch(newer)), Role::Backup) if newer > epoch && !self.has_begun => {
                (self.guest, self.peer) = (Guest::None, None);
                self.end(Role::Spare);
            }
            (Err(ArbiterError::WrongEpoch(newer)), _) if newer > epoch => self.end(Role::Lost),
            _ => {}
        }
    }

    /// R9.
    fn go_on_alone(&mut self) {
        let Guest::Recorded(recorder) = &mut self.guest else { return };
        recorder.set_epoch(None);
        (self.role, self.log, self.share, self.asks) = (Role::Live, Log::default(), 1.0, false);
        tracing::debug!(target: "role", "goes on alone in epoch {}", self.epoch);
        self.release();
    }

    /// R8: all that was received is replayed. Outputs that may not have left are sent, and disk operations
    /// whose completion is not in the log are started again.
    pub(crate) fn go_live(&mut self, now: Instant) {
        let Guest::Replayed(replayer) = std::mem::replace(&mut self.guest, Guest::None) else { return };
        let (mut recorder, kept) = replayer.into_recorder(self.settings.sources.clone(), self.epoch);
        recorder.set_epoch(None);
        let writes = recorder.machine().operations().iter().filter_map(|operation| {
            let (data, index) = operation.write.clone()?;
            let (operation, lba) = (operation.number, operation.lba);
            Some(Held { seq: 0, index, output: Output::DiskWrite { operation, lba, data } })
        });
        let others = kept.into_iter().filter(|held| !matches!(held.output, Output::DiskWrite { .. }));
        let mut ready: Vec<Held> = writes.chain(others).collect();
        ready.sort_by_key(|held| held.index);
        self.ready = ready.into();
        self.guest = Guest::Recorded(Box::new(recorder));
        (self.role, self.next_read, self.asks) = (Role::Live, 0, false);
        self.fire_timer(now);
        tracing::debug!(target: "role", "goes live in epoch {}", self.epoch);
    }

    /// R10: stops the guest between two instructions, so that its last outputs can leave.
    pub fn stop_for_clone(&mut self) {
        self.is_cloning = self.role == Role::Live && !self.is_ending;
    }

    /// R10: returns the state of the guest, which was stopped, for a new backup in a new epoch. None if this
    /// host is not alone, or has outputs that must leave first.
    pub fn begin_clone(&mut self) -> Option<CloneMessage> {
        let Guest::Recorded(recorder) = &mut self.guest else { return None };
        if !self.is_cloning || !self.ready.is_empty() {
            return None;
        }
        // Each attempt has an epoch of its own: a host that took an earlier clone can never win a later flag.
        self.last_epoch += 1;
        let machine = labgob::encode(recorder.machine());
        let (epoch, primary, released) = (self.last_epoch, self.me, self.released);
        Some(CloneMessage { epoch, primary, machine, next_seq: recorder.next_seq(), released })
    }

    /// R10: the new backup has the clone, and recording begins again; or it does not, and this host stays
    /// alone.
    pub fn end_clone(&mut self, backup: Option<usize>, now: Instant) {
        self.is_cloning = false;
        let Guest::Recorded(recorder) = &mut self.guest else { return };
        let Some(backup) = backup else { return };
        self.epoch = self.last_epoch;
        recorder.set_epoch(Some(self.epoch));
        self.log = Log::new(recorder.next_seq());
        (self.role, self.peer, self.heard, self.has_begun) = (Role::Primary, Some(backup), now, true);
        tracing::debug!(target: "repair", "host {backup} is the backup in epoch {}", self.epoch);
    }
}
