//! The coordinator's steps, in the words of the test's story: one column for each machine.

use mapreduce::events::{Cause, Event, Loss};
use mapreduce::rpc::WorkerId;
use tester::Test;

/// Workers are named so that their machine can be told: a thousand lives each.
const LIVES: u64 = 1000;

/// The name of the worker that runs in this life of this machine.
pub(crate) fn worker_id(machine: usize, life: u64) -> WorkerId {
    machine as u64 * LIVES + life
}

/// The machine of a worker.
pub(crate) fn machine_of(worker: WorkerId) -> usize {
    (worker / LIVES) as usize
}

pub(crate) fn tell(test: &Test, event: &Event) {
    match event {
        Event::HandedOut { id, worker, backup, .. } => {
            let words = if *backup { format!("{id} backup") } else { id.to_string() };
            test.note_server(machine_of(*worker), words);
        }
        Event::HandedOutAgain { id, worker } => test.note_server(machine_of(*worker), format!("{id} again")),
        Event::Accepted { id, worker, .. } => test.note_server(machine_of(*worker), format!("{id} done")),
        Event::Late { id, worker } => test.note_server(machine_of(*worker), format!("{id} LATE")),
        Event::GivenUp { id, worker, cause } => {
            let words = match cause {
                Cause::TimedOut => "timed out".to_owned(),
                Cause::Failed(reason) => format!("failed: {reason}"),
                Cause::Superseded => "superseded".to_owned(),
                Cause::TakenBack => "taken back".to_owned(),
            };
            test.note_server(machine_of(*worker), format!("{id} {words}"));
        }
        Event::FetchFailed { map, reducer } => test.note(format!("{reducer} cannot fetch {map}")),
        Event::Lost { id, loss, again } => {
            let why = match loss {
                Loss::MachineDied => "died with its machine",
                Loss::FetchFailed => "cannot be fetched",
            };
            let then = if *again { "runs again" } else { "is not needed" };
            test.note(format!("output of {id} {why}, {then}"));
        }
        Event::MachineDied { host } => test.note(format!("{host} is declared dead")),
        Event::MachineBack { host } => test.note(format!("{host} is back")),
        Event::Skipped { map, offset, .. } => test.note(format!("map {map} skips the record at {offset}")),
        Event::Entered(phase) => test.note(format!("phase: {phase:?}")),
        Event::Registered { .. } | Event::Waits { .. } => {}
    }
}
