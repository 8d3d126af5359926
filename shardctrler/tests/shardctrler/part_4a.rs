//! Part 4A: the course's tests. The checks of "minimal transfers" really count transfers here. In
//! the course's editions before 2024 their loops run over groups that do not exist.

use std::collections::BTreeMap;
use std::time::Duration;

use labrt::thread;
use shardctrler::{Clerk, Config, GroupId};
use tester::{Test, run};

use crate::cluster::{Cluster, check, check_few_moves, groups, parts};

/// Groups join and leave, and clerks query old and new configurations.
#[test]
fn basic_4a() {
    run("basic_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        let history = basic_join_and_leave(t, clerk);

        t.scene("Old configurations stay the same while each server in turn is down.");
        for server in 0..cluster.len() {
            cluster.crash(server);
            for config in &history {
                let (number, asked_again) = (config.number, clerk.query(config.number as i64));
                assert_eq!(
                    parts(&asked_again),
                    parts(config),
                    "configuration {number} while server {server} is down, and as it was made"
                );
            }
            cluster.revive(server);
        }

        t.scene("A clerk moves shards by hand, and they stay there.");
        clerk.join(groups([(503, &["3a", "3b", "3c"])])).unwrap();
        clerk.join(groups([(504, &["4a", "4b", "4c"])])).unwrap();
        let target = |shard| if shard < 5 { 503 } else { 504 };
        for shard in 0..10 {
            let before = clerk.query(-1);
            clerk.move_shard(shard, target(shard)).unwrap();
            let moved = before.shards[shard] != target(shard);
            assert!(!moved || clerk.query(-1).number > before.number, "a move made no configuration");
        }
        let owners = clerk.query(-1).shards;
        assert_eq!(owners.to_vec(), (0..10).map(target).collect::<Vec<_>>(), "owners, after ten moves");
        clerk.leave(&[503]).unwrap();
        clerk.leave(&[504]).unwrap();

        t.scene("Ten clerks join and leave at the same time.");
        let wanted: Vec<GroupId> = (0..10).map(|i| 100 + 10 * i).collect();
        concurrently(&cluster, &wanted, |clerk, group| {
            let names = [format!("s{group}a"), format!("s{group}b")];
            clerk.join(groups([(group + 1000, &[&names[0]])])).unwrap();
            clerk.join(groups([(group, &[&names[1]])])).unwrap();
            clerk.leave(&[group + 1000]).unwrap();
        });
        let mut before = check(clerk, &wanted);

        t.scene("Joins move as few shards as possible.");
        for group in 11..=15 {
            let names = [format!("{group}a"), format!("{group}b")];
            clerk.join(groups([(group, &[&names[0], &names[1], &names[1]])])).unwrap();
            before = step(clerk, &before);
        }
        t.scene("Leaves move as few shards as possible, too.");
        for group in 11..=15 {
            clerk.leave(&[group]).unwrap();
            before = step(clerk, &before);
        }
    });
}

/// Returns the configurations that the joins and leaves make.
fn basic_join_and_leave(t: &Test, clerk: &mut Clerk) -> Vec<Config> {
    t.scene("Two groups join and leave.");
    let mut history = vec![check(clerk, &[])];
    clerk.join(groups([(1, &["x", "y", "z"])])).unwrap();
    history.push(check(clerk, &[1]));
    clerk.join(groups([(2, &["a", "b", "c"])])).unwrap();
    let both = check(clerk, &[1, 2]);
    let joined = groups([(1, &["x", "y", "z"]), (2, &["a", "b", "c"])]);
    assert_eq!(both.groups, joined, "groups and their servers, after two joins");
    history.push(both);
    clerk.leave(&[1]).unwrap();
    history.push(check(clerk, &[2]));
    clerk.leave(&[2]).unwrap();
    history.push(check(clerk, &[]));
    history
}

/// Returns the newest configuration after checking that it moved as few shards as possible.
fn step(clerk: &mut Clerk, before: &Config) -> Config {
    let after = clerk.query(-1);
    check_few_moves(before, &after);
    after
}

/// Runs `work` for each group at once, each with a thread and a clerk of its own.
fn concurrently(cluster: &Cluster, groups: &[GroupId], work: fn(&mut Clerk, GroupId)) {
    let start = |&group: &GroupId| {
        let mut clerk = cluster.clerk();
        thread::spawn(move || work(&mut clerk, group))
    };
    let threads: Vec<_> = groups.iter().map(start).collect();
    for thread in threads {
        // A panic of the thread fails the test by itself.
        let _ = thread.join();
    }
}

