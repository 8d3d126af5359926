//! The test of the speed of a single client.

use std::time::Duration;

use labapi::KvServer;
use labrt::runtime;

use crate::appends::{check_appends, element};
use crate::cluster::KvCluster;

/// Operations that are timed.
const OPERATIONS: u32 = 1000;

/// What each may take on average: three in the course's 100 ms between two heartbeats.
const EACH: Duration = Duration::from_micros(33_333);

/// One client's appends, one after the other, must be faster than heartbeats are: the leader sends a new
/// command at once, and the clerk knows its leader.
///
/// # Panics
/// If they are too slow, or wrong.
pub fn speed<S: KvServer>(cluster: &KvCluster<S>) {
    let t = cluster.test();
    cluster.short_delays();
    let mut clerk = cluster.make_client(&cluster.all());

    t.scene("A first operation waits for a leader.");
    clerk.get("x");

    t.scene(format!("{OPERATIONS} appends, one after the other."));
    let start = runtime::now();
    for number in 0..OPERATIONS {
        clerk.append("x", &element(0, number as usize));
    }
    let took = runtime::now() - start;
    let value = clerk.get("x");
    if let Err(complaint) = check_appends(&value, &[(0, OPERATIONS as usize)]) {
        t.fail(complaint);
    }
    t.note(format!("{:.2} ms each", took.as_secs_f64() * 1e3 / f64::from(OPERATIONS)));
    t.expect(took <= EACH * OPERATIONS, || {
        format!(
            "expected an operation to take at most {:.1} ms, but {OPERATIONS} took {:.1} ms each",
            EACH.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3 / f64::from(OPERATIONS)
        )
    });
}
