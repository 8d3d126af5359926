//! Part 2B: the replicated log.

use std::collections::BTreeSet;

use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Moved, Retry, Setup, Test, run};

use crate::part_2b_counts::{idle_second_is_cheap, starts_are_cheap};

/// The servers agree on commands, one after the other, at the indices 1, 2, 3.
#[test]
fn basic_agree_2b() {
    run("basic_agree_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        t.scene("Three commands, one after the other.");
        for index in 1..=3 {
            let (count, _) = cluster.n_committed(index);
            t.expect(count == 0, || {
                format!("{count} servers have applied index {index} before it was started")
            });
            let got = cluster.agree_on(100 * index, 3, Retry::No);
            t.expect(got == index, || format!("expected agreement at index {index}, not at {got}"));
        }
    });
}

/// Each command crosses the network once for each peer, and not much more often.
#[test]
fn rpc_bytes_2b() {
    run("rpc_bytes_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(99, 3, Retry::No);
        let (before, rpcs_before) = (cluster.bytes_total(), cluster.rpc_total());

        t.scene("Ten commands of 5,000 bytes.");
        for index in 2..=11 {
            let got = cluster.agree_on(Command::random_text(5000), 3, Retry::No);
            t.expect(got == index, || format!("expected agreement at index {index}, not at {got}"));
        }
        let sent = cluster.bytes_total() - before;
        // On a strange network a correct solution may send an entry again that is still on its way.
        let bound = 3 * 10 * 5000 + 50_000;
        t.expect(sent <= bound || !t.is_ordinary(), || {
            let rpcs = cluster.rpc_total() - rpcs_before;
            format!(
                "expected at most {bound} bytes of RPCs for ten commands of 5,000 bytes to two followers, not {sent} in \
                 {rpcs} RPCs of {} bytes on average: AppendEntries may send an entry again before its reply is late",
                sent / rpcs.max(1)
            )
        });
    });
}

/// Followers are lost one by one, until there is no majority.
#[test]
fn follower_failure_2b() {
    run("follower_failure_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::No);

        t.scene("One follower is cut off. Two servers still agree.");
        let leader = cluster.check_one_leader();
        cluster.disconnect((leader + 1) % 3);
        cluster.agree_on(102, 2, Retry::No);
        thread::sleep(ELECTION);
        cluster.agree_on(103, 2, Retry::No);

        t.scene("The other follower is cut off as well. The leader alone must not commit.");
        let leader = cluster.check_one_leader();
        cluster.disconnect((leader + 1) % 3);
        cluster.disconnect((leader + 2) % 3);
        expect_start(&cluster, leader, 104, 4..=4);
        thread::sleep(2 * ELECTION);
        expect_nothing_committed(&cluster, 4);
    });
}

/// Leaders are lost one after the other, until there is no majority.
#[test]
fn leader_failure_2b() {
    run("leader_failure_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::No);

        t.scene("The leader is cut off. The others elect one and agree.");
        let first = cluster.check_one_leader();
        cluster.disconnect(first);
        cluster.agree_on(102, 2, Retry::No);
        thread::sleep(ELECTION);
        cluster.agree_on(103, 2, Retry::No);

        t.scene("The next leader is cut off, too. Commands at any of the three must not be committed.");
        let second = cluster.check_one_leader();
        cluster.disconnect(second);
        for server in 0..3 {
            cluster.start(server, 104);
        }
        thread::sleep(2 * ELECTION);
        expect_nothing_committed(&cluster, 4);
    });
}

/// A follower that was away gets what it has missed.
#[test]
fn fail_agree_2b() {
    run("fail_agree_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::No);

        t.scene("A follower is cut off. The others go on.");
        let leader = cluster.check_one_leader();
        let away = (leader + 1) % 3;
        cluster.disconnect(away);
        cluster.agree_on(102, 2, Retry::No);
        cluster.agree_on(103, 2, Retry::No);
        thread::sleep(ELECTION);
        cluster.agree_on(104, 2, Retry::No);
        cluster.agree_on(105, 2, Retry::No);

        t.scene("It comes back, and catches up.");
        cluster.connect(away);
        cluster.agree_on(106, 3, Retry::Yes);
        thread::sleep(ELECTION);
        cluster.agree_on(107, 3, Retry::Yes);
    });
}

/// Without a majority nothing is committed; with one again, things go on.
#[test]
fn fail_no_agree_2b() {
    run("fail_no_agree_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(10, 5, Retry::No);

        t.scene("Three of five are cut off. The leader takes a command and must not commit it.");
        let leader = cluster.check_one_leader();
        let away = [1, 2, 3].map(|distance| (leader + distance) % 5);
        away.iter().for_each(|&server| cluster.disconnect(server));
        expect_start(&cluster, leader, 20, 2..=2);
        thread::sleep(2 * ELECTION);
        expect_nothing_committed(&cluster, 2);

        t.scene("They come back. The command may or may not be overwritten.");
        away.iter().for_each(|&server| cluster.connect(server));
        let leader = cluster.check_one_leader();
        expect_start(&cluster, leader, 30, 2..=3);
        cluster.agree_on(1000, 5, Retry::Yes);
    });
}

/// Commands that arrive at the same time get indices of their own, and are all committed.
#[test]
fn concurrent_starts_2b() {
    run("concurrent_starts_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        for attempt in 0..5 {
            if attempt > 0 {
                thread::sleep(3 * ELECTION);
            }
            if start_together(&cluster).is_ok() {
                return;
            }
            t.note("the term has changed: try again");
        }
        t.fail("the term changed in each of five attempts, although nothing had failed");
    });
}

