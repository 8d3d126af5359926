//! Part 2D, directed: one snapshot of a leader and then another, one in many pieces, and one with nothing
//! behind it.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

use crate::moments::{SNAPSHOTS_EVERY, agree_until_snapshot};
use crate::waiting::wait_until;

/// Length of the commands in [`old_behind_new_snapshot_2d`]. A snapshot of 29 may fit into one message.
const TEXT: usize = 1000;

/// An older snapshot arrives right behind a newer one, before anything else has come from the leader, and
/// perhaps before the service has taken the newer one. It covers less than what is on the disk already.
#[test]
fn old_behind_new_snapshot_2d() {
    run("old_behind_new_snapshot_2d", |t: &Test| {
        let mut overtaken = 0;
        for round in 0..6 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
            // What comes at one moment is handled by two threads beside each other.
            let gap = Duration::from_micros(if round % 2 == 0 { 0 } else { 50 });
            overtaken += u64::from(overtake_closely(&cluster, gap));
        }
        t.met(
            "an older snapshot right behind a newer one (of a leader that does not wait for replies)",
            overtaken,
        );
    });
}

/// When the messages with snapshots arrive.
#[derive(Default)]
struct Arrivals {
    /// The first one's length in bytes, and when it arrives.
    old: Option<(usize, Instant)>,
    /// A newer one is on its way.
    has_new: bool,
    /// How long before the old one the new one arrives.
    gap: Duration,
}

/// One attempt; whether an older snapshot arrived behind a newer one of the same leader.
fn overtake_closely(cluster: &Cluster<Raft>, gap: Duration) -> bool {
    let t = cluster.test();
    t.scene("The others go on without a follower, until they have a snapshot that it needs.");
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let victim = (leader + 1) % 3;
    cluster.crash(victim);
    for _ in 0..22 {
        cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
    }
    t.scene(
        "The follower is back. The snapshot is long on its way; of the next ones only a newer one arrives.",
    );
    let links = [1, 2].map(|distance| Name::from(cluster.link((victim + distance) % 3, victim)));
    let [is_sent, overtaken] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (mut arrivals, has_old, has_new) =
        (Arrivals { gap, ..Arrivals::default() }, Arc::clone(&is_sent), Arc::clone(&overtaken));
    cluster.net().network().set_tap(move |event| {
        if event.direction != Direction::Request || !links.contains(event.end) {
            return TapAction::Deliver;
        }
        let action = arrivals.of_request(event.bytes.len());
        has_old.store(arrivals.old.is_some(), Ordering::Relaxed);
        has_new.store(arrivals.has_new, Ordering::Relaxed);
        action
    });
    cluster.restart(victim);
    cluster.connect(victim);
    let term = cluster.highest_term();
    wait_until(ELECTION, || is_sent.load(Ordering::Relaxed));
    for _ in 0..8 {
        cluster.start(leader, Command::random_text(TEXT));
    }
    thread::sleep(2 * ELECTION);
    let is_calm = cluster.highest_term() == term;
    cluster.net().network().clear_tap();
    t.scene("All goes on.");
    for _ in 0..12 {
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    }
    is_calm && overtaken.load(Ordering::Relaxed)
}

impl Arrivals {
    /// What becomes of a request to the follower. Small ones keep it from standing for election.
    fn of_request(&mut self, length: usize) -> TapAction {
        let now = Instant::now();
        match self.old {
            _ if length < 15 * TEXT => TapAction::Deliver,
            None => {
                self.old = Some((length, now + ELECTION));
                TapAction::Delay(ELECTION)
            }
            Some((old, arrival)) if !self.has_new && length > old + 5 * TEXT && now < arrival => {
                self.has_new = true;
                TapAction::Delay((arrival - now).saturating_sub(self.gap))
            }
            Some((_, arrival)) if now < arrival => TapAction::Drop,
            Some(_) => TapAction::Deliver,
        }
    }
}

/// Length of the commands in [`half_a_snapshot_2d`]: a snapshot of 19 of them takes two messages or more of a
/// leader that sends it in pieces.
const LONG: usize = 3000;

/// A leader is gone when half of its snapshot has arrived. The next leader sends another one: what is left of
/// the first is no part of it (Figure 13, steps 2 to 5).
#[test]
fn half_a_snapshot_2d() {
    run("half_a_snapshot_2d", |t: &Test| {
        let mut halves = 0;
        for _ in 0..3 {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(5).snapshots());
            halves += u64::from(leave_half_a_snapshot(&cluster));
        }
        t.met("half a snapshot from a leader that is gone (if it sends them in pieces)", halves);
    });
}

