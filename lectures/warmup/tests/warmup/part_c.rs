//! Part 0C: what calls promise, on a network that loses, repeats and reorders messages.

use std::num::NonZeroU32;

use labrpc::{Name, Server};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Net, Test, run};
use warmup::rpc::{
    CallError, ClientId, Dispatcher, Guarantee, Handler, Malformed, Mode, Outcome, RESEND, Rejection, Reply,
    Request, Rpc, RpcClient, Stub, Value, decode, encode,
};

use crate::server::{Served, add, expect_bounded, in_parallel};
use crate::weather::Weather;

/// At most once, with so many copies of a request.
fn at_most_once(attempts: u32) -> Mode {
    Mode::AtMostOnce { attempts: NonZeroU32::new(attempts).expect("a call is sent at least once") }
}

/// Lets so many clients make so many calls each, and counts the calls that were answered.
fn answered(served: &Arc<Served>, mode: Mode, clients: u64, calls: u64, first_tag: u64) -> u64 {
    let served = Arc::clone(served);
    let counts = in_parallel(clients, move |client| {
        let (stub, _) = served.client(mode);
        let tags = (0..calls).map(|call| first_tag + client * calls + call);
        tags.filter(|&tag| add(&stub, tag).is_ok()).count() as u64
    });
    counts.into_iter().sum()
}

fn expect_near(t: &Test, what: &str, ours: f64, expected: f64, tolerance: f64) {
    t.note(format!("{what}: {ours:.4}, expected {expected:.4}"));
    t.expect((ours - expected).abs() <= tolerance, || {
        format!("{what}: expected {expected:.4} ± {tolerance}, but it is {ours:.4}")
    });
}

const CLIENTS: u64 = 100;
const CALLS: u64 = 200;

/// One send: a tenth of the requests and a tenth of the replies are lost.
#[test]
fn rpc_best_effort_rates() {
    run("rpc_best_effort_rates", |t: &Test| {
        let net = Net::new();
        Weather::exact(0.1, 0.1).over(net.network());
        let served = Arc::new(Served::new(t, &net, Guarantee::Nothing, 1, Duration::ZERO));
        t.scene("20,000 increments are sent once each; a tenth of the requests and of the replies is lost.");
        let answered = answered(&served, Mode::BestEffort, CLIENTS, CALLS, 0);
        let all = (CLIENTS * CALLS) as f64;
        expect_near(t, "the share of calls that were answered", answered as f64 / all, 0.81, 0.01);
        expect_near(t, "the share of calls that ran", served.executed() as f64 / all, 0.9, 0.01);
    });
}

/// Sent until answered: what was executed and whose reply was lost is executed again.
#[test]
fn rpc_at_least_once_duplicates() {
    run("rpc_at_least_once_duplicates", |t: &Test| {
        let net = Net::new();
        Weather::exact(0.1, 0.1).over(net.network());
        let served = Arc::new(Served::new(t, &net, Guarantee::Nothing, 1, Duration::ZERO));
        t.scene("20,000 increments are sent until they are answered.");
        let all = CLIENTS * CALLS;
        let answered = answered(&served, Mode::AtLeastOnce, CLIENTS, CALLS, 0);
        t.expect(answered == all, || format!("{answered} of {all} calls were answered"));
        expect_near(t, "executions of a call", served.executed() as f64 / all as f64, 1.0 / 0.9, 0.01);
        t.expect(served.executions().len() as u64 == all, || "an answered call never ran".to_owned());
    });
}

