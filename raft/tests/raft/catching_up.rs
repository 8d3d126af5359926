//! Part 2B, directed: servers get what they lack although nobody gives another command. Most tests give one
//! whenever they wait for something, and so help a leader that sends entries only when it gets some.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, Retry, Setup, Test, run};

/// A leader knows by then what is committed, and has told all whom it reaches.
const TOLD: Duration = Duration::from_millis(600);

/// How long all requests of a leader are lost. No follower gives up on it by then.
const LOST: Duration = Duration::from_millis(60);

/// A leader sends entries again until its followers have them (§5.3: "the leader retries AppendEntries RPCs
/// indefinitely"). It does not wait for another command.
#[test]
fn nothing_new_2b() {
    run("nothing_new_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        t.scene("Three times a follower is cut off, and the others agree on commands. It comes back, and nobody gives another command.");
        for _ in 0..3 {
            comes_back(&cluster);
        }
        t.scene("A command's first messages are lost, five times. Nobody gives another command.");
        let sent_again = (0..5).filter(|_| is_sent_again(&cluster)).count();
        t.exercised(sent_again > 0, "no leader kept its term while its messages were lost");
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    });
}

fn comes_back(cluster: &Cluster<Raft>) {
    let follower = (cluster.check_one_leader() + 1) % 3;
    cluster.disconnect(follower);
    let mut last = 0;
    for _ in 0..3 {
        last = cluster.agree_on(Command::random(), 2, Retry::Yes);
    }
    thread::sleep(TOLD);
    cluster.connect(follower);
    // Without a term nobody can have moved.
    let _ = cluster.wait_committed(last, 3, None);
}

/// Whether the command stayed the leader's own affair, and was committed.
fn is_sent_again(cluster: &Cluster<Raft>) -> bool {
    let leader = cluster.check_one_leader();
    let links = [1, 2].map(|step| Name::from(cluster.link(leader, (leader + step) % 3)));
    let is_lossy = Arc::new(AtomicBool::new(true));
    let lossy = Arc::clone(&is_lossy);
    cluster.net().network().set_tap(move |event| {
        let is_lost = event.direction == Direction::Request && links.contains(event.end);
        if is_lost && lossy.load(Ordering::Relaxed) { TapAction::Drop } else { TapAction::Deliver }
    });
    let accepted = cluster.start(leader, Command::random());
    thread::sleep(LOST);
    is_lossy.store(false, Ordering::Relaxed);
    let committed = accepted.map(|(index, term)| cluster.wait_committed(index, 3, Some(term)));
    cluster.net().network().clear_tap();
    committed.is_some_and(|outcome| outcome.is_ok())
}
