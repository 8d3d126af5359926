//! Part 2D, directed: crashes in the middle of making or installing a snapshot, and snapshots
//! that take long on their way.

use std::time::Duration;

use labapi::Write;
use labrpc::{Direction, Name, TapAction};
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Allowance, Cluster, Command, ELECTION, Retry, Setup, Test, run, run_within};

use crate::moments::{LARGE, SNAPSHOTS_EVERY, delay_a_large_message};
use crate::snapshot_crash::take_snapshot_and_crash;
use crate::waiting::wait_until;

/// A server crashes right after a write to its disk, often one with a snapshot. State and snapshot must fit
/// together at every moment (Figure 13; the `Persister` saves both in one step).
#[test]
fn crash_after_write_2d() {
    // Two rounds of elections in each of 24 rounds: an election may take seconds.
    let allowance = Allowance { virtual_time: Duration::from_secs(360), ..Allowance::default() };
    run_within("crash_after_write_2d", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let crashes = Arc::new(AtomicU64::new(0));
        for round in 0..24 {
            t.scene("A server crashes right after one of its next writes.");
            let victim = random_range(0..3);
            crash_at(&cluster, victim, round % 4, &crashes);
            for _ in 0..12 {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            cluster.restart(victim);
            cluster.connect(victim);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        t.exercised(crashes.load(Ordering::Relaxed) > 0, "no server crashed at a write");
    });
}

/// The server's present incarnation crashes at the first write that is of this kind.
fn crash_at(cluster: &Cluster<Raft>, server: usize, kind: u32, crashes: &Arc<AtomicU64>) {
    let (mut left, crashes) = (random_range(1..12), Arc::clone(crashes));
    cluster.on_write(server, move |group, write: &Write| {
        left -= 1;
        let now = match kind {
            // A new snapshot is on the disk.
            0 => write.snapshot,
            // The state was replaced; it may lack entries that are only in the snapshot to come.
            1 | 2 => !write.appended,
            _ => left == 0,
        };
        if now {
            crashes.fetch_add(1, Ordering::Relaxed);
            group.crash(server);
        }
    });
}

/// Bytes a second of each link in [`slow_links_2d`].
const SLOW: u64 = 2_000_000;

/// A follower needs a snapshot that takes a sixth of a second on its link. A leader that gives up sooner and
/// sends the whole of it again fills the link with copies, and never hears that one has arrived.
///
/// A leader may send it in one piece, so that the follower hears nothing else meanwhile. With the heartbeat
/// before it that is still less than the election timeouts that the course's bound of ten heartbeats a second
/// suggests.
#[test]
fn slow_links_2d() {
    run("slow_links_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let victim = (cluster.check_one_leader() + 1) % 3;
        cluster.disconnect(victim);
        t.scene("The others go on without a follower, and their snapshots grow.");
        for _ in 0..30 {
            cluster.agree_on(Command::random_text(11_000), 2, Retry::Yes);
        }
        t.scene("The follower is back, and the links are slow.");
        cluster.net().network().set_bandwidth(SLOW);
        let before = cluster.bytes_total();
        cluster.connect(victim);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let (sent, snapshot) = (cluster.bytes_total() - before, cluster.snapshot_size() as u64);
        t.exercised(snapshot * 7 > SLOW, "the snapshot was small");
        t.expect(sent < 8 * snapshot, || format!("{sent} bytes were sent for a snapshot of {snapshot}"));
        t.scene("The follower has caught up, and nothing disturbs the leader any more.");
        let term = cluster.check_terms_agree();
        // Behind a link that a swarm's seed has made slow the follower may need the next snapshot, too.
        let retry = if t.is_ordinary() { Retry::No } else { Retry::Yes };
        for _ in 0..5 {
            cluster.agree_on(Command::random(), 3, retry);
        }
        let later = cluster.check_terms_agree();
        t.expect(term == later, || format!("the term went on from {term} to {later} without a reason"));
    });
}