/// A call runs at most once, and more attempts make errors rarer.
#[test]
fn rpc_at_most_once_never_twice() {
    run("rpc_at_most_once_never_twice", |t: &Test| {
        let net = Net::new();
        let served = Arc::new(Served::new(t, &net, Guarantee::AtMostOnce, 1, Duration::ZERO));
        for attempts in 1..=3 {
            t.scene(format!("A tenth of the requests and of the replies is lost; {attempts} attempts."));
            const CALLS: u64 = 60;
            let of_threads = Arc::clone(&served);
            let (network, first_tag) = (net.network().clone(), u64::from(attempts) << 32);
            // The clients learn the server's incarnation before it rains.
            network.clear_tap();
            let stubs = in_parallel(CLIENTS, move |client| {
                let (stub, _) = of_threads.client(at_most_once(attempts));
                add(&stub, first_tag + (1 << 20) + client).map(|_| Arc::new(stub)).ok()
            });
            Weather::exact(0.1, 0.1).over(&network);
            let failed = in_parallel(CLIENTS, move |client| {
                let Some(Some(stub)) = stubs.get(client as usize) else { return CALLS };
                let tags = (0..CALLS).map(|call| first_tag + client * CALLS + call);
                tags.filter(|&tag| add(stub, tag) == Err(CallError::Lost)).count() as u64
            });
            let calls = (CLIENTS * CALLS) as f64;
            let expected = (1.0 - 0.81_f64).powi(attempts as i32);
            let tolerance = 6.0 * (expected * (1.0 - expected) / calls).sqrt();
            let rate = failed.into_iter().sum::<u64>() as f64 / calls;
            expect_near(t, "the share of calls without an answer", rate, expected, tolerance);
        }
        t.scene("Messages are lost, repeated and reordered.");
        let storm = Weather {
            request_loss: 0.1,
            reply_loss: 0.1,
            duplication: 0.3,
            reordering: true,
            is_exact: false,
        };
        storm.over(net.network());
        let answered = answered(&served, at_most_once(5), 20, 20, 1 << 50);
        t.expect(answered > 200, || format!("only {answered} of 400 calls were answered"));
        thread::sleep(Duration::from_secs(3));
        t.exercised(served.answers().iter().any(|times| *times > 1), "no call was answered twice");
    });
}

/// The handler takes longer than the client waits before it sends again.
#[test]
fn rpc_duplicate_while_running() {
    run("rpc_duplicate_while_running", |t: &Test| {
        let net = Net::as_drawn(t);
        let served = Served::new(t, &net, Guarantee::AtMostOnce, 1, RESEND * 5 / 2);
        let (stub, _) = served.client(at_most_once(20));
        t.scene("A handler runs, and the client sends the request again and again.");
        let sum = add(&stub, 7);
        t.expect(sum == Ok(1), || format!("expected the sum 1, but the call returned {sum:?}"));
        thread::sleep(RESEND * 5);
        t.expect(served.executed() == 1, || format!("the call ran {} times", served.executed()));
        // The watch has seen that all of them are equal.
        t.exercised(served.answers().iter().any(|times| *times > 1), "only one copy was answered");
        let copies = served.requests().iter().filter(|request| request.incarnation != 0).count();
        t.exercised(copies > 1, "no two copies named an incarnation; has the server run a request with 0?");
    });
}

/// A copy of a request comes when its client has long had the answer.
#[test]
fn rpc_late_duplicate_after_ack() {
    run("rpc_late_duplicate_after_ack", |t: &Test| {
        let net = Net::as_drawn(t);
        for guarantee in [Guarantee::AtMostOnce, Guarantee::ExactlyOnce] {
            let served = Served::new(t, &net, guarantee, 1, Duration::ZERO);
            let mode = if guarantee == Guarantee::AtMostOnce { at_most_once(20) } else { Mode::ExactlyOnce };
            let (stub, _) = served.client(mode);
            t.scene(format!(
                "{guarantee:?}: a client makes two calls; then a copy of the first one arrives."
            ));
            for tag in [1, 2] {
                let sum = add(&stub, tag);
                t.expect(sum == Ok(tag), || format!("expected the sum {tag}, but the call returned {sum:?}"));
            }
            let requests = served.requests();
            let first = requests.iter().find(|request| request.args == 1_u64.to_le_bytes()).cloned();
            let acked = requests.iter().map(|request| request.ack_below).max().unwrap_or(0);
            let mut first = first.expect("the first call came to the server");
            // The copy that ran, in case the first one only asked for the incarnation.
            first.incarnation = requests.iter().map(|request| request.incarnation).max().unwrap_or(0);
            t.expect(acked > first.seq, || format!("the second call acknowledges only those below {acked}"));
            let (link, end) = net.make_end(served.group.name(0));
            net.network().enable(link, true);
            let reply = RpcClient::new(end).call(&first);
            let outcome = reply.map(|reply| reply.outcome);
            t.expect(outcome == Ok(Outcome::Rejected(Rejection::Stale)), || {
                format!("expected a late copy to be refused as stale, but the reply is {outcome:?}")
            });
            t.expect(served.executed() == 2, || format!("two calls ran {} times", served.executed()));
            served.group.crash(0);
        }
    });
}

