//! The course's generic test: clients work while the network loses messages, servers are divided, and all of
//! them crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use labapi::{KvClerk, KvServer};
use labrt::rand::{random_bool, random_range};
use labrt::thread::{self, JoinHandle};
use tester::{ELECTION, Test};

use crate::appends::{check_appends, element, shortened};
use crate::cluster::{KvCluster, KvSetup, PATIENCE};
use crate::pending::Pending;
use crate::record::Recorded;

const ROUNDS: u32 = 3;

/// How long the clients of a round work.
const ROUND: Duration = Duration::from_secs(5);

/// After this many operations of a round a client pauses after each further one. On the usual network no
/// client gets that far. On a very fast network, which a seed may draw, clients without pauses would write
/// logs of a hundred thousand entries. A server without snapshots that starts again applies its log at one
/// instant of virtual time, and so many steps at one instant count as spinning.
const BUSY: usize = 500;

/// The pause of such a client after each operation.
const PAUSE: Duration = Duration::from_millis(20);

/// Which clients work on which servers, and what goes wrong meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    clients: usize,
    setup: KvSetup,
    restarts: bool,
    partitions: bool,
    random_keys: bool,
}

impl Workload {
    /// So many clients, each with a key of its own, and servers to which nothing happens.
    pub fn new(clients: usize, servers: usize) -> Workload {
        let setup = KvSetup::servers(servers);
        Workload { clients, setup, restarts: false, partitions: false, random_keys: false }
    }

    /// The network loses one message in ten, and delays the others.
    pub fn unreliable(mut self) -> Workload {
        self.setup = self.setup.unreliable();
        self
    }

    /// At the end of each round all servers crash and start again.
    pub fn restarts(mut self) -> Workload {
        self.restarts = true;
        self
    }

    /// About once a second the servers are divided in two at random.
    pub fn partitions(mut self) -> Workload {
        self.partitions = true;
        self
    }

    /// The servers make snapshots, so that their Raft state stays near this many bytes.
    pub fn snapshots(mut self, max_raft_state: usize) -> Workload {
        self.setup = self.setup.snapshots(max_raft_state);
        self
    }

    /// The servers' clocks run fast or slow by up to this fraction.
    pub fn clock_drift(mut self, fraction: f64) -> Workload {
        self.setup = self.setup.clock_drift(fraction);
        self
    }

    /// All clients use all keys, so that only the check of the history can tell whether a value is right.
    pub fn random_keys(mut self) -> Workload {
        self.random_keys = true;
        self
    }

    /// The group that the workload is meant for.
    pub fn setup(&self) -> KvSetup {
        self.setup
    }

    /// Starts the group, and lets the clients work.
    ///
    /// # Panics
    /// If a client reads a wrong value, or does not finish after the faults.
    pub fn run<S: KvServer>(&self, test: &Test) {
        self.play(&KvCluster::<S>::new(test, self.setup));
    }

    /// Lets the clients work on a group of [`Workload::setup`].
    ///
    /// # Panics
    /// As [`Workload::run`].
    pub fn play<S: KvServer>(&self, cluster: &KvCluster<S>) {
        let t = cluster.test();
        // The one that looks at the keys is made behind the first round's clients, so that their numbers are
        // those of their keys.
        let (mut clerk, mut divided) = (None, 0);
        for round in 1..=ROUNDS {
            let clients = if self.clients == 1 {
                "1 client works".to_owned()
            } else {
                format!("{} clients work", self.clients)
            };
            t.scene(format!("Round {round}: {clients}."));
            let stop = Arc::new(AtomicBool::new(false));
            let clients: Vec<_> =
                (0..self.clients).map(|client| self.start(cluster, client, &stop)).collect();
            let clerk = clerk.get_or_insert_with(|| cluster.make_client(&cluster.all()));
            divided += self.disturb(cluster, &stop);
            t.scene("The clients come to an end, and their keys are looked at.");
            for (client, work) in clients.into_iter().enumerate() {
                self.finish(t, clerk, client, work);
            }
            cluster.expect_short_logs();
            if cluster.setup().max_raft_state.is_none() {
                cluster.expect_snapshots_up_to(0);
            }
        }
        t.scene("All faults end.");
        cluster.recover();
        self.expect_exercised(cluster, divided);
    }

    /// Warns if the test did not reach the situations that it is about. `elections` is how often a leader was
    /// elected while the servers were divided.
    fn expect_exercised<S: KvServer>(&self, cluster: &KvCluster<S>, elections: u64) {
        let t = cluster.test();
        if self.setup.unreliable {
            t.exercised(cluster.lost_replies() > 0, "no reply to a client was ever lost");
        }
        if self.partitions && cluster.elections().is_some() {
            t.exercised(elections > 0, "the leader never changed while the servers were divided");
        }
        if self.setup.max_raft_state.is_some() {
            t.exercised(cluster.snapshot_size() > 0, "no server ever made a snapshot");
        }
    }