/// Bytes from which on a request in [`late_snapshot_2d`] carries a snapshot. Entries are sent ten at a time
/// there, with [`TEXT`] bytes each.
const CARRIES_SNAPSHOT: usize = 15 * TEXT;

/// Length of the commands in [`late_snapshot_2d`]. A snapshot of 29 fits into one message.
const TEXT: usize = 1000;

/// An InstallSnapshot is overtaken by another one and by entries behind it. When it arrives, the follower has
/// applied more than it covers, and must not go back (§7: "if instead the follower receives a snapshot that
/// describes a prefix of its log").
#[test]
fn late_snapshot_2d() {
    run("late_snapshot_2d", |t: &Test| {
        let mut overtaken = 0;
        for _ in 0..3 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
            overtaken += u32::from(overtake_snapshot(&cluster));
        }
        t.exercised(overtaken > 0, "no snapshot came late in the term of its leader");
    });
}

/// One attempt; whether a snapshot came late and in the term in which it was sent.
fn overtake_snapshot(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    t.scene("The others go on without a follower, until they have a snapshot that it needs.");
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let victim = (leader + 1) % 3;
    cluster.crash(victim);
    for _ in 0..22 {
        cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
    }
    t.scene("The follower is back. Every other message with a snapshot takes two seconds.");
    let links = [0, 1, 2].map(|from| Name::from(cluster.link(from, victim)));
    let (seen, delayed) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&delayed);
    cluster.net().network().set_tap(move |event| {
        let carries = event.direction == Direction::Request && event.bytes.len() >= CARRIES_SNAPSHOT;
        if !carries || !links.contains(event.end) || seen.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return TapAction::Deliver;
        }
        count.fetch_add(1, Ordering::Relaxed);
        TapAction::Delay(2 * ELECTION)
    });
    cluster.restart(victim);
    cluster.connect(victim);
    let start = Instant::now();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let term = cluster.highest_term();
    let caught_up = start.elapsed();
    for _ in 0..5 {
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    }
    t.scene("The late snapshots arrive, and all goes on.");
    thread::sleep(3 * ELECTION);
    cluster.net().network().clear_tap();
    for _ in 0..5 {
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    }
    delayed.load(Ordering::Relaxed) > 0 && caught_up < 2 * ELECTION && cluster.highest_term() == term
}

/// A voter whose log ends with its snapshot starts again, and is asked for its vote by a candidate that
/// misses what is in the snapshot. Its last entry is the snapshot's (§7: the last included index and term).
#[test]
fn outdated_candidate_2d() {
    run("outdated_candidate_2d", |t: &Test| {
        let mut asked = 0;
        for _ in 0..3 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
            asked += u32::from(ask_behind_snapshot(&cluster));
        }
        t.exercised(asked > 0, "no voter with nothing behind its snapshot was asked");
    });
}

/// One attempt; whether the voter's log ended with its snapshot.
fn ask_behind_snapshot(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let [voter, outdated] = [1, 2].map(|distance| (leader + distance) % 3);
    t.scene("A follower is cut off. The others go on until their logs end with a snapshot.");
    cluster.disconnect(outdated);
    let mut last = 0;
    while last % SNAPSHOTS_EVERY != SNAPSHOTS_EVERY - 1 || last < 2 * SNAPSHOTS_EVERY {
        last = cluster.agree_on(Command::random(), 2, Retry::Yes);
    }
    let has_snapshot = wait_until(ELECTION, || cluster.persister(voter).snapshot_size() > 0);

    t.scene(
        "The leader goes, the other one starts again, and is asked for its vote by the one that was cut off.",
    );
    cluster.disconnect(leader);
    cluster.restart(voter);
    cluster.open_link(outdated, voter);
    thread::sleep(3 * ELECTION);
    let state = cluster.get_state(outdated);
    t.expect(!state.is_some_and(|(_, leads)| leads), || {
        format!(
            "server {outdated} leads, which has none of the commands that are committed up to index {last}: server {voter} \
             has voted for it"
        )
    });

    t.scene("All are back.");
    (0..3).for_each(|server| cluster.connect(server));
    let index = cluster.agree_on(Command::random(), 3, Retry::Yes);
    t.expect(index > last, || format!("index {last} was committed, and index {index} is used anew"));
    has_snapshot
}

