// handout: put classic
// //! How a host behaves, and what it is.
// handout: end
// handout: drop classic
//! A host's rules: its role, what it may send, when it goes live. Pure: no lock, thread, clock or network.
//!
//! Rules R4 (output rule), R11 (flow) and R12 (power off); the others are in `decisions.rs`.

// handout: end

// handout: drop classic
use std::collections::VecDeque;

// handout: end
use labrt::sync::Arc;
// handout: drop classic
use labrt::time::{Duration, Instant};

use crate::log::Log;
use crate::machine::{Interrupt, Machine, Output, Probe};
use crate::record::{Held, HostSources, Recorder, Sources};
use crate::replay::Replayer;
use crate::rpc::{Clone as CloneMessage, HostError};
// handout: end
// handout: put classic
// use labrt::time::Duration;
//
// use crate::machine::Probe;
// use crate::record::{HostSources, Sources};
// handout: end

/// How a host behaves.
#[derive(Clone)]
pub struct Settings {
    /// Instructions that the host's processor carries out in a second.
    pub speed: u64,
    /// T: after so much silence the other host is suspected (R7).
    pub timeout: Duration,
    /// The longest time without a message to the other host.
    pub heartbeat: Duration,
    /// The time to record one event.
    pub record_cost: Duration,
    /// Entries without an acknowledgement that stop the guest (R11).
    pub max_log: usize,
    /// A backup that is farther behind slows the primary down (R11), so that it is never twice as far behind.
    /// "Behind" is a time, [`Status::lag`](crate::Status::lag).
    pub max_lag: Duration,
    /// R4. Tests switch it off to show what it is for.
    pub output_rule: bool,
    /// The results of non-deterministic instructions.
    pub sources: Arc<dyn Sources>,
    /// Sees each event of the guest.
    pub probe: Option<Probe>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            speed: 1_000_000,
            timeout: Duration::from_millis(400),
            heartbeat: Duration::from_millis(25),
            record_cost: Duration::ZERO,
            max_log: 4096,
            max_lag: Duration::from_secs(1),
            output_rule: true,
            sources: Arc::new(HostSources),
            probe: None,
        }
    }
}

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has no guest, and may become a backup.
    Spare,
    /// It runs the guest and logs.
    Primary,
    /// It replays the log.
    Backup,
    /// A backup that has won the flag, and replays what it had received (R8).
    Winner,
    /// It runs the guest alone.
    Live,
    /// It has lost the flag, and does nothing any more.
    Lost,
    /// The machine is switched off.
    Off,
}

// handout: drop classic
pub(crate) enum Guest {
    None,
    Recorded(Box<Recorder>),
    Replayed(Box<Replayer>),
}

/// What a guest's processor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It has worked for this long.
    Busy(Duration),
    /// It has nothing to do before something comes, or before this moment.
    Idle(Option<Instant>),
}

/// The state of a host.
pub struct State {
    pub(crate) me: usize,
    pub(crate) settings: Settings,
    pub(crate) epoch: u64,
    pub(crate) role: Role,
    /// The role that the threads know of.
    pub(crate) told_role: Role,
    /// The other host.
    pub(crate) peer: Option<usize>,
    /// When the other host was heard last.
    pub(crate) heard: Instant,
    /// Once a host has asked for the flag it must learn the answer, since it may have it.
    pub(crate) asks: bool,
    /// Whether the epoch is known to have begun: the flag may be reset for it.
    pub(crate) has_begun: bool,
    pub(crate) guest: Guest,
    /// When an entry was recorded last.
    pub(crate) recorded: Instant,
    /// Interrupts that the guest has not taken.
    pub(crate) inputs: VecDeque<Interrupt>,
    pub(crate) next_timer: Option<Instant>,
    /// Disk reads from this number on were not started.
    pub(crate) next_read: u64,
    pub(crate) log: Log,
    /// Outputs that wait for an acknowledgement (R4).
    pub(crate) held: VecDeque<Held>,
    /// Outputs that may leave, in order.
    pub(crate) ready: VecDeque<Held>,
    /// Outputs up to this number have left.
    pub(crate) released: u64,
    /// The primary's share of its processor, from 1/32 to 1 (R11).
    pub(crate) share: f64,
    pub(crate) share_changed: Instant,
    /// Instructions that the backup was behind then.
    pub(crate) was_behind: u64,
    pub(crate) wants_off: bool,
    pub(crate) is_ending: bool,
    /// The log has the entry that says so.
    end_is_told: bool,
    /// The guest stands still while it is cloned.
    pub(crate) is_cloning: bool,
    /// The highest epoch that was ever tried.
    pub(crate) last_epoch: u64,
}

