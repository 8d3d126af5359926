//! The course's configuration of lab 4: three controllers and three groups of three servers
//! in one network, and the verbs that its tests are told with.

use crate::costly;
use crate::custody::Custody;
use labrpc::{ClientEnd, Name};
use labrt::rand::random_range;
use labrt::thread;
use labrt::time::Instant;
use shardctrler::{Config, ControllerServer, GroupId};
use shardkv::{Clerk, MakeEnd, Setup, ShardServer};
use std::sync::Arc;
use std::time::Duration;
use tester::kv::{Recorded, Records};
use tester::{Boot, Booted, Figures, Group, Net, Test, Watched};

/// Servers of each group, and of the controller.
pub(crate) const SERVERS: usize = 3;

/// Groups.
pub(crate) const GROUPS: usize = 3;

/// What is to be different from test to test.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    unreliable: bool,
    max_raft_state: Option<usize>,
    cost: Option<Duration>,
}

impl Options {
    /// A reliable network, and no snapshots.
    pub(crate) fn new() -> Options {
        Options { unreliable: false, max_raft_state: None, cost: None }
    }

    /// The network loses one message in ten, and delays the others.
    pub(crate) fn unreliable(mut self) -> Options {
        self.unreliable = true;
        self
    }

    /// Each operation keeps its leader busy for so long.
    pub(crate) fn cost(mut self, cost: Duration) -> Options {
        self.cost = Some(cost);
        self
    }

    /// Snapshots from so many bytes of Raft state on.
    pub(crate) fn snapshots(mut self, max_raft_state: usize) -> Options {
        self.max_raft_state = Some(max_raft_state);
        self
    }
}

/// All of it. Clones are the same cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) test: Test,
    pub(crate) net: Net,
    pub(crate) controllers: Group<ControllerServer>,
    pub(crate) groups: Vec<Group<ShardServer>>,
    records: Arc<Records>,
    options: Options,
}

/// The name of group `group` (0 to 2) among the controllers.
pub(crate) fn gid(group: usize) -> GroupId {
    100 + group as GroupId
}

impl Cluster {
    /// Starts everything. No group has joined yet.
    pub(crate) fn new(test: &Test, options: Options) -> Cluster {
        let net = Net::as_drawn(test);
        let custody = Custody::new(test);
        let controllers = controllers(test, &net, "controller", 0);
        let start = |group| start_group(test, &net, &custody, &controllers, options, group);
        let groups = (0..GROUPS).map(start).collect();
        let records = Records::new(test);
        test.note("0-2: controllers; 3-5, 6-8, 9-11: groups 0, 1, 2");
        let cluster = Cluster { test: test.clone(), net, controllers, groups, records, options };
        cluster.set_reliable(!options.unreliable);
        let at_end = cluster.clone();
        test.at_end(move |_| at_end.close());
        cluster
    }

    /// The last word: servers that keep links to the network would keep it for ever.
    fn close(&self) -> Figures {
        let network = self.net.network();
        let figures = Figures {
            peers: SERVERS * (GROUPS + 1),
            rpcs: network.total_count(),
            bytes: network.total_bytes(),
            commands: self.records.operations() as u64,
        };
        network.cleanup();
        figures
    }

    /// Whether the network loses nothing from now on, or one message in ten.
    pub(crate) fn set_reliable(&self, reliable: bool) {
        self.test.note(if reliable { "the network is reliable" } else { "the network is unreliable" });
        self.net.network().set_reliable(reliable);
    }

    /// A new client.
    pub(crate) fn client(&self) -> Recorded<Clerk> {
        self.client_of(&self.controllers)
    }

    /// A new client that asks other controllers.
    pub(crate) fn client_of(&self, controllers: &Group<ControllerServer>) -> Recorded<Clerk> {
        let ends = ends_to(&self.net, controllers);
        self.records.clerk(Clerk::new(ends, make_end(&self.net)))
    }

    /// A new administrator.
    pub(crate) fn administrator(&self) -> shardctrler::Clerk {
        shardctrler::Clerk::new(ends_to(&self.net, &self.controllers))
    }