/// A leader whose messages to a follower are all snapshots learns a newer term from the replies to them, as
/// from any other (Figure 2, rules for all servers; Figure 13, results: "term: currentTerm, for leader to
/// update itself").
#[test]
fn deaf_leader_2d() {
    run("deaf_leader_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let follower = (cluster.check_one_leader() + 1) % 3;
        t.scene("The others go on without a follower until they have a snapshot that it needs. It stands in vain.");
        cluster.disconnect(follower);
        for _ in 0..22 {
            cluster.agree_on(Command::random(), 2, Retry::Yes);
        }
        thread::sleep(ELECTION);
        let leader = cluster.check_one_leader();
        let before = cluster.get_state(leader);
        let [term, newer] =
            [leader, follower].map(|server| cluster.get_state(server).map_or(0, |(term, _)| term));

        t.scene("It hears the leader again. Of what it says, the leader hears only replies.");
        cluster.open_link(leader, follower);
        let deposed = wait_until(2 * ELECTION, || cluster.get_state(leader) != before);
        t.exercised(newer > term, "the follower had not gone on to a newer term");
        t.expect(deposed || newer <= term, || {
            format!("server {leader} still leads term {term}, although replies had term {newer}")
        });

        t.scene("All links are there again.");
        cluster.connect(follower);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    });
}

/// A follower crashes at the moment when it has acknowledged a snapshot. It must have the snapshot, since the
/// leader sends it only what comes behind (Figure 13).
#[test]
fn crash_after_snapshot_2d() {
    run("crash_after_snapshot_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let crashed = (0..4).filter(|_| take_snapshot_and_crash(&cluster)).count();
        t.exercised(crashed > 0, "no follower crashed right after it had acknowledged a snapshot");
    });
}

/// How long replies are on their way in [`acknowledged_behind_snapshot_2d`]: longer than it takes to send a
/// snapshot, and less than any election timeout or patience with a call.
const HELD: Duration = Duration::from_millis(120);

/// A follower has acknowledged entries behind the end of a snapshot when the snapshot arrives, and its
/// acknowledgements are still on their way. They count when they arrive, so the follower must keep these
/// entries (Figure 13, step 6: "retain log entries following it").
#[test]
fn acknowledged_behind_snapshot_2d() {
    run("acknowledged_behind_snapshot_2d", |t: &Test| {
        let mut relied_on = 0;
        for _ in 0..4 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
            relied_on += u64::from(acknowledge_behind_snapshot(&cluster));
        }
        t.met("acknowledged behind a snapshot (of a leader that does not wait for replies)", relied_on);
    });
}

