//! The invariants of the lab, watched at every step of every test.
//!
//! Nothing here rests on the solution's help: the machine reports its own state after each event (its probe),
//! the network shows every message that leaves (the tap), and the test's own arbiter sees who won.

use std::collections::BTreeMap;

use labrpc::{Answer, Direction, Name, TapAction, TapEvent};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::time::Instant;
use serde::de::DeserializeOwned;
use tester::Test;
use vmft::machine::BLOCK;
use vmft::rpc::{
    ArbiterError, Clone as CloneMessage, DiskWrite, Heartbeat, HostError, LogAck, LogBatch, Transmission,
};
use vmft::{Arbiter, EntryKind, Machine, Output};

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    labgob::decode(bytes).expect("a message of the lab's own type")
}

/// What a handler has answered, if it has.
fn decode_reply<T: DeserializeOwned>(answer: Option<&Answer>) -> Option<T> {
    Some(decode(answer?.as_ref().ok()?))
}

/// A message, as a test's filter sees it.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Entries on their way to the backup.
    Log(LogBatch),
    /// An acknowledgement on its way back.
    Ack(LogAck),
    /// A sign of life.
    Sign,
    /// A clone on its way to its host.
    Adopt,
    /// The wish to reset the flag on the shared disk.
    Reset,
    /// Outputs that leave this host.
    Outputs(usize),
    /// Something else.
    Other,
}

type Filter = Box<dyn FnMut(&Seen) -> TapAction + Send>;

/// What was seen of one host.
#[derive(Default)]
struct Guest {
    /// Events up to this one are replayed from a log; later ones are this host's own.
    replayed: u64,
    /// The host whose events these are, and the epoch of the clone that it made last.
    primary: usize,
    cloned_in: u64,
    /// The highest entry that came without a gap, entries that came early, and the newest `icount` of all.
    received: u64,
    early: BTreeMap<u64, (bool, u64)>,
    newest: u64,
    /// `icount` and hash of the state after each event.
    states: BTreeMap<u64, (u64, u64)>,
    /// It has lost the flag.
    is_lost: bool,
    /// How many outputs left this host.
    outputs: u64,
}

#[derive(Default)]
struct Facts {
    guests: BTreeMap<usize, Guest>,
    /// The owner of each end to the world outside and to the disk.
    owners: BTreeMap<Name, usize>,
    /// The first copy of each output, and the number of its entry.
    outputs: BTreeMap<u64, Output>,
    entries: BTreeMap<u64, u64>,
    /// The highest entry that left a primary.
    logged: u64,
    /// The highest entry that was acknowledged, and the epoch of the newest message between hosts.
    acknowledged: u64,
    epoch: u64,
    /// Who won the flag of each epoch.
    winners: BTreeMap<u64, usize>,
    /// When each output left for the first time.
    first_left: BTreeMap<u64, Instant>,
    /// Outputs that left more than once.
    repeated: u64,
    /// Events that were compared between two hosts.
    compared: u64,
}

/// The watch over a test.
#[derive(Clone)]
pub(crate) struct Watch {
    test: Test,
    facts: Arc<Mutex<Facts>>,
    /// A lock of the runtime, since a filter may call the runtime.
    filter: Arc<labrt::sync::Mutex<Option<Filter>>>,
    /// Off in tests that show an anomaly: outputs and winners are noted and not judged.
    is_strict: bool,
}

impl Watch {
    pub(crate) fn new(test: &Test, is_strict: bool) -> Watch {
        Watch { test: test.clone(), facts: Arc::default(), filter: Arc::default(), is_strict }
    }

    /// Whether what is seen is judged.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Says whose end this is.
    pub(crate) fn own(&self, end: usize, host: usize) {
        self.facts.lock().owners.insert(Name::from(end), host);
    }

    /// Has a test decide about each message from now on.
    pub(crate) fn filter(&self, filter: impl FnMut(&Seen) -> TapAction + Send + 'static) {
        *self.filter.lock() = Some(Box::new(filter));
    }

    pub(crate) fn unfilter(&self) {
        *self.filter.lock() = None;
    }

