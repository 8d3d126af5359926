//! The test server of the course's labrpc tests (spec chapter 1.4), and runs in both worlds.

use labrpc::{ClientEnd, DelayModel, Name, Network, RpcError, Server};
use labrt::node::Node;
use labrt::sync::{Arc, Mutex};
use labrt::thread::{self, JoinHandle};
use labrt::time::{Duration, Instant};
use labrt::{Config, Limits, World, run, world};
use serde::{Deserialize, Serialize};

/// A struct of the caller's, sent by reference and by value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JunkArgs {
    pub(crate) x: i64,
}

labrpc::service! {
    /// The handlers H1 to H7.
    pub(crate) service Junk, client JunkClient {
        /// H1: parses a decimal and logs it.
        fn handler_1(text: String) -> i64;
        /// H2: gives `handler2-<n>` and logs it.
        fn handler_2(number: i64) -> String;
        /// H3: sleeps 20 s, then gives -n.
        fn handler_3(number: i64) -> i64;
        /// H4: takes a struct behind a pointer.
        fn handler_4(args: Box<JunkArgs>) -> String;
        /// H5: takes a struct.
        fn handler_5(args: JunkArgs) -> String;
        /// H6: length of a string.
        fn handler_6(text: String) -> usize;
        /// H7: a string of n times 'y'.
        fn handler_7(length: usize) -> String;
    }
}

/// What the handlers have logged.
#[derive(Default)]
pub(crate) struct JunkServer {
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    texts: Vec<String>,
    numbers: Vec<i64>,
}

impl JunkServer {
    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.log.lock().numbers.clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.log.lock().texts.clone()
    }
}

impl Junk for JunkServer {
    fn handler_1(&self, text: String) -> i64 {
        let number = text.parse().expect("the tests send decimals");
        self.log.lock().texts.push(text);
        number
    }

    fn handler_2(&self, number: i64) -> String {
        self.log.lock().numbers.push(number);
        format!("handler2-{number}")
    }

    fn handler_3(&self, number: i64) -> i64 {
        thread::sleep(Duration::from_secs(20));
        -number
    }

    fn handler_4(&self, args: Box<JunkArgs>) -> String {
        assert_eq!(args.x, 4);
        "pointer".to_owned()
    }

    fn handler_5(&self, args: JunkArgs) -> String {
        assert_eq!(args.x, 5);
        "no pointer".to_owned()
    }

    fn handler_6(&self, text: String) -> usize {
        text.len()
    }

    fn handler_7(&self, length: usize) -> String {
        "y".repeat(length)
    }
}

/// A network with one server, named by the integer 99.
pub(crate) struct Fixture {
    pub(crate) network: Network,
    pub(crate) server: Arc<JunkServer>,
}

/// Name of the fixture's server.
pub(crate) const SERVER: i64 = 99;

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let network = Network::new();
        let node = Node::new("server");
        let server = Arc::new(JunkServer::default());
        network.add_server(SERVER, Server::new(&node).with(Arc::clone(&server).into_service()));
        Fixture { network, server }
    }

    /// A new end, connected but disabled.
    pub(crate) fn disabled(&self, name: impl Into<Name>) -> ClientEnd {
        let name = name.into();
        let end = self.network.make_end(&name);
        self.network.connect(&name, SERVER);
        end
    }

    /// A client on a new end, connected and enabled.
    pub(crate) fn client(&self, name: impl Into<Name>) -> JunkClient {
        let name = name.into();
        let end = self.disabled(&name);
        self.network.enable(&name, true);
        JunkClient::new(end)
    }
}

/// Runs `f` in both worlds, and demands success in both.
pub(crate) fn both(f: fn()) {
    for config in [Config::simulated(1), Config::threads(1)] {
        run(config, f).result.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Runs `f` in the simulation, and gives what it gives.
pub(crate) fn simulated<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    // Ten thousand calls that take seconds each take long, on this clock.
    let limits = Limits { virtual_time: Duration::from_secs(1_000_000), ..Limits::default() };
    run(Config::simulated(7).limits(limits), f).result.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Result and duration of a call.
pub(crate) fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = call();
    (result, started.elapsed())
}

/// By how much something may be late: not at all in the simulation; on real threads as much as a busy machine
/// needs.
pub(crate) fn slack() -> Duration {
    ms(if world() == World::Simulated { 0 } else { 100 })
}

/// Milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

labrpc::service! {
    /// One handler that takes time.
    pub(crate) service Nap, client NapClient {
        /// Sleeps that many milliseconds; gives how many naps have ended at this server by then.
        fn nap(milliseconds: u64) -> usize;
    }
}

/// The naps that have begun and those that have ended, by their lengths.
#[derive(Default)]
pub(crate) struct NapServer {
    pub(crate) begun: Mutex<Vec<u64>>,
    pub(crate) ended: Mutex<Vec<u64>>,
}

impl Nap for NapServer {
    fn nap(&self, milliseconds: u64) -> usize {
        self.begun.lock().push(milliseconds);
        thread::sleep(ms(milliseconds));
        let mut ended = self.ended.lock();
        ended.push(milliseconds);
        ended.len()
    }
}

/// A network without delays, one server named 0 and one end named "end", connected and enabled.
pub(crate) struct Naps {
    pub(crate) network: Network,
    pub(crate) node: Node,
    pub(crate) server: Arc<NapServer>,
    pub(crate) client: NapClient,
}

impl Naps {
    pub(crate) fn new() -> Naps {
        let network = Network::new();
        network.set_delay(DelayModel::zero());
        let end = network.make_end("end");
        network.connect("end", 0);
        network.enable("end", true);
        let (node, server) = add_nap_server(&network, "server");
        Naps { network, node, server, client: NapClient::new(end) }
    }

    /// Starts a nap in a thread of its own; its result, and when it ended.
    pub(crate) fn start(&self, milliseconds: u64) -> JoinHandle<(Result<usize, RpcError>, Instant)> {
        let client = self.client.clone();
        thread::spawn(move || (client.nap(&milliseconds), Instant::now()))
    }

    pub(crate) fn begun(&self) -> Vec<u64> {
        self.server.begun.lock().clone()
    }
}

/// A new incarnation of server 0.
pub(crate) fn add_nap_server(network: &Network, node: &str) -> (Node, Arc<NapServer>) {
    let node = Node::new(node);
    let server = Arc::new(NapServer::default());
    network.add_server(0, Server::new(&node).with(Arc::clone(&server).into_service()));
    (node, server)
}
