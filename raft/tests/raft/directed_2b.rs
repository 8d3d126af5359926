//! Part 2B, directed: situations of replication that chance brings about too rarely.

use std::time::Duration;

use labrpc::{Direction, Name, TapAction};
use labrt::channel::unbounded;
use labrt::quiet;
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

use crate::waiting::wait_until;

/// Followers get AppendEntries in another order than the leader sent them. Entries that they have
/// acknowledged stay, also when an older message with fewer entries comes later (Figure 2, AppendEntries,
/// receiver step 3: "if an existing entry conflicts").
#[test]
fn reordered_append_entries_2b() {
    run("reordered_append_entries_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);

        t.scene("Three of ten AppendEntries take up to half a second. Commands come all the time.");
        let delayed = Arc::new(AtomicU64::new(0));
        // A leader without snapshots sends AppendEntries only, so these are the requests on its links,
        // whatever the solution calls them.
        let links_of_leader = Arc::new(quiet::Mutex::new(Vec::new()));
        let (count, links) = (Arc::clone(&delayed), Arc::clone(&links_of_leader));
        cluster.net().network().set_tap(move |event| {
            let of_leader = event.direction == Direction::Request && links.lock().contains(event.end);
            if !of_leader || !random_bool(0.3) {
                return TapAction::Deliver;
            }
            count.fetch_add(1, Ordering::Relaxed);
            TapAction::Delay(Duration::from_millis(random_range(150..500)))
        });
        for _ in 0..200 {
            for server in 0..3 {
                if cluster.start(server, Command::random()).is_some() {
                    let links = (0..3).map(|to| Name::from(cluster.link(server, to)));
                    *links_of_leader.lock() = links.collect();
                }
            }
            thread::sleep(Duration::from_millis(random_range(0..40)));
        }
        t.exercised(delayed.load(Ordering::Relaxed) > 0, "no request of a leader was delayed");

        t.scene("The network is in order again.");
        cluster.net().network().clear_tap();
        cluster.recover();
    });
}

/// A leader repairs a long wrong log with few RPCs (the end of §5.3).
#[test]
fn backup_rpcs_2b() {
    run("backup_rpcs_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);

        t.scene("The leader is cut off, and takes 200 commands that no other server gets.");
        let first = cluster.check_one_leader();
        cluster.disconnect(first);
        for _ in 0..200 {
            cluster.start(first, Command::random());
        }
        t.scene("The others agree on as many.");
        agree_on_200(&cluster, first);
        t.scene("Each of them is alone until it has stood for election, so that the next leader begins at the end of its log.");
        let others = [1, 2].map(|step| (first + step) % 3);
        others.iter().for_each(|&server| cluster.disconnect(server));
        thread::sleep(2 * ELECTION);
        others.iter().for_each(|&server| cluster.connect(server));
        cluster.check_one_leader();

        t.scene("The old leader comes back, and its log is repaired.");
        let (before, start) = (cluster.rpc_count(first), Instant::now());
        cluster.connect(first);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let spent = cluster.rpc_count(first) - before;
        // Heartbeats go on meanwhile, so the bound grows with time.
        let bound = 40 + 20 * start.elapsed().as_secs();
        t.expect(spent <= bound, || {
            format!("expected at most {bound} RPCs to replace 200 entries of one term, not {spent}")
        });
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}

/// Has about 200 commands agreed on by the two servers that are not `away`.
fn agree_on_200(cluster: &Cluster<Raft>, away: usize) {
    for _ in 0..20 {
        for server in (0..3).filter(|&server| server != away) {
            for _ in 0..9 {
                cluster.start(server, Command::random());
            }
        }
        cluster.agree_on(Command::random(), 2, Retry::Yes);
    }
}

/// Servers with outdated logs cannot win, and must not keep the one that can from standing: a vote request
/// that is refused does not restart the election timer (Figure 2, rules for followers).
#[test]
fn outdated_candidates_2b() {
    run("outdated_candidates_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(9));
        for _ in 0..3 {
            outdated_candidates(&cluster);
        }
    });
}

