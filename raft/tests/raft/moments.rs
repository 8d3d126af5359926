//! Directed: messages that arrive at one moment, and deeds that take a while. Whoever gives up a lock between
//! a check and what rests on it, or writes to the disk behind its lock, is seen here.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::quiet::Mutex;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Allowance, Cluster, Command, ELECTION, Retry, Setup, Test, run, run_within};

use crate::directed_2c::ask_twice;
use crate::waiting::wait_until;

/// Messages arrive at multiples of this only, in [`one_beat_2d`]. So none takes longer than on an unreliable
/// network.
const BEAT: Duration = Duration::from_millis(25);

/// The services of a cluster make a snapshot at every tenth index: 9, 19, and so on.
pub(crate) const SNAPSHOTS_EVERY: u64 = 10;

/// Two candidates of one term ask one voter at the same moment. It has one vote (§5.2).
#[test]
fn one_moment_two_candidates_2a() {
    run("one_moment_two_candidates_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let met = (0..16).filter(|_| ask_at_one_moment(&cluster)).count();
        t.exercised(met > 0, "no two servers asked for a vote at one moment");
    });
}

/// One attempt; whether both candidates stood in one term when their requests came to the voter.
fn ask_at_one_moment(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let voter = cluster.check_one_leader();
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let leads = |server, term| cluster.get_state(server) == Some((term, true));
    let [one, other] = [1, 2].map(|distance| (voter + distance) % 3);
    let links = || (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to);

    t.scene("All messages are held back until both followers stand for election in one term.");
    links().for_each(|(from, to)| cluster.hold_link(from, to));
    let before = term(voter);
    let stand = wait_until(Duration::from_secs(5), || term(one) == term(other) && term(one) > before);
    // By then their requests wait at the voter.
    thread::sleep(ELECTION / 50);
    let contested = term(one);
    let stand = stand && term(other) == contested;
    t.scene("Their requests come to the old leader at the same moment.");
    cluster.release_link(one, voter);
    cluster.release_link(other, voter);
    wait_until(Duration::from_millis(100), || {
        t.expect(!(leads(one, contested) && leads(other, contested)), || {
            format!("servers {one} and {other} both lead term {contested}: server {voter} has voted for both")
        });
        false
    });
    links().for_each(|(from, to)| cluster.release_link(from, to));
    stand
}

/// All messages arrive at the next beat: acknowledgements, refusals, entries and snapshots at one moment, and
/// services make their snapshots at the same one. Followers fall behind, crash and come back.
#[test]
fn one_beat_2d() {
    run("one_beat_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        cluster.net().network().set_tap(|_| TapAction::Delay(until_beat()));
        for _ in 0..16 {
            fall_behind(&cluster);
        }
        t.scene("All servers start again.");
        (0..3).for_each(|server| cluster.crash(server));
        (0..3).for_each(|server| cluster.restart(server));
        cluster.recover();
    });
}

fn until_beat() -> Duration {
    let now = Instant::now().as_nanos();
    let beat = BEAT.as_nanos() as u64;
    Duration::from_nanos(beat - now % beat)
}

/// A follower is away, and comes back while commands come at every beat. It or its leader crashes at one of
/// the next beats.
fn fall_behind(cluster: &Cluster<Raft>) {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let follower = (leader + random_range(1..3)) % 3;
    t.scene("A follower is away while the others make a snapshot.");
    cluster.disconnect(follower);
    for _ in 0..random_range(SNAPSHOTS_EVERY..2 * SNAPSHOTS_EVERY) {
        cluster.start(leader, Command::random());
    }
    thread::sleep(6 * BEAT);
    t.scene("It comes back while commands come at every beat. One of the two crashes at a beat.");
    cluster.connect(follower);
    for _ in 0..random_range(4..16) {
        thread::sleep(until_beat());
        for _ in 0..random_range(1..6) {
            cluster.start(leader, Command::random());
        }
    }
    thread::sleep(Duration::from_nanos(random_range(0..2)));
    let crashed = if random_range(0..3) == 0 { leader } else { follower };
    cluster.crash(crashed);
    cluster.restart(crashed);
    cluster.connect(crashed);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
}

/// A service takes long to make a snapshot. A leader's newer one comes before or at the moment when it is
/// made, and stays: there is nothing left to do for the older one (labapi, `Consensus::snapshot`).
#[test]
fn late_own_snapshot_2d() {
    run("late_own_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..8).filter(|round| own_snapshot_comes_late(&cluster, round % 4 > 0)).count();
        t.exercised(met > 0, "no leader's snapshot came while the service made its own");
    });
}

