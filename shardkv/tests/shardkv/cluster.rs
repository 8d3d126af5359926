//! The course's cluster of lab 4: three controllers and three groups of three servers on one
//! network, and the verbs of the tests.

use std::sync::Arc;
use std::time::Duration;

use labrpc::{ClientEnd, TapEvent};
use labrt::rand::random_range;
use labrt::thread;
use labrt::time::Instant;
#[allow(unused_imports, reason = "a solution may have these methods without the trait")]
use rsm::ReplicatedServer as _;
use shardctrler::{Config, ControllerServer, GroupId, SHARDS};
use shardkv::{Clerk, GroupView, Setup, ShardServer, Stage, key_to_shard};
use tester::{Boot, Booted, Checks, Figures, Group, Net, Test};
use tester_kv::{Recorded, Records};

use crate::callers::{Caller, Callers, GROUP_SERVER};
use crate::costly::Costs;
use crate::custody::Custody;

/// Number of servers of each group, and of the controller.
pub(crate) const SERVERS: usize = 3;

/// Number of groups.
pub(crate) const GROUPS: usize = 3;

/// Time limit of a cluster to settle after faults.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The properties of a cluster in which tests differ.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    unreliable: bool,
    max_raft_state: Option<usize>,
    cost: Option<Duration>,
    /// Number of servers of each group; the controllers are always three.
    servers: usize,
}

impl Options {
    /// A reliable network, and no snapshots.
    pub(crate) fn new() -> Options {
        Options { unreliable: false, max_raft_state: None, cost: None, servers: SERVERS }
    }

    /// The network loses one message in ten and delays the others.
    pub(crate) fn unreliable(mut self) -> Options {
        self.unreliable = true;
        self
    }

    /// Each group has so many servers.
    pub(crate) fn servers(mut self, servers: usize) -> Options {
        self.servers = servers;
        self
    }

    // handout: drop
    /// Each operation keeps its leader busy for this time.
    pub(crate) fn cost(mut self, cost: Duration) -> Options {
        self.cost = Some(cost);
        self
    }

    // handout: end
    /// Servers make snapshots once Raft's state takes this many bytes.
    pub(crate) fn snapshots(mut self, max_raft_state: usize) -> Options {
        self.max_raft_state = Some(max_raft_state);
        self
    }
}

/// The cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) test: Test,
    pub(crate) net: Net,
    pub(crate) controllers: Group<ControllerServer>,
    pub(crate) groups: Vec<Group<ShardServer>>,
    custody: Arc<Custody>,
    callers: Callers,
    records: Arc<Records>,
    options: Options,
}

/// The number under which the controllers know group `group` (0 to 2).
pub(crate) fn gid(group: usize) -> GroupId {
    100 + group as GroupId
}

impl Cluster {
    /// Starts all servers. No group has joined yet.
    pub(crate) fn new(test: &Test, options: Options) -> Cluster {
        let net = Net::as_drawn(test);
        let (custody, callers) = (Custody::new(test), Callers::new(&net));
        let controllers = controllers(test, &net, "controller", 0);
        let costs = options.cost.map(|cost| Costs::new(cost, &net, &callers));
        let parts = Parts { test, net: &net, custody: &custody, callers: &callers, costs };
        let groups = (0..GROUPS).map(|group| parts.start_group(&controllers, options, group)).collect();
        let records = Records::new(test);
        test.note("0-2: controllers; 3-5, 6-8, 9-11: groups 0, 1, 2");
        let cluster =
            Cluster { test: test.clone(), net, controllers, groups, custody, callers, records, options };
        cluster.set_reliable(!options.unreliable);
        let at_end = cluster.clone();
        test.at_end(move |_| at_end.close());
        cluster
    }

    /// The run's figures. Takes the network down: servers hold links to the network that holds them, so
    /// neither would ever be freed.
    fn close(&self) -> Figures {
        let figures =
            self.net.figures(SERVERS + self.options.servers * GROUPS, self.records.operations() as u64);
        self.net.network().cleanup();
        figures
    }

