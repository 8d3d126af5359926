//! The service of these tests, a counter, and a group of servers that replicate it.

use std::time::Duration;

use labapi::Consensus;
use labgob::DecodeError;
use labrpc::{ClientEnd, RpcError, Service};
use labrt::sync::Arc;
use labrt::thread;
use rsm::{ClientSession, ReplicatedServer, Request, Rsm, StateMachine, SubmitError, WithSessions};
use serde::{Deserialize, Serialize};
use tester::{Boot, Booted, Checks, Figures, Group, Net, Test};

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(u64);

impl Counter {
    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// Its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    Add(u64),
    Read,
}

impl StateMachine for Counter {
    type Command = Command;
    /// The counter afterwards.
    type Reply = u64;

    fn apply(&mut self, command: Command) -> u64 {
        if let Command::Add(amount) = command {
            self.0 += amount;
        }
        self.0
    }

    fn read(&self, command: &Command) -> Option<u64> {
        (*command == Command::Read).then_some(self.0)
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.0)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.0 = labgob::decode(snapshot)?;
        Ok(())
    }
}

/// What the tests' servers answer.
pub(crate) type Outcome = Result<u64, Refusal>;

/// [`SubmitError`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    NotLeader,
    Overtaken,
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Refusal {
        match error {
            SubmitError::NotLeader => Refusal::NotLeader,
            SubmitError::Overtaken => Refusal::Overtaken,
        }
    }
}

labrpc::service! {
    /// A replica as the tests call it: on the server's own node, so a crash ends the call.
    pub(crate) service CounterRpc, client CounterPeer {
        /// [`Rsm::submit`].
        fn submit(request: Request<Command>) -> Outcome;
        /// [`Rsm::read`] of the counter.
        fn read(unit: ()) -> Outcome;
    }
}

/// A replica.
pub(crate) struct Replica {
    pub(crate) rsm: Arc<Rsm<WithSessions<Counter>>>,
}

impl ReplicatedServer for Replica {
    type Machine = WithSessions<Counter>;

    fn replica(&self) -> &Rsm<WithSessions<Counter>> {
        &self.rsm
    }

    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

impl CounterRpc for Replica {
    fn submit(&self, request: Request<Command>) -> Outcome {
        Ok(self.rsm.submit(&request)?)
    }

    fn read(&self, (): ()) -> Outcome {
        Ok(self.rsm.read(&Request { client: 0, sequence: 0, command: Command::Read })?)
    }
}

/// How long the servers may take for anything once a majority is up and connected.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The size of Raft's state, in bytes, from which on the tests with snapshots make one.
const MAX_RAFT_STATE: usize = 300;

/// Three replicas of a counter.
#[derive(Clone)]
pub(crate) struct Counters {
    pub(crate) group: Group<Replica>,
    pub(crate) test: Test,
    snapshots: bool,
}

impl Counters {
    /// Starts them and connects them all.
    pub(crate) fn new(test: &Test, snapshots: bool, options: labapi::Options) -> Counters {
        let net = Net::new();
        let max_raft_state = snapshots.then_some(MAX_RAFT_STATE);
        let checks = Checks::beside(test, 3, 0, Replica::wire());
        let group = Group::new(test, &net, "server", 3, move |boot: Boot| {
            let (observer, life) = checks.begin(&boot);
            let machine = WithSessions::new(Counter::default());
            let rsm = Rsm::start_with(boot.ends, boot.me, boot.persister, max_raft_state, machine, options);
            let server = Arc::new(Replica { rsm });
            if let Some(observer) = observer {
                server.watch(observer);
            }
            let seen = server.clone();
            life.poll(move || seen.raft_state());
            let services = life.around_all(server.services());
            Booted { server, services }
        });
        group.start_all();
        let counters = Counters { group, test: test.clone(), snapshots };
        let at_end = counters.clone();
        test.at_end(move |_| at_end.finish());
        counters
    }

    fn finish(&self) -> Figures {
        let (log, snapshot) = (self.group.log_size(), self.group.snapshot_size());
        self.test.expect(self.snapshots || snapshot == 0, || format!("a snapshot of {snapshot} bytes"));
        self.test.expect(!self.snapshots || log <= 8 * MAX_RAFT_STATE, || format!("a log of {log} bytes"));
        self.group.net().figures(3, 0)
    }

