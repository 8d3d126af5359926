// handout: file never
//! Entries that are applied together.

use std::time::Duration;

use labapi::Persister;
use labgob::DecodeError;
use labrpc::Network;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::{Config, thread};
use rsm::{Rsm, StateMachine};

use crate::counter::{Command, Counter};

/// A counter that is slow, and counts its snapshots.
#[derive(Default)]
struct Slow {
    counter: Counter,
    snapshots: Arc<AtomicU64>,
}

impl StateMachine for Slow {
    type Command = Command;
    type Reply = u64;

    fn apply(&mut self, command: Command) -> u64 {
        thread::sleep(Duration::from_millis(1));
        self.counter.apply(command)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        self.counter.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.counter.restore(snapshot)
    }
}

/// The only server of a cluster.
fn alone(disk: Persister, max_raft_state: Option<usize>, machine: Slow) -> Arc<Rsm<Slow>> {
    let rsm = Rsm::start(vec![Network::new().make_end(0)], 0, disk, max_raft_state, machine);
    rsm.wait_until_leader();
    rsm
}

/// A server that has a long log to apply makes a snapshot once for all the entries that it
/// takes together, and not after each.
#[test]
fn a_batch_of_entries_makes_one_snapshot() {
    let outcome = labrt::run(Config::simulated(1), || {
        let disk = Persister::new();
        let before = alone(disk.clone(), None, Slow::default());
        (0..100).for_each(|_| _ = before.submit(&Command::Add(1)).expect("it leads, alone"));
        let machine = Slow::default();
        let snapshots = machine.snapshots.clone();
        let after = alone(disk.copy(), Some(1), machine);
        assert_eq!(after.submit(&Command::Add(1)), Ok(101));
        thread::sleep(Duration::from_secs(1));
        let snapshots = snapshots.load(Ordering::SeqCst);
        assert!((1..=5).contains(&snapshots), "{snapshots} snapshots for 103 entries");
    });
    outcome.result.expect("the run ends well");
}
