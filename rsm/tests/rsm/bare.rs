//! A counter without sessions, whose commands take time: a command that a replica applies twice, or has not
//! applied yet, shows.

use std::time::Duration;

use labapi::Consensus;
use labgob::DecodeError;
use labrpc::Service;
use labrt::rand::random_range;
use labrt::runtime;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use rsm::{ReplicatedServer, Rsm, StateMachine};
use tester::{Boot, Booted, Checks, Group, Net, Test};

use crate::counter::{Command, Counter, Outcome, PATIENCE, Refusal};

/// The counter. An addition takes a while.
struct Bare {
    counter: Counter,
    addition: Duration,
}

impl StateMachine for Bare {
    type Command = Command;
    type Reply = u64;

    fn apply(&mut self, command: Command) -> u64 {
        runtime::compute(self.addition);
        self.counter.apply(command)
    }

    fn read(&self, command: &Command) -> Option<u64> {
        self.counter.read(command)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.counter.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.counter.restore(snapshot)
    }
}

labrpc::service! {
    /// A replica as the tests call it.
    pub(crate) service BareRpc, client BarePeer {
        /// [`Rsm::submit`] of an addition.
        fn add(amount: u64) -> Outcome;
        /// [`Rsm::read`] of the counter.
        fn read(unit: ()) -> Outcome;
    }
}

struct Replica {
    rsm: Arc<Rsm<Bare>>,
}

impl ReplicatedServer for Replica {
    type Machine = Bare;

    fn replica(&self) -> &Rsm<Bare> {
        &self.rsm
    }

    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

impl BareRpc for Replica {
    fn add(&self, amount: u64) -> Outcome {
        Ok(self.rsm.submit(&Command::Add(amount))?)
    }

    fn read(&self, (): ()) -> Outcome {
        Ok(self.rsm.read(&Command::Read)?)
    }
}

/// Three replicas, and what their counters may be. What becomes of an overtaken addition is open until all
/// counters are looked at.
struct Bares {
    group: Group<Replica>,
    test: Test,
    least: u64,
    most: u64,
}

impl Bares {
    fn new(test: &Test, max_raft_state: Option<usize>, addition: Duration) -> Bares {
        let net = Net::new();
        let checks = Checks::beside(test, 3, 0, Replica::wire());
        let group = Group::new(test, &net, "server", 3, move |boot: Boot| {
            let (observer, life) = checks.begin(&boot);
            let machine = Bare { counter: Counter::default(), addition };
            let rsm = Rsm::start(boot.ends, boot.me, boot.persister, max_raft_state, machine);
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
        let at_end = group.clone();
        test.at_end(move |_| at_end.net().figures(3, 0));
        Bares { group, test: test.clone(), least: 0, most: 0 }
    }

    /// Of the connected servers that believe they lead, the one with the highest term.
    fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leads = |&server: &usize| {
                let state = self.group.visit(server, |server| server.rsm.raft().get_state())?;
                (self.group.is_connected(server) && state.1).then_some((state.0, server))
            };
            if let Some((_, leader)) = [0, 1, 2].iter().filter_map(leads).max() {
                return leader;
            }
            self.test.expect_in_time(Instant::now() < deadline, || "no leader".to_owned());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stub(&self, server: usize) -> BarePeer {
        let (number, end) = self.group.net().make_end(self.group.name(server));
        self.group.net().network().enable(number, true);
        BarePeer::new(end)
    }

    /// Adds one at the leader, until an addition may have been carried out.
    fn add(&mut self) {
        loop {
            match self.stub(self.leader()).add(&1) {
                Ok(Ok(_)) => (self.least, self.most) = (self.least + 1, self.most + 1),
                Ok(Err(Refusal::NotLeader)) => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                Ok(Err(Refusal::Overtaken)) | Err(_) => self.most += 1,
            }
            return;
        }
    }

    /// Waits until all counters are the same, and none is too low or too high.
    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value =
                |server| self.group.visit(server, |server| server.rsm.inspect(|bare| bare.counter.value()));
            let values: Vec<u64> = (0..3).filter_map(value).collect();
            self.test.expect(values.iter().all(|&value| value <= self.most), || {
                format!("the counters are {values:?} after {} additions: one was applied twice", self.most)
            });
            if values.len() == 3 && values.iter().all(|&value| value == values[0] && value >= self.least) {
                (self.least, self.most) = (values[0], values[0]);
                return;
            }
            self.test.expect_in_time(Instant::now() < deadline, || {
                format!("the counters are {values:?} after {} additions", self.least)
            });
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// So many reads at the leader at once. Each ends, and sees at least what was carried out before. False
    /// if the leader has refused them all.
    fn read_at_once(&self, readers: usize) -> bool {
        let leader = self.leader();
        let (ended, outcomes) = labrt::channel::unbounded();
        for _ in 0..readers {
            let (stub, ended) = (self.stub(leader), ended.clone());
            drop(thread::spawn(move || ended.send(stub.read(&()))));
        }
        let mut answered = false;
        for _ in 0..readers {
            let Ok(outcome) = outcomes.recv_timeout(PATIENCE) else {
                self.test.fail(format!("of {readers} reads that wait at the leader at once, some do not end"))
            };
            if let Ok(Ok(seen)) = outcome {
                let least = self.least;
                self.test.expect(seen >= least, || format!("a read saw {seen} after {least} additions"));
                answered = true;
            }
        }
        answered
    }

    fn restart_all(&self) {
        (0..3).for_each(|server| self.group.crash(server));
        (0..3).for_each(|server| self.group.restart(server));
        (0..3).for_each(|server| self.group.connect(server));
    }
}

/// Servers continue from snapshots, their own and the leader's. What a snapshot holds is not applied again.
#[test]
fn applied_once_rsm() {
    tester::run("applied_once_rsm", |test| {
        let mut bares = Bares::new(test, Some(300), Duration::ZERO);
        for _ in 0..4 {
            (0..random_range(10..30)).for_each(|_| bares.add());
            test.scene("A server misses what a snapshot holds by then.");
            let away = (bares.leader() + 1) % 3;
            bares.group.disconnect(away);
            (0..random_range(30..50)).for_each(|_| bares.add());
            bares.group.connect(away);
            bares.settle();
            test.scene("All servers crash and start again.");
            bares.restart_all();
            bares.add();
            bares.settle();
        }
        test.exercised(bares.group.snapshot_size() > 0, "there never was a snapshot");
    });
}

/// All servers start again, with many entries to apply, each of which takes a while. Reads at the new leader,
/// from its first moment on, see all that was carried out before. Several wait there at once, and all of them
/// are answered when enough is applied, although no command comes after that.
#[test]
fn reads_behind_rsm() {
    const READERS: usize = 4;
    tester::run("reads_behind_rsm", |test| {
        let mut bares = Bares::new(test, None, Duration::from_millis(2));
        // A replica may apply hundreds of entries under one lock, which a read waits for in any case.
        (0..600).for_each(|_| bares.add());
        bares.settle();
        for _ in 0..8 {
            // A command is last, and not what the last leader began with.
            bares.add();
            test.scene("All servers crash and start again.");
            bares.restart_all();
            let deadline = Instant::now() + PATIENCE;
            while !bares.read_at_once(READERS) {
                test.expect_in_time(Instant::now() < deadline, || "no server answers a read".to_owned());
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
}
