//! Faults while the controller makes configurations: each command takes effect once, and no
//! configuration changes. Moves by hand, and what the next join or leave makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use labrt::rand::random_range;
use labrt::thread;
use shardctrler::{Clerk, Config, GroupId};
use tester::{Test, run};

use crate::cluster::{Cluster, check, groups, parts};
use crate::fewest_moves::fewest_moves;

/// Servers crash and restart on a network that loses messages, while clerks join and leave
/// groups. Each command makes one configuration, however often the clerk sends it.
#[test]
fn commands_count_once_4a() {
    run("commands_count_once_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        cluster.net().network().set_reliable(false);
        let clerks: Vec<_> = (1..=4).map(|group| (group, cluster.clerk())).collect();
        let administrators: Vec<_> = clerks
            .into_iter()
            .map(|(group, mut clerk)| {
                thread::spawn(move || {
                    let mut made = Vec::new();
                    for _ in 0..10 {
                        made.push(clerk.join(groups([(group, &["x", "y"])])).unwrap());
                        made.push(clerk.leave(&[group]).unwrap());
                    }
                    made
                })
            })
            .collect();
        for round in 0..6 {
            let server = round % cluster.len();
            thread::sleep(Duration::from_millis(300));
            cluster.crash(server);
            thread::sleep(Duration::from_millis(200));
            cluster.revive(server);
        }
        let mut made: Vec<u64> =
            administrators.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
        made.sort_unstable();
        assert_eq!(
            made,
            (1..=80).collect::<Vec<u64>>(),
            "80 commands should make configurations 1 to 80, one each"
        );
        cluster.net().network().set_reliable(true);
        assert_eq!(cluster.clerk().query(-1).number, 80, "the newest number, after 80 commands");
    });
}

/// Two leaders: the old one is cut off from the others and does not know of its successor. No
/// number may stand for two configurations, and no configuration that a clerk saw may be lost.
#[test]
fn two_leaders_4a() {
    run("two_leaders_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let mut seen: BTreeMap<u64, Config> = BTreeMap::new();
        let clerk = &mut cluster.clerk();
        for group in 1..=5 {
            clerk.join(groups([(group, &["x"])])).unwrap();
            let Some(deposed) = cluster.leader() else { t.fail("no server leads a healthy cluster") };
            t.scene("The leader is cut off, and takes a command that it cannot replicate.");
            let others: Vec<usize> = (0..3).filter(|&server| server != deposed).collect();
            cluster.partition(&[&others, &[deposed]]);
            let (mut lone, links) = cluster.clerk_of(deposed);
            let lone_join = thread::spawn(move || lone.join(groups([(100 + group, &["cut", "off"])])));
            let made = clerk.leave(&[group]).unwrap();
            let newest = clerk.query(-1);
            assert!(
                newest.number >= made,
                "a leave made configuration {made}, but a later query says {} is the newest",
                newest.number
            );
            note(&mut seen, newest);
            assert!(!lone_join.is_finished(), "a leader without a majority answered a join");
            t.scene("All links are restored. The join takes effect once.");
            cluster.heal();
            links.into_iter().for_each(|link| cluster.net().network().enable(link, true));
            let joined = lone_join.join().expect("a panic of the thread fails the run by itself").unwrap();
            let newest = clerk.query(-1);
            (0..=newest.number).for_each(|number| note(&mut seen, clerk.query(number as i64)));
            let with_group = |config: &&Config| config.groups.contains_key(&(100 + group));
            assert_eq!(
                seen.values().find(with_group).map(|config| config.number),
                Some(joined),
                "the first configuration with group {}, and the one that its join is said to have made",
                100 + group
            );
            clerk.join(groups([(50 + group, &["x"])])).unwrap();
        }
        t.scene("The configurations are the same while each server in turn is down.");
        let newest = clerk.query(-1);
        for server in 0..cluster.len() {
            cluster.crash(server);
            (0..=newest.number).for_each(|number| note(&mut seen, clerk.query(number as i64)));
            let says = clerk.query(-1);
            assert_eq!(
                parts(&says),
                parts(&newest),
                "the newest configuration while server {server} is down"
            );
            cluster.revive(server);
        }
    });
}

