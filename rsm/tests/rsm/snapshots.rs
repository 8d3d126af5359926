// handout: file never
//! A server whose snapshot is damaged does not start.

use std::time::Duration;

use labapi::Persister;
use labrpc::{ClientEnd, Network};
use labrt::{Config, thread};
use rsm::{Rsm, WithSessions};

use crate::counter::Counter;

/// A size of Raft's state that is reached at once.
const AT_ONCE: Option<usize> = Some(1);

/// The ends of a cluster of one.
fn alone() -> Vec<ClientEnd> {
    vec![Network::new().make_end(0)]
}

/// Lets a cluster of one make a snapshot, applies `damage` to it, and starts a server with it.
/// Returns the message with which that fails, if it does.
fn start_with(damage: impl Fn(&mut Vec<u8>) + Send + 'static) -> Option<String> {
    let outcome = labrt::run(Config::simulated(1), move || {
        let disk = Persister::new();
        // The no-op of its first term is an entry already.
        drop(Rsm::start(alone(), 0, disk.clone(), AT_ONCE, WithSessions::new(Counter::default())));
        while disk.snapshot().is_empty() {
            thread::sleep(Duration::from_millis(100));
        }
        let (disk, mut snapshot) = (disk.copy(), disk.snapshot());
        damage(&mut snapshot);
        disk.save(&disk.state(), Some(&snapshot));
        drop(Rsm::start(alone(), 0, disk, AT_ONCE, WithSessions::new(Counter::default())));
    });
    outcome.result.err().map(|failure| failure.message)
}

#[test]
fn a_good_snapshot_is_taken() {
    assert_eq!(start_with(|_| ()), None);
}

#[test]
fn a_snapshot_that_is_cut_short_is_refused() {
    for left in [1, 5, 12, 20] {
        let message = start_with(move |snapshot| snapshot.truncate(left)).expect("it does not start");
        assert!(message.starts_with(&format!("a snapshot of {left} bytes is damaged: it")), "{message}");
    }
}

#[test]
fn a_corrupted_snapshot_is_refused() {
    for byte in 0..5 {
        let message = start_with(move |snapshot| snapshot[byte] ^= 0x10).expect("it does not start");
        assert!(message.contains("is damaged: its checksum is wrong"), "{message}");
    }
}

/// An empty snapshot where the log says that there is one: Raft's state begins behind it.
#[test]
fn a_lost_snapshot_is_refused() {
    let message = start_with(Vec::clear).expect("it does not start");
    assert!(message.starts_with("the snapshot on the disk reaches to index 0, but the log"), "{message}");
}
