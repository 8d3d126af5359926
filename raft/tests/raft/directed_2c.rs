//! Part 2C, directed: crashes at the worst moment, and messages from an earlier term.

use std::time::Duration;

use labrpc::{Direction, TapAction};
use labrt::channel::unbounded;
use labrt::rand::random_range;
use labrt::thread;
use raft::Raft;
use tester::{Allowance, Cluster, Command, ELECTION, Retry, Setup, Test, run, run_within};

use crate::waiting::wait_until;

/// Length of a command in bytes, so that a message with it is longer than all others.
const LARGE: usize = 1000;

/// A server crashes right after it has granted its vote. Another candidate asks for its vote in the same
/// term. The server must remember (Figure 2, persistent state).
#[test]
fn crash_after_vote_2c() {
    run("crash_after_vote_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let mut asked_twice = 0;
        for _ in 0..12 {
            let agree = |_| _ = cluster.agree_on(Command::random(), 3, Retry::Yes);
            asked_twice += u32::from(ask_twice(&cluster, agree, |_| true));
            if asked_twice == 3 {
                break;
            }
        }
        t.exercised(asked_twice > 0, "no voter was ever asked by two candidates of one term");
        cluster.recover();
    });
}

/// One attempt; whether the voter was asked by both candidates in the same term. It is told who votes when
/// all must agree, and again between the vote and the crash, where it says whether to go on.
pub(crate) fn ask_twice(
    cluster: &Cluster<Raft>,
    agree: impl FnOnce(usize),
    has_voted: impl FnOnce(usize) -> bool,
) -> bool {
    let t = cluster.test();
    (0..3).for_each(|server| cluster.connect(server));
    let voter = cluster.check_one_leader();
    agree(voter);
    let [one, other] = [1, 2].map(|distance| (voter + distance) % 3);
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let leads = |server, term| cluster.get_state(server) == Some((term, true));

    t.scene("All are alone. The two followers stand for election again and again; the first one's requests are held back.");
    (0..3).for_each(|server| cluster.disconnect(server));
    cluster.open_link(one, voter);
    cluster.hold_link(one, voter);
    // A voter that is the leader does not stand for election, so it does not vote for itself.
    let ready =
        wait_until(Duration::from_secs(10), || term(one) == term(other) + 1 && term(one) > term(voter));
    let contested = term(one);
    cluster.release_link(one, voter);
    let elected = ready && wait_until(Duration::from_millis(150), || leads(one, contested));
    if !elected || !has_voted(voter) || term(other) >= contested {
        return false;
    }

    t.scene("The voter has voted. It crashes, and starts again; now the other candidate asks it in the same term.");
    cluster.restart(voter);
    cluster.open_link(one, voter);
    cluster.open_link(other, voter);
    let asked = wait_until(2 * ELECTION, || term(other) >= contested);
    wait_until(Duration::from_millis(100), || {
        t.expect(!(leads(one, contested) && leads(other, contested)), || {
            format!("servers {one} and {other} both lead term {contested}: server {voter} has voted twice")
        });
        false
    });
    asked && leads(one, contested)
}

/// A follower crashes at the moment when its acknowledgement leaves. The entries that it has acknowledged
/// must be on its disk (Figure 2: "updated on stable storage before responding to RPCs").
#[test]
fn crash_after_acknowledgement_2c() {
    run("crash_after_acknowledgement_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let exercised = (0..5).filter(|_| acknowledge_and_crash(&cluster)).count();
        t.exercised(
            exercised > 0,
            "no follower crashed right after an acknowledgement by which a command was committed",
        );
    });
}

/// One attempt; whether the acknowledgement made a command committed.
fn acknowledge_and_crash(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let [follower, away] = [1, 2].map(|distance| (leader + distance) % 3);

    t.scene(
        "Leader and follower are a majority. The follower crashes as soon as it has acknowledged a command.",
    );
    cluster.disconnect(away);
    let (sender, receiver) = unbounded();
    let (end, mut sent) = (cluster.link(leader, follower), false);
    cluster.net().network().set_tap(move |event| {
        // Each solution has its own fields. The size of the message tells which one carries the command.
        let of_link = *event.end == end.into();
        sent |= of_link && event.direction == Direction::Request && event.bytes.len() >= LARGE;
        if of_link && sent && event.direction == Direction::Reply {
            // After the first one the channel is closed.
            let _ = sender.send(());
        }
        TapAction::Deliver
    });
    let command = Command::random_text(LARGE);
    let accepted = cluster.start(leader, command.clone());
    let acknowledged = receiver.recv_timeout(2 * ELECTION).is_ok();
    // The tap sees the reply just before it leaves: wait until it has left.
    thread::sleep(Duration::from_micros(1));
    cluster.crash(follower);
    cluster.net().network().clear_tap();
    thread::sleep(ELECTION / 4);
    let applied = accepted.map_or(0, |(index, _)| cluster.n_committed(index).0);

    t.scene("The leader is cut off. The follower starts again, with the server that was away. They must have the command.");
    cluster.disconnect(leader);
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.connect(away);
    let index = cluster.agree_on(Command::random(), 2, Retry::Yes);
    if let (Some((earlier, _)), true) = (accepted, applied > 0) {
        t.expect(index > earlier, || {
            format!("index {earlier} was committed with an acknowledgement, and used again at {index}")
        });
        let (count, value) = cluster.n_committed(earlier);
        t.expect(count > applied && value.as_ref() == Some(&command), || {
            format!("command {command} was committed at index {earlier}, but {count} servers have applied it: {value:?}")
        });
    }
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    acknowledged && applied > 0
}