    /// Has these groups join, together.
    pub(crate) fn join(&self, groups: &[usize]) {
        self.join_at(&self.controllers, groups);
    }

    /// Has these groups join at other controllers.
    pub(crate) fn join_at(&self, controllers: &Group<ControllerServer>, groups: &[usize]) {
        self.test.note(format!("join {groups:?}"));
        let names =
            |group: usize| (0..SERVERS).map(move |server| self.groups[group].name(server).to_string());
        let joining = groups.iter().map(|&group| (gid(group), names(group).collect())).collect();
        let made = shardctrler::Clerk::new(ends_to(&self.net, controllers)).join(joining);
        self.test.expect(made.is_ok(), || format!("a join of {groups:?} was refused: {made:?}"));
    }

    /// Has these groups leave, together.
    pub(crate) fn leave(&self, groups: &[usize]) {
        self.test.note(format!("leave {groups:?}"));
        let gids: Vec<GroupId> = groups.iter().map(|&group| gid(group)).collect();
        let made = self.administrator().leave(&gids);
        self.test.expect(made.is_ok(), || format!("a leave of {groups:?} was refused: {made:?}"));
    }

    /// Moves one shard.
    pub(crate) fn move_shard(&self, shard: usize, group: usize) {
        self.test.note(format!("move shard {shard} to {group}"));
        let made = self.administrator().move_shard(shard, gid(group));
        self.test.expect(made.is_ok(), || format!("a move to {group} was refused: {made:?}"));
    }

    /// The newest configuration.
    pub(crate) fn newest(&self) -> Config {
        self.administrator().query(-1)
    }

    /// Crashes a server.
    pub(crate) fn shutdown_server(&self, group: usize, server: usize) {
        self.groups[group].crash(server);
    }

    /// Starts a server with what its disk holds, and gives it its links.
    pub(crate) fn start_server(&self, group: usize, server: usize) {
        self.groups[group].restart(server);
        self.groups[group].connect(server);
    }

    /// Crashes all servers of a group.
    pub(crate) fn shutdown_group(&self, group: usize) {
        (0..SERVERS).for_each(|server| self.shutdown_server(group, server));
    }

    /// Starts all servers of a group.
    pub(crate) fn start_group(&self, group: usize) {
        (0..SERVERS).for_each(|server| self.start_server(group, server));
    }

    /// Crashes all servers of all groups.
    pub(crate) fn shutdown_groups(&self) {
        (0..GROUPS).for_each(|group| self.shutdown_group(group));
    }

    /// Starts all servers of all groups.
    pub(crate) fn start_groups(&self) {
        (0..GROUPS).for_each(|group| self.start_group(group));
    }

    /// Crashes all controllers.
    pub(crate) fn shutdown_controllers(&self) {
        (0..SERVERS).for_each(|server| self.controllers.crash(server));
    }

    /// Starts all controllers.
    pub(crate) fn start_controllers(&self) {
        for server in 0..SERVERS {
            self.controllers.restart(server);
            self.controllers.connect(server);
        }
    }

    /// Logs are short, if there are snapshots; and there are no snapshots, if there should be
    /// none.
    pub(crate) fn check_logs(&self) {
        for group in &self.groups {
            let (log, snapshot) = (group.log_size(), group.snapshot_size());
            match self.options.max_raft_state {
                Some(max) => self.test.expect(log <= 8 * max, || {
                    format!("expected at most {} bytes of Raft state, but there are {log}", 8 * max)
                }),
                None => self.test.expect(snapshot == 0, || {
                    format!("there is a snapshot of {snapshot} bytes, but none was allowed")
                }),
            }
        }
    }

    /// Bytes on the disks of all servers of all groups.
    pub(crate) fn bytes_on_disks(&self) -> usize {
        let disks = self.groups.iter().flat_map(|group| (0..SERVERS).map(|server| group.persister(server)));
        disks.map(|disk| disk.state_size() + disk.snapshot_size()).sum()
    }

