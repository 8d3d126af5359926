//! Parts 2B and 2D: one link that is slower than all others, a snapshot that takes longer than all other
//! messages, a service that is busy, and commands that come without a pause.

use std::time::Duration;

use labrpc::{DelayModel, Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Allowance, Cluster, Command, ELECTION, Retry, Setup, Test, run, run_within};

use crate::moments::{SNAPSHOTS_EVERY, agree_until_snapshot};
use crate::waiting::wait_until;

/// One-way delay of the slow link. A round trip takes two of these, which is much longer than on the other
/// links, and shorter than an election timeout.
const SLOW: Duration = Duration::from_millis(100);

/// A follower of five is behind a slow link. Its answers come late and count all the same: it gets every
/// command, and the leader stays.
#[test]
fn slow_link_2b() {
    run("slow_link_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        let leader = cluster.check_one_leader();
        let follower = (leader + 1) % 5;
        let term = cluster.highest_term();

        t.scene(format!("A round trip between the leader and server {follower} takes {:?}.", 2 * SLOW));
        for (from, to) in [(leader, follower), (follower, leader)] {
            cluster.net().network().set_end_delay(cluster.link(from, to), DelayModel::fixed(SLOW));
        }
        for _ in 0..20 {
            cluster.agree_on(Command::random(), 5, Retry::Yes);
        }
        t.exercised(cluster.highest_term() == term, "another server leads, over quick links");

        t.scene("The other followers are cut off but one, so that the slow one is needed.");
        let leader = cluster.check_one_leader();
        let others = (0..5).filter(|&server| server != leader && server != follower);
        others.skip(1).for_each(|server| cluster.disconnect(server));
        for _ in 0..5 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        (0..5).for_each(|server| cluster.connect(server));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
    });
}

/// Commands come faster than they can be acknowledged, so that the last one never is on a majority. What
/// comes before it is committed all the same (Figure 2, rules for leaders: "if there exists an N").
#[test]
fn no_pause_2b() {
    run("no_pause_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let met = (0..2).filter(|_| start_without_a_pause(&cluster)).count();
        t.exercised(met > 0, "no leader stayed while commands came without a pause");
    });
}

/// One attempt; whether the leader stayed.
fn start_without_a_pause(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    t.scene("Commands come every millisecond. The first one is committed while more come.");
    let begin = cluster.start(leader, Command::random());
    let (first, term) = begin.unwrap_or_default();
    let start = Instant::now();
    let is_committed = || cluster.n_committed(first).0 > 1;
    while start.elapsed() < 2 * ELECTION && !is_committed() {
        cluster.start(leader, Command::random());
        thread::sleep(Duration::from_millis(1));
    }
    let stays = begin.is_some() && cluster.get_state(leader) == Some((term, true));
    t.expect(is_committed() || !stays, || {
        format!(
            "index {first} was accepted, and is not committed {:?} later, while commands come every millisecond",
            2 * ELECTION
        )
    });
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    stays
}

/// Length of the commands in [`slow_snapshot_2d`]: a snapshot of 29 of them is longer than any other message.
const TEXT: usize = 1000;

/// How long a message with a snapshot is on its way in [`slow_snapshot_2d`].
const TRANSFER: Duration = Duration::from_millis(500);

/// A snapshot takes half a second, and all other messages are quick. The leader must not give up the call,
/// send the snapshot anew and forget the answer that comes after all; nor may it be silent for so long.
#[test]
fn slow_snapshot_2d() {
    run("slow_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let victim = (cluster.check_one_leader() + 1) % 3;
        cluster.crash(victim);
        t.scene("The others go on without a follower, until they have a snapshot that it needs.");
        for _ in 0..32 {
            cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
        }
        t.scene("The follower is back. Messages with a snapshot take half a second.");
        let delayed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&delayed);
        cluster.restart(victim);
        let links = [1, 2].map(|distance| Name::from(cluster.link((victim + distance) % 3, victim)));
        cluster.net().network().set_tap(move |event| {
            let is_snapshot = event.direction == Direction::Request && event.bytes.len() > 20 * TEXT;
            if !is_snapshot || !links.contains(event.end) {
                return TapAction::Deliver;
            }
            count.fetch_add(1, Ordering::Relaxed);
            TapAction::Delay(TRANSFER)
        });
        cluster.connect(victim);
        for _ in 0..5 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        cluster.net().network().clear_tap();
        t.exercised(delayed.load(Ordering::Relaxed) > 0, "no message carried a snapshot");
    });
}

/// A service is busy while the next commands are committed, and after them no command comes. It gets them all
/// the same: a wake-up that comes while nobody waits for it must not be lost.
#[test]
fn busy_service_2d() {
    run("busy_service_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..6).filter(|round| commit_while_busy(&cluster, *round)).count();
        t.exercised(met > 0, "nothing was committed while a service was busy");
    });
}

