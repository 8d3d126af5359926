//! Parts 2B and 2D, directed: what public bug reports about Rafts in use say went wrong. Commands of very
//! different lengths, entries that come after the snapshot that covers them, a leader that is deposed while
//! it takes a command, and refusals that come late or never.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::quiet;
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

use crate::waiting::wait_until;

/// A follower missed short and long commands in turn, up to a hundred thousand bytes. However a leader packs
/// them into messages, none is left out.
#[test]
fn mixed_sizes_2b() {
    run("mixed_sizes_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        for _ in 0..3 {
            cluster.agree_on(Command::random(), 3, Retry::Yes);
            let leader = cluster.check_one_leader();
            let away = (leader + 1) % 3;
            t.scene("A follower misses commands of very different lengths.");
            cluster.disconnect(away);
            for length in [10, 3_000, 60_000, 20, 30_000, 40, 9_000, 100_000, 30, 2_000, 40_000, 50] {
                cluster.start(leader, Command::random_text(length));
            }
            cluster.agree_on(Command::random(), 2, Retry::Yes);
            t.scene("It is back, and misses none.");
            cluster.connect(away);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
    });
}

/// Requests with entries come late, when a follower has a snapshot that covers the entries before them and
/// some of the entries themselves (§7).
#[test]
fn late_entries_2d() {
    run("late_entries_2d", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).snapshots());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        t.scene("Three of ten requests between servers take up to two seconds. Commands come all the time.");
        let delayed = Arc::new(AtomicU64::new(0));
        let links = Arc::new(quiet::Mutex::new(Vec::new()));
        let (count, of_servers) = (Arc::clone(&delayed), Arc::clone(&links));
        cluster.net().network().set_tap(move |event| {
            let is_between_servers =
                event.direction == Direction::Request && of_servers.lock().contains(event.end);
            if !is_between_servers || !random_bool(0.3) {
                return TapAction::Deliver;
            }
            count.fetch_add(1, Ordering::Relaxed);
            TapAction::Delay(Duration::from_millis(random_range(200..2_000)))
        });
        for _ in 0..250 {
            for server in 0..3 {
                if cluster.start(server, Command::random()).is_some() {
                    *links.lock() = (0..3).map(|to| Name::from(cluster.link(server, to))).collect();
                }
            }
            thread::sleep(Duration::from_millis(random_range(0..60)));
        }
        t.exercised(delayed.load(Ordering::Relaxed) > 0, "no request of a leader was delayed");
        t.scene("The network is in order again.");
        cluster.net().network().clear_tap();
        thread::sleep(2 * ELECTION);
        cluster.recover();
    });
}

/// A leader is deposed at the very moment when it takes a command. It must not put the command into its log
/// in the new term: the new leader may give the same index and term to another command (§5.3).
#[test]
fn deposed_while_starting_2b() {
    run("deposed_while_starting_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let deposed = (0..25).filter(|_| depose_while_starting(&cluster)).count();
        t.exercised(deposed > 0, "no leader was deposed by a held message");
        cluster.recover();
    });
}

/// One attempt; whether the old leader heard of the new term when it was asked to take a command.
fn depose_while_starting(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let old = cluster.check_one_leader();
    let others = [1, 2].map(|distance| (old + distance) % 3);
    let state = |server| cluster.get_state(server).unwrap_or_default();
    let (term, _) = state(old);
    let each_link = |act: &dyn Fn(usize, usize)| {
        others.iter().for_each(|&other| {
            act(old, other);
            act(other, old);
        });
    };

    t.scene("All messages from and to the leader are held back. The others elect a new one.");
    each_link(&|from, to| cluster.hold_link(from, to));
    let leads = |server: &&usize| matches!(state(**server), (now, true) if now > term);
    wait_until(5 * ELECTION, || others.iter().any(|server| leads(&server)));
    let Some(&new) = others.iter().find(leads) else {
        each_link(&|from, to| cluster.release_link(from, to));
        return false;
    };
    let still = state(old) == (term, true);
    // The new leader's heartbeat has left by then.
    thread::sleep(Duration::from_millis(30));
    t.scene("The new leader's message arrives at the moment when the old one takes a command.");
    // Many calls at the same moment: some of them meet the message in the middle.
    let start = || {
        let cluster = cluster.clone();
        thread::spawn(move || cluster.start(old, Command::random()))
    };
    let mut starting: Vec<_> = (0..8).map(|_| start()).collect();
    cluster.release_link(new, old);
    starting.extend((0..8).map(|_| start()));
    let accepted: Vec<(u64, u64)> =
        starting.into_iter().filter_map(|starting| starting.join().ok().flatten()).collect();
    let known_of = state(old).0 > term;
    t.scene("The new leader takes another command.");
    cluster.start(new, Command::random());
    each_link(&|from, to| cluster.release_link(from, to));
    for (index, accepted_in) in accepted {
        t.expect(accepted_in == term || state(old) == (accepted_in, true) || state(old).0 > accepted_in, || {
            format!("server {old} took a command at index {index} in term {accepted_in}, which it does not lead")
        });
    }
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    still && known_of
}