/// One attempt; whether the leader's snapshot came. It comes before the service's own is made, or at that
/// very moment.
fn own_snapshot_comes_late(cluster: &Cluster<Raft>, at_one_moment: bool) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let follower = (leader + 1) % 3;
    t.scene("The service of a follower begins to make a snapshot, and is long at it.");
    cluster.hold_snapshots(Some(follower));
    agree_until_snapshot(cluster);
    let old = cluster.persister(follower).snapshot_size();
    t.scene("The server is cut off. The others go on, and make newer snapshots.");
    cluster.disconnect(follower);
    for _ in 0..2 * SNAPSHOTS_EVERY + 2 {
        cluster.agree_on(Command::random_text(200), 2, Retry::Yes);
    }
    t.scene("It gets one of them. Then, or at the same moment, its own is made.");
    let arrival = delay_a_large_message(cluster, leader, follower);
    cluster.connect(follower);
    if at_one_moment && wait_until(2 * ELECTION, || arrival.lock().is_some()) {
        let (at, now) = (*arrival.lock(), Instant::now());
        thread::sleep(at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)));
        cluster.hold_snapshots(None);
    }
    let is_newer = wait_until(2 * ELECTION, || cluster.persister(follower).snapshot_size() > old + 2000);
    cluster.hold_snapshots(None);
    cluster.net().network().clear_tap();
    thread::sleep(ELECTION / 4);
    t.scene("It starts again with what is on its disk.");
    cluster.crash(follower);
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    is_newer
}

/// A longer message carries a snapshot, if commands have [`LONG`] bytes at most.
pub(crate) const LARGE: usize = 2000;

/// The first large message from one server to another takes 20 ms. The result tells when it arrives.
pub(crate) fn delay_a_large_message(
    cluster: &Cluster<Raft>,
    from: usize,
    to: usize,
) -> Arc<Mutex<Option<Instant>>> {
    const TAKES: Duration = Duration::from_millis(20);
    let arrival = Arc::new(Mutex::new(None));
    let (of_tap, link) = (arrival.clone(), Name::from(cluster.link(from, to)));
    cluster.net().network().set_tap(move |event| {
        let is_large = event.direction == Direction::Request && event.bytes.len() > LARGE;
        let at = Instant::now().checked_add(TAKES);
        let mut known = of_tap.lock();
        if *event.end != link || !is_large || known.is_some() {
            return TapAction::Deliver;
        }
        *known = at;
        TapAction::Delay(TAKES)
    });
    arrival
}

/// Agrees on commands until one comes behind which the services make a snapshot.
pub(crate) fn agree_until_snapshot(cluster: &Cluster<Raft>) {
    while cluster.agree_on(Command::random(), 3, Retry::Yes) % SNAPSHOTS_EVERY != SNAPSHOTS_EVERY - 1 {}
}

/// A server votes, and its service makes a snapshot, so that its log is written anew. It crashes, and another
/// candidate of the same term asks it. It must remember its vote (Figure 2, persistent state).
#[test]
fn vote_outlives_a_snapshot_2d() {
    run("vote_outlives_a_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..8).filter(|_| vote_and_make_a_snapshot(&cluster)).count();
        t.exercised(met > 0, "no voter made a snapshot between its vote and the next candidate's request");
        cluster.recover();
    });
}

/// One attempt; whether the voter was asked again in the term of its vote, after a snapshot and a crash.
fn vote_and_make_a_snapshot(cluster: &Cluster<Raft>) -> bool {
    let begin_a_snapshot = |voter: usize| {
        cluster.hold_snapshots(Some(voter));
        agree_until_snapshot(cluster);
    };
    let end_the_snapshot = |voter: usize| {
        cluster.test().scene("The voter's service gets ready with a snapshot.");
        let old = cluster.persister(voter).snapshot_size();
        cluster.hold_snapshots(None);
        wait_until(Duration::from_millis(50), || cluster.persister(voter).snapshot_size() > old)
    };
    let is_asked = ask_twice(cluster, begin_a_snapshot, end_the_snapshot);
    cluster.hold_snapshots(None);
    is_asked
}

/// Length of the commands in [`snapshot_keeps_its_term_2d`]: a message with an entry is longer than any other
/// but those with snapshots.
const LONG: usize = 500;

