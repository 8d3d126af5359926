//! The tests' cluster: three controllers on a network, and clerks that reach all of them.

use std::collections::BTreeMap;
use std::ops::Deref;

#[allow(unused_imports, reason = "a solution may have these methods without the trait")]
use rsm::ReplicatedServer as _;
use shardctrler::{Clerk, Config, ControllerServer, GroupId, NO_GROUP, SHARDS};
use tester::{Boot, Booted, Checks, Group, Net, Test};

use crate::fewest_moves::fewest_moves;

pub(crate) struct Cluster {
    group: Group<ControllerServer>,
}

impl Deref for Cluster {
    type Target = Group<ControllerServer>;

    fn deref(&self) -> &Group<ControllerServer> {
        &self.group
    }
}

impl Cluster {
    pub(crate) fn new(test: &Test) -> Cluster {
        const SERVERS: usize = 3;
        let checks = Checks::beside(test, SERVERS, 0, ControllerServer::wire());
        let boot = move |boot: Boot| {
            let (observer, life) = checks.begin(&boot);
            let server = ControllerServer::start(boot.ends, boot.me, boot.persister);
            if let Some(observer) = observer {
                server.watch(observer);
            }
            let seen = server.clone();
            life.poll(move || seen.raft_state());
            let services = life.around_all(server.services());
            Booted { server, services }
        };
        let group = Group::new(test, &Net::as_drawn(test), "controller", SERVERS, boot);
        group.start_all();
        group.pause_as_drawn();
        let net = group.net().clone();
        test.at_end(move |_| net.figures(SERVERS, 0));
        Cluster { group }
    }

    /// A clerk with links to all servers, in a random order.
    pub(crate) fn clerk(&self) -> Clerk {
        let first = labrt::rand::random_range(0..self.len());
        let ends = (0..self.len()).map(|server| {
            let (number, end) = self.net().make_end(self.name((first + server) % self.len()));
            self.net().network().enable(number, true);
            end
        });
        Clerk::new(ends.collect())
    }

    /// A clerk that reaches one server only, and the links that reach the others once they are enabled.
    pub(crate) fn clerk_of(&self, only: usize) -> (Clerk, Vec<usize>) {
        let (links, ends): (Vec<usize>, Vec<_>) =
            (0..self.len()).map(|server| self.net().make_end(self.name(server))).unzip();
        self.net().network().enable(links[only], true);
        (Clerk::new(ends), links)
    }

    /// Restarts a crashed server and connects it.
    pub(crate) fn revive(&self, server: usize) {
        self.restart(server);
        self.connect(server);
    }

    /// The first server that believes it is the leader.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.len()).find(|&server| self.visit(server, |server| server.is_leader()) == Some(true))
    }
}

/// Groups with their servers, as a join takes them.
pub(crate) fn groups<const N: usize>(list: [(GroupId, &[&str]); N]) -> BTreeMap<GroupId, Vec<String>> {
    let servers = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    list.into_iter().map(|(group, names)| (group, servers(names))).collect()
}

/// What a configuration says, part by part. `==` of the whole is the submission's own, and may say anything.
pub(crate) fn parts(config: &Config) -> (u64, [GroupId; SHARDS], BTreeMap<GroupId, Vec<String>>) {
    (config.number, config.shards, config.groups.clone())
}

/// Checks that the newest configuration has exactly the expected groups, that each shard is on one
/// of them, and that their numbers of shards differ by at most one.
#[track_caller]
pub(crate) fn check(clerk: &mut Clerk, expected: &[GroupId]) -> Config {
    let config = clerk.query(-1);
    let present: Vec<GroupId> = config.groups.keys().copied().collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(present, expected, "groups of configuration {}", config.number);
    if expected.is_empty() {
        assert_eq!(config.shards, [NO_GROUP; 10], "owners of shards without any group");
        return config;
    }
    let count = |group: &GroupId| config.shards.iter().filter(|&owner| owner == group).count();
    let counts: Vec<usize> = expected.iter().map(count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10, "a shard is on a group that is not present: {config:?}");
    let (most, fewest) = (counts.iter().max(), counts.iter().min());
    assert!(most <= fewest.map(|fewest| fewest + 1).as_ref(), "the shares are uneven: {config:?}");
    config
}

/// Checks that each shard that moved from `before` to `after` moved to a group that joined or away
/// from a group that left, and that no more shards moved than even shares require.
#[track_caller]
pub(crate) fn check_few_moves(before: &Config, after: &Config) {
    for (shard, (from, to)) in before.shards.iter().zip(&after.shards).enumerate() {
        let reason = !before.groups.contains_key(to) || !after.groups.contains_key(from);
        assert!(from == to || reason, "shard {shard} moved from {from} to {to} without need");
    }
    let moved = before.shards.iter().zip(&after.shards).filter(|(from, to)| from != to).count();
    let fewest = fewest_moves(before, after);
    assert_eq!(moved, fewest, "number of shards that moved from {before:?} to {after:?}");
}