/// How many instructions run under one lock.
const SLICE: u64 = 1000;
/// A guest that runs without events tells so this often, so that the backup may run, too.
const PROGRESS: Duration = Duration::from_millis(4);
/// How many interrupts may wait; packets beyond that are lost.
const MAX_INPUTS: usize = 256;

// handout: bodies VB
/// Beginnings.
impl State {
    /// A host without a guest.
    pub fn new(me: usize, settings: Settings, now: Instant) -> State {
        State {
            me,
            settings,
            epoch: 0,
            role: Role::Spare,
            told_role: Role::Spare,
            peer: None,
            heard: now,
            asks: false,
            has_begun: false,
            guest: Guest::None,
            recorded: now,
            inputs: VecDeque::new(),
            next_timer: None,
            next_read: 0,
            log: Log::default(),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            released: 0,
            share: 1.0,
            share_changed: now,
            was_behind: 0,
            wants_off: false,
            is_ending: false,
            end_is_told: false,
            is_cloning: false,
            last_epoch: 0,
        }
    }

    /// Starts a machine's life in epoch 1, as its primary or as its backup. Both must be given equal
    /// machines.
    pub fn start(&mut self, mut machine: Machine, is_primary: bool, peer: usize, now: Instant) {
        machine.set_probe(self.settings.probe.clone());
        (self.epoch, self.last_epoch, self.has_begun) = (1, 1, true);
        (self.peer, self.heard) = (Some(peer), now);
        if is_primary {
            let recorder = Recorder::new(machine, self.settings.sources.clone(), 1, 1);
            self.guest = Guest::Recorded(Box::new(recorder));
            (self.role, self.log) = (Role::Primary, Log::new(1));
        } else {
            self.guest = Guest::Replayed(Box::new(Replayer::new(machine, 1)));
            self.role = Role::Backup;
        }
    }

    /// R10, on the new backup: takes over a clone. A clone that comes twice changes nothing.
    ///
    /// # Errors
    /// [`HostError`], if this host has a guest whose epoch has begun, or the clone is damaged.
    pub fn adopt(&mut self, clone: &CloneMessage, now: Instant) -> Result<(), HostError> {
        if self.role == Role::Backup && self.epoch == clone.epoch {
            return Ok(());
        }
        let is_free = self.role == Role::Spare || (self.role == Role::Backup && !self.has_begun);
        if !is_free {
            return Err(HostError::WrongRole);
        }
        if clone.epoch < self.epoch {
            return Err(HostError::WrongEpoch(self.epoch));
        }
        let mut machine: Machine = labgob::decode(&clone.machine).map_err(|_| HostError::Damaged)?;
        machine.set_probe(self.settings.probe.clone());
        self.guest = Guest::Replayed(Box::new(Replayer::new(machine, clone.next_seq)));
        (self.role, self.epoch, self.last_epoch) = (Role::Backup, clone.epoch, clone.epoch);
        (self.peer, self.heard, self.asks) = (Some(clone.primary), now, false);
        self.released = clone.released;
        tracing::debug!(target: "repair", "backup in epoch {}", self.epoch);
        Ok(())
    }
}

/// The guest.
impl State {
    /// The guest's machine; None on a spare host.
    pub fn machine(&self) -> Option<&Machine> {
        match &self.guest {
            Guest::None => None,
            Guest::Recorded(recorder) => Some(recorder.machine()),
            Guest::Replayed(replayer) => Some(replayer.machine()),
        }
    }

