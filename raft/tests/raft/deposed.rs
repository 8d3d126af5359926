//! Parts 2A, 2C and 2D, directed: what a leader sends as it is deposed, what arrives when it is, and what it
//! must not forget when a reply has deposed it.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

use crate::directed_2c::ask_twice;
use crate::waiting::wait_until;

/// Length of the commands in [`snapshot_of_deposed_leader_2d`]: only a snapshot is longer than ten of them.
const TEXT: usize = 1000;

/// How long the old leader's snapshot is on its way: longer than two elections.
const LATE: Duration = Duration::from_secs(4);

/// A leader's snapshot arrives when that leader is deposed, and the follower to whom it was sent leads.
/// It leads on (Figure 13, receiver step 1: "reply immediately if term < currentTerm").
#[test]
fn snapshot_of_deposed_leader_2d() {
    run("snapshot_of_deposed_leader_2d", |t: &Test| {
        let met = (0..2).any(|_| lead_when_the_snapshot_comes(t));
        t.exercised(met, "no server led a later term when the old leader's snapshot came");
    });
}

/// One attempt; whether the follower led a later term when the snapshot came.
fn lead_when_the_snapshot_comes(t: &Test) -> bool {
    let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let old = cluster.check_one_leader();
    let [follower, third] = [1, 2].map(|distance| (old + distance) % 3);
    t.scene("The others go on without a follower, until they have a snapshot that it needs.");
    cluster.crash(follower);
    for _ in 0..22 {
        cluster.agree_on(Command::random_text(TEXT), 2, Retry::Yes);
    }
    t.scene("It is back, and the leader is cut off when it has sent the snapshot, which takes seconds.");
    let (link, is_sent) = (Name::from(cluster.link(old, follower)), Arc::new(AtomicBool::new(false)));
    let of_tap = Arc::clone(&is_sent);
    cluster.net().network().set_tap(move |event| {
        let is_snapshot = event.direction == Direction::Request && event.bytes.len() > 10 * TEXT;
        if *event.end != link || !is_snapshot || of_tap.swap(true, Ordering::Relaxed) {
            return TapAction::Deliver;
        }
        TapAction::Delay(LATE)
    });
    cluster.restart(follower);
    cluster.connect(follower);
    wait_until(ELECTION, || is_sent.load(Ordering::Relaxed));
    let arrival = Instant::now() + LATE;
    cluster.disconnect(old);
    t.scene("The follower gets all from the next leader, and leads itself by the vote of the old one.");
    cluster.agree_on(Command::random(), 2, Retry::Yes);
    cluster.disconnect(third);
    cluster.open_link(follower, old);
    let leads = || cluster.get_state(follower).filter(|&(_, leads)| leads);
    wait_until(arrival.saturating_duration_since(Instant::now()), || leads().is_some());
    thread::sleep((arrival - ELECTION / 50).saturating_duration_since(Instant::now()));
    let before = leads();
    thread::sleep(ELECTION / 25);
    let after = cluster.get_state(follower);
    t.expect(after >= before, || {
        format!(
            "server {follower} led {before:?}, and is {after:?} when a snapshot of an older term has come"
        )
    });
    t.scene("All are back.");
    cluster.net().network().clear_tap();
    [old, third].iter().for_each(|&server| cluster.connect(server));
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    is_sent.load(Ordering::Relaxed) && before.is_some()
}

/// A server learns a newer term from a reply, and crashes. The term is on its disk as if a request had
/// brought it (Figure 2, persistent state, and rules for all servers: "if RPC request or response").
#[test]
fn crash_after_reply_2c() {
    run("crash_after_reply_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let met = (0..4).filter(|round| learn_and_crash(&cluster, round % 2 == 0)).count();
        t.exercised(met > 0, "no server crashed right after a reply had told it a newer term");
    });
}

/// One attempt, with a leader or a candidate; whether it crashed in the term of which a reply had told it.
fn learn_and_crash(cluster: &Cluster<Raft>, is_leader: bool) -> bool {
    let t = cluster.test();
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let server = cluster.check_one_leader();
    let other = (server + 1) % 3;
    let before = term(server);
    if is_leader {
        t.scene("The leader is cut off. The others go on to a later term.");
        cluster.disconnect(server);
        wait_until(3 * ELECTION, || term(other) > before);
    } else {
        t.scene("The leader crashes. The others go on to later terms. Then it is there again, stands, and hears nobody.");
        cluster.crash(server);
        wait_until(3 * ELECTION, || term(other) > before);
        cluster.disconnect(other);
        wait_until(3 * ELECTION, || term(other) > before + 2);
        cluster.restart(server);
        wait_until(2 * ELECTION, || term(server) > before);
    }
    let asked = term(server);
    t.scene("Of what it says replies come back. It crashes as soon as it is in the later term.");
    cluster.open_link(server, other);
    let learns = wait_until(ELECTION, || term(server) > asked);
    let learnt = term(server);
    cluster.restart(server);
    let after = term(server);
    t.expect(after >= learnt, || {
        format!("server {server} was in term {learnt} before its crash, and starts in term {after}")
    });
    (0..3).for_each(|server| cluster.connect(server));
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    learns && learnt > asked && learnt <= term(other)
}