/// A server whose replies come late: the first copy of each call gets the reply of the call before.
#[derive(Default)]
struct LateReplies {
    last: Mutex<Option<(u64, Reply)>>,
}

impl Rpc for LateReplies {
    fn call(&self, request: Request) -> Reply {
        let own = Reply { seq: request.seq, incarnation: 1, outcome: Outcome::Value(request.args) };
        let mut last = self.last.lock();
        match last.replace((request.seq, own.clone())) {
            Some((seq, late)) if seq != request.seq => late,
            _ => own,
        }
    }
}

/// The reply to a call arrives while its client waits for the reply to the next one.
#[test]
fn rpc_late_reply_ignored() {
    run("rpc_late_reply_ignored", |t: &Test| {
        for mode in [Mode::AtLeastOnce, Mode::ExactlyOnce, at_most_once(2), Mode::BestEffort] {
            t.scene(format!("{mode:?}: the reply to each call comes during the next call."));
            let net = Net::as_drawn(t);
            // A repeated request would let a reply overtake another one.
            net.network().set_duplication(0.0);
            let server = Arc::new(LateReplies::default()).into_service();
            net.network().add_server("late", Server::new(&Node::new("late")).with(server));
            let (link, end) = net.make_end(&Name::from("late"));
            net.network().enable(link, true);
            let stub = Stub::new(end, 1, mode, 1);
            for call in 0..5_u8 {
                let value = stub.call("echo", vec![call]);
                let is_lost = mode == Mode::BestEffort && call > 0;
                let expected = if is_lost { Err(CallError::Lost) } else { Ok(vec![call]) };
                t.expect(value == expected, || {
                    format!("{mode:?}, call {call}: expected {expected:?}, but it returned {value:?} (C5)")
                });
            }
        }
    });
}

/// A handler that returns its arguments.
struct Echo;

impl Handler for Echo {
    fn handle(&self, _method: &str, args: &[u8]) -> Vec<u8> {
        args.to_vec()
    }
}

/// A client makes all calls of its window, which arrive in any order.
fn call_whole_window(t: &Test, dispatcher: &Dispatcher, request: &mut Request, window: u64) {
    let turn = random_range(0..window);
    for call in 0..window {
        request.seq = request.ack_below + (call + turn) % window;
        let reply = dispatcher.dispatch(request);
        let is_right = reply.outcome == Outcome::Value(Vec::new());
        t.expect(is_right, || format!("call {request:?} was answered with {reply:?}"));
    }
}

