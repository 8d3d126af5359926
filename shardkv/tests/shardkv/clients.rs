//! The tests' clients: one that knows the expected value of every key, and many at once.

use std::sync::Arc;

use labrt::rand::random_bool;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread::{self, JoinHandle};
use shardkv::Clerk;
use tester::Test;
use tester_kv::Recorded;

use crate::cluster::{Cluster, pause, random_text};

/// Keys "0", "1" and so on, their expected values, and a client that compares.
pub(crate) struct Keys {
    pub(crate) test: Test,
    pub(crate) client: Recorded<Clerk>,
    pub(crate) values: Vec<String>,
}

impl Keys {
    /// Puts a random text of `length` characters at each of `count` keys.
    pub(crate) fn put(cluster: &Cluster, count: usize, length: usize) -> Keys {
        let mut client = cluster.client();
        let values: Vec<String> = (0..count).map(|_| random_text(length)).collect();
        for (key, value) in values.iter().enumerate() {
            client.put(&key.to_string(), value);
        }
        Keys { test: cluster.test.clone(), client, values }
    }

    /// Checks that the key has its expected value.
    pub(crate) fn check(&mut self, key: usize) {
        let (found, expected) = (self.client.get(&key.to_string()), &self.values[key]);
        self.test.expect(found == *expected, || {
            let place = where_they_part(expected, &found);
            format!("expected key {key} to hold {expected:?}, but it holds {found:?}: {place}")
        });
    }

    pub(crate) fn check_all(&mut self) {
        (0..self.values.len()).for_each(|key| self.check(key));
    }

    /// Checks a key and appends a random text to it.
    pub(crate) fn check_and_append(&mut self, key: usize, length: usize) {
        self.check(key);
        let more = random_text(length);
        self.client.append(&key.to_string(), &more);
        self.values[key] += &more;
    }

    pub(crate) fn check_and_append_all(&mut self, length: usize) {
        (0..self.values.len()).for_each(|key| self.check_and_append(key, length));
    }

    /// Puts a new value at a key.
    pub(crate) fn set(&mut self, key: usize, value: String) {
        self.client.put(&key.to_string(), &value);
        self.values[key] = value;
    }
}

/// Where two texts part, for texts that are too long for a report.
fn where_they_part(expected: &str, found: &str) -> String {
    let same = expected.chars().zip(found.chars()).take_while(|(one, other)| one == other).count();
    let next = |text: &str| text.chars().skip(same).take(10).collect::<String>();
    format!("behind {same} equal characters comes {:?}, and not {:?}", next(found), next(expected))
}

/// After this many operations a client pauses after each further one. On the usual network no client
/// gets that far. On a very fast network, which a seed may draw, clients without pauses would run
/// tens of thousands of operations. Those show no more than a thousand do, and their history would
/// take minutes to check.
const BUSY: usize = 1000;

/// The pause of such a client after each operation.
const PAUSE_MS: u64 = 20;

/// Clients at work, each in a thread of its own.
pub(crate) struct Clients<T> {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<T>>,
}

impl Clients<String> {
    /// Client i appends random texts of `length` characters to key i, and pauses for `rest_ms` after
    /// each.
    pub(crate) fn append(cluster: &Cluster, keys: &Keys, length: usize, rest_ms: u64) -> Self {
        let values = keys.values.clone();
        Clients::start(cluster, values.len(), move |client, clerk, stop| {
            let mut value = values[client].clone();
            let mut rests = std::iter::repeat_n(rest_ms, BUSY);
            while !stop.load(Ordering::SeqCst) {
                let more = random_text(length);
                clerk.append(&client.to_string(), &more);
                value += &more;
                pause(rests.next().unwrap_or(PAUSE_MS));
            }
            value
        })
    }

    /// Stops the clients, and checks that the keys hold all of their appends.
    pub(crate) fn stop_and_check(self, keys: &mut Keys) {
        let before = std::mem::take(&mut keys.values);
        keys.values = self.stop();
        let grown = before.iter().zip(&keys.values).all(|(before, after)| before.len() < after.len());
        keys.test.exercised(grown, "some client appended nothing");
        keys.check_all();
    }
}

impl Clients<()> {
    /// Each client works on random keys. Half of its operations are appends, one in twenty is a put,
    /// and the others are gets.
    pub(crate) fn mixed(cluster: &Cluster, keys: usize, length: usize) -> Self {
        Clients::start(cluster, keys, move |_, clerk, stop| {
            let mut rests = std::iter::repeat_n(0, BUSY);
            while !stop.load(Ordering::SeqCst) {
                let key = labrt::rand::random_range(0..keys).to_string();
                if random_bool(0.5) {
                    clerk.append(&key, &random_text(length));
                } else if random_bool(0.1) {
                    clerk.put(&key, &random_text(length));
                } else {
                    clerk.get(&key);
                }
                pause(rests.next().unwrap_or(PAUSE_MS));
            }
        })
    }
}

impl<T: Send + 'static> Clients<T> {
    /// Starts `count` clients.
    pub(crate) fn start(
        cluster: &Cluster,
        count: usize,
        work: impl Fn(usize, &mut Recorded<Clerk>, &AtomicBool) -> T + Send + Sync + 'static,
    ) -> Clients<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let work = Arc::new(work);
        let threads = (0..count).map(|client| {
            let (stop, work, mut clerk) = (Arc::clone(&stop), Arc::clone(&work), cluster.client());
            thread::spawn(move || work(client, &mut clerk, &stop))
        });
        Clients { threads: threads.collect(), stop }
    }

    /// Tells the clients to stop.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Tells the clients to stop, waits for them, and returns their results.
    pub(crate) fn stop(self) -> Vec<T> {
        self.tell_to_stop();
        // A panic of a thread fails the run by itself.
        self.threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    }
}
