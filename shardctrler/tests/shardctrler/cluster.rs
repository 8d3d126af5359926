//! The cluster of the tests: controllers on a network, and clerks that reach all of them.

use shardctrler::{Clerk, Config, ControllerServer, GroupId, NO_GROUP};
use std::collections::BTreeMap;
use std::ops::Deref;
use tester::{Boot, Booted, Figures, Group, Net, Test, Watched};

/// Three controllers.
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
        let watched = Watched::beside(test, SERVERS, 0);
        let boot = move |boot: Boot| {
            let observer = watched.observer(&boot);
            let server = ControllerServer::start(boot.ends, boot.me, boot.persister);
            server.watch(observer);
            let services = server.services();
            Booted { server, services }
        };
        let group = Group::new(test, &Net::as_drawn(test), "controller", SERVERS, boot);
        group.start_all();
        group.pause_as_drawn();
        let network = group.net().network().clone();
        test.at_end(move |_| Figures {
            peers: SERVERS,
            rpcs: network.total_count(),
            bytes: network.total_bytes(),
            commands: 0,
        });
        Cluster { group }
    }

    /// A clerk with links to all servers, in an order of its own.
    pub(crate) fn clerk(&self) -> Clerk {
        let first = labrt::rand::random_range(0..self.len());
        let ends = (0..self.len()).map(|server| {
            let (number, end) = self.net().make_end(self.name((first + server) % self.len()));
            self.net().network().enable(number, true);
            end
        });
        Clerk::new(ends.collect())
    }

    /// Starts a server that has crashed, and gives it its links.
    pub(crate) fn revive(&self, server: usize) {
        self.restart(server);
        self.connect(server);
    }

    /// The first server that claims to lead.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.len()).find(|&server| self.visit(server, |server| server.is_leader()) == Some(true))
    }
}

/// Groups with their servers, to join.
pub(crate) fn groups<const N: usize>(list: [(GroupId, &[&str]); N]) -> BTreeMap<GroupId, Vec<String>> {
    let servers = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    list.into_iter().map(|(group, names)| (group, servers(names))).collect()
}

/// The newest configuration has exactly these groups, each shard is on one of them, and no
/// group has two shards more than another.
#[track_caller]
pub(crate) fn check(clerk: &mut Clerk, expected: &[GroupId]) -> Config {
    let config = clerk.query(-1);
    let present: Vec<GroupId> = config.groups.keys().copied().collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(present, expected, "groups of configuration {}", config.number);
    if expected.is_empty() {
        assert_eq!(config.shards, [NO_GROUP; 10], "shards without any group");
        return config;
    }
    let count = |group: &GroupId| config.shards.iter().filter(|&owner| owner == group).count();
    let counts: Vec<usize> = expected.iter().map(count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10, "a shard is on no group that there is: {config:?}");
    let (most, fewest) = (counts.iter().max(), counts.iter().min());
    assert!(most <= fewest.map(|fewest| fewest + 1).as_ref(), "uneven: {config:?}");
    config
}

/// Every shard that moved from `before` to `after` had a reason to: it is on a group that
/// has just joined, or was on one that has left; and there are no more of them than even
/// shares require.
#[track_caller]
pub(crate) fn check_few_moves(before: &Config, after: &Config) {
    for (shard, (from, to)) in before.shards.iter().zip(&after.shards).enumerate() {
        let reason = !before.groups.contains_key(to) || !after.groups.contains_key(from);
        assert!(from == to || reason, "shard {shard} moved from {from} to {to} for nothing");
    }
    let moved = before.shards.iter().zip(&after.shards).filter(|(from, to)| from != to).count();
    let fewest = fewest_moves(before, after);
    assert_eq!(moved, fewest, "shards moved from {before:?} to {after:?}");
}

/// How many shards must move at least, so that those of `after`'s groups have even shares.
pub(crate) fn fewest_moves(before: &Config, after: &Config) -> usize {
    let Some(share) = before.shards.len().checked_div(after.groups.len()) else {
        return before.shards.iter().filter(|&&owner| owner != NO_GROUP).count();
    };
    let mut extra = before.shards.len() % after.groups.len();
    let mut stay = 0;
    for group in after.groups.keys() {
        let has = before.shards.iter().filter(|&owner| owner == group).count();
        stay += has.min(share);
        if has > share && extra > 0 {
            stay += 1;
            extra -= 1;
        }
    }
    before.shards.len() - stay
}
