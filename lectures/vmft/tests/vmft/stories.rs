//! The lecture's stories: a scene each, with its outcome, and the wrong variant that shows why.

use std::time::Duration;

use labrt::sync::Arc;
use tester::Net;
use vmft::rpc::ArbiterError;
use vmft::{Arbiter, Role};

use crate::cluster::{Setup, counter, play};

/// An arbiter that lets everybody win: each host does what seems right to it.
struct Everybody;

impl Arbiter for Everybody {
    fn test_and_set(&self, _epoch: u64, _host: usize) -> Result<bool, ArbiterError> {
        Ok(false)
    }

    fn reset(&self, _epoch: u64) -> Result<(), ArbiterError> {
        Ok(())
    }
}

/// Two hosts without a third party: each takes the other for dead, and both go on. Two clients, one at each
/// half, are both told that theirs is increment number 6.
#[test]
fn split_brain_without_arbiter() {
    let setup =
        || Setup { arbiter: Some(Arc::new(|_: &Net| Arc::new(Everybody))), is_strict: false, ..counter() };
    play("split_brain_without_arbiter", setup, |t, cluster| {
        drop(cluster.count_to(5));
        t.scene("The channel is cut, and both hosts go on.");
        cluster.set_channel(false);
        (0..2).for_each(|host| cluster.wait_for(host, Role::Live, cluster.failover_ms()));
        let sums: Vec<u64> = (0..2).map(|host| cluster.counting_at(host).increment()).collect();
        t.expect(sums == [6, 6], || format!("two machines answered {sums:?}"));
        t.expect(cluster.history_complaint().is_some(), || "the checker has seen nothing".to_owned());
    });
}

/// The same with test-and-set: one half is told that it may go on, whichever asks first.
#[test]
fn test_and_set_decides() {
    play("test_and_set_decides", counter, |t, cluster| {
        drop(cluster.count_to(5));
        t.scene("The channel is cut, and the flag decides.");
        cluster.set_channel(false);
        let live = cluster.expect_one_live();
        assert_eq!(cluster.counting_at(live).increment(), 6);
        let patience = Duration::from_millis(2000);
        // A history may hold an operation that never returns.
        assert_eq!(cluster.counting_at(1 - live).increment_for(patience), None, "the loser answers");
        assert_eq!(cluster.watch.winners().into_iter().collect::<Vec<_>>(), [(1, live)]);
    });
}