/// A follower gets a snapshot in a later term than its last entry is of, and nothing behind it. It must not
/// win against a server with later entries (§5.4.1): the snapshot has the term of its last entry (Figure 13,
/// `lastIncludedTerm`), not that of the message or of the server.
#[test]
fn snapshot_keeps_its_term_2d() {
    run("snapshot_keeps_its_term_2d", |t: &Test| {
        let met = (0..3).filter(|_| elect_behind_a_snapshot(t)).count();
        t.exercised(met > 0, "no server had a snapshot of an earlier term, and nothing behind it");
    });
}

/// One attempt; whether the follower had the snapshot and nothing behind it when the next election began.
fn elect_behind_a_snapshot(t: &Test) -> bool {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
    let first = cluster.check_one_leader();
    let follower = (first + 1) % 3;
    t.scene("A follower is down. The others make snapshots, and go on.");
    cluster.crash(follower);
    for _ in 0..2 * SNAPSHOTS_EVERY + 4 {
        cluster.agree_on(Command::random_text(LONG), 2, Retry::Yes);
    }
    t.scene("A later term begins, without commands.");
    cluster.disconnect(first);
    thread::sleep(ELECTION);
    cluster.connect(first);
    let leader = cluster.check_one_leader();
    t.scene("The follower gets the snapshot, and nothing behind it.");
    let of_tap = cluster.clone();
    let link = Name::from(cluster.link(leader, follower));
    cluster.net().network().set_tap(move |event| {
        // Each life has a disk of its own.
        let is_entries = event.bytes.len() >= LONG && of_tap.persister(follower).snapshot_size() > 0;
        if *event.end == link && is_entries { TapAction::Drop } else { TapAction::Deliver }
    });
    cluster.restart(follower);
    cluster.connect(follower);
    let has_it = wait_until(5 * ELECTION, || cluster.persister(follower).snapshot_size() > 0);
    thread::sleep(ELECTION / 20);
    let has_no_entry = cluster.persister(follower).state_size() < LONG;
    t.scene("The leader is gone. The two others elect one that has all that was committed.");
    cluster.disconnect(leader);
    cluster.net().network().clear_tap();
    cluster.agree_on(Command::random(), 2, Retry::Yes);
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    has_it && has_no_entry
}

/// A new leader's log begins behind a snapshot, and a follower has a long wrong log that reaches over that
/// place. The leader goes back until it sends its snapshot (§5.3, §7).
#[test]
fn wrong_log_over_a_snapshot_2d() {
    run("wrong_log_over_a_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        for round in 1..=3 {
            t.scene("A leader is cut off, and takes commands that no other server gets.");
            let old = cluster.check_one_leader();
            cluster.disconnect(old);
            for _ in 0..4 * SNAPSHOTS_EVERY {
                cluster.start(old, Command::random());
            }
            t.scene("The others go on, and make snapshots.");
            for _ in 0..SNAPSHOTS_EVERY * round + random_range(0..SNAPSHOTS_EVERY) {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            t.scene("Their leader is gone, and the old one is back.");
            let leader = cluster.check_one_leader();
            cluster.disconnect(leader);
            cluster.connect(old);
            cluster.agree_on(Command::random(), 2, Retry::Yes);
            cluster.connect(leader);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}

/// Acknowledgements come at one moment, and so does the news of what is committed. Then no more commands
/// come. What was committed last is handed over all the same: a wake-up that came too early is missed now.
#[test]
fn applied_at_one_moment_2b() {
    // Up to 75 seconds pass if servers of a seed are slow, and there is an election.
    let allowance = Allowance { virtual_time: Duration::from_secs(180), ..Allowance::default() };
    run_within("applied_at_one_moment_2b", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        cluster.net().network().set_tap(|event| match event.direction {
            Direction::Request => TapAction::Deliver,
            // An older acknowledgement and a newer one meet.
            Direction::Reply => TapAction::Delay(until_beat() + random_range(0..2) * BEAT),
        });
        let mut leader = cluster.check_one_leader();
        let mut met = 0;
        for _ in 0..250 {
            if commit_at_one_moment(&cluster, leader) {
                met += 1;
            } else {
                leader = cluster.check_one_leader();
            }
        }
        t.exercised(met > 0, "no leader stayed until its commands were committed");
    });
}

/// One attempt; whether all servers applied the last command, and no later term began.
fn commit_at_one_moment(cluster: &Cluster<Raft>, leader: usize) -> bool {
    cluster.test().scene("Commands come within a beat. Then no more come.");
    thread::sleep(until_beat() + Duration::from_millis(1));
    let started: Vec<_> = (0..random_range(2..4))
        .filter_map(|_| {
            thread::sleep(Duration::from_millis(1));
            cluster.start(leader, Command::random())
        })
        .collect();
    started.last().is_some_and(|&(index, term)| cluster.wait_committed(index, 3, Some(term)).is_ok())
}

/// Several messages with entries arrive at a follower at one moment. It acknowledges them all, and crashes.
/// What a handler writes to the disk must not take back what another one has written (Figure 2: "updated on
/// stable storage before responding to RPCs").
#[test]
fn acknowledged_at_one_moment_2c() {
    // Two elections in each of 16 rounds.
    let allowance = Allowance { virtual_time: Duration::from_secs(180), ..Allowance::default() };
    run_within("acknowledged_at_one_moment_2c", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let met = (0..16).filter(|_| acknowledge_at_one_moment(&cluster)).count();
        t.exercised(met > 0, "no commands were committed by acknowledgements of one moment");
    });
}