    /// How many outputs left a host.
    pub(crate) fn outputs_of(&self, host: usize) -> u64 {
        self.facts.lock().guests.get(&host).map_or(0, |guest| guest.outputs)
    }

    /// The highest number of any output that left.
    pub(crate) fn last_output(&self) -> u64 {
        self.facts.lock().outputs.last_key_value().map_or(0, |(&index, _)| index)
    }

    /// The highest number of any entry that left a primary.
    pub(crate) fn last_entry(&self) -> u64 {
        self.facts.lock().logged
    }

    /// Whether the arbiter has told a host that it has lost the flag.
    pub(crate) fn has_lost(&self, host: usize) -> bool {
        self.facts.lock().guests.get(&host).is_some_and(|guest| guest.is_lost)
    }

    /// A test hands entries to a host itself, beside the network.
    pub(crate) fn handed(&self, host: usize, batch: &LogBatch) {
        self.count_events(host, batch);
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.facts.lock().repeated
    }

    /// Whether hosts are given the probe (`LAB_UNWATCHED`).
    pub(crate) fn wants_probe(&self) -> bool {
        !self.test.ignores_observers()
    }

    /// How many events of two hosts were compared. None: the hosts do not hand the probe to their machines,
    /// and the report says so. What leaves them is compared all the same.
    pub(crate) fn compared(&self) -> Option<u64> {
        let facts = self.facts.lock();
        let is_shown = facts.guests.values().any(|guest| !guest.states.is_empty());
        if !is_shown {
            self.test.unwatched("invariant 1, lockstep: no machine has the probe of the settings");
        }
        is_shown.then_some(facts.compared)
    }

    /// When the first output after this moment left.
    pub(crate) fn first_output_after(&self, moment: Instant) -> Option<Instant> {
        self.facts.lock().first_left.values().copied().filter(|&at| at >= moment).min()
    }

    /// Who won the flag, by epoch.
    pub(crate) fn winners(&self) -> BTreeMap<u64, usize> {
        self.facts.lock().winners.clone()
    }

    /// The blocks that a run without failures would have written with these outputs (invariant 8).
    pub(crate) fn expected_blocks(&self) -> BTreeMap<u64, Vec<u8>> {
        let facts = self.facts.lock();
        let writes = facts.outputs.values().filter_map(|output| match output {
            Output::DiskWrite { lba, data, .. } if data.len() == BLOCK => Some((*lba, data.clone())),
            _ => None,
        });
        writes.collect()
    }
}

/// Invariant 1: lockstep.
impl Watch {
    /// An event of a host's guest, from the machine's probe.
    pub(crate) fn event(&self, host: usize, event: u64, icount: u64, hash: u64) {
        let mut facts = self.facts.lock();
        let guest = facts.guests.entry(host).or_default();
        guest.states.insert(event, (icount, hash));
        if event > guest.replayed {
            return;
        }
        let primary = guest.primary;
        let original = facts.guests.get(&primary).and_then(|guest| guest.states.get(&event)).copied();
        facts.compared += 1;
        drop(facts);
        self.test.expect(original == Some((icount, hash)), || {
            format!("lockstep: after event {event} host {host} is at {icount}, {hash:x}; host {primary}: {original:x?}")
        });
    }

    /// Around a host's handlers: what it has received, whatever becomes of its answer.
    pub(crate) fn around(
        &self,
        host: usize,
        method: &str,
        bytes: &[u8],
        handle: &dyn Fn() -> Option<Answer>,
    ) -> Option<Answer> {
        match method {
            "HostRpc.log" => {
                let batch: LogBatch = decode(bytes);
                // Before the handler, which may wake the guest's thread.
                let before = self.count_events(host, &batch);
                let answer = handle();
                match decode_reply::<Result<LogAck, HostError>>(answer.as_ref()) {
                    Some(Ok(ack)) => self.check_ack(host, ack),
                    _ => self.refused(host, before),
                }
                answer
            }
            "HostRpc.heartbeat" => {
                let answer = handle();
                if let Some(Ok(ack)) = decode_reply::<Result<LogAck, HostError>>(answer.as_ref()) {
                    self.check_ack(host, ack);
                }
                answer
            }
            "HostRpc.adopt" => {
                let answer = handle();
                // Only what the host has taken: a clone may come twice, or to a host that refuses it.
                if let Some(Ok(())) = decode_reply::<Result<(), HostError>>(answer.as_ref()) {
                    self.cloned(host, &decode(bytes));
                }
                answer
            }
            _ => handle(),
        }
    }