    /// Whether every server of every group has gone to the newest configuration, and nothing is on
    /// its way any more, nor garbage anywhere.
    pub(crate) fn is_settled(&self) -> bool {
        let newest = self.newest().number;
        let settled = move |group: &shardkv::Group| {
            let at_rest = group.tenures().all(|tenure| tenure.stage == shardkv::Stage::Serving);
            group.config() == newest && at_rest && group.garbage().next().is_none()
        };
        self.groups.iter().all(|group| {
            (0..SERVERS)
                .all(|server| group.visit(server, move |server| server.inspect(settled)) == Some(true))
        })
    }

    /// Waits until everything has come to rest.
    pub(crate) fn settle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.is_settled() {
            self.test.expect(Instant::now() < deadline, || {
                format!("after {patience:?} shards are still on their way, or garbage was not collected")
            });
            thread::sleep(Duration::from_millis(50));
        }
        self.test.note("everything has come to rest");
    }

    /// A server of a group that believes to lead; waits until there is one.
    pub(crate) fn leader_of(&self, group: usize) -> usize {
        let leads =
            |&server: &usize| self.groups[group].visit(server, |server| server.is_leader()) == Some(true);
        loop {
            if let Some(leader) = (0..SERVERS).find(leads) {
                return leader;
            }
            pause(20);
        }
    }

    /// A new end to a server of a group.
    pub(crate) fn end_of(&self, group: usize, server: usize) -> ClientEnd {
        end_to(&self.net, self.groups[group].name(server))
    }

    /// The first living controller that believes to lead.
    pub(crate) fn leading_controller(&self) -> Option<usize> {
        let leads =
            |&server: &usize| self.controllers.visit(server, |server| server.is_leader()) == Some(true);
        (0..SERVERS).find(leads)
    }
}

/// Starts a service of controllers; its servers stand in the story from `column` on.
pub(crate) fn controllers(test: &Test, net: &Net, prefix: &str, column: usize) -> Group<ControllerServer> {
    let watched = Watched::beside(test, SERVERS, column);
    let boot = move |boot: Boot| {
        let observer = watched.observer(&boot);
        let server = ControllerServer::start(boot.ends, boot.me, boot.persister);
        server.watch(observer);
        let services = server.services();
        Booted { server, services }
    };
    let group = Group::beside(test, net, prefix, SERVERS, column, boot);
    group.start_all();
    group.pause_as_drawn();
    group
}

fn start_group(
    test: &Test,
    net: &Net,
    custody: &Arc<Custody>,
    controllers: &Group<ControllerServer>,
    options: Options,
    number: usize,
) -> Group<ShardServer> {
    let column = SERVERS * (number + 1);
    let watched = Watched::beside(test, SERVERS, column);
    let (of_boot, controllers, custody) = (net.clone(), controllers.clone(), Arc::clone(custody));
    let boot = move |boot: Boot| {
        let observer = watched.observer(&boot);
        let me = boot.me;
        let server = ShardServer::start(Setup {
            ends: boot.ends,
            me,
            persister: boot.persister,
            max_raft_state: options.max_raft_state,
            group: gid(number),
            controllers: ends_to(&of_boot, &controllers),
            make_end: make_end(&of_boot),
        });
        server.watch(observer);
        server.watch_group(custody.watcher(gid(number), me));
        let services = match options.cost {
            Some(cost) => costly::services(&server, cost),
            None => server.services(),
        };
        Booted { server, services }
    };
    let group = Group::beside(test, net, &format!("server-{}", gid(number)), SERVERS, column, boot);
    group.start_all();
    group.pause_as_drawn();
    group
}

/// New ends to all controllers.
fn ends_to(net: &Net, controllers: &Group<ControllerServer>) -> Vec<ClientEnd> {
    (0..SERVERS).map(|server| end_to(net, controllers.name(server))).collect()
}

/// A new end, ready for calls.
fn end_to(net: &Net, name: &Name) -> ClientEnd {
    let (number, end) = net.make_end(name);
    net.network().enable(number, true);
    end
}

fn make_end(net: &Net) -> MakeEnd {
    let net = net.clone();
    Arc::new(move |name| end_to(&net, &Name::from(name)))
}

/// A random text of so many characters.
pub(crate) fn random_text(length: usize) -> String {
    (0..length).map(|_| char::from(random_range(b'a'..=b'z'))).collect()
}

/// Sleeps so many milliseconds.
pub(crate) fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}
