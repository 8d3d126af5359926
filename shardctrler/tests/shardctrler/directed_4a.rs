//! Faults while the controller makes configurations: each command takes effect once, and no
//! configuration changes.

use crate::cluster::{Cluster, groups};
use labrt::thread;
use shardctrler::{Command, Config, ControllerServer, Reply};
use std::collections::BTreeMap;
use std::time::Duration;
use tester::{Group, Test, run};

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
        assert_eq!(cluster.clerk().query(-1).number, 80);
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
            let lone_join = ask_alone(&cluster, deposed, 100 + group);
            let made = clerk.leave(&[group]).unwrap();
            let newest = clerk.query(-1);
            assert!(
                newest.number >= made,
                "a leave made configuration {made}, but a later query says {} is the newest",
                newest.number
            );
            note(&mut seen, newest);
            cluster.heal();
            // The lone join ends now: the deposed leader refuses it, or its time limit is over.
            let _ = lone_join.join();
            let newest = clerk.query(-1);
            (0..=newest.number).for_each(|number| note(&mut seen, clerk.query(number as i64)));
            clerk.join(groups([(50 + group, &["x"])])).unwrap();
        }
        thread::sleep(Duration::from_secs(1));
        let newest: Vec<_> = (0..3).map(|server| cluster.visit(server, |server| server.newest())).collect();
        assert!(newest.iter().all(|config| *config == newest[0]), "the replicas differ: {newest:?}");
    });
}

/// Sends a join to one server alone, from a thread.
fn ask_alone(cluster: &Group<ControllerServer>, server: usize, group: u64) -> thread::JoinHandle<()> {
    use shardctrler::ControllerPeer;
    let (number, end) = cluster.net().make_end(cluster.name(server));
    cluster.net().network().enable(number, true);
    let peer = ControllerPeer::new(end).timeout(Duration::from_secs(3));
    let command = Command::Join { groups: groups([(group, &["cut", "off"])]) };
    let request = rsm::Request { client: labrt::rand::random(), sequence: 1, command };
    thread::spawn(move || {
        let answer = peer.control(&request);
        assert!(!matches!(answer, Ok(Ok(Reply::Made(_)))), "a leader without a majority made {answer:?}");
    })
}

/// Notes a configuration that a clerk saw, and checks it against the first one seen under its number.
fn note(seen: &mut BTreeMap<u64, Config>, config: Config) {
    let first = seen.entry(config.number).or_insert_with(|| config.clone());
    assert_eq!(*first, config, "configuration {} has changed", config.number);
}