/// What becomes of a follower's answers in [`late_refusal_2b`] and [`lost_refusals_2b`].
#[derive(Default)]
struct Answers {
    /// How many were lost.
    lost: AtomicU64,
    /// From now on they arrive; the first of them to this leader, on this link, is late.
    late_on: quiet::Mutex<Option<Name>>,
    /// Whether one was late.
    was_late: AtomicBool,
}

/// A follower has missed commands, and is back. A leader of a later term does not know what the follower
/// has, and learns nothing, because its answers are lost. Returns leader and follower.
fn lose_answers(cluster: &Cluster<Raft>, missed: u64, length: usize) -> (usize, usize, Arc<Answers>) {
    let t = cluster.test();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    let follower = (cluster.check_one_leader() + 1) % 3;
    t.scene("A follower is cut off, and misses commands.");
    cluster.disconnect(follower);
    for _ in 0..missed {
        cluster.agree_on(Command::random_text(length), 2, Retry::Yes);
    }
    t.scene("It is back, in a later term. The next leader does not know what it has: its answers are lost.");
    let answers = Arc::new(Answers::default());
    let links = [1, 2].map(|distance| Name::from(cluster.link((follower + distance) % 3, follower)));
    let of_tap = answers.clone();
    cluster.net().network().set_tap(move |event| {
        if event.direction == Direction::Request || !links.contains(event.end) {
            return TapAction::Deliver;
        }
        match &*of_tap.late_on.lock() {
            None => {
                of_tap.lost.fetch_add(1, Ordering::Relaxed);
                TapAction::Drop
            }
            Some(link) if event.end == link && !of_tap.was_late.swap(true, Ordering::Relaxed) => {
                TapAction::Delay(LATE)
            }
            Some(_) => TapAction::Deliver,
        }
    });
    cluster.connect(follower);
    thread::sleep(ELECTION);
    (cluster.check_one_leader(), follower, answers)
}

/// How long the late answer in [`late_refusal_2b`] takes.
const LATE: Duration = Duration::from_millis(800);

/// A follower's first refusal comes late, when the follower has all entries by later messages. The leader
/// may believe it once, and must not send again with each heartbeat what the follower has.
#[test]
fn late_refusal_2b() {
    run("late_refusal_2b", |t: &Test| {
        const MISSED: u64 = 50;
        const LENGTH: u64 = 1000;
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let (leader, follower, answers) = lose_answers(&cluster, MISSED, LENGTH as usize);
        let term = cluster.highest_term();
        t.scene("Its next answer is late, and the others arrive.");
        *answers.late_on.lock() = Some(Name::from(cluster.link(leader, follower)));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        thread::sleep(ELECTION);
        t.scene("No command comes.");
        let before = cluster.bytes_total();
        thread::sleep(2 * ELECTION);
        let sent = cluster.bytes_total() - before;
        let is_calm = cluster.highest_term() == term;
        t.exercised(
            is_calm && answers.was_late.load(Ordering::Relaxed),
            "no refusal came late in the term of its leader",
        );
        t.expect(sent < 3 * MISSED * LENGTH || !is_calm, || {
            format!(
                "{sent} bytes were sent in {:?} without a command: a follower gets again and again what it has, \
                 which is {} bytes",
                2 * ELECTION,
                MISSED * LENGTH
            )
        });
    });
}

/// A follower that has missed commands hears its leader and refuses its messages, and the refusals are
/// lost. Each of these messages restarts its election timer, since they come from the leader of its term
/// (Figure 2, rules for followers). If it stood for election, it would depose a leader that works.
#[test]
fn lost_refusals_2b() {
    run("lost_refusals_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let (_, follower, answers) = lose_answers(&cluster, 5, 10);
        let (term, before) = (cluster.highest_term(), answers.lost.load(Ordering::Relaxed));
        thread::sleep(3 * ELECTION);
        let later = cluster.highest_term();
        t.exercised(answers.lost.load(Ordering::Relaxed) > before + 5, "few answers were lost");
        t.expect(term == later || !t.is_ordinary(), || {
            format!(
                "the term went on from {term} to {later}, although server {follower} has heard its leader"
            )
        });
        t.scene("Its answers arrive.");
        cluster.net().network().clear_tap();
        cluster.agree_on(Command::random(), 3, Retry::Yes);
    });
}
