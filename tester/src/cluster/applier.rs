//! The service above the consensus module: it records what it is given, checks that nothing is missing, twice
//! or out of order, and makes snapshots if the test wants them.

use std::sync::Arc;
use std::time::Duration;

use labapi::{ApplyMsg, Consensus};
use labrt::channel::Receiver;
use labrt::rand::random_range;
use labrt::thread;

use super::{Record, Setup};
use crate::command::Command;
use crate::failure::{Broken, Invariant};
use crate::stall::Progress;

/// Every so many commands the service makes a snapshot: at index 9, 19, 29, …
const SNAPSHOT_INTERVAL: u64 = 10;

/// The service of one incarnation of a server.
pub(super) struct Applier {
    record: Arc<Record>,
    server: usize,
    /// Whether it makes snapshots, and whether it is slow.
    setup: Setup,
    /// Index of the last command it has.
    last: u64,
    /// All commands so far, as a snapshot holds them; empty if it makes none.
    history: Vec<u8>,
    progress: Progress,
}

impl Applier {
    pub(super) fn new(record: Arc<Record>, server: usize, setup: Setup, progress: Progress) -> Applier {
        progress.has_appliers();
        Applier { record, server, setup, last: 0, history: Vec::new(), progress }
    }

    /// Starts from the snapshot that the last incarnation left on its disk, if there is one: the consensus
    /// module must go on behind it.
    pub(super) fn load(&mut self, snapshot: &[u8]) {
        if !snapshot.is_empty() {
            self.take_snapshot(None, snapshot);
        }
    }

    pub(super) fn run<R: Consensus>(mut self, messages: &Receiver<ApplyMsg>, module: &Arc<R>) {
        while let Ok(message) = messages.recv() {
            if self.setup.slow {
                thread::sleep(Duration::from_millis(random_range(0..=10)));
            }
            match message {
                ApplyMsg::Command { index, term, command } => {
                    self.take_command(index, command);
                    self.tells_term(index, term);
                    if self.setup.snapshots && (index + 1).is_multiple_of(SNAPSHOT_INTERVAL) {
                        let snapshot = self.snapshot();
                        self.wait_while_held();
                        module.snapshot(index, snapshot);
                    }
                }
                ApplyMsg::Snapshot { index, term, snapshot } => {
                    self.take_snapshot(Some(index), &snapshot);
                    self.tells_term(index, term);
                }
            }
        }
    }

    /// The service makes a snapshot, for as long as the test wants.
    fn wait_while_held(&self) {
        let mut held = self.record.held_snapshots.lock();
        while held.contains(&self.server) {
            self.record.snapshots_go_on.wait(&mut held);
        }
    }

    fn take_command(&mut self, index: u64, command: Vec<u8>) {
        if index != self.last + 1 {
            self.out_of_order(format!(
                "server {} hands the command at index {index} to its service, which expects {} next",
                self.server,
                self.last + 1
            ));
        }
        self.last = index;
        if self.setup.snapshots {
            let length = u32::try_from(command.len()).unwrap_or(u32::MAX);
            self.history.extend_from_slice(&length.to_le_bytes());
            self.history.extend_from_slice(&command);
        }
        let command = Command(command);
        trace(index, || format!("applies index {index}: {command}"));
        self.apply(index, command);
        self.progress.applies(self.server, index);
    }

    fn apply(&self, index: u64, command: Command) {
        let result = self.record.applied.lock().apply(self.server, index, command);
        if let Err(broken) = result {
            self.record.test.break_off(broken);
        }
    }

    fn tells_term(&self, index: u64, term: u64) {
        if index > 0
            && let Err(broken) = self.record.applied.lock().tells_term(self.server, index, term)
        {
            self.record.test.break_off(broken);
        }
    }

    fn out_of_order(&self, message: String) -> ! {
        self.record.test.break_off(Broken::invariant(Invariant::ApplyOrder, message))
    }

    /// A snapshot: the last index, and all commands up to it, so that a wrong point of resumption shows.
    fn snapshot(&self) -> Vec<u8> {
        let mut snapshot = Vec::with_capacity(8 + self.history.len());
        snapshot.extend_from_slice(&self.last.to_le_bytes());
        snapshot.extend_from_slice(&self.history);
        snapshot
    }

    /// Puts the snapshot in the place of the service's state. `announced` is the index that the module gave
    /// with it, None if it was read from the disk at the start.
    fn take_snapshot(&mut self, announced: Option<u64>, snapshot: &[u8]) {
        let Some((last, history)) = split(snapshot) else {
            self.out_of_order(format!("server {} got a snapshot that no service has made", self.server));
        };
        if let Some(index) = announced.filter(|&index| index != last) {
            self.out_of_order(format!(
                "server {} hands its service a snapshot up to index {index} that was made at index {last}",
                self.server
            ));
        }
        if announced.is_some() && last < self.last {
            self.out_of_order(format!(
                "server {} hands its service, which has everything up to index {}, a snapshot up to {last} only",
                self.server, self.last
            ));
        }
        if announced.is_some() && last > self.last {
            self.progress.takes_snapshot();
        }
        let whose =
            if announced.is_some() { "takes a leader's snapshot" } else { "begins with its snapshot" };
        trace(last, || format!("{whose} up to index {last}"));
        self.last = last;
        self.history = history.to_vec();
        self.record.applied.lock().forget_behind(self.server, last);
        for (index, command) in (1..).zip(commands(history)) {
            self.apply(index, Command(command.to_vec()));
        }
        self.progress.applies(self.server, last);
    }
}

/// A line of the log about what the service gets.
fn trace(index: u64, words: impl FnOnce() -> String) {
    labrt::trace::emit_fields("apply", "", || (vec![("index", index.into())], words()));
}

/// Index and commands of a snapshot.
fn split(snapshot: &[u8]) -> Option<(u64, &[u8])> {
    let (index, history) = snapshot.split_first_chunk::<8>()?;
    let index = u64::from_le_bytes(*index);
    (commands(history).count() as u64 == index).then_some((index, history))
}

/// The commands of a snapshot, in order.
fn commands(mut history: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = history.split_first_chunk::<4>()?;
        let (command, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        history = rest;
        Some(command)
    })
}
