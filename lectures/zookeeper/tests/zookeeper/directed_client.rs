//! Directed: the client alone, at a server of the tests' own.

use labrpc::{Network, Server};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Net, Test, run};
use zookeeper::rpc::{
    Connect, Connected, Delivery, Exchange, Exchanged, NotLeader, Refused, Request, Transaction, ZkRpc,
};
use zookeeper::{
    ANY_VERSION, Answer, Client, Event, EventKind, Operation, Outcome, SessionId, Settings, Stat, Zxid,
};

use crate::cluster::{answer, expect_event, ms};

/// How long this server keeps an exchange for which it has nothing.
const KEPT: Duration = ms(100);

/// A server that says what a test wants it to say, and keeps what it is told.
#[derive(Default)]
struct Stage {
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Facts {
    /// The last exchange, and the connection.
    told: Option<Exchange>,
    connection: u64,
    /// The number of the last request that was answered, and the state.
    xid: u64,
    zxid: Zxid,
    /// All that was put into the queue of this connection.
    deliveries: Vec<Delivery>,
    /// The server has heard of nothing that the client has taken.
    repeats: bool,
}

impl Stage {
    /// A node is set.
    fn set(&self, path: &str) -> Zxid {
        let mut facts = self.facts.lock();
        facts.zxid += 1;
        let event = Event { path: path.to_owned(), kind: EventKind::Data, zxid: facts.zxid };
        facts.deliveries.push(Delivery::Event(event));
        facts.zxid
    }

    fn told<T>(&self, look: impl Fn(&Exchange) -> T) -> Option<T> {
        self.facts.lock().told.as_ref().map(look)
    }
}

impl Facts {
    /// Answers a request, if it is the next one. Each node is there, and empty.
    fn request(&mut self, request: &Request) {
        if request.xid != self.xid + 1 {
            return;
        }
        self.xid += 1;
        self.zxid += u64::from(request.operation.is_write());
        let answer = answer_to(&request.operation, self.zxid);
        self.deliveries.push(Delivery::Reply { xid: self.xid, zxid: self.zxid, answer });
    }

    fn exchanged(&self, received: u64) -> Exchanged {
        let first = if self.repeats { 1 } else { received + 1 };
        let deliveries = self.deliveries.iter().skip(first as usize - 1).cloned().collect();
        Exchanged { first, deliveries, is_heard: true }
    }
}

fn answer_to(operation: &Operation, zxid: Zxid) -> Answer {
    let (version, cversion, czxid, pzxid, ephemeral_owner, children) = (0, 0, 1, 1, None, 0);
    let stat = Stat { version, cversion, czxid, mzxid: zxid, pzxid, ephemeral_owner, children };
    Ok(match operation {
        Operation::GetData { .. } => Outcome::Data(Vec::new(), stat),
        Operation::SetData { .. } => Outcome::Set(stat),
        _ => Outcome::Done,
    })
}

impl ZkRpc for Stage {
    fn connect(&self, connect: Connect) -> Result<Connected, Refused> {
        let mut facts = self.facts.lock();
        if connect.connection > facts.connection {
            facts.connection = connect.connection;
            facts.deliveries.clear();
            facts.xid = connect.answered;
            facts.zxid = facts.zxid.max(1);
        }
        Ok(Connected { session: 1, secret: 1, zxid: facts.zxid })
    }

    fn exchange(&self, exchange: Exchange) -> Result<Exchanged, Refused> {
        let (connection, received) = (exchange.connection, exchange.received);
        {
            let mut facts = self.facts.lock();
            if facts.connection != connection {
                return Err(Refused::NotConnected);
            }
            exchange.requests.iter().for_each(|request| facts.request(request));
            facts.told = Some(exchange);
        }
        let until = Instant::now() + KEPT;
        loop {
            {
                let facts = self.facts.lock();
                if facts.deliveries.len() as u64 > received || Instant::now() >= until {
                    return Ok(facts.exchanged(received));
                }
            }
            thread::sleep(ms(5));
        }
    }

    fn forward(&self, _: rsm::Request<Vec<Transaction>>) -> Result<(), NotLeader> {
        Err(NotLeader)
    }

    fn sync_point(&self, (): ()) -> Result<Zxid, NotLeader> {
        Err(NotLeader)
    }

    fn touch(&self, _: Vec<SessionId>) -> Result<(), NotLeader> {
        Err(NotLeader)
    }
}

/// A test of a client at such a server.
fn play(name: &'static str, body: fn(&Test, &Stage, &Client)) {
    run(name, move |t| {
        let (net, stage) = (Net::as_drawn(t), Arc::new(Stage::default()));
        let server = Server::new(&Node::new("stage")).with(stage.clone().into_service());
        let network: &Network = net.network();
        network.add_server("stage", server);
        let (number, end) = net.make_end(&"stage".into());
        network.enable(number, true);
        let client = Node::new("client").enter(|| Client::open(vec![end], Settings::default()));
        body(t, &stage, &client);
        drop(client);
        network.cleanup();
        let figures = net.figures(1, stage.facts.lock().xid);
        t.at_end(move |_| figures);
    });
}

fn set() -> Operation {
    Operation::SetData { path: "x".into(), data: Vec::new(), version: ANY_VERSION }
}

/// The client tells its server which answers it has, so that nobody has to keep them, and which state it has
/// seen, also when only an event showed it.
#[test]
fn zk_client_says_what_it_has() {
    play("zk_client_says_what_it_has", |t, stage, client| {
        for number in 1..=10 {
            let answer = answer(t, &format!("write {number}"), client.start(set()));
            t.expect(answer.is_ok(), || format!("write {number}: {answer:?}"));
        }
        t.wait_for(ms(5000), "the client says that it has the answers to requests 1 to 10", || {
            stage.told(|exchange| exchange.answered).filter(|answered| *answered == 10)
        });
        let (_, watch) = client.watch_data("x").expect("a read");
        t.scene("An event shows the client a new state.");
        let zxid = stage.set("x");
        expect_event(t, "the data of x", watch, &[EventKind::Data]);
        t.wait_for(ms(5000), "the client says that it has seen the state of the event (invariant 4)", || {
            stage.told(|exchange| exchange.last_zxid).filter(|seen| *seen == zxid)
        });
    });
}

/// The server sends once more what the client has taken: it has not heard yet that it has it. A watch that
/// was left in the meantime must not fire.
#[test]
fn zk_client_takes_events_once() {
    play("zk_client_takes_events_once", |t, stage, client| {
        stage.facts.lock().repeats = true;
        let (_, first) = client.watch_data("x").expect("a read");
        stage.set("x");
        expect_event(t, "the data of x", first, &[EventKind::Data]);
        let (_, second) = client.watch_data("x").expect("a read");
        t.scene("The server sends the same event, the number of which the client has taken.");
        thread::sleep(ms(2000));
        t.expect(!second.has_fired(), || {
            "a watch fires for an event that the client had taken before the watch was left (invariant 6)"
                .to_owned()
        });
        stage.set("x");
        expect_event(t, "the data of x, which is set once more", second, &[EventKind::Data]);
    });
}
