//! What swarm runs do to a group while its test goes on.

use std::time::Duration;

use labrt::thread;

use crate::group::Group;

/// Lets servers be paused now and then, as a garbage collector would, if the seed has drawn that.
pub(crate) fn pauses<S: Send + Sync + 'static>(group: &Group<S>) {
    if let Some((mean, longest)) = group.test().knobs().pauses_ms {
        let servers = group.clone();
        // Nobody joins this thread: it ends with the run.
        drop(thread::spawn(move || pause_at_random(&servers, mean, longest)));
    }
}

fn pause_at_random<S: Send + Sync + 'static>(group: &Group<S>, mean_ms: u64, longest_ms: u64) {
    let sleep_up_to = |ms: u64| thread::sleep(Duration::from_millis(labrt::rand::random_range(1..=ms)));
    loop {
        sleep_up_to(2 * mean_ms);
        let server = labrt::rand::random_range(0..group.len());
        if let Some(node) = group.node(server) {
            group.test().faults().begin("pause", "paused", node.name());
            node.pause();
            sleep_up_to(longest_ms);
            node.resume();
            group.test().faults().end("pause", node.name());
        }
    }
}