/// One attempt, with a follower's service or with the leader's; whether the leader stayed.
fn commit_while_busy(cluster: &Cluster<Raft>, round: usize) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let term = cluster.highest_term();
    let busy = (leader + round) % 3;
    t.scene(format!("The service of server {busy} begins to make a snapshot, and is long at it."));
    cluster.hold_snapshots(Some(busy));
    agree_until_snapshot(cluster);
    let mut last = 0;
    for _ in 0..3 {
        // By then all know that the command is committed, and the one behind it comes alone.
        last = cluster.start(leader, Command::random()).map_or(0, |(index, _)| index);
        thread::sleep(ELECTION / 4);
    }
    t.scene("It is ready. No command comes any more.");
    cluster.hold_snapshots(None);
    let has_all = wait_until(2 * ELECTION, || cluster.n_committed(last).0 == 3);
    let stays = cluster.highest_term() == term;
    t.expect(has_all || !stays, || {
        format!(
            "{:?} after the service of server {busy} was ready, not all have got index {last}, which was \
             committed meanwhile",
            2 * ELECTION
        )
    });
    stays
}

/// While a follower's service is busy, several snapshots come for it, and commands behind them. It gets the
/// newest snapshot and each command behind that, or older ones and all that is between (Figure 13).
#[test]
fn snapshots_for_a_busy_service_2d() {
    // Each round may take ten seconds on a slow network.
    let allowance = Allowance { virtual_time: Duration::from_secs(240), ..Allowance::default() };
    run_within("snapshots_for_a_busy_service_2d", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..4).filter(|_| send_snapshots_while_busy(&cluster)).count();
        t.exercised(met > 0, "no two snapshots came while a service was busy");
    });
}

/// One attempt; whether more than one snapshot came.
fn send_snapshots_while_busy(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let follower = (cluster.check_one_leader() + 1) % 3;
    t.scene("The service of a follower begins to make a snapshot, and is long at it.");
    cluster.hold_snapshots(Some(follower));
    agree_until_snapshot(cluster);
    let mut came = 0;
    for _ in 0..3 {
        t.scene("The follower is cut off until it needs the next snapshot, and gets it.");
        let old = cluster.persister(follower).snapshot_size();
        cluster.disconnect(follower);
        for _ in 0..2 * SNAPSHOTS_EVERY {
            cluster.agree_on(Command::random_text(100), 2, Retry::Yes);
        }
        cluster.connect(follower);
        let is_newer = || cluster.persister(follower).snapshot_size() > old + 500;
        came += u64::from(wait_until(2 * ELECTION, is_newer));
    }
    t.scene("Commands are committed behind it. Then the service is ready.");
    for _ in 0..3 {
        cluster.agree_on(Command::random(), 2, Retry::Yes);
    }
    thread::sleep(ELECTION / 4);
    cluster.hold_snapshots(None);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    came > 1
}

/// A follower has acknowledged commands, and its answers were lost. Meanwhile it has made a snapshot of them,
/// and its leader, whose service is slower, has not. It agrees to what its snapshot covers, since that is
/// committed (§7), and gets what comes behind.
#[test]
fn snapshot_ahead_of_the_leaders_2d() {
    run("snapshot_ahead_of_the_leaders_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..3).filter(|_| make_a_snapshot_before_the_leader(&cluster)).count();
        t.exercised(met > 0, "no follower had a snapshot of which its leader knew nothing");
    });
}

/// One attempt; whether the follower made a snapshot, and the leader stayed.
fn make_a_snapshot_before_the_leader(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let follower = (leader + 1) % 3;
    let state = cluster.get_state(leader);
    t.scene("The leader's service is long at its next snapshot. A follower gets all commands, and its answers are lost.");
    cluster.hold_snapshots(Some(leader));
    let link = Name::from(cluster.link(leader, follower));
    cluster.net().network().set_tap(move |event| {
        let is_lost = *event.end == link && event.direction == Direction::Reply;
        if is_lost { TapAction::Drop } else { TapAction::Deliver }
    });
    let old = cluster.persister(follower).snapshot_size();
    let mut made = false;
    for _ in 0..4 * SNAPSHOTS_EVERY {
        cluster.start(leader, Command::random());
        made = wait_until(ELECTION / 20, || cluster.persister(follower).snapshot_size() > old);
        if made {
            break;
        }
    }
    t.scene("Its answers arrive, and more commands come.");
    cluster.net().network().clear_tap();
    let mut last = 0;
    for _ in 0..3 {
        last = cluster.start(leader, Command::random()).map_or(0, |(index, _)| index);
        thread::sleep(ELECTION / 20);
    }
    let has_all = wait_until(2 * ELECTION, || cluster.n_committed(last).0 > 1);
    let stays = cluster.get_state(leader) == state;
    t.expect(has_all || !stays, || {
        format!(
            "server {follower} has not got index {last} within {:?}, although all links work",
            2 * ELECTION
        )
    });
    cluster.hold_snapshots(None);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    made && stays
}
