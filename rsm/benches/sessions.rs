//! What the sessions of 100,000 clerks cost, kept for ever and with an end: bytes of the snapshot, and time
//! for a command. `cargo bench -p rsm`.

#![allow(clippy::disallowed_types, reason = "nothing here is part of a run")]

use std::time::Instant;

use labgob::DecodeError;
use rsm::{ExpiringSessions, Request, SessionCommand, SessionReply, StateMachine, WithSessions};

/// Clerks that come one after the other.
const CLERKS: u64 = 100_000;

/// Commands of each clerk.
const COMMANDS: u64 = 3;

/// A service that remembers nothing, so that a snapshot holds the sessions alone.
struct Nothing;

impl StateMachine for Nothing {
    type Command = ();
    /// The reply of a put or an append of kvraft.
    type Reply = Result<String, ()>;

    fn apply(&mut self, (): ()) -> Self::Reply {
        Ok(String::new())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

fn main() {
    println!("{CLERKS} clerks with {COMMANDS} commands each, one after the other");
    println!("{:<44} {:>10} {:>16} {:>14}", "sessions", "alive", "snapshot, bytes", "ns a command");
    for_ever();
    for lifetime in [1_000, 10_000, CLERKS * (COMMANDS + 1)] {
        with_an_end(lifetime);
    }
}

fn for_ever() {
    let mut machine = WithSessions::new(Nothing);
    let start = Instant::now();
    // Numbers of clerks are drawn at random; these differ in all their bytes, too.
    for client in (1..=CLERKS).map(|clerk| clerk.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
        for sequence in 1..=COMMANDS {
            drop(machine.apply(Request { client, sequence, command: () }));
        }
    }
    let elapsed = start.elapsed();
    let snapshot = machine.snapshot().len();
    row("kept for ever", CLERKS, snapshot, elapsed.as_nanos() / u128::from(CLERKS * COMMANDS));
}

fn with_an_end(lifetime: u64) {
    let mut machine = ExpiringSessions::new(Nothing, lifetime);
    let start = Instant::now();
    for _ in 0..CLERKS {
        let SessionReply::Opened(client) = machine.apply(SessionCommand::Open) else { continue };
        for sequence in 1..=COMMANDS {
            drop(machine.apply(SessionCommand::Command(Request { client, sequence, command: () })));
        }
    }
    let elapsed = start.elapsed();
    let (alive, snapshot) = (machine.alive() as u64, machine.snapshot().len());
    let what = format!("with an end after {lifetime} commands");
    row(&what, alive, snapshot, elapsed.as_nanos() / u128::from(CLERKS * (COMMANDS + 1)));
}

fn row(what: &str, alive: u64, snapshot: usize, nanoseconds: u128) {
    println!("{what:<44} {alive:>10} {snapshot:>16} {nanoseconds:>14}");
}