/// A server crashes between writing to its disk and its next action, at one write after the other.
#[test]
fn crash_after_write_2c() {
    run("crash_after_write_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        for _ in 0..20 {
            t.scene("A server crashes right after one of its next writes.");
            let victim = random_range(0..3);
            crash_at_write(&cluster, victim, random_range(1..6));
            for _ in 0..5 {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            cluster.restart(victim);
            cluster.connect(victim);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
    });
}

/// The server's present incarnation crashes at its `number`th write from now on.
fn crash_at_write(cluster: &Cluster<Raft>, server: usize, number: u32) {
    let mut left = number;
    cluster.on_write(server, move |group, _| {
        left = left.saturating_sub(1);
        if left == 0 {
            group.crash(server);
        }
    });
}

/// Messages that a deposed leader sent in its term arrive when there is a new leader. The servers must refuse
/// them (Figure 2, AppendEntries, receiver step 1).
#[test]
fn message_of_deposed_leader_2c() {
    run("message_of_deposed_leader_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        for _ in 0..3 {
            let old = cluster.check_one_leader();
            let others = [1, 2].map(|distance| (old + distance) % 3);

            t.scene("The leader takes commands, but its messages are held back; then it is cut off.");
            others.iter().for_each(|&server| cluster.hold_link(old, server));
            for _ in 0..3 {
                cluster.start(old, Command::random());
            }
            thread::sleep(ELECTION / 20);
            cluster.disconnect(old);

            t.scene("The others elect a leader and agree on other commands.");
            for _ in 0..5 {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }

            t.scene("The old messages arrive.");
            others.iter().for_each(|&server| cluster.release_link(old, server));
            thread::sleep(ELECTION / 5);
            cluster.agree_on(Command::random(), 2, Retry::Yes);
            cluster.connect(old);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}

/// Servers crash and start again all the time; messages to and from earlier incarnations are on their way
/// meanwhile.
#[test]
fn restart_storm_2c() {
    run("restart_storm_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        t.scene("A server crashes and starts again every few milliseconds.");
        for _ in 0..150 {
            let server = random_range(0..5);
            cluster.restart(server);
            cluster.connect(server);
            (0..5).for_each(|server| {
                cluster.start(server, Command::random());
            });
            thread::sleep(Duration::from_millis(random_range(0..200)));
        }
        t.scene("It stops.");
        cluster.recover();
    });
}

/// A server hears of a newer term from a candidate for which it does not vote, and crashes. The term must be
/// on its disk all the same (Figure 2, persistent state): in an older term it might vote a second time.
#[test]
fn crash_after_term_2c() {
    run("crash_after_term_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let crashed = (0..4).filter(|_| hear_and_crash(&cluster)).count();
        t.exercised(crashed > 0, "no server crashed right after it had heard of a newer term");
        cluster.recover();
    });
}

/// One attempt; whether the server crashed in the term of which it had heard.
fn hear_and_crash(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let term = |server| cluster.get_state(server).map_or(0, |(term, _)| term);
    let leader = cluster.check_one_leader();
    let outdated = (leader + 1) % 3;
    let hearer = (leader + 2) % 3;

    t.scene("A follower is cut off and misses a command. It stands for election again and again.");
    cluster.disconnect(outdated);
    cluster.agree_on(Command::random(), 2, Retry::Yes);
    wait_until(3 * ELECTION, || term(outdated) > cluster.highest_term().min(term(leader)) + 1);
    t.scene("It asks one of the others for its vote, in vain. The other one crashes and starts again.");
    cluster.open_link(outdated, hearer);
    let before = term(hearer);
    let heard = wait_until(2 * ELECTION, || term(hearer) > before);
    let heard_of = term(hearer);
    cluster.restart(hearer);
    let after = term(hearer);
    t.expect(after >= heard_of, || {
        format!("server {hearer} was in term {heard_of} before its crash, and starts in term {after}")
    });
    cluster.connect(hearer);
    cluster.connect(outdated);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    heard
}

