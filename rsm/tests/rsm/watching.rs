//! A tester watches the machine. It sees each step once, in order, and before the submit gets
//! its reply.

use std::time::Duration;

use labapi::{Consensus, Persister};
use labrpc::Network;
use labrt::sync::{Arc, Mutex};
use labrt::{Config, thread};
use rsm::Rsm;

use crate::counter::{Command, Counter};

#[test]
fn each_step_is_seen_before_its_reply() {
    let outcome = labrt::run(Config::simulated(1), || {
        let ends = vec![Network::new().make_end(0)];
        let rsm = Rsm::start(ends, 0, Persister::new(), None, Counter::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watcher = seen.clone();
        rsm.watch_machine(move |index, counter| watcher.lock().push((index, counter.value())));
        assert_eq!(*seen.lock(), [(0, 0)], "the present state is shown at once");
        while !rsm.raft().get_state().1 {
            thread::sleep(Duration::from_millis(100));
        }
        for amount in 1..=3 {
            let reply = rsm.submit(&Command::Add(amount)).expect("it leads, alone");
            assert_eq!(seen.lock().last().map(|&(_, value)| value), Some(reply));
        }
        let fresh = rsm.inspect_fresh(Counter::value).expect("it leads, alone");
        assert_eq!(fresh, 6);
        let indices: Vec<u64> = seen.lock().iter().map(|&(index, _)| index).collect();
        // How many entries a replica makes besides, such as the no-op of a leader's term, is its own affair.
        let last = *indices.last().expect("three submits");
        assert!(last >= 3 && indices.iter().copied().eq(0..=last), "{indices:?}");
    });
    outcome.result.expect("the run ends well");
}