    /// Waits for the time of a round, with its faults. Returns how often a leader was elected while the
    /// servers were divided.
    fn disturb<S: KvServer>(&self, cluster: &KvCluster<S>, stop: &Arc<AtomicBool>) -> u64 {
        let (t, mut elections) = (cluster.test(), 0);
        let partitioner = self.partitions.then(|| {
            thread::sleep(ELECTION);
            t.scene("The servers are divided at random, about once a second.");
            (start_partitioner(cluster, stop), cluster.elections())
        });
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        if let Some((partitioner, before)) = partitioner {
            // It ends well, or with the run.
            let _ = partitioner.join();
            elections = cluster.elections().unwrap_or(0) - before.unwrap_or(0);
            t.scene("All links are there again.");
            cluster.connect_all();
            thread::sleep(ELECTION);
        }
        if self.restarts {
            t.scene("All servers crash, and start again a second later.");
            cluster.crash_all();
            thread::sleep(ELECTION);
            cluster.restart_all();
        }
        elections
    }

    /// Starts a client, which returns the number of its appends.
    fn start<S: KvServer>(
        &self,
        cluster: &KvCluster<S>,
        client: usize,
        stop: &Arc<AtomicBool>,
    ) -> Pending<usize> {
        let clerk = cluster.make_client(&cluster.all());
        let work = Work {
            test: cluster.test().clone(),
            clerk,
            client,
            clients: self.clients,
            stop: Arc::clone(stop),
            begun: 0,
            done: 0,
        };
        let random_keys = self.random_keys;
        cluster.begin(move || if random_keys { work.on_all_keys() } else { work.on_own_key() })
    }

    /// Waits for the end of a client, and checks its key.
    fn finish<C: KvClerk>(&self, t: &Test, clerk: &mut Recorded<C>, client: usize, work: Pending<usize>) {
        let what = format!("client {client}'s last operation, after all faults have ended,");
        let count = work.within(PATIENCE, &what);
        let value = clerk.get(&client.to_string());
        if self.random_keys {
            return;
        }
        if let Err(complaint) = check_appends(&value, &[(client, count)]) {
            t.fail(format!("key \"{client}\": {complaint}"));
        }
    }
}

/// The work of a client until it is told to stop.
struct Work<C: KvClerk> {
    test: Test,
    clerk: Recorded<C>,
    client: usize,
    clients: usize,
    stop: Arc<AtomicBool>,
    /// How many operations it has begun.
    begun: usize,
    /// How many texts it has written.
    done: usize,
}

impl<C: KvClerk> Work<C> {
    /// Whether there is another operation to begin; waits for it if there were many.
    fn goes_on(&mut self) -> bool {
        if self.begun >= BUSY {
            thread::sleep(PAUSE);
        }
        self.begun += 1;
        !self.stop.load(Ordering::Relaxed)
    }

    /// The next text to be written.
    fn next(&mut self) -> String {
        self.done += 1;
        element(self.client, self.done - 1)
    }

    /// Appends to its own key and reads what it has appended. Returns the number of appends.
    fn on_own_key(mut self) -> usize {
        let key = self.client.to_string();
        let mut expected = String::new();
        self.clerk.put(&key, "");
        while self.goes_on() {
            if random_bool(0.5) {
                let text = self.next();
                self.clerk.append(&key, &text);
                expected.push_str(&text);
                continue;
            }
            let value = self.clerk.get(&key);
            self.test.expect(value == expected, || self.wrong(&value, &expected));
        }
        self.done
    }

    /// What is wrong with the value that it read of its own key.
    fn wrong(&self, value: &str, expected: &str) -> String {
        let client = self.client;
        let wrong = check_appends(value, &[(client, self.done)])
            .err()
            .unwrap_or_else(|| format!("its value is {} and not {}", shortened(value), shortened(expected)));
        format!("client {client} alone writes key \"{client}\", and has read it: {wrong}")
    }

    /// Reads and writes all keys.
    fn on_all_keys(mut self) -> usize {
        while self.goes_on() {
            let key = random_range(0..self.clients).to_string();
            if random_bool(0.5) {
                let text = self.next();
                self.clerk.append(&key, &text);
            } else if random_bool(0.1) {
                let text = self.next();
                self.clerk.put(&key, &text);
            } else {
                self.clerk.get(&key);
            }
        }
        self.done
    }
}

/// Divides the servers in two at random, again and again.
fn start_partitioner<S: KvServer>(cluster: &KvCluster<S>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (cluster, stop) = (cluster.clone(), Arc::clone(stop));
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let (one, other): (Vec<usize>, Vec<usize>) =
                cluster.all().into_iter().partition(|_| random_bool(0.5));
            cluster.partition(&[&one, &other]);
            thread::sleep(Duration::from_millis(1000 + random_range(0..200)));
        }
    })
}