/// One attempt; whether the commands were committed before the follower crashed.
fn acknowledge_at_one_moment(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let [follower, away] = [1, 2].map(|distance| (leader + distance) % 3);
    t.scene(
        "Leader and follower are a majority. What the leader sends within a while arrives at one moment.",
    );
    cluster.disconnect(away);
    let link = Name::from(cluster.link(leader, follower));
    cluster.net().network().set_tap(move |event| match event.direction {
        Direction::Request if *event.end == link => TapAction::Delay(until_beat()),
        _ => TapAction::Deliver,
    });
    thread::sleep(until_beat() + Duration::from_millis(1));
    let mut last = None;
    for _ in 0..20 {
        last = cluster.start(leader, Command::random()).map(|(index, _)| index);
        thread::sleep(Duration::from_millis(1));
    }
    let is_committed = last.is_some_and(|last| wait_until(4 * BEAT, || cluster.n_committed(last).0 > 0));
    cluster.crash(follower);
    cluster.net().network().clear_tap();
    t.scene(
        "The leader is cut off. The follower starts again, with the server that was away. They have it all.",
    );
    cluster.disconnect(leader);
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.connect(away);
    let index = cluster.agree_on(Command::random(), 2, Retry::Yes);
    t.expect(!is_committed || Some(index) > last, || {
        format!("index {last:?} was committed with an acknowledgement, and {index} is used again")
    });
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    is_committed
}

/// A leader sends its snapshot at the moment when its service makes the next one. The index that it sends,
/// and the bytes, are of one snapshot (Figure 13).
#[test]
fn snapshot_made_while_sent_2d() {
    // Each round may take ten seconds on a slow network.
    let allowance = Allowance { virtual_time: Duration::from_secs(300), ..Allowance::default() };
    run_within("snapshot_made_while_sent_2d", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..16).filter(|_| send_while_one_is_made(&cluster)).count();
        t.exercised(met > 0, "no follower asked for a snapshot while the next one was made");
    });
}

/// One attempt; whether the follower's first answer, which makes the leader send a snapshot, came at the
/// moment when the next snapshot was made.
fn send_while_one_is_made(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let follower = (leader + 1) % 3;
    let go_on = || {
        while cluster.agree_on(Command::random(), 2, Retry::Yes) % SNAPSHOTS_EVERY != SNAPSHOTS_EVERY - 1 {}
    };
    t.scene(
        "A follower is down. The others make a snapshot, and the leader's service is long at the next one.",
    );
    cluster.crash(follower);
    let old = cluster.persister(leader).snapshot_size();
    go_on();
    wait_until(ELECTION / 4, || cluster.persister(leader).snapshot_size() > old);
    cluster.hold_snapshots(Some(leader));
    go_on();
    t.scene("The follower is back. Its first answer comes at the moment when that snapshot is made.");
    let arrival = Arc::new(Mutex::new(None));
    let (of_tap, link) = (arrival.clone(), Name::from(cluster.link(leader, follower)));
    cluster.net().network().set_tap(move |event| {
        const TAKES: Duration = Duration::from_millis(20);
        let mut known = of_tap.lock();
        if *event.end != link || event.direction == Direction::Request || known.is_some() {
            return TapAction::Deliver;
        }
        *known = Instant::now().checked_add(TAKES);
        TapAction::Delay(TAKES)
    });
    cluster.restart(follower);
    cluster.connect(follower);
    let answers = wait_until(ELECTION, || arrival.lock().is_some());
    let (at, now) = (*arrival.lock(), Instant::now());
    thread::sleep(at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)));
    cluster.hold_snapshots(None);
    thread::sleep(ELECTION / 20);
    cluster.net().network().clear_tap();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    answers && at.is_some_and(|at| at >= now)
}