fn outdated_candidates(cluster: &Cluster<Raft>) {
    let t = cluster.test();
    t.scene("Four followers are cut off and miss a command.");
    cluster.agree_on(Command::random(), 9, Retry::Yes);
    let leader = cluster.check_one_leader();
    let outdated = [1, 2, 3, 4].map(|distance| (leader + distance) % 9);
    outdated.iter().for_each(|&server| cluster.disconnect(server));
    cluster.agree_on(Command::random(), 5, Retry::Yes);

    t.scene("Of the servers that have the command one stays. Those that missed it come back. Only one server can win.");
    let leader = cluster.check_one_leader();
    let up_to_date: Vec<usize> = (0..9).filter(|server| !outdated.contains(server)).collect();
    let keep = up_to_date.iter().copied().find(|&server| server != leader);
    up_to_date.iter().filter(|&&server| Some(server) != keep).for_each(|&server| cluster.disconnect(server));
    outdated.iter().for_each(|&server| cluster.connect(server));
    cluster.agree_on(Command::random(), 5, Retry::Yes);

    t.scene("All are back.");
    cluster.recover();
}

/// Figure 8 of the paper, step by step: an entry of an older term may be on a majority and still be lost, so
/// being there does not commit it (§5.4.2).
#[test]
fn figure_8_played_2b() {
    run("figure_8_played_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(10, 5, Retry::Yes);
        let s1 = cluster.check_one_leader();
        let s2 = (s1 + 1) % 5;
        let others = [2, 3, 4].map(|distance| (s1 + distance) % 5);
        let only = |servers: &[usize]| {
            (0..5).filter(|server| !servers.contains(server)).for_each(|server| cluster.disconnect(server));
            servers.iter().for_each(|&server| cluster.connect(server));
        };

        t.scene(format!("(a) The leader, server {s1} (the paper's S1), sends a command that only server {s2} (S2) receives."));
        only(&[s1, s2]);
        cluster.start(s1, 20);
        thread::sleep(ELECTION / 2);

        t.scene("(b) Without these two, one of the others (S5) is elected. It takes a command that nobody hears of.");
        only(&others);
        let s5 = cluster.check_one_leader();
        let (term, _) = cluster.get_state(s5).unwrap_or_default();
        cluster.disconnect(s5);
        cluster.start(s5, 30);

        let s3 = if s5 == others[0] { others[1] } else { others[0] };
        t.scene(format!(
            "(c) Servers {s1}, {s2} and {s3} (S1, S2, S3) elect a leader. It brings its old command to server {s3}, and \
             has no new one."
        ));
        only(&[s1, s2, s3]);
        let newer =
            |&server: &usize| cluster.get_state(server).is_some_and(|(now, leads)| leads && now > term);
        let elected = wait_until(10 * ELECTION, || [s1, s2].iter().any(newer));
        t.expect(elected, || format!("expected server {s1} or {s2} to be elected within 10 s"));
        thread::sleep(ELECTION / 2);

        t.scene(format!(
            "(d) Servers {s1} and {s2} go. Server {s5} (S5) is back with S3 and S4, is elected, and overwrites the command."
        ));
        only(&others);
        cluster.agree_on(40, 3, Retry::Yes);

        t.scene("All are back.");
        only(&[0, 1, 2, 3, 4]);
        cluster.agree_on(50, 5, Retry::Yes);
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}

/// The service is slow, so commands are committed faster than it takes them. They still arrive in order, and
/// the leader stays the leader meanwhile.
#[test]
fn slow_service_2b() {
    run("slow_service_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3).slow_service());
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let leader = cluster.check_one_leader();
        let term = cluster.highest_term();

        t.scene("A command every few milliseconds, for a second.");
        for _ in 0..200 {
            cluster.start(leader, Command::random());
            thread::sleep(Duration::from_millis(random_range(0..10)));
        }
        t.scene("The services catch up.");
        thread::sleep(ELECTION);
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let later = cluster.highest_term();
        if later != term && t.is_ordinary() {
            t.fail(format!("the term changed from {term} to {later} because the services were slow"));
        }
    });
}

/// Logs that differ from their first entry on: a leader goes back to the beginning, and no further (§5.3).
#[test]
fn first_entry_differs_2b() {
    run("first_entry_differs_2b", |t: &Test| {
        let mut differed = 0;
        for wrong in [1, 4] {
            let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
            let old = cluster.check_one_leader();
            t.scene("The leader is cut off before the first command, and takes commands that no other gets.");
            cluster.disconnect(old);
            let started = (0..wrong).filter_map(|_| cluster.start(old, Command::random())).next();
            differed += u32::from(started.is_some());
            t.scene("The others agree on other commands, and the old leader comes back.");
            for _ in 0..2 {
                cluster.agree_on(Command::random(), 2, Retry::Yes);
            }
            cluster.connect(old);
            cluster.agree_on(Command::random(), 3, Retry::Yes);
        }
        t.exercised(differed > 0, "no server that was cut off led");
    });
}