/// Joins and leaves of several groups in one command.
#[test]
fn multi_4a() {
    run("multi_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        t.scene("Groups join and leave together.");
        check(clerk, &[]);
        let two = groups([(1, &["x", "y", "z"]), (2, &["a", "b", "c"])]);
        clerk.join(two.clone()).unwrap();
        assert_eq!(check(clerk, &[1, 2]).groups, two, "groups and their servers, after a join of two");
        let third = groups([(3, &["j", "k", "l"])]);
        clerk.join(third.clone()).unwrap();
        let all: BTreeMap<_, _> = two.into_iter().chain(third).collect();
        assert_eq!(
            check(clerk, &[1, 2, 3]).groups,
            all,
            "groups and their servers, after a third has joined"
        );
        clerk.leave(&[1, 3]).unwrap();
        let rest = groups([(2, &["a", "b", "c"])]);
        assert_eq!(check(clerk, &[2]).groups, rest, "groups and their servers, after two have left");
        clerk.leave(&[2]).unwrap();

        t.scene("Ten clerks join and leave several groups at the same time.");
        let wanted: Vec<GroupId> = (1000..1010).collect();
        concurrently(&cluster, &wanted, |clerk, group| {
            let names = ["a", "b", "c"].map(|letter| format!("{group}{letter}"));
            let [a, b, c] = names.each_ref().map(String::as_str);
            let joining = groups([(group, &[a, b, c]), (group + 1000, &[a]), (group + 2000, &[b])]);
            clerk.join(joining).unwrap();
            clerk.leave(&[group + 1000, group + 2000]).unwrap();
        });
        let before = check(clerk, &wanted);

        t.scene("A join of five groups moves as few shards as possible.");
        let names: Vec<[String; 2]> = (11..=15).map(|g| [format!("{g}a"), format!("{g}b")]).collect();
        let five = (11..=15).zip(&names).map(|(group, names)| (group, names.to_vec()));
        clerk.join(five.collect()).unwrap();
        let before = step(clerk, &before);
        t.scene("Their leave moves as few shards as possible, too.");
        clerk.leave(&[11, 12, 13, 14, 15]).unwrap();
        step(clerk, &before);

        another_leader_says_the_same(t, &cluster, clerk);
    });
}

/// The course's addition of 2022: detects servers that walk through the groups in different orders.
fn another_leader_says_the_same(t: &Test, cluster: &Cluster, clerk: &mut Clerk) {
    t.scene("The leader crashes. Its successor has the same configuration.");
    let Some(leader) = cluster.leader() else { t.fail("no server leads a healthy cluster") };
    let before = clerk.query(-1);
    cluster.crash(leader);
    let deadline = labrt::time::Instant::now() + Duration::from_secs(5);
    while cluster.leader().is_none() {
        t.expect_in_time(labrt::time::Instant::now() < deadline, || {
            "no leader after five seconds".to_owned()
        });
        thread::sleep(Duration::from_millis(20));
    }
    let says = clerk.query(-1);
    assert_eq!(parts(&says), parts(&before), "what the next leader says, and what the crashed one said");
}

/// The course's test of 2024: shards that need not move stay.
#[test]
fn minimal_again_4a() {
    run("minimal_again_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        t.scene("A third group joins.");
        clerk.join(groups([(1, &["x", "y", "z"])])).unwrap();
        clerk.join(groups([(2, &["a", "b", "c"])])).unwrap();
        let two = check(clerk, &[1, 2]);
        clerk.join(groups([(3, &["j", "k", "l"])])).unwrap();
        let three = check(clerk, &[1, 2, 3]);
        check_few_moves(&two, &three);
        assert!(moved(&two, &three) <= 10 / 3 + 1, "too many shards moved, from {two:?} to {three:?}");
        t.scene("The first one leaves.");
        clerk.leave(&[1]).unwrap();
        let rest = check(clerk, &[2, 3]);
        check_few_moves(&three, &rest);
        assert!(moved(&three, &rest) <= 10 / 3 + 1, "too many shards moved, from {three:?} to {rest:?}");
    });
}

fn moved(before: &Config, after: &Config) -> usize {
    before.shards.iter().zip(&after.shards).filter(|(from, to)| from != to).count()
}
