//! What it costs to bring a follower up to date on real threads: a large snapshot, and a long
//! log. Three servers in this process, with a network that adds nothing. Prints figures;
//! `cargo bench -p raft`, and `cargo bench -p raft -- snapshot` for a part of it.
//!
//! Beside the time it prints what the catch-up does to the other servers: the bytes that were
//! sent for each byte of the state, the longest time that a call into the leader took
//! meanwhile, and the terms that have passed. A leader that holds its lock while it copies,
//! or sends again what is still on its way, shows in these.

use labapi::ApplyMsg;
use labrpc::{ClientEnd, Network, Server};
use labrt::Config;
use labrt::channel::{Receiver, unbounded};
use labrt::node::Node;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use raft::rpc::RaftRpc;
use raft::{Persister, Raft};

/// How many servers there are. The last one starts late, and has to catch up.
const SERVERS: usize = 3;
const LATE: usize = SERVERS - 1;

/// How long a follower may take before this gives up.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    println!(
        "{:<44} {:>8} {:>8} {:>12} {:>14} {:>6}",
        "three servers, real threads", "s", "MB/s", "bytes/byte", "slowest call", "terms"
    );
    for megabytes in [1, 20, 200] {
        catch_up(&format!("a snapshot of {megabytes} MB"), move |cluster| {
            let state = vec![7; megabytes * 1_000_000];
            let index = cluster.commit(b"an entry".to_vec());
            cluster.servers[cluster.leader].raft.snapshot(index, state);
            megabytes * 1_000_000
        });
    }
    for (count, size) in [(200_000, 8), (2_000, 10_000), (20, 4_000_000)] {
        catch_up(&format!("a log of {count} commands of {size} bytes"), move |cluster| {
            for _ in 1..count {
                cluster.start(vec![7; size]);
            }
            cluster.commit(vec![7; size]);
            count * size
        });
    }
}

/// Whether the command line asks for this figure: it names a part of it, or nothing.
fn is_wanted(what: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    filters.peek().is_none() || filters.any(|filter| what.contains(&filter))
}

/// Lets a majority do something before the last server starts, and measures how that server
/// catches up. `prepare` returns how many bytes it lacks.
fn catch_up(what: &str, prepare: impl FnOnce(&Cluster) -> usize + Send + 'static) {
    if !is_wanted(what) {
        return;
    }
    let outcome = labrt::run(Config::threads(1), move || {
        let cluster = Cluster::new();
        let size = prepare(&cluster);
        // Calls that were made in vain meanwhile are over by then.
        thread::sleep(Duration::from_millis(500));
        cluster.measure(size)
    });
    match outcome.result.unwrap_or_else(|failure| panic!("{failure}")) {
        Some(Figures { took, size, bytes, slowest, terms }) => println!(
            "  {what:<42} {:>8.2} {:>8.0} {:>12.2} {:>11.1} ms {terms:>6}",
            took.as_secs_f64(),
            size as f64 / 1e6 / took.as_secs_f64(),
            bytes as f64 / size as f64,
            slowest.as_secs_f64() * 1e3,
        ),
        None => println!("  {what:<42} not within {} s", PATIENCE.as_secs()),
    }
}

/// What a catch-up has cost.
struct Figures {
    took: Duration,
    size: usize,
    bytes: u64,
    slowest: Duration,
    terms: u64,
}

/// One server: its Raft, and the messages to its service.
struct Member {
    raft: Arc<Raft>,
    messages: Receiver<ApplyMsg>,
}

/// The servers that start at once, and which of them leads.
struct Cluster {
    network: Network,
    servers: Vec<Member>,
    leader: usize,
}

impl Cluster {
    fn new() -> Cluster {
        let network = Network::new();
        let servers: Vec<Member> = (0..LATE).map(|me| member(&network, me)).collect();
        let leads = |server: &Member| server.raft.get_state().1;
        let leader = loop {
            if let Some(leader) = servers.iter().position(leads) {
                break leader;
            }
            thread::sleep(Duration::from_millis(10));
        };
        let cluster = Cluster { network, servers, leader };
        cluster.commit(b"the first entry".to_vec());
        cluster
    }

    fn start(&self, command: Vec<u8>) -> u64 {
        let (index, _) = self.servers[self.leader].raft.start(command).expect("nothing deposes the leader");
        index
    }

    /// Returns the index of the command once the leader has handed it to its service.
    fn commit(&self, command: Vec<u8>) -> u64 {
        let wanted = self.start(command);
        loop {
            match self.servers[self.leader].messages.recv() {
                Ok(ApplyMsg::Command { index, .. }) if index == wanted => return wanted,
                Ok(_) => {}
                Err(error) => panic!("the leader has ended: {error}"),
            }
        }
    }

    /// Starts the last server. Until it has everything, calls the leader again and again.
    fn measure(&self, size: usize) -> Option<Figures> {
        let leader = &self.servers[self.leader].raft;
        let wanted = self.commit(b"the last entry".to_vec());
        let (before, term) = (self.network.total_bytes(), leader.get_state().0);
        let started = Instant::now();
        let mut slowest = Duration::ZERO;
        let late = member(&self.network, LATE);
        while late.reached() < wanted {
            if started.elapsed() > PATIENCE {
                return None;
            }
            let called = Instant::now();
            leader.get_state();
            slowest = slowest.max(called.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        let took = started.elapsed();
        let (bytes, terms) = (self.network.total_bytes() - before, leader.get_state().0 - term);
        Some(Figures { took, size, bytes, slowest, terms })
    }
}

impl Member {
    /// The highest index among the messages that have come since the last call; 0 if there are
    /// none.
    fn reached(&self) -> u64 {
        let index = |message| match message {
            ApplyMsg::Command { index, .. } | ApplyMsg::Snapshot { index, .. } => index,
        };
        std::iter::from_fn(|| self.messages.try_recv().ok()).map(index).last().unwrap_or(0)
    }
}

/// Starts a server.
fn member(network: &Network, me: usize) -> Member {
    let node = Node::new(format!("server {me}"));
    let (sender, messages) = unbounded();
    let ends: Vec<ClientEnd> = (0..SERVERS).map(|to| link(network, me, to)).collect();
    let raft = node.enter(|| Raft::make(ends, me, Persister::new(), sender));
    network.add_server(me, Server::new(&node).with(raft.clone().into_service()));
    Member { raft, messages }
}

/// A new end of `from`, connected to `to`.
fn link(network: &Network, from: usize, to: usize) -> ClientEnd {
    let name = format!("{from} -> {to}");
    let end = network.make_end(name.clone());
    network.connect(name.clone(), to);
    network.enable(name, true);
    end
}