/// 100 clients, 10,000 calls each, straight into the dispatcher.
#[test]
fn rpc_cache_bounded() {
    run("rpc_cache_bounded", |t: &Test| {
        const CLIENTS: u64 = 100;
        // 10,000 calls of each client.
        for (window, calls) in [(1, 2_000), (8, 8_000)] {
            t.scene(format!("{CLIENTS} clients with a window of {window} make {calls} calls each."));
            let dispatcher =
                Dispatcher::start(Guarantee::AtMostOnce, window, Arc::new(Echo), labapi::Persister::new());
            let mut request = request(0, 1, 1, 0);
            let incarnation = dispatcher.dispatch(&request).incarnation;
            request.incarnation = incarnation;
            for first in (1..=calls).step_by(window as usize) {
                request.ack_below = first;
                for client in 0..CLIENTS {
                    request.client_id.address = client;
                    call_whole_window(t, &dispatcher, &mut request, window);
                }
                if first % 64 == 1 {
                    expect_bounded(t, dispatcher.cached_results() as u64, CLIENTS, window);
                }
                // A million calls in one instant would look like spinning.
                thread::sleep(Duration::from_micros(1));
            }
            expect_bounded(t, dispatcher.cached_results() as u64, CLIENTS, window);
            t.scene("A client sends a call beyond its window, and one that it has acknowledged.");
            for (seq, ack_below, rejection) in
                [(calls + window, calls, Rejection::OutsideWindow), (1, 1, Rejection::Stale)]
            {
                let strange = Request { seq, ack_below, ..request.clone() };
                let reply = dispatcher.dispatch(&strange);
                t.expect(reply.outcome == Outcome::Rejected(rejection), || {
                    format!("expected {rejection:?} for call {seq}, but the reply is {reply:?}")
                });
            }
            expect_bounded(t, dispatcher.cached_results() as u64, CLIENTS, window);
        }
    });
}

/// A request without arguments.
fn request(address: u64, seq: u64, ack_below: u64, incarnation: u64) -> Request {
    let client_id = ClientId { address, number: 17 };
    Request { client_id, seq, ack_below, incarnation, method: "echo".to_owned(), args: Vec::new() }
}

/// The link is cut for ten seconds.
#[test]
fn rpc_unbounded_retry_partition() {
    run("rpc_unbounded_retry_partition", |t: &Test| {
        let net = Net::as_drawn(t);
        let served = Served::new(t, &net, Guarantee::ExactlyOnce, 1, Duration::ZERO);
        let (stub, link) = served.client(Mode::ExactlyOnce);
        t.expect(add(&stub, 1) == Ok(1), || "the first call failed".to_owned());
        t.scene("The link is cut for ten seconds, and the client calls.");
        net.network().enable(link, false);
        let (network, cut) = (net.network().clone(), Duration::from_secs(10));
        let healer = thread::spawn_named("healer", move || {
            thread::sleep(cut);
            network.enable(link, true);
        });
        let began = Instant::now();
        let sum = add(&stub, 2);
        t.expect(sum == Ok(2), || format!("expected the sum 2, but the call returned {sum:?}"));
        t.expect(began.elapsed() >= cut, || "the call returned while the link was cut".to_owned());
        t.expect(began.elapsed() < cut + Duration::from_secs(2), || {
            format!("the call returned {:?} after the heal", began.elapsed().saturating_sub(cut))
        });
        t.expect(served.effects().get(&2) == Some(&1), || "the call did not run once".to_owned());
        // It has ended before the call.
        let _ = healer.join();
    });
}

/// Fifty clients at once on an unreliable network.
#[test]
fn rpc_concurrent_clients() {
    run("rpc_concurrent_clients", |t: &Test| {
        const CLIENTS: u64 = 50;
        const CALLS: u64 = 8;
        const WINDOW: u64 = 2;
        for (guarantee, mode) in
            [(Guarantee::AtMostOnce, at_most_once(30)), (Guarantee::ExactlyOnce, Mode::ExactlyOnce)]
        {
            t.scene(format!(
                "{guarantee:?}: {CLIENTS} clients of two threads each, on an unreliable network."
            ));
            let net = Net::as_drawn(t);
            net.network().set_reliable(false);
            let served = Arc::new(Served::new(t, &net, guarantee, WINDOW, Duration::ZERO));
            let of_threads = Arc::clone(&served);
            let answered = in_parallel(CLIENTS, move |client| {
                let (stub, _) = of_threads.client(mode);
                let stub = Arc::new(stub);
                let threads = in_parallel(WINDOW, move |thread| {
                    let tags = (0..CALLS).map(|call| (client * WINDOW + thread) * CALLS + call);
                    tags.filter(|&tag| add(&stub, tag).is_ok()).count() as u64
                });
                threads.into_iter().sum::<u64>()
            });
            let (answered, all) = (answered.into_iter().sum::<u64>(), CLIENTS * WINDOW * CALLS);
            t.expect(answered == all, || {
                let refused = served.rejections();
                let refused = refused.iter().filter(|(_, why)| *why != Rejection::UnknownIncarnation);
                let refused: Vec<_> = refused.take(3).collect();
                format!("{answered} of {all} calls were answered; the server refused {refused:?}")
            });
            let effects = served.effects();
            let once = effects.values().filter(|times| **times == 1).count() as u64;
            t.expect(once == all, || format!("{once} of {all} calls took effect once"));
        }
    });
}