/// One attempt; whether a first piece had come when the leader was cut off.
fn leave_half_a_snapshot(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    t.scene("The others go on without a follower, until they have a snapshot that it needs.");
    cluster.agree_on(Command::random(), 5, Retry::Yes);
    let leader = cluster.check_one_leader();
    let victim = (leader + 1) % 5;
    cluster.crash(victim);
    for _ in 0..22 {
        cluster.agree_on(Command::random_text(LONG), 4, Retry::Yes);
    }
    t.scene("The follower is back. What follows the first message with a snapshot is lost, and the leader is cut off.");
    let has_piece = Arc::new(AtomicBool::new(false));
    let link = Name::from(cluster.link(leader, victim));
    let seen = Arc::clone(&has_piece);
    cluster.net().network().set_tap(move |event| {
        let is_from_leader = *event.end == link && event.direction == Direction::Request;
        let is_first = is_from_leader && event.bytes.len() > 8 * LONG && !seen.swap(true, Ordering::Relaxed);
        if is_from_leader && !is_first && seen.load(Ordering::Relaxed) {
            TapAction::Drop
        } else {
            TapAction::Deliver
        }
    });
    cluster.restart(victim);
    cluster.connect(victim);
    let whole = cluster.persister(leader).snapshot_size();
    wait_until(ELECTION, || has_piece.load(Ordering::Relaxed));
    thread::sleep(ELECTION / 10);
    let has_all = cluster.persister(victim).snapshot_size() >= whole;
    cluster.disconnect(leader);
    cluster.disconnect(victim);
    cluster.net().network().clear_tap();
    t.scene("The others elect another leader, and make another snapshot. The follower needs it.");
    for _ in 0..12 {
        cluster.agree_on(Command::random_text(LONG), 3, Retry::Yes);
    }
    cluster.connect(victim);
    for _ in 0..3 {
        cluster.agree_on(Command::random(), 4, Retry::Yes);
    }
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 5, Retry::Yes);
    has_piece.load(Ordering::Relaxed) && !has_all
}

/// How long each message that carries a piece of the snapshot takes in [`many_pieces_2d`]: less than the
/// heartbeats' interval, while ten of them take longer than any election timeout.
const PIECE_TAKES: Duration = Duration::from_millis(90);

/// A snapshot that takes more than ten messages, if the leader sends it in pieces. Each piece shows the
/// follower that its leader is there. If it stood for election all the same, the snapshot would begin anew,
/// again and again. Commands come meanwhile, and the leader's service makes newer snapshots: no piece of
/// those belongs to the first one, nor does the first one begin anew for each of them.
#[test]
fn many_pieces_2d() {
    run("many_pieces_2d", |t: &Test| {
        let (cluster, leader, victim) = need_a_long_snapshot(t);
        t.scene("The follower is back. Each message with a part of a snapshot takes a while.");
        let pieces = at_each_piece(&cluster, victim, TapAction::Delay(PIECE_TAKES));
        let term = cluster.highest_term();
        cluster.restart(victim);
        cluster.connect(victim);
        let has_it = || cluster.persister(victim).snapshot_size() > 50 * LONG;
        let caught_up = (0..300).any(|_| {
            cluster.start(leader, Command::random());
            wait_until(10 * ELECTION / 300, has_it)
        });
        t.expect(caught_up, || {
            format!(
                "for {:?} a follower has not got the snapshot that it needs; the term went on from {term} to {}",
                10 * ELECTION,
                cluster.highest_term()
            )
        });
        cluster.net().network().clear_tap();
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        t.met(
            "a snapshot in more than ten pieces (if a leader sends pieces)",
            u64::from(pieces.load(Ordering::Relaxed) > 10),
        );
    });
}

/// Each message with a piece of a snapshot arrives twice. The second time it changes nothing (Figure 13,
/// step 3: "write data into snapshot file at given offset").
#[test]
fn pieces_come_twice_2d() {
    run("pieces_come_twice_2d", |t: &Test| {
        let (cluster, _, victim) = need_a_long_snapshot(t);
        t.scene("The follower is back. Each message with a part of a snapshot arrives twice.");
        let pieces = at_each_piece(&cluster, victim, TapAction::Duplicate);
        cluster.restart(victim);
        cluster.connect(victim);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        cluster.net().network().clear_tap();
        t.exercised(pieces.load(Ordering::Relaxed) > 0, "no message carried a part of a snapshot");
        t.met("pieces of a snapshot (if a leader sends pieces)", pieces.load(Ordering::Relaxed));
    });
}

/// A new cluster, its leader, and a follower that is down and needs a long snapshot.
fn need_a_long_snapshot(t: &Test) -> (Cluster<Raft>, usize, usize) {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let victim = (leader + 1) % 3;
    cluster.crash(victim);
    t.scene("The others go on without a follower, until they have a long snapshot that it needs.");
    for _ in 0..32 {
        cluster.agree_on(Command::random_text(5 * LONG), 2, Retry::Yes);
    }
    (cluster, leader, victim)
}