    /// A hash of the guest's state; 0 on a spare host.
    pub fn state_hash(&mut self) -> u64 {
        match &mut self.guest {
            Guest::None => 0,
            Guest::Recorded(recorder) => recorder.machine_mut().state_hash(),
            Guest::Replayed(replayer) => replayer.machine_mut().state_hash(),
        }
    }

    /// Runs the guest for a slice.
    pub fn step(&mut self, now: Instant) -> Pace {
        match self.role {
            Role::Primary | Role::Live if self.is_ending => self.step_ending(now),
            Role::Primary | Role::Live if !self.is_stalled() => self.step_recording(now),
            Role::Backup | Role::Winner => self.step_replaying(now),
            _ => Pace::Idle(None),
        }
    }

    /// Whether a step would do something that the last one could not do.
    pub(crate) fn has_work(&self) -> bool {
        match &self.guest {
            Guest::Recorded(_) if self.is_ending => self.must_tell_end(),
            Guest::Recorded(_) if self.is_stalled() => false,
            Guest::Recorded(recorder) => {
                let is_running = matches!(self.role, Role::Primary | Role::Live);
                let waits = recorder.machine().is_waiting() && self.inputs.is_empty() && !self.wants_off;
                is_running && !waits
            }
            Guest::Replayed(replayer) => !replayer.is_done() || self.role == Role::Winner,
            Guest::None => false,
        }
    }

    /// R11, R10: the guest stands still while the log is full, and while it is cloned.
    fn is_stalled(&self) -> bool {
        self.is_cloning || (self.role == Role::Primary && self.log.len() >= self.settings.max_log)
    }

    fn step_recording(&mut self, now: Instant) -> Pace {
        self.fire_timer(now);
        let Guest::Recorded(recorder) = &mut self.guest else { return Pace::Idle(None) };
        let mut executed = 0;
        while executed < SLICE && !self.wants_off {
            let delivers = self.inputs.front().is_some_and(|input| recorder.interrupt(input));
            if delivers {
                self.inputs.pop_front();
            }
            let ran = recorder.run(SLICE - executed);
            executed += ran;
            if ran == 0 && !delivers {
                break;
            }
        }
        self.is_ending = self.wants_off || recorder.machine().stopped().is_some();
        let mut entries = recorder.take_entries();
        let recording = self.settings.record_cost * entries.len() as u32;
        if entries.is_empty() && executed > 0 && now >= self.recorded + PROGRESS {
            recorder.record_progress();
            entries = recorder.take_entries();
        }
        self.recorded = if entries.is_empty() { self.recorded } else { now };
        let outputs = recorder.take_outputs();
        self.log.push(entries, now);
        self.held.extend(outputs);
        self.release();
        if executed == 0 && recording.is_zero() {
            return Pace::Idle(self.next_timer);
        }
        Pace::Busy((self.time_of(executed) + recording).div_f64(self.share))
    }

    /// Whether the machine has ended, its last output has left, and the backup must be told.
    fn must_tell_end(&self) -> bool {
        let is_running = matches!(self.role, Role::Primary | Role::Live);
        is_running && self.is_ending && !self.end_is_told && self.held.is_empty() && self.ready.is_empty()
    }

    /// R12: tells the backup that the machine has ended, after its last output has left. A backup that knew
    /// earlier would be off, and nobody would send what a crash of this host then keeps from leaving.
    fn step_ending(&mut self, now: Instant) -> Pace {
        let is_due = self.must_tell_end();
        let Guest::Recorded(recorder) = &mut self.guest else { return Pace::Idle(None) };
        if is_due {
            recorder.record_end();
            self.log.push(recorder.take_entries(), now);
            self.end_is_told = true;
            self.end_if_due();
        }
        Pace::Idle(None)
    }

    fn time_of(&self, instructions: u64) -> Duration {
        Duration::from_nanos(instructions * 1_000_000_000 / self.settings.speed)
    }