    fn count_events(&self, host: usize, batch: &LogBatch) -> u64 {
        let mut facts = self.facts.lock();
        // A host that has won takes no more entries. What it takes in the last moment is not compared.
        let has_won = facts.winners.get(&batch.epoch) == Some(&host);
        let guest = facts.guests.entry(host).or_default();
        let before = guest.replayed;
        if has_won {
            return before;
        }
        for entry in batch.entries.iter().filter(|entry| entry.seq > guest.received) {
            let is_event =
                !matches!(entry.kind, EntryKind::Progress | EntryKind::Stopped(_) | EntryKind::PowerOff);
            guest.early.insert(entry.seq, (is_event, entry.icount));
        }
        while let Some((is_event, icount)) = guest.early.remove(&(guest.received + 1)) {
            guest.received += 1;
            guest.replayed += u64::from(is_event);
            guest.newest = icount;
        }
        before
    }

    fn refused(&self, host: usize, before: u64) {
        if let Some(guest) = self.facts.lock().guests.get_mut(&host) {
            guest.replayed = before;
        }
    }

    /// R2: the backup never runs beyond the newest entry that it holds. R6: it acknowledges what it has
    /// received without a gap, and not more.
    fn check_ack(&self, host: usize, ack: LogAck) {
        let facts = self.facts.lock();
        // What comes in the moment in which a host wins is not counted. A primary acknowledges nothing.
        let is_counted = facts.winners.get(&ack.epoch) != Some(&host);
        let is_primary = ack.received_seq == 0;
        let Some(guest) = facts.guests.get(&host).filter(|_| is_counted && !is_primary) else { return };
        let (newest, received) = (guest.newest, guest.received);
        drop(facts);
        self.test.expect(ack.received_seq <= received, || {
            let seq = ack.received_seq;
            format!("host {host} acknowledges entries up to {seq}, and has those up to {received}")
        });
        self.test.expect(ack.replayed_icount <= newest, || {
            format!("host {host} has run to {} and its newest entry is at {newest}", ack.replayed_icount)
        });
    }

    /// A host has taken a clone. A copy of the same clone changes nothing: entries may have come since.
    fn cloned(&self, host: usize, clone: &CloneMessage) {
        let machine: Machine = decode(&clone.machine);
        let mut facts = self.facts.lock();
        let guest = facts.guests.entry(host).or_default();
        if clone.epoch <= guest.cloned_in {
            return;
        }
        guest.cloned_in = clone.epoch;
        (guest.replayed, guest.primary) = (machine.events(), clone.primary);
        (guest.received, guest.newest) = (clone.next_seq - 1, machine.icount());
        guest.early.clear();
        drop(facts);
        self.test.note_server(host, "takes a clone");
    }
}

