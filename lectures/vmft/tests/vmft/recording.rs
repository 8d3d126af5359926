//! A recorded run on a simulated disk, and its replay.

use std::collections::BTreeMap;

use labapi::Persister;
use labrt::quiet::Mutex;
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use vmft::machine::BLOCK;
use vmft::{
    Entry, Held, HostSources, Interrupt, Machine, Operation, Output, Program, Recorder, Replayer, Sources,
    Stop,
};

/// The number of an event, `icount`, and the hash of the state.
pub(crate) type Step = (u64, u64, u64);

/// A run that was recorded.
pub(crate) struct Recording {
    /// The encoded entries, one after the other.
    pub(crate) file: Persister,
    pub(crate) entries: Vec<Entry>,
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) end: End,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) icount: u64,
    pub(crate) hash: u64,
    pub(crate) stopped: Option<Stop>,
}

impl End {
    pub(crate) fn of(machine: &mut Machine) -> End {
        End { icount: machine.icount(), hash: machine.state_hash(), stopped: machine.stopped() }
    }
}

/// A machine, and the list that its probe writes.
pub(crate) fn probed(program: &Program) -> (Machine, Arc<Mutex<Vec<Step>>>) {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&steps);
    let mut machine = Machine::new(program.clone());
    machine.set_probe(Some(Arc::new(move |event, icount, hash| list.lock().push((event, icount, hash)))));
    (machine, steps)
}

/// Runs a guest for so many rounds with random interrupts, and records it.
pub(crate) fn record(program: &Program, rounds: usize) -> Recording {
    record_with(program, rounds, Arc::new(HostSources))
}

pub(crate) fn record_with(program: &Program, rounds: usize, sources: Arc<dyn Sources>) -> Recording {
    let (machine, steps) = probed(program);
    let mut recorder = Recorder::new(machine, sources, 1, 1);
    let (file, mut entries, mut outputs) = (Persister::new(), Vec::new(), Vec::new());
    let mut blocks = BTreeMap::from([(3, vec![7; BLOCK])]);
    for round in 0..rounds {
        recorder.run(random_range(1..2000));
        disturb(&mut recorder, round as u64, &mut blocks);
        let ends = recorder.machine().stopped().is_some() || round + 1 == rounds;
        if ends && recorder.machine().stopped().is_some() {
            recorder.record_end();
        } else if ends {
            recorder.record_progress();
        }
        for entry in recorder.take_entries() {
            file.append(&labgob::encode(&entry));
            entries.push(entry);
        }
        outputs.extend(recorder.take_outputs().into_iter().map(|held: Held| held.output));
        if ends {
            break;
        }
    }
    let end = End::of(recorder.machine_mut());
    let steps = std::mem::take(&mut *steps.lock());
    Recording { file, entries, steps, outputs, end }
}

/// Interrupts by chance: the timer, a request, and disk operations that end in any order.
fn disturb(recorder: &mut Recorder, round: u64, blocks: &mut BTreeMap<u64, Vec<u8>>) {
    if random_bool(0.3) {
        recorder.interrupt(&Interrupt::Timer);
    }
    if random_bool(0.3) {
        let words = [random_range(1..4), round / 2, random_range(0..2), random_range(0..9), round];
        let packet = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        recorder.interrupt(&Interrupt::Packet(packet));
    }
    for operation in recorder.machine().operations().to_vec() {
        if random_bool(0.7) || !recorder.machine().takes_interrupts() {
            continue;
        }
        let data = match operation.write {
            Some((data, _)) => {
                blocks.insert(operation.lba, data);
                Vec::new()
            }
            None => blocks.get(&operation.lba).cloned().unwrap_or_else(|| vec![0; BLOCK]),
        };
        recorder.interrupt(&Interrupt::Disk { operation: operation.number, data: Some(data) });
    }
}

/// What a replay has seen.
pub(crate) struct Replayed {
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) end: End,
}

/// Reads the entries of a recording back from its file.
pub(crate) fn read_file(file: &Persister) -> Vec<Entry> {
    let bytes = file.state();
    let (mut rest, mut entries) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let (entry, length) = labgob::decode_prefix(rest).expect("the file holds whole entries");
        entries.push(entry);
        rest = &rest[length..];
    }
    entries
}

/// Replays entries, which come in pieces of any size, in slices of any length.
pub(crate) fn replay(program: &Program, mut entries: Vec<Entry>) -> Replayed {
    let (machine, steps) = probed(program);
    let mut replayer = Replayer::new(machine, 1);
    while !entries.is_empty() {
        let piece = random_range(1..=entries.len().min(20));
        replayer.receive(entries.drain(..piece).collect());
        while !replayer.is_done() {
            replayer.run(random_range(1..3000));
        }
    }
    let end = End::of(replayer.machine_mut());
    let (_, kept) = replayer.into_recorder(Arc::new(NoSources), 1);
    let steps = std::mem::take(&mut *steps.lock());
    Replayed { steps, outputs: kept.into_iter().map(|held| held.output).collect(), end }
}

/// A replay takes every value from the log.
pub(crate) struct NoSources;

impl Sources for NoSources {
    fn read(&self, operation: Operation) -> u64 {
        panic!("a replay has carried out {operation:?}")
    }
}