    /// Makes the network reliable, or lets it lose one message in ten.
    pub(crate) fn set_reliable(&self, reliable: bool) {
        self.test.note(if reliable { "the network is reliable" } else { "the network is unreliable" });
        self.net.network().set_reliable(reliable);
    }

    /// A new client.
    pub(crate) fn client(&self) -> Recorded<Clerk> {
        self.client_of(&self.controllers)
    }

    /// A new client that asks these controllers.
    pub(crate) fn client_of(&self, controllers: &Group<ControllerServer>) -> Recorded<Clerk> {
        let ends = ends_to(&self.callers, Caller::Client, controllers);
        self.records.clerk(Clerk::new(ends, self.callers.make_end(Caller::Client)))
    }

    /// A new administrator.
    pub(crate) fn administrator(&self) -> shardctrler::Clerk {
        self.administrator_of(&self.controllers)
    }

    /// A new administrator at these controllers.
    fn administrator_of(&self, controllers: &Group<ControllerServer>) -> shardctrler::Clerk {
        shardctrler::Clerk::new(ends_to(&self.callers, Caller::Client, controllers))
    }

    /// Who made the call that a message belongs to; `None` within a group or among the controllers.
    pub(crate) fn callers(&self) -> impl Fn(&TapEvent<'_>) -> Option<Caller> + Send + 'static {
        let callers = self.callers.clone();
        move |message| callers.of(message)
    }

    /// Who made the call that a message of a group's server belongs to; `None` for every other message.
    pub(crate) fn callers_of_groups(&self) -> impl Fn(&TapEvent<'_>) -> Option<Caller> + Send + 'static {
        let callers = self.callers.clone();
        move |message| callers.of_group(message)
    }

    /// Has these groups join in one command.
    pub(crate) fn join(&self, groups: &[usize]) {
        self.join_at(&self.controllers, groups);
    }

    /// Has these groups join at these controllers.
    pub(crate) fn join_at(&self, controllers: &Group<ControllerServer>, groups: &[usize]) {
        self.test.note(format!("join {groups:?}"));
        let names = |group: usize| {
            (0..self.options.servers).map(move |server| self.groups[group].name(server).to_string())
        };
        let joining = groups.iter().map(|&group| (gid(group), names(group).collect())).collect();
        let made = self.administrator_of(controllers).join(joining);
        self.test.expect(made.is_ok(), || format!("the controller refused a join of {groups:?}: {made:?}"));
    }

    /// Has these groups leave in one command.
    pub(crate) fn leave(&self, groups: &[usize]) {
        self.test.note(format!("leave {groups:?}"));
        let gids: Vec<GroupId> = groups.iter().map(|&group| gid(group)).collect();
        let made = self.administrator().leave(&gids);
        self.test.expect(made.is_ok(), || format!("the controller refused a leave of {groups:?}: {made:?}"));
    }

    /// Moves one shard to a group.
    pub(crate) fn move_shard(&self, shard: usize, group: usize) {
        self.test.note(format!("move shard {shard} to {group}"));
        let made = self.administrator().move_shard(shard, gid(group));
        self.test
            .expect(made.is_ok(), || format!("the controller refused a move to group {group}: {made:?}"));
    }

    /// The newest configuration.
    pub(crate) fn newest(&self) -> Config {
        self.administrator().query(-1)
    }

    pub(crate) fn shutdown_server(&self, group: usize, server: usize) {
        self.groups[group].crash(server);
    }

    /// Restarts a server from its disk and connects it.
    pub(crate) fn start_server(&self, group: usize, server: usize) {
        self.groups[group].restart(server);
        self.groups[group].connect(server);
    }

    /// Crashes all servers of a group.
    pub(crate) fn shutdown_group(&self, group: usize) {
        (0..self.options.servers).for_each(|server| self.shutdown_server(group, server));
    }

    /// Restarts all servers of a group.
    pub(crate) fn start_group(&self, group: usize) {
        (0..self.options.servers).for_each(|server| self.start_server(group, server));
    }

    /// Crashes all servers of all groups.
    pub(crate) fn shutdown_groups(&self) {
        (0..GROUPS).for_each(|group| self.shutdown_group(group));
    }

    /// Restarts all servers of all groups.
    pub(crate) fn start_groups(&self) {
        (0..GROUPS).for_each(|group| self.start_group(group));
    }

    /// Crashes all controllers.
    pub(crate) fn shutdown_controllers(&self) {
        (0..SERVERS).for_each(|server| self.controllers.crash(server));
    }

    /// Restarts all controllers.
    pub(crate) fn start_controllers(&self) {
        for server in 0..SERVERS {
            self.controllers.restart(server);
            self.controllers.connect(server);
        }
    }

    /// Checks that logs are short if the test asked for snapshots, and that there are no snapshots
    /// otherwise.
    pub(crate) fn check_logs(&self) {
        for group in &self.groups {
            let (log, snapshot) = (group.log_size(), group.snapshot_size());
            match self.options.max_raft_state {
                Some(max) => self.test.expect(log <= 8 * max, || {
                    format!("expected at most {} bytes of Raft's state, but a server has {log}", 8 * max)
                }),
                None => self.test.expect(snapshot == 0, || {
                    format!("a server has a snapshot of {snapshot} bytes, but the test allows none")
                }),
            }
        }
    }

    /// Number of bytes on the disks of all servers of all groups.
    pub(crate) fn bytes_on_disks(&self) -> usize {
        let disks =
            self.groups.iter().flat_map(|group| (0..group.len()).map(|server| group.persister(server)));
        disks.map(|disk| disk.state_size() + disk.snapshot_size()).sum()
    }

    /// Waits until every server of every group has adopted the newest configuration and no shard is on
    /// its way. Fails the test if it takes longer than `patience`. Of a solution that shows no group it waits
    /// until each shard can be read.
    pub(crate) fn settle(&self, patience: Duration) {
        if !self.custody.sees() {
            self.test.unwatched("shards on their way; implement `watch_group`");
            return self.wait_for_reads(patience);
        }
        let newest = self.newest().number;
        let settled = move |group: &GroupView| {
            let arrived = group.tenures.iter().all(|tenure| tenure.stage.has_content());
            group.config == newest && arrived
        };
        self.wait_for(patience, "a shard is still on its way", settled);
        self.test.note("all shards have arrived");
    }

    /// Waits until no garbage is left either (the course's first challenge). It is invisible in a solution
    /// that shows no group, except in the size of the disks.
    pub(crate) fn settle_without_garbage(&self, patience: Duration) {
        self.settle(patience);
        if !self.custody.sees() {
            return self.test.unwatched("shards kept for others; implement `watch_group`");
        }
        let clean = |group: &GroupView| {
            let serving = group.tenures.iter().all(|tenure| tenure.stage == Stage::Serving);
            serving && group.garbage.is_empty()
        };
        self.wait_for(patience, "garbage is left", clean);
        self.test.note("no garbage is left");
    }

    /// Waits until the condition holds on every server of every group.
    fn wait_for(&self, patience: Duration, otherwise: &str, condition: impl Fn(&GroupView) -> bool + Copy) {
        let holds = |group: usize, server| self.shown_by(group, server, condition) == Some(true);
        let servers = 0..self.options.servers;
        let deadline = Instant::now() + patience;
        while !(0..GROUPS).all(|group| servers.clone().all(|server| holds(group, server))) {
            self.test.expect_in_time(Instant::now() < deadline, || format!("after {patience:?} {otherwise}"));
            pause(50);
        }
    }

    // handout: drop classic
    /// Whether any server has shown its group.
    pub(crate) fn sees_groups(&self) -> bool {
        self.custody.sees()
    }

    // handout: end
    /// Looks at what a server shows of its group; `None` if it is down or has shown nothing.
    pub(crate) fn shown_by<T>(
        &self,
        group: usize,
        server: usize,
        look: impl FnOnce(&GroupView) -> T,
    ) -> Option<T> {
        let is_up = self.groups[group].visit(server, |_| ()).is_some();
        is_up.then(|| self.custody.of_server(gid(group), server, look)).flatten()
    }

    /// Waits until a new client has read a key of each shard.
    fn wait_for_reads(&self, patience: Duration) {
        let mut clerk = self.client();
        let reader = thread::spawn(move || {
            for shard in 0..SHARDS {
                let key = ('a'..='z').map(String::from).find(|key| key_to_shard(key) == shard);
                clerk.get(&key.expect("26 letters in a row meet each of the ten shards"));
            }
        });
        let deadline = Instant::now() + patience;
        while !reader.is_finished() {
            self.test.expect_in_time(Instant::now() < deadline, || {
                format!("after {patience:?} a client has not read a key of each shard")
            });
            pause(50);
        }
        self.test.note("each shard can be read");
    }

    /// A server of a group that believes it is the leader. Waits until there is one.
    pub(crate) fn leader_of(&self, group: usize) -> usize {
        let leads =
            |&server: &usize| self.groups[group].visit(server, |server| server.is_leader()) == Some(true);
        loop {
            if let Some(leader) = (0..self.options.servers).find(leads) {
                return leader;
            }
            pause(20);
        }
    }

    // handout: drop classic
    /// A new end to a server of a group.
    pub(crate) fn end_of(&self, group: usize, server: usize) -> ClientEnd {
        self.callers.end(Caller::Client, self.groups[group].name(server))
    }

    // handout: end
    /// The first running controller that believes it is the leader.
    pub(crate) fn leading_controller(&self) -> Option<usize> {
        let leads =
            |&server: &usize| self.controllers.visit(server, |server| server.is_leader()) == Some(true);
        (0..SERVERS).find(leads)
    }
}

/// Starts three controllers. Their columns in the story begin with `column`.
pub(crate) fn controllers(test: &Test, net: &Net, prefix: &str, column: usize) -> Group<ControllerServer> {
    let checks = Checks::beside(test, SERVERS, column, ControllerServer::wire());
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
    let group = Group::beside(test, net, prefix, SERVERS, column, boot);
    group.start_all();
    group.pause_as_drawn();
    group
}

/// What the groups of a cluster share while they are started.
struct Parts<'a> {
    test: &'a Test,
    net: &'a Net,
    custody: &'a Arc<Custody>,
    callers: &'a Callers,
    costs: Option<Costs>,
}

impl Parts<'_> {
    fn start_group(
        &self,
        controllers: &Group<ControllerServer>,
        options: Options,
        number: usize,
    ) -> Group<ShardServer> {
        let column = SERVERS + options.servers * number;
        let checks = Checks::beside(self.test, options.servers, column, ShardServer::wire());
        let (callers, costs) = (self.callers.clone(), self.costs.clone());
        let (controllers, custody) = (controllers.clone(), Arc::clone(self.custody));
        let boot = move |boot: Boot| {
            let (observer, life) = checks.begin(&boot);
            let me = boot.me;
            let server = ShardServer::start(Setup {
                ends: boot.ends,
                me,
                persister: boot.persister,
                max_raft_state: options.max_raft_state,
                group: gid(number),
                controllers: ends_to(&callers, Caller::Group, &controllers),
                make_end: callers.make_end(Caller::Group),
            });
            // A solution is shown whole or not at all.
            if let Some(observer) = observer {
                server.watch(observer);
                server.watch_group(custody.watcher(gid(number), me));
            }
            let seen = server.clone();
            life.poll(move || seen.raft_state());
            let mut services = server.services();
            if let Some(costs) = &costs {
                services = costs.around_all(services, &server);
            }
            Booted { services: life.around_all(services), server }
        };
        let name = format!("{GROUP_SERVER}{}", gid(number));
        let group = Group::beside(self.test, self.net, &name, options.servers, column, boot);
        group.start_all();
        group.pause_as_drawn();
        group
    }
}

/// New ends to all controllers.
fn ends_to(callers: &Callers, caller: Caller, controllers: &Group<ControllerServer>) -> Vec<ClientEnd> {
    (0..SERVERS).map(|server| callers.end(caller, controllers.name(server))).collect()
}

/// A random text of `length` characters.
pub(crate) fn random_text(length: usize) -> String {
    (0..length).map(|_| char::from(random_range(b'a'..=b'z'))).collect()
}

pub(crate) fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}