/// Five threads start a command each; an error if the term moves on meanwhile.
fn start_together(cluster: &Cluster<Raft>) -> Result<(), Moved> {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let (_, term) = cluster.start(leader, 1).ok_or(Moved)?;
    t.scene("Five threads start a command at the leader.");
    let threads: Vec<_> = (0..5)
        .map(|number| {
            let cluster = cluster.clone();
            thread::spawn(move || cluster.start(leader, 100 + number))
        })
        .collect();
    let accepted: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect();
    if cluster.highest_term() != term {
        return Err(Moved);
    }
    let mut found = BTreeSet::new();
    for (index, _) in accepted.into_iter().filter(|&(_, at)| at == term) {
        found.extend(cluster.wait_committed(index, 3, Some(term))?.number());
    }
    t.expect((100..105).all(|number| found.contains(&number)), || {
        format!("expected all of the commands 100 to 104 to be committed, but only {found:?} were")
    });
    Ok(())
}

/// A deposed leader's uncommitted entries give way.
#[test]
fn rejoin_2b() {
    run("rejoin_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(101, 3, Retry::Yes);

        t.scene("The leader is cut off, and takes commands that no other server gets.");
        let first = cluster.check_one_leader();
        cluster.disconnect(first);
        for command in 102..=104 {
            cluster.start(first, command);
        }

        t.scene("The others elect a new leader and agree on another command.");
        cluster.agree_on(103, 2, Retry::Yes);

        t.scene("The new leader is cut off, and the old one comes back.");
        let second = cluster.check_one_leader();
        cluster.disconnect(second);
        cluster.connect(first);
        cluster.agree_on(104, 2, Retry::Yes);

        t.scene("All are back.");
        cluster.connect(second);
        cluster.agree_on(105, 3, Retry::Yes);
        expect_lost_suffix(&cluster);
    });
}

/// A leader finds out quickly where the log of a follower parts from its own.
#[test]
fn backup_2b() {
    run("backup_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        let server = |first: usize, distance: usize| (first + distance) % 5;
        let start_50 = |leader: usize| {
            (0..50).for_each(|_| {
                cluster.start(leader, Command::random());
            });
        };
        let agree_50 = || {
            (0..50).for_each(|_| {
                cluster.agree_on(Command::random(), 3, Retry::Yes);
            });
        };
        cluster.agree_on(Command::random(), 5, Retry::Yes);

        t.scene("The leader and one follower are left alone, and take 50 commands that cannot be committed.");
        let first = cluster.check_one_leader();
        [2, 3, 4].iter().for_each(|&distance| cluster.disconnect(server(first, distance)));
        start_50(first);
        thread::sleep(ELECTION / 2);

        t.scene("They are cut off. The other three come back and agree on 50 commands of their own.");
        [0, 1].iter().for_each(|&distance| cluster.disconnect(server(first, distance)));
        [2, 3, 4].iter().for_each(|&distance| cluster.connect(server(first, distance)));
        agree_50();

        t.scene(
            "One of the three is cut off; the two that are left take 50 commands that cannot be committed.",
        );
        let second = cluster.check_one_leader();
        let other = if second == server(first, 2) { server(second, 1) } else { server(first, 2) };
        cluster.disconnect(other);
        start_50(second);
        thread::sleep(ELECTION / 2);

        t.scene("All are cut off. Those with the oldest logs come back, with the one that was cut off last.");
        (0..5).for_each(|server| cluster.disconnect(server));
        [first, server(first, 1), other].iter().for_each(|&server| cluster.connect(server));
        agree_50();

        t.scene("All are back, and must end with one log.");
        (0..5).for_each(|server| cluster.connect(server));
        cluster.agree_on(Command::random(), 5, Retry::Yes);
        expect_lost_suffix(&cluster);
    });
}

/// Few RPCs for an election, for agreement, and for nothing.
#[test]
fn count_2b() {
    run("count_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let rpcs = || (0..3).map(|server| cluster.rpc_count(server)).sum::<u64>();

        t.scene("An election.");
        cluster.check_one_leader();
        let total = rpcs();
        t.expect((1..=30).contains(&total), || {
            format!("expected 1 to 30 RPCs until there is a leader, not {total}")
        });

        t.scene("Twelve commands in a row.");
        for attempt in 0..5 {
            if attempt > 0 {
                thread::sleep(3 * ELECTION);
            }
            if starts_are_cheap(&cluster, &rpcs).is_ok() {
                t.scene("A second without commands.");
                idle_second_is_cheap(&cluster, &rpcs);
                return;
            }
            t.note("the term has changed: try again");
        }
        t.fail("the term changed in each of five attempts, although nothing had failed");
    });
}

/// The server must accept the command, at one of these indices.
fn expect_start(
    cluster: &Cluster<Raft>,
    server: usize,
    command: u64,
    indices: std::ops::RangeInclusive<u64>,
) {
    match cluster.start(server, command) {
        Some((index, _)) if indices.contains(&index) => {}
        Some((index, _)) => {
            let (first, last) = (indices.start(), indices.end());
            cluster.test().fail(format!(
                "expected server {server} to take command {command} at an index from {first} to {last}, not at {index}"
            ));
        }
        None => {
            cluster.test().fail(format!("expected server {server}, the leader, to take command {command}"))
        }
    }
}

fn expect_nothing_committed(cluster: &Cluster<Raft>, index: u64) {
    let (count, _) = cluster.n_committed(index);
    cluster.test().expect(count == 0, || {
        format!("{count} servers have applied index {index}, although no majority could agree on it")
    });
}

/// The test is about entries that give way to those of a later leader.
fn expect_lost_suffix(cluster: &Cluster<Raft>) {
    cluster.test().exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
}
