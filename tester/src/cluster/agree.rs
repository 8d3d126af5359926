//! Verbs that have commands agreed on.

use std::time::Duration;

use labapi::Consensus;
use labrt::thread;
use labrt::time::Instant;

use super::Cluster;
use crate::command::Command;

/// How long a cluster may take to agree on a command, elections and repetitions included; longer where a
/// swarm's seed has made a link slow.
const AGREEMENT: Duration = Duration::from_secs(10);

/// How long an accepted command may take until enough servers have applied it.
const COMMIT: Duration = Duration::from_secs(2);

/// How often `agree_on` looks.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a command that was not committed in time is submitted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It is, so that it may be committed more than once.
    Yes,
    /// It must be committed at the first attempt: the leader shall not change.
    No,
}

/// A server was in a later term than the one in which a command was accepted, so that it may never be
/// committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved;

impl<R: Consensus> Cluster<R> {
    /// Has `command` agreed on by at least `servers` servers, and returns its index. The course's `one`.
    ///
    /// The leader is found by asking one connected server after the other. Up to ten seconds may pass (two
    /// minutes if a swarm's seed has made a link slow), and two from the moment when a leader accepts the
    /// command.
    ///
    /// # Panics
    /// If they do not agree in time.
    pub fn agree_on(&self, command: impl Into<Command>, servers: usize, retry: Retry) -> u64 {
        let command = command.into();
        let started = Instant::now();
        let mut cursor = 0;
        let agreement = AGREEMENT * self.test().knobs().patience();
        while started.elapsed() < agreement {
            let Some(index) = self.submit(&command, &mut cursor) else {
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            if self.is_agreed_in_time(index, &command, servers) {
                self.test().note(format!("agree_on({command}, {servers}): index {index}"));
                return index;
            }
            if retry == Retry::No {
                let (count, value) = self.n_committed(index);
                let value = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
                self.test().fail_waiting(format!(
                    "expected {servers} servers to apply {command} at index {index} within {} s, but {count} have applied \
                     {value} there",
                    COMMIT.as_secs()
                ));
            }
        }
        self.test().fail_waiting(format!(
            "expected {servers} servers to agree on {command}, but they did not within {} s",
            agreement.as_secs()
        ))
    }

    /// Offers the command to one connected server after the other, beginning behind `cursor`, until one
    /// accepts.
    fn submit(&self, command: &Command, cursor: &mut usize) -> Option<u64> {
        for _ in 0..self.len() {
            *cursor = (*cursor + 1) % self.len();
            if self.is_connected(*cursor)
                && let Some((index, _)) = self.start(*cursor, command.clone())
            {
                return Some(index);
            }
        }
        None
    }

    fn is_agreed_in_time(&self, index: u64, command: &Command, servers: usize) -> bool {
        let accepted = Instant::now();
        while accepted.elapsed() < COMMIT {
            let applied = self.record.applied.lock();
            let (count, value) = applied.count(index);
            if count > 0 && count >= servers && value == Some(command) {
                return true;
            }
            drop(applied);
            thread::sleep(LOOK);
        }
        false
    }

    /// How many servers have ever applied the command at `index`, crashed and disconnected ones included, and
    /// which command it is.
    pub fn n_committed(&self, index: u64) -> (usize, Option<Command>) {
        let applied = self.record.applied.lock();
        let (count, command) = applied.count(index);
        (count, command.cloned())
    }

    /// Waits, with growing patience, until `servers` servers have applied `index`, and returns the command.
    /// If `term` is given, an error as soon as any server is in a later term.
    ///
    /// # Errors
    /// [`Moved`] as said.
    ///
    /// # Panics
    /// If that does not happen within about half a minute.
    pub fn wait_committed(&self, index: u64, servers: usize, term: Option<u64>) -> Result<Command, Moved> {
        let mut pause = Duration::from_millis(10);
        for _ in 0..30 {
            if self.record.applied.lock().count(index).0 >= servers {
                break;
            }
            thread::sleep(pause);
            if pause < Duration::from_secs(1) {
                pause *= 2;
            }
            if term.is_some_and(|term| self.highest_term() > term) {
                return Err(Moved);
            }
        }
        let (count, command) = self.n_committed(index);
        match command {
            Some(command) if count >= servers => Ok(command),
            _ => self.test().fail_waiting(format!(
                "expected {servers} servers to apply index {index}, but only {count} have done so"
            )),
        }
    }
}