    /// Adds the timer's interrupts that are due. One that the guest has not taken is not repeated.
    pub(crate) fn fire_timer(&mut self, now: Instant) {
        let period = Duration::from_micros(self.machine().map_or(0, Machine::timer));
        if period.is_zero() {
            self.next_timer = None;
            return;
        }
        let next = *self.next_timer.get_or_insert(now + period);
        if next <= now {
            self.next_timer = Some(if next + period > now { next + period } else { now + period });
            if !self.inputs.contains(&Interrupt::Timer) {
                self.inputs.push_back(Interrupt::Timer);
            }
        }
    }

    pub(crate) fn step_replaying(&mut self, now: Instant) -> Pace {
        let Guest::Replayed(replayer) = &mut self.guest else { return Pace::Idle(None) };
        let executed = replayer.run(SLICE);
        if replayer.is_off() {
            self.end(Role::Off);
        } else if replayer.is_done() && self.role == Role::Winner {
            self.go_live(now);
        }
        if executed == 0 { Pace::Idle(self.next_timer) } else { Pace::Busy(self.time_of(executed)) }
    }

    /// Takes a packet for the guest. False if this host does not own the machine's address.
    pub fn packet(&mut self, bytes: Vec<u8>) -> bool {
        let owns_address = matches!(self.role, Role::Primary | Role::Live);
        if owns_address && self.inputs.len() < MAX_INPUTS {
            self.inputs.push_back(Interrupt::Packet(bytes));
        }
        owns_address
    }

    /// Disk reads that the guest has started since the last call: number and block.
    pub fn take_reads(&mut self) -> Vec<(u64, u64)> {
        if !matches!(self.role, Role::Primary | Role::Live) {
            return Vec::new();
        }
        let next = self.next_read;
        let operations = self.machine().map_or(&[][..], Machine::operations);
        let new = operations.iter().filter(|operation| operation.number >= next);
        let reads = new.filter(|operation| operation.write.is_none());
        let reads = reads.map(|operation| (operation.number, operation.lba)).collect();
        let last = operations.last().map(|operation| operation.number + 1);
        self.next_read = last.unwrap_or(next).max(next);
        reads
    }

    /// A disk operation has ended: with this block, or in a failure.
    pub fn disk_done(&mut self, operation: u64, data: Option<Vec<u8>>) {
        if matches!(self.role, Role::Primary | Role::Live) {
            self.inputs.push_back(Interrupt::Disk { operation, data });
        }
    }

    /// R12: switches the machine off.
    pub fn power_off(&mut self) {
        self.wants_off = true;
    }
}

/// Outputs.
impl State {
    /// R4: lets the outputs go whose entries the backup has received. A host that is alone waits for nobody.
    pub(crate) fn release(&mut self) {
        let is_free = self.role == Role::Live || !self.settings.output_rule;
        let received = if is_free { u64::MAX } else { self.log.received() };
        while let Some(held) = self.held.pop_front_if(|held| held.seq <= received) {
            self.ready.push_back(held);
        }
        self.end_if_due();
    }

    /// The first outputs that may leave, and have not: a disk write, or packets and console bytes in a row.
    pub fn outgoing(&self) -> Vec<Held> {
        let is_write = |held: &Held| matches!(held.output, Output::DiskWrite { .. });
        match self.ready.front() {
            Some(first) if is_write(first) => vec![first.clone()],
            _ => self.ready.iter().take_while(|held| !is_write(held)).cloned().collect(),
        }
    }

    /// Whether no output may leave.
    pub(crate) fn outgoing_is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Outputs up to this number have left.
    pub fn sent(&mut self, index: u64) {
        while self.ready.pop_front_if(|held| held.index <= index).is_some() {}
        self.released = self.released.max(index);
        self.end_if_due();
    }

    /// A machine that has ended is off when the backup knows it.
    fn end_if_due(&mut self) {
        let is_known = self.role == Role::Live || self.log.is_empty();
        if self.end_is_told && is_known {
            self.end(Role::Off);
        }
    }

    pub(crate) fn end(&mut self, role: Role) {
        self.role = role;
        self.inputs.clear();
        self.held.clear();
        self.ready.clear();
        tracing::debug!(target: "role", "{role:?} in epoch {}", self.epoch);
    }
}
// handout: end