/// A server that leads a second time must not rely on what it knew about the followers the first time (Figure
/// 2, volatile state on leaders: reinitialized after election).
#[test]
fn leader_again_2b() {
    run("leader_again_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        let mut tried = 0;
        for _ in 0..6 {
            tried += u32::from(lead_again(&cluster));
        }
        t.exercised(tried > 0, "no server ever led a second time");
        cluster.recover();
    });
}

/// One attempt; whether the old leader led again.
fn lead_again(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let first = cluster.check_one_leader();
    let server = |distance: usize| (first + distance) % 5;

    t.scene("The leader and a follower are alone, and take commands that cannot be committed.");
    cluster.partition(&[&[first, server(1)], &[server(2), server(3), server(4)]]);
    for _ in 0..5 {
        cluster.start(first, Command::random());
    }
    thread::sleep(ELECTION / 2);

    t.scene("The others agree on other commands, and all are connected again.");
    cluster.disconnect(first);
    cluster.disconnect(server(1));
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    cluster.heal();
    cluster.connect(first);
    cluster.connect(server(1));
    cluster.agree_on(Command::random(), 5, Retry::Yes);

    t.scene("The follower is cut off, and the others hold elections until the old leader leads again.");
    cluster.disconnect(server(1));
    let again = elect(cluster, first);
    if again && cluster.get_state(first).is_some_and(|(_, leads)| leads) {
        t.scene("It has one follower left. What it knew about the one that is cut off must not count.");
        cluster.disconnect(server(2));
        cluster.disconnect(server(3));
        let started = cluster.start(first, Command::random());
        thread::sleep(ELECTION);
        if let Some((index, _)) = started {
            let (count, _) = cluster.n_committed(index);
            t.expect(count == 0, || {
                format!("{count} servers have applied index {index}, which two of five have")
            });
        }
    }
    (0..5).for_each(|server| cluster.connect(server));
    cluster.agree_on(Command::random(), 5, Retry::Yes);
    again
}

/// Length in bytes of a command by which a message is told from all others.
const LARGE: usize = 2000;

/// A reply that belongs to an earlier term says nothing about the present log: what the follower acknowledged
/// then may have been overwritten since (Figure 2: match index is reinitialized after election).
#[test]
fn late_acknowledgement_2b() {
    run("late_acknowledgement_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        let mut came_late = 0;
        for _ in 0..6 {
            came_late += u32::from(acknowledge_late(&cluster));
            if came_late == 3 {
                break;
            }
        }
        t.exercised(came_late > 0, "no acknowledgement reached a leader in a later term of its own");
        cluster.recover();
    });
}

/// One attempt; whether the old acknowledgement reached the leader while it led again.
fn acknowledge_late(cluster: &Cluster<Raft>) -> bool {
    let t = cluster.test();
    let first = cluster.check_one_leader();
    let server = |distance: usize| (first + distance) % 5;
    let follower = server(1);

    t.scene("The leader and a follower are alone. The follower acknowledges commands, and its last reply is held back.");
    cluster.partition(&[&[first, follower], &[server(2), server(3), server(4)]]);
    for _ in 0..20 {
        cluster.start(first, Command::random());
    }
    thread::sleep(ELECTION / 4);
    let Some(acknowledged) = hold_acknowledgement(cluster, first, follower) else {
        return give_up(cluster, first, follower);
    };

    t.scene("The others agree on another command, which replaces those.");
    cluster.disconnect(first);
    cluster.disconnect(follower);
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    cluster.heal();
    cluster.connect(first);
    cluster.connect(follower);
    cluster.agree_on(Command::random(), 4, Retry::Yes);
    thread::sleep(ELECTION / 2);

    t.scene("The follower is cut off, and the others hold elections until the old leader leads again.");
    cluster.disconnect(follower);
    if !elect(cluster, first) {
        return give_up(cluster, first, follower);
    }
    t.scene("It and one other server take as many commands again. Only now the old reply arrives.");
    cluster.disconnect(server(2));
    cluster.disconnect(server(3));
    let index = cluster.start(first, Command::random()).map(|(index, _)| index);
    let mut last = index;
    while last.is_some_and(|last| last <= acknowledged) {
        last = cluster.start(first, Command::random()).map(|(index, _)| index);
    }
    thread::sleep(ELECTION / 10);
    let leads = cluster.get_state(first).is_some_and(|(_, leads)| leads);
    cluster.release_link(first, follower);
    thread::sleep(ELECTION / 10);
    if let Some(index) = index {
        let (count, _) = cluster.n_committed(index);
        t.expect(count == 0, || {
            format!("{count} servers have applied index {index}, which two of five have: an acknowledgement of an earlier term was counted")
        });
    }
    (0..5).for_each(|server| cluster.connect(server));
    cluster.agree_on(Command::random(), 5, Retry::Yes);
    leads && last.is_some()
}