/// Values of every kind, nested.
fn values() -> Vec<Value> {
    let mut nested = Value::List(vec![Value::Unit, Value::Text("ü".to_owned()), Value::Bytes(vec![0, 255])]);
    for depth in 0..20 {
        nested = Value::List(vec![nested, Value::Integer(depth)]);
    }
    vec![
        Value::Unit,
        Value::Integer(i64::MIN),
        Value::Integer(-1),
        Value::Text(String::new()),
        Value::Bytes(Vec::new()),
        Value::List(Vec::new()),
        nested,
    ]
}

/// The beginning of what would be shown: a nested value is long.
fn short(value: &impl std::fmt::Debug) -> String {
    let shown = format!("{value:?}");
    let beginning: String = shown.chars().take(120).collect();
    if beginning.len() < shown.len() { beginning + "…" } else { shown }
}

/// Values become bytes and values again; bytes that are cut short become errors.
#[test]
fn rpc_marshal_roundtrip() {
    run("rpc_marshal_roundtrip", |t: &Test| {
        t.scene("Values of every kind, whole and cut short at every byte.");
        for value in values() {
            let (bytes, shown) = (encode(&value), short(&value));
            let again = decode(&bytes);
            t.expect(again == Ok(value), || format!("{shown} came back as {}", short(&again)));
            for length in 0..bytes.len() {
                let cut = short(&decode(&bytes[..length]));
                t.expect(cut == "Err(Malformed)", || format!("{length} bytes of {shown} decode to {cut}"));
            }
            let longer = short(&decode(&[&bytes[..], &[0]].concat()));
            t.expect(longer == "Err(Malformed)", || format!("{shown} and a byte more decode to {longer}"));
        }
        t.scene("A payload of 1 MB.");
        let large = Value::Bytes((0..1 << 20).map(|byte: u32| byte as u8).collect());
        let bytes = encode(&large);
        t.expect(decode(&bytes) == Ok(large), || "1 MB came back as other bytes".to_owned());
        t.expect(decode(&bytes[..bytes.len() - 1]) == Err(Malformed), || "1 MB cut short decodes".to_owned());
        t.scene("Bytes that no encoder writes.");
        let lists = |depth: usize| [[4, 1, 0, 0, 0, 0, 0, 0, 0].repeat(depth), vec![0]].concat();
        for depth in [10, 32] {
            t.expect(decode(&lists(depth)).is_ok(), || format!("{depth} lists in one another do not decode"));
        }
        let length = |tag: u8| [vec![tag], vec![255; 8]].concat();
        let text = [vec![2, 1, 0, 0, 0, 0, 0, 0, 0], vec![0xff]].concat();
        for (what, bytes) in [
            ("a thousand lists in one another", lists(1_000)),
            ("a million lists in one another", lists(1_000_000)),
            ("a text of 2^64 bytes", length(2)),
            ("bytes without end", length(3)),
            ("a list of 2^64 values", length(4)),
            ("a text that is not UTF-8", text),
            ("an unknown tag", vec![9]),
        ] {
            let decoded = decode(&bytes);
            t.expect(decoded == Err(Malformed), || format!("{what}: it decodes to {}", short(&decoded)));
        }
        t.scene("Random bytes.");
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..random_range(0..40)).map(|_| random_range(0..6)).collect();
            if let Ok(value) = decode(&bytes) {
                t.expect(encode(&value) == bytes, || {
                    format!("{bytes:?} decodes to {value:?}, of other bytes")
                });
            }
        }
    });
}