    /// A stub for calls to one server, from a client that no fault cuts off.
    pub(crate) fn stub(&self, server: usize) -> CounterPeer {
        let (number, end): (usize, ClientEnd) = self.group.net().make_end(self.group.name(server));
        self.group.net().network().enable(number, true);
        CounterPeer::new(end)
    }

    /// A client with numbers of its own.
    pub(crate) fn client(&self, client: u64) -> Client {
        let servers = (0..self.group.len()).map(|server| self.stub(server)).collect();
        Client { session: ClientSession::with_client(client), servers, test: self.test.clone() }
    }

    /// The leader: of the connected servers that believe they lead, the one with the highest
    /// term.
    pub(crate) fn leader(&self) -> usize {
        let deadline = labrt::time::Instant::now() + PATIENCE;
        loop {
            let leadership = |server| self.group.visit(server, |server| server.rsm.raft().get_state());
            let claims = (0..3).filter(|&server| self.group.is_connected(server));
            let leaders = claims.filter_map(|server| Some((leadership(server)?, server)));
            let leader = leaders.filter(|((_, leads), _)| *leads).max();
            if let Some((_, server)) = leader {
                return server;
            }
            self.test.expect_in_time(labrt::time::Instant::now() < deadline, || "no leader".to_owned());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the counters of these servers stand at `value`, and stay there.
    pub(crate) fn check(&self, value: u64, servers: &[usize]) {
        self.test.note(format!("check that the counters of {servers:?} are {value}"));
        let deadline = labrt::time::Instant::now() + PATIENCE;
        let seen =
            |server| self.group.visit(server, |server| server.rsm.inspect(|machine| machine.machine().0));
        loop {
            let all: Vec<_> = servers.iter().map(|&server| seen(server)).collect();
            if all.iter().all(|&seen| seen == Some(value)) {
                return;
            }
            self.test.expect(all.iter().all(|seen| seen.is_none_or(|seen| seen <= value)), || {
                format!("the counters of {servers:?} are {all:?}, beyond {value}")
            });
            self.test.expect_in_time(labrt::time::Instant::now() < deadline, || {
                format!("the counters of {servers:?} are {all:?} and not {value}")
            });
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Crashes all servers at once.
    pub(crate) fn crash_all(&self) {
        (0..3).for_each(|server| self.group.crash(server));
    }

    /// Starts all servers again.
    pub(crate) fn restart_all(&self) {
        (0..3).for_each(|server| self.group.restart(server));
        (0..3).for_each(|server| self.group.connect(server));
    }
}

/// A client whose commands are each carried out once.
pub(crate) struct Client {
    session: ClientSession,
    servers: Vec<CounterPeer>,
    test: Test,
}

impl Client {
    /// The next request.
    pub(crate) fn request(&mut self, amount: u64) -> Request<Command> {
        self.session.request(Command::Add(amount))
    }

    /// Adds to the counter at the leader, and returns its new value.
    pub(crate) fn add(&mut self, amount: u64) -> u64 {
        let request = self.request(amount);
        self.send(&request)
    }

    /// Has a request carried out by the leader, and returns the reply.
    pub(crate) fn send(&self, request: &Request<Command>) -> u64 {
        self.insist(|server| server.submit(request))
    }

    /// Reads the counter without the log.
    pub(crate) fn read(&mut self) -> u64 {
        self.insist(|server| server.read(&()))
    }

    fn insist(&self, call: impl Fn(&CounterPeer) -> Result<Outcome, RpcError>) -> u64 {
        let deadline = labrt::time::Instant::now() + PATIENCE;
        loop {
            for server in &self.servers {
                if let Ok(Ok(counter)) = call(&server.timeout(Duration::from_millis(400))) {
                    return counter;
                }
            }
            self.test
                .expect_in_time(labrt::time::Instant::now() < deadline, || "no server answers".to_owned());
            thread::sleep(Duration::from_millis(20));
        }
    }
}