/// Invariants 2, 3, 4 and 6: what leaves.
impl Watch {
    /// The network's tap.
    pub(crate) fn tap(&self, event: &TapEvent<'_>) -> TapAction {
        let seen = match (event.method, event.direction) {
            ("HostRpc.log", Direction::Request) => {
                let batch: LogBatch = decode(event.bytes);
                self.logged(&batch);
                Seen::Log(batch)
            }
            ("HostRpc.heartbeat", Direction::Request) => {
                let heartbeat: Heartbeat = decode(event.bytes);
                // A backup may have the clone of an attempt that failed: its epoch has not begun.
                if heartbeat.is_primary {
                    self.facts.lock().reach(heartbeat.epoch);
                }
                Seen::Sign
            }
            ("HostRpc.adopt", Direction::Request) => Seen::Adopt,
            ("DiskRpc.reset_flag", Direction::Request) => Seen::Reset,
            ("HostRpc.log" | "HostRpc.heartbeat", Direction::Reply) => {
                match decode::<Result<LogAck, HostError>>(event.bytes) {
                    Ok(ack) => Seen::Ack(ack),
                    Err(_) => Seen::Other,
                }
            }
            ("WireRpc.transmit", Direction::Request) => {
                let transmission: Transmission = decode(event.bytes);
                for (index, output) in &transmission.outputs {
                    self.left(transmission.host, *index, output);
                }
                Seen::Outputs(transmission.host)
            }
            ("DiskRpc.write", Direction::Request) => {
                let write: DiskWrite = decode(event.bytes);
                let host = self.facts.lock().owners.get(event.end).copied().unwrap_or(usize::MAX);
                // The number of the operation stays in the host.
                let output = Output::DiskWrite { operation: 0, lba: write.lba, data: write.data };
                self.left(host, write.index, &output);
                Seen::Outputs(host)
            }
            _ => Seen::Other,
        };
        let action = self.filter.lock().as_mut().map_or(TapAction::Deliver, |filter| filter(&seen));
        if let (Seen::Ack(ack), true) = (&seen, action != TapAction::Drop) {
            let mut facts = self.facts.lock();
            facts.acknowledged = facts.acknowledged.max(ack.received_seq);
        }
        action
    }

    fn logged(&self, batch: &LogBatch) {
        let mut facts = self.facts.lock();
        facts.reach(batch.epoch);
        for entry in &batch.entries {
            facts.logged = facts.logged.max(entry.seq);
            if let EntryKind::Output { index, .. } = entry.kind {
                facts.entries.insert(index, entry.seq);
            }
        }
    }

    /// An output leaves a host.
    fn left(&self, host: usize, index: u64, output: &Output) {
        let mut facts = self.facts.lock();
        let guest = facts.guests.entry(host).or_default();
        guest.outputs += 1;
        let is_lost = guest.is_lost;
        let is_alone = facts.winners.get(&facts.epoch.max(1)) == Some(&host);
        let is_acknowledged = facts.entries.get(&index).is_some_and(|&seq| seq <= facts.acknowledged);
        let last = facts.outputs.last_key_value().map_or(0, |(&last, _)| last);
        let first = facts.outputs.entry(index).or_insert_with(|| output.clone()).clone();
        facts.first_left.entry(index).or_insert_with(Instant::now);
        facts.repeated += u64::from(index <= last);
        drop(facts);
        let t = &self.test;
        t.expect(!self.is_strict || !is_lost, || {
            format!("output {index} leaves host {host}, which has lost the flag")
        });
        t.expect(!self.is_strict || index <= last + 1, || {
            format!("output {index} leaves host {host}, and output {} has not", last + 1)
        });
        t.expect(!self.is_strict || first == *output, || {
            format!("output {index} leaves host {host} as {output:?}; it was {first:?} before")
        });
        t.expect(!self.is_strict || is_alone || is_acknowledged, || {
            format!("output rule: output {index} leaves host {host} before its entry is acknowledged")
        });
    }

    /// A host has learned from its arbiter whether it may go on alone.
    fn decided(&self, host: usize, epoch: u64, old: bool) {
        let mut facts = self.facts.lock();
        if old {
            facts.guests.entry(host).or_default().is_lost = true;
            return;
        }
        // Its primary may have died before it said anything in this epoch.
        facts.reach(epoch);
        let winner = *facts.winners.entry(epoch).or_insert(host);
        drop(facts);
        self.test.note_server(host, "wins the flag");
        self.test.expect(!self.is_strict || winner == host, || {
            format!("hosts {winner} and {host} have both won epoch {epoch}")
        });
    }
}

impl Facts {
    fn reach(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }
}

/// An arbiter that tells the watch what it has answered.
pub(crate) struct Watched {
    pub(crate) inner: Arc<dyn Arbiter>,
    pub(crate) watch: Watch,
}

impl Arbiter for Watched {
    fn test_and_set(&self, epoch: u64, host: usize) -> Result<bool, ArbiterError> {
        let answer = self.inner.test_and_set(epoch, host);
        if let Ok(old) = answer {
            self.watch.decided(host, epoch, old);
        }
        answer
    }

    fn reset(&self, epoch: u64) -> Result<(), ArbiterError> {
        self.inner.reset(epoch)
    }
}