/// A leader is deposed at the moment when it sends heartbeats and is asked for its state. What it sends has
/// the term that it led, or is not sent: in the new term it is no leader (§5.2), nor does it say so.
#[test]
fn deposed_while_sending_2a() {
    run("deposed_while_sending_2a", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let met = (0..25).filter(|round| depose_while_sending(&cluster, round % 5 > 1)).count();
        t.exercised(met > 0, "no leader heard of the next one when it sent its heartbeats");
    });
}

/// One attempt; whether the old leader still led when the new one's message arrived. It may be asked for its
/// state then, by many at once.
fn depose_while_sending(cluster: &Cluster<Raft>, is_asked: bool) -> bool {
    let t = cluster.test();
    let old = cluster.check_one_leader();
    t.scene("The leader is cut off. The others elect a new one.");
    cluster.disconnect(old);
    let new = cluster.check_one_leader();
    let [led, leads] = [old, new].map(|server| cluster.get_state(server));
    t.scene("The old one can send again, but hears no reply. The new one's messages to it are held back.");
    let links = [1, 2].map(|distance| Name::from(cluster.link(old, (old + distance) % 3)));
    let sent = Arc::new(Mutex::new([Instant::now(); 2]));
    let of_tap = Arc::clone(&sent);
    cluster.net().network().set_tap(move |event| match event.direction {
        Direction::Reply if links.contains(event.end) => TapAction::Drop,
        Direction::Request if links.contains(event.end) => {
            let mut sent = of_tap.lock();
            if sent[1] < Instant::now() {
                *sent = [sent[1], Instant::now()];
            }
            TapAction::Deliver
        }
        _ => TapAction::Deliver,
    });
    cluster.hold_link(new, old);
    cluster.connect(old);
    thread::sleep(ELECTION / 4);
    t.scene("They arrive when the old one's next heartbeats are due.");
    let [last, latest] = *sent.lock();
    let due = latest + latest.saturating_duration_since(last);
    thread::sleep(due.saturating_duration_since(Instant::now()));
    let meets = cluster.get_state(old) == led;
    let ask = |_| {
        let cluster = cluster.clone();
        thread::spawn(move || cluster.get_state(old))
    };
    // Some of these questions meet the message in the middle.
    let askers = if is_asked { 0..24 } else { 0..0 };
    let mut asked: Vec<_> = askers.clone().map(ask).collect();
    cluster.release_link(new, old);
    asked.extend(askers.map(ask));
    for (term, says_so) in asked.into_iter().filter_map(|asked| asked.join().ok().flatten()) {
        t.expect(!says_so || Some((term, true)) != leads, || {
            format!("server {old} says that it leads term {term}, which server {new} leads")
        });
    }
    // The same term, and no leader.
    let is_deposed = wait_until(ELECTION / 10, || cluster.get_state(new) < leads);
    t.expect(!is_deposed, || {
        format!("server {new} led {leads:?}, and follows the leader {old} of an older term, who has heard of this one")
    });
    cluster.net().network().clear_tap();
    meets
}

/// A deposed leader votes, and gets commands in place of those that it had alone, so that most of what is on
/// its disk is of no use any more. It crashes, and another candidate of the same term asks it. It must
/// remember its vote, however it tidies its disk (Figure 2, persistent state).
#[test]
fn vote_outlives_commands_2c() {
    run("vote_outlives_commands_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let met = (0..4).any(|_| vote_and_lose_commands(&cluster));
        t.exercised(met, "no voter lost commands between its vote and the next candidate's request");
        cluster.recover();
    });
}

/// One attempt; whether the voter was asked again in the term of its vote, after it had lost commands.
fn vote_and_lose_commands(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let size = |server| cluster.persister(server).state_size();
    let take_commands_alone = |voter: usize| {
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        t.scene("The leader is cut off, and takes commands alone. The others agree on another one, and start again.");
        cluster.disconnect(voter);
        (0..3).for_each(|_| _ = cluster.start(voter, Command::random_text(TEXT)));
        cluster.agree_on(Command::random(), 2, Retry::Yes);
        (0..3).filter(|&server| server != voter).for_each(|server| cluster.restart(server));
    };
    let lose_them = |voter: usize| {
        t.scene("The voter gets the winner's log.");
        wait_until(ELECTION / 10, || size(voter) < TEXT)
    };
    ask_twice(cluster, take_commands_alone, lose_them)
}