/// Commands of a deposed leader give way to as many others, which come in one message: its log is as long as
/// before, and has changed all the same. The server crashes when the new commands are committed, and must
/// have them (Figure 2, persistent state).
#[test]
fn crash_after_replacement_2c() {
    run("crash_after_replacement_2c", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let mut replaced = 0;
        for _ in 0..8 {
            replaced += u32::from(crash_after_replacement(&cluster));
            if replaced == 4 {
                break;
            }
        }
        t.exercised(replaced > 0, "no server crashed after it had taken other commands at the same indices");
    });
}

/// One attempt; whether commands were replaced by others at the same indices, and these were committed.
fn crash_after_replacement(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let old = cluster.check_one_leader();
    let count = random_range(1..7);
    let start = |leader| (0..count).fold(None, |last, _| cluster.start(leader, Command::random()).or(last));
    t.scene("A leader is cut off, and takes commands alone. The others elect a new one.");
    cluster.disconnect(old);
    let taken = start(old);
    let new = cluster.check_one_leader();
    let other = 3 - old - new;
    t.scene(
        "The old one is back in place of the third. It takes the new leader's commands at the same indices.",
    );
    cluster.disconnect(other);
    let index = start(new).map_or(0, |(index, _)| index);
    cluster.connect(old);
    let is_committed = wait_until(2 * ELECTION, || index > 0 && cluster.n_committed(index).0 > 0);
    t.scene("It crashes at once, and goes on with the third.");
    go_on_without_the_leader(cluster, [old, new, other], is_committed.then_some(index));
    is_committed && taken.is_some_and(|(taken, _)| taken == index)
}

/// `server` crashes, and goes on with a third one and without `leader`. What both have committed up to this
/// index, if anything, is there.
fn go_on_without_the_leader(
    cluster: &Cluster<Raft>,
    [server, leader, third]: [usize; 3],
    committed: Option<u64>,
) {
    cluster.crash(server);
    cluster.disconnect(leader);
    cluster.connect(third);
    cluster.restart(server);
    cluster.connect(server);
    let next = cluster.agree_on(Command::random(), 2, Retry::Yes);
    cluster.test().expect(Some(next) > committed, || {
        format!("index {} was committed, and index {next} is used anew", committed.unwrap_or_default())
    });
    cluster.connect(leader);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
}

/// A request for a vote, and entries of the leader whom the others have elected meanwhile, arrive at a server
/// at one moment. It acknowledges the entries, and crashes. What it writes for the vote must not take them
/// back (Figure 2: "updated on stable storage before responding to RPCs").
#[test]
fn vote_and_entries_at_one_moment_2c() {
    // Two elections in each of 16 rounds.
    let allowance = Allowance { virtual_time: Duration::from_secs(180), ..Allowance::default() };
    run_within("vote_and_entries_at_one_moment_2c", allowance, |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let met = (0..16).filter(|_| vote_as_entries_come(&cluster)).count();
        t.exercised(met > 0, "no commands were committed by a server that was still asked for its vote");
    });
}

/// One attempt; whether the commands were committed before the server crashed.
fn vote_as_entries_come(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let old = cluster.check_one_leader();
    let [one, other] = [1, 2].map(|distance| (old + distance) % 3);
    t.scene("A leader hears nothing any more, while the others elect one of them.");
    [one, other].iter().for_each(|&from| cluster.hold_link(from, old));
    [one, other].iter().for_each(|&to| cluster.hold_link(old, to));
    cluster.net().network().set_duplication(1.0);
    let leads = |server| cluster.get_state(server).is_some_and(|(_, leads)| leads);
    wait_until(3 * ELECTION, || leads(one) || leads(other));
    let (new, third) = if leads(one) { (one, other) } else { (other, one) };
    t.scene("The new one takes commands. The old one gets them together with the request for its vote.");
    cluster.disconnect(third);
    let last = cluster.start(new, Command::random());
    thread::sleep(Duration::from_millis(random_range(1..10)));
    [one, other].iter().for_each(|&from| cluster.release_link(from, old));
    let index = last.map_or(0, |(index, _)| index);
    let is_committed = wait_until(ELECTION / 4, || index > 0 && cluster.n_committed(index).0 > 0);
    cluster.net().network().set_duplication(0.0);
    [one, other].iter().for_each(|&to| cluster.release_link(old, to));
    t.scene("It crashes, and goes on with the third.");
    go_on_without_the_leader(cluster, [old, new, third], is_committed.then_some(index));
    is_committed
}