/// One attempt; whether the leader committed what the follower had acknowledged before the snapshot came.
fn acknowledge_behind_snapshot(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let mut last = 0;
    while last % SNAPSHOTS_EVERY != SNAPSHOTS_EVERY - 2 {
        last = cluster.agree_on(Command::random_text(3 * TEXT), 3, Retry::Yes);
    }
    let leader = cluster.check_one_leader();
    let [follower, third] = [1, 2].map(|distance| (leader + distance) % 3);
    t.scene(
        "The next command reaches both followers, two more only one of them. Its replies take some time.",
    );
    let [to_follower, to_third] = [follower, third].map(|to| Name::from(cluster.link(leader, to)));
    let snapshot_sent = Arc::new(AtomicBool::new(false));
    let (mut entries, has_snapshot) = (0, Arc::clone(&snapshot_sent));
    cluster.net().network().set_tap(move |event| {
        let is_request = event.direction == Direction::Request;
        if *event.end == to_third && is_request {
            entries += u32::from(event.bytes.len() >= TEXT);
            return if entries > 1 { TapAction::Drop } else { TapAction::Deliver };
        }
        if *event.end != to_follower {
            return TapAction::Deliver;
        }
        if !is_request {
            return TapAction::Delay(HELD);
        }
        // Behind the snapshot nothing follows that could repair the log.
        let is_snapshot = event.bytes.len() >= CARRIES_SNAPSHOT;
        if has_snapshot.fetch_or(is_snapshot, Ordering::Relaxed) {
            TapAction::Drop
        } else {
            TapAction::Deliver
        }
    });
    for _ in 0..3 {
        cluster.start(leader, Command::random_text(TEXT));
    }
    t.scene("The leader makes a snapshot of what is committed. It sends that with the next command.");
    wait_until(HELD / 2, || cluster.persister(leader).snapshot_size() > 0);
    cluster.disconnect(third);
    cluster.start(leader, Command::random_text(TEXT));
    let end = last + 3;
    let is_committed = wait_until(2 * HELD, || cluster.n_committed(end).0 > 0);
    t.scene("The leader is cut off. The followers go on without it.");
    cluster.disconnect(leader);
    cluster.net().network().clear_tap();
    cluster.connect(third);
    let next = cluster.agree_on(Command::random(), 2, Retry::Yes);
    t.expect(!is_committed || next > end, || {
        format!("index {end} was committed, and index {next} is used anew")
    });
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    is_committed && snapshot_sent.load(Ordering::Relaxed)
}

/// A leader's snapshot, and the request for a vote in a later term, arrive at a server at one moment. It
/// crashes. What it writes for the snapshot must not take back the term and the vote (Figure 2: "updated on
/// stable storage before responding to RPCs").
#[test]
fn snapshot_and_vote_at_one_moment_2d() {
    // Two elections in each of 16 rounds.
    let allowance = Allowance { virtual_time: Duration::from_secs(240), ..Allowance::default() };
    run_within("snapshot_and_vote_at_one_moment_2d", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        let met = (0..16).filter(|_| vote_as_a_snapshot_comes(&cluster)).count();
        t.exercised(met > 0, "no snapshot and request for a vote came at one moment");
    });
}

/// One attempt; whether the server was in the later term when it crashed.
fn vote_as_a_snapshot_comes(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let [follower, candidate] = [1, 2].map(|distance| (leader + distance) % 3);
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    t.scene("A follower is down while the others make snapshots.");
    cluster.crash(follower);
    let mut made = 0;
    while made < 2 {
        let index = cluster.agree_on(Command::random_text(200), 2, Retry::Yes);
        made += u64::from(index % SNAPSHOTS_EVERY == SNAPSHOTS_EVERY - 1);
    }
    t.scene("It is back, and hears the leader, but the snapshot is lost on its way.");
    let link = Name::from(cluster.link(leader, follower));
    cluster.net().network().set_tap(move |event| {
        let is_large = event.direction == Direction::Request && event.bytes.len() > LARGE;
        if *event.end == link && is_large { TapAction::Drop } else { TapAction::Deliver }
    });
    cluster.restart(follower);
    cluster.connect(follower);
    t.scene("The third server stands for election. What it sends is held back.");
    let before = term(leader);
    let links = [(leader, candidate), (candidate, leader), (candidate, follower)];
    links.iter().for_each(|&(from, to)| cluster.hold_link(from, to));
    wait_until(2 * ELECTION, || term(candidate) > before);
    t.scene("Its request for a vote and the leader's snapshot arrive at one moment.");
    let arrival = delay_a_large_message(cluster, leader, follower);
    wait_until(2 * ELECTION, || arrival.lock().is_some());
    let (at, now) = (*arrival.lock(), Instant::now());
    thread::sleep(at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)));
    cluster.release_link(candidate, follower);
    let is_later = wait_until(ELECTION / 50, || term(follower) > before);
    t.scene("It crashes, and starts again.");
    cluster.crash(follower);
    cluster.net().network().clear_tap();
    links.iter().for_each(|&(from, to)| cluster.release_link(from, to));
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    at.is_some_and(|at| at >= now) && is_later
}