/// Has the leader send the follower a long command, and holds back the reply. Returns the command's index.
fn hold_acknowledgement(cluster: &Cluster<Raft>, leader: usize, follower: usize) -> Option<u64> {
    let (sender, receiver) = unbounded();
    let (link, mut sent) = (Name::from(cluster.link(leader, follower)), false);
    cluster.net().network().set_tap(move |event| {
        if *event.end == link {
            sent |= event.direction == Direction::Request && event.bytes.len() >= LARGE;
            if sent && event.direction == Direction::Reply {
                // After the first one no server listens.
                let _ = sender.send(());
                return TapAction::Delay(Duration::from_millis(10));
            }
        }
        TapAction::Deliver
    });
    let (index, _) = cluster.start(leader, Command::random_text(LARGE))?;
    let has_left = receiver.recv_timeout(ELECTION).is_ok();
    cluster.hold_link(leader, follower);
    cluster.net().network().clear_tap();
    has_left.then_some(index)
}

/// A follower has entries that no other server has, and gets heartbeats, while every message with entries is
/// lost. A heartbeat says how far the logs agree, and nothing of what comes behind (Figure 2, AppendEntries,
/// receiver step 5: the minimum of leaderCommit and the index of the last new entry).
#[test]
fn heartbeats_only_2b() {
    run("heartbeats_only_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(Command::random(), 3, Retry::Yes);
        let mut lost = 0;
        for _ in 0..3 {
            lost += lose_entries(&cluster);
        }
        t.exercised(lost > 0, "no message with entries was lost");
    });
}

/// One round; how many messages with entries were lost.
fn lose_entries(cluster: &Cluster<Raft>) -> u64 {
    let t = cluster.test();
    let old = cluster.check_one_leader();
    t.scene(
        "The leader is cut off, and takes commands that no other server gets. The others agree on as many.",
    );
    cluster.disconnect(old);
    for _ in 0..10 {
        cluster.start(old, Command::random_text(LARGE));
    }
    for _ in 0..12 {
        cluster.agree_on(Command::random_text(LARGE), 2, Retry::Yes);
    }
    t.scene("It is back, and for a while only short messages reach it.");
    let count = Arc::new(AtomicU64::new(0));
    let (lost, links) = (Arc::clone(&count), [0, 1, 2].map(|from| Name::from(cluster.link(from, old))));
    cluster.net().network().set_tap(move |event| {
        let carries = event.direction == Direction::Request && event.bytes.len() >= LARGE;
        if !carries || !links.contains(event.end) {
            return TapAction::Deliver;
        }
        lost.fetch_add(1, Ordering::Relaxed);
        TapAction::Drop
    });
    cluster.connect(old);
    thread::sleep(2 * ELECTION);
    t.scene("Now all messages do.");
    cluster.net().network().clear_tap();
    cluster.agree_on(Command::random(), 3, Retry::Yes);
    count.load(Ordering::Relaxed)
}

/// Holds elections until this server leads; whether it does after eight of them.
fn elect(cluster: &Cluster<Raft>, wanted: usize) -> bool {
    (0..8).any(|_| {
        let leader = cluster.check_one_leader();
        if leader != wanted {
            cluster.disconnect(leader);
            cluster.check_one_leader();
            cluster.connect(leader);
        }
        leader == wanted
    })
}

fn give_up(cluster: &Cluster<Raft>, first: usize, follower: usize) -> bool {
    cluster.release_link(first, follower);
    cluster.heal();
    (0..5).for_each(|server| cluster.connect(server));
    cluster.agree_on(Command::random(), 5, Retry::Yes);
    false
}