/// What becomes of messages to this server that carry a part of a snapshot; their number.
fn at_each_piece(cluster: &Cluster<Raft>, to: usize, action: TapAction) -> Arc<AtomicU64> {
    let links = [1, 2].map(|distance| Name::from(cluster.link((to + distance) % 3, to)));
    let pieces = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pieces);
    cluster.net().network().set_tap(move |event| {
        let is_long = event.direction == Direction::Request && event.bytes.len() > LONG;
        if !is_long || !links.contains(event.end) {
            return TapAction::Deliver;
        }
        count.fetch_add(1, Ordering::Relaxed);
        action
    });
    pieces
}

/// The leader's log ends with its snapshot, and no command follows. A follower that needs the snapshot
/// hands it to its service all the same: nothing else will wake whoever waits for something to hand over
/// (Figure 13, step 8).
#[test]
fn nothing_behind_the_snapshot_2d() {
    run("nothing_behind_the_snapshot_2d", |t: &Test| {
        let met = (0..3).filter(|_| catch_up_without_a_command(t)).count();
        t.exercised(met > 0, "no log ended with its snapshot");
    });
}

/// One attempt; whether the others' logs ended with their snapshots when the follower was back.
fn catch_up_without_a_command(t: &Test) -> bool {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let leader = cluster.check_one_leader();
    let victim = (leader + 1) % 3;
    cluster.crash(victim);
    t.scene("The others go on without a follower, until their logs end with a snapshot.");
    let mut last = 0;
    while last % SNAPSHOTS_EVERY != SNAPSHOTS_EVERY - 1 || last < 2 * SNAPSHOTS_EVERY {
        last = cluster.agree_on(Command::random_text(LONG), 2, Retry::Yes);
    }
    let others = [0, 2].map(|distance| (leader + distance) % 3);
    let ends_so =
        wait_until(ELECTION, || others.iter().all(|&server| cluster.persister(server).state_size() < LONG));
    t.scene("The follower is back, and no command comes.");
    cluster.restart(victim);
    cluster.connect(victim);
    let has_all = wait_until(5 * ELECTION, || cluster.n_committed(last).0 == 3);
    t.expect(has_all || !ends_so, || {
        format!(
            "{:?} after server {victim} was back its service has not got what is committed up to index {last}, \
             which the leader's snapshot covers",
            5 * ELECTION
        )
    });
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    ends_so
}

/// A server's log holds entries of a later term when its service makes a snapshot. It starts again and leads,
/// and a follower still has in its log what the snapshot covers. What the disk tells of the snapshot's
/// last entry must be what every log says of it (Figure 13, `lastIncludedTerm`).
#[test]
fn later_terms_behind_the_snapshot_2d() {
    run("later_terms_behind_the_snapshot_2d", |t: &Test| {
        let met = (0..3).filter(|_| lead_behind_an_earlier_term(t)).count();
        t.exercised(met > 0, "no server with entries of a later term behind its snapshot started again");
    });
}

/// One attempt; whether that server had its snapshot, and the follower had none that reaches so far.
fn lead_behind_an_earlier_term(t: &Test) -> bool {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
    let first = cluster.check_one_leader();
    t.scene("All have the same log. Both followers' services begin to make a snapshot, and are long at it.");
    cluster.hold_snapshots((0..3).filter(|&server| server != first));
    agree_until_snapshot(&cluster);
    t.scene("The leader is cut off. One of the others leads the next term.");
    cluster.disconnect(first);
    let second = cluster.check_one_leader();
    let follower = 3 - first - second;
    t.scene("Now the other one is cut off, and the new leader has a command committed.");
    cluster.disconnect(follower);
    cluster.connect(first);
    cluster.agree_on(Command::random(), 1, Retry::Yes);
    t.scene("The new leader's service gets ready with its snapshot. The server starts again.");
    let size = |server: usize| cluster.persister(server).snapshot_size();
    let before = [second, follower].map(size);
    cluster.hold_snapshots(Some(follower));
    let is_made = wait_until(ELECTION / 4, || size(second) > before[0]);
    cluster.disconnect(first);
    cluster.crash(second);
    cluster.restart(second);
    t.scene("It leads the follower, which has no snapshot, and brings it what it lacks.");
    cluster.connect(second);
    cluster.connect(follower);
    cluster.agree_on(Command::random(), 1, Retry::Yes);
    let has_none = size(follower) == before[1];
    t.scene("All are back.");
    cluster.hold_snapshots(None);
    cluster.connect(first);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    is_made && has_none
}
