//! The test server of the course's labrpc tests (spec chapter 1.4), and runs in both worlds.

use labrpc::{ClientEnd, Name, Network, Server};
use labrt::node::Node;
use labrt::sync::{Arc, Mutex};
use labrt::time::Duration;
use labrt::{Config, run, thread};
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
    pub(crate) node: Node,
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
        Fixture { network, node, server }
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
    run(Config::simulated(7), f).result.unwrap_or_else(|failure| panic!("{failure}"))
}