/// A clerk that reaches only the old leader queries while the others have gone on. It gets no configuration
/// older than one that a clerk has seen, however long it has to wait.
#[test]
fn query_at_old_leader_4a() {
    run("query_at_old_leader_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        clerk.join(groups([(100, &["x"])])).unwrap();
        for group in 1..=5 {
            let Some(old) = cluster.leader() else { t.fail("no server leads a healthy cluster") };
            t.scene("The leader is cut off, and the others make a configuration.");
            let others: Vec<usize> = (0..3).filter(|&server| server != old).collect();
            cluster.partition(&[&others, &[old]]);
            let made = clerk.join(groups([(group, &["x"])])).unwrap();
            t.scene("A clerk queries the old leader.");
            let (mut lone, links) = cluster.clerk_of(old);
            let query = thread::spawn(move || lone.query(-1));
            thread::sleep(Duration::from_millis(300));
            cluster.heal();
            links.into_iter().for_each(|link| cluster.net().network().enable(link, true));
            let seen = query.join().expect("a panic of the thread fails the run by itself").number;
            t.expect(seen >= made, || {
                format!("a join made configuration {made}, but a later query says {seen} is the newest")
            });
        }
    });
}

/// Each move makes one configuration, which differs in the owner of that shard and in nothing else: also when
/// the shares become uneven, and when the group owns the shard already.
#[test]
fn each_move_4a() {
    run("each_move_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        clerk.join(groups([(1, &["x"]), (2, &["y"]), (3, &["z"])])).unwrap();
        let mut before = clerk.query(-1);
        for shard in [0, 1, 2, 3, 4, 4, 5, 9, 9, 0] {
            for group in [1, 3] {
                let made = clerk.move_shard(shard, group);
                let after = clerk.query(-1);
                t.expect(made == Ok(before.number + 1) && after.number == before.number + 1, || {
                    format!(
                        "a move of shard {shard} to group {group} made {made:?}, and configuration {} is the newest, \
                         after {}",
                        after.number, before.number
                    )
                });
                let mut expected = Config { number: after.number, ..before };
                expected.shards[shard] = group;
                t.expect(parts(&after) == parts(&expected), || {
                    format!("a move of shard {shard} to group {group} made {after:?} and not {expected:?}")
                });
                before = after;
            }
        }
    });
}

/// Moves by hand make the shares uneven. The next join or leave makes them even again, of all groups and not
/// only of those that come or go, and moves no more shards than that takes.
#[test]
fn even_after_moves_4a() {
    run("even_after_moves_4a", |t: &Test| {
        let cluster = Cluster::new(t);
        let clerk = &mut cluster.clerk();
        clerk.join(groups([(1, &["a"]), (2, &["b"]), (3, &["c"]), (4, &["d"])])).unwrap();
        for group in 5..=8 {
            t.scene("Most shards move to one group by hand. Another group joins.");
            let before = uneven(clerk, group - 4);
            clerk.join(groups([(group, &["x"])])).unwrap();
            expect_even(t, clerk, &before, &[1, 2, 3, 4, group]);
            t.scene("The same again. The group leaves.");
            let before = uneven(clerk, group - 4);
            clerk.leave(&[group]).unwrap();
            expect_even(t, clerk, &before, &[1, 2, 3, 4]);
        }
        t.scene("Nine groups join at once, which makes more groups than shards. They leave at once.");
        let nine: Vec<GroupId> = (11..20).collect();
        let before = uneven(clerk, 1);
        clerk.join(nine.iter().map(|&group| (group, vec!["x".to_owned()])).collect()).unwrap();
        expect_even(t, clerk, &before, &[&[1, 2, 3, 4], &nine[..]].concat());
        let before = uneven(clerk, 11);
        clerk.leave(&nine).unwrap();
        expect_even(t, clerk, &before, &[1, 2, 3, 4]);
    });
}

/// Moves most shards to this group by hand, and returns the configuration after that.
fn uneven(clerk: &mut Clerk, group: GroupId) -> Config {
    for shard in 0..random_range(6..=9) {
        clerk.move_shard(shard, group).unwrap();
    }
    clerk.query(-1)
}

/// Fails unless the shares of these groups are even, and as few shards as possible have moved.
fn expect_even(t: &Test, clerk: &mut Clerk, before: &Config, present: &[GroupId]) {
    let after = check(clerk, present);
    let moved = before.shards.iter().zip(&after.shards).filter(|(from, to)| from != to).count();
    let fewest = fewest_moves(before, &after);
    t.expect(moved == fewest, || {
        format!("{moved} shards have moved, and {fewest} are enough, from {before:?} to {after:?}")
    });
}

/// Notes a configuration that a clerk saw, and checks it against the first one seen under its number.
fn note(seen: &mut BTreeMap<u64, Config>, config: Config) {
    let first = seen.entry(config.number).or_insert_with(|| config.clone());
    assert_eq!(parts(first), parts(&config), "configuration {} has changed", config.number);
}
