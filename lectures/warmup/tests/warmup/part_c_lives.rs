//! Part 0C: what one life of a server, or of a client, leaves to the next, and what becomes of calls under
//! way.

use std::num::NonZeroU32;

use labapi::Persister;
use labrpc::{Direction, Name, Server, TapAction};
use labrt::node::Node;
use labrt::quiet;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Duration;
use tester::{Net, Test, run};
use warmup::rpc::{
    CallError, ClientId, Dispatcher, Guarantee, Handler, Mode, Outcome, RESEND, Rejection, Reply, Request,
    Rpc, RpcClient, Stub,
};

use crate::part_b::join_all;
use crate::schedules::in_all_seeds;
use crate::server::{Served, Step, add, expect_bounded, in_parallel};

/// An exactly-once server crashes after a call was acknowledged. A late copy of that call, to the next life,
/// must not run: it looks new there if the acknowledgement was only in memory (C2).
#[test]
fn rpc_late_duplicate_after_crash() {
    run("rpc_late_duplicate_after_crash", |t: &Test| {
        let net = Net::as_drawn(t);
        let served = Served::new(t, &net, Guarantee::ExactlyOnce, 1, Duration::ZERO);
        let (stub, _) = served.client(Mode::ExactlyOnce);
        t.scene("A client makes three calls, and the server crashes.");
        for tag in 1..=3 {
            let sum = add(&stub, tag);
            t.expect(sum == Ok(tag), || format!("expected the sum {tag}, but the call returned {sum:?}"));
        }
        served.group.crash(0);
        served.group.restart(0);
        t.scene("Copies of the first two calls arrive.");
        for tag in 1..=2_u64 {
            let requests = served.requests();
            let copy = requests.into_iter().find(|request| request.args == tag.to_le_bytes());
            let copy = copy.expect("the call came to the server");
            let (link, end) = net.make_end(served.group.name(0));
            net.network().enable(link, true);
            let outcome = RpcClient::new(end).call(&copy).map(|reply| reply.outcome);
            t.expect(!matches!(outcome, Ok(Outcome::Value(_))), || {
                format!("call {tag} is acknowledged, and a late copy of it is answered with {outcome:?}")
            });
        }
        let effects = served.effects();
        t.expect(effects.len() == 3 && effects.values().all(|times| *times == 1), || {
            format!("three calls took effect so often: {effects:?} (C2)")
        });
        t.expect(add(&stub, 4) == Ok(4), || "a call to the new life failed".to_owned());
    });
}

/// The server crashes while it runs the first call of a client, which knew no incarnation. The next life must
/// not run it again (C1).
#[test]
fn rpc_first_call_through_a_crash() {
    run("rpc_first_call_through_a_crash", |t: &Test| {
        let net = Net::as_drawn(t);
        let served = Arc::new(Served::new(t, &net, Guarantee::AtMostOnce, 1, Duration::ZERO));
        let attempts = NonZeroU32::new(1_000).expect("it is not 0");
        let (stub, _) = served.client(Mode::AtMostOnce { attempts });
        t.scene("A client makes its first call. The server crashes while it runs it.");
        served.crash_after(Step::Effect, 0);
        let of_thread = Arc::clone(&served);
        let reviver = thread::spawn_named("reviver", move || of_thread.revive());
        let result = add(&stub, 1);
        t.expect(result.is_err(), || format!("no life has replied, but the call returned {result:?}"));
        let runs = served.executions().get(&1).copied();
        t.expect(runs == Some(1), || format!("the call ran {runs:?} times"));
        // It ended when the server was there again.
        let _ = reviver.join();
        t.scene("The client calls the new life.");
        t.expect(add(&stub, 2).is_ok(), || "a call to the new life failed".to_owned());
    });
}

/// A call ran in one life of a server, and its reply was lost with that life. Before the client sends it
/// again, another call tells the client of the next life. The call belongs to the life that it was first sent
/// to: the next one must not run it (C1).
#[test]
fn rpc_call_belongs_to_its_life() {
    run("rpc_call_belongs_to_its_life", |t: &Test| {
        let net = Net::as_drawn(t);
        let served = Arc::new(Served::new(t, &net, Guarantee::AtMostOnce, 2, Duration::ZERO));
        let attempts = NonZeroU32::new(1_000).expect("it is not 0");
        let (stub, _) = served.client(Mode::AtMostOnce { attempts });
        let stub = Arc::new(stub);
        t.expect(add(&stub, 1) == Ok(1), || "the first call failed".to_owned());
        t.scene("The server crashes when it has run the second call. What the client sends again is lost for a while.");
        let mut copies = 0;
        net.network().set_tap(move |event| {
            let is_second = event.direction == Direction::Request
                && labgob::decode::<Request>(event.bytes).is_ok_and(|call| call.args == 2_u64.to_le_bytes());
            copies += u64::from(is_second);
            if is_second && copies > 1 { TapAction::Drop } else { TapAction::Deliver }
        });
        served.crash_after(Step::Effect, 0);
        let (of_thread, of_client) = (Arc::clone(&served), Arc::clone(&stub));
        let reviver = thread::spawn_named("reviver", move || of_thread.revive());
        let second = thread::spawn_named("second call", move || add(&of_client, 2));
        let _ = reviver.join();
        t.scene("A third call tells the client of the new life. Then the second one is sent again.");
        let _ = add(&stub, 3);
        net.network().clear_tap();
        let result = second.join();
        let runs = served.executions().get(&2).copied();
        t.expect(runs == Some(1), || {
            format!("the second call ran {runs:?} times, and returned {result:?} (C1)")
        });
        t.expect(add(&stub, 4).is_ok(), || "a call to the new life failed".to_owned());
    });
}

/// A client is started again at the same address. It counts its calls from 1 again, and must not get the
/// results of its earlier life.
#[test]
fn rpc_client_restarts() {
    run("rpc_client_restarts", |t: &Test| {
        let net = Net::as_drawn(t);
        for guarantee in [Guarantee::AtMostOnce, Guarantee::ExactlyOnce] {
            let served = Served::new(t, &net, guarantee, 1, Duration::ZERO);
            let attempts = NonZeroU32::new(1_000).expect("it is not 0");
            let is_exact = guarantee == Guarantee::ExactlyOnce;
            let mode = if is_exact { Mode::ExactlyOnce } else { Mode::AtMostOnce { attempts } };
            t.scene(format!("{guarantee:?}: three lives of a client at one address make two calls each."));
            for tag in [1, 3, 5] {
                let (stub, _) = served.client_at(1, mode);
                let sums = [tag, tag + 1].map(|tag| add(&stub, tag));
                t.expect(sums == [Ok(tag), Ok(tag + 1)], || {
                    format!("calls {tag} and {}: expected these sums, but got {sums:?}", tag + 1)
                });
            }
        }
    });
}

/// Several copies of a call come while it runs. Each of them is answered, for the reply to any other one may
/// be lost.
#[test]
fn rpc_every_copy_answered() {
    run("rpc_every_copy_answered", |t: &Test| {
        const COPIES: u64 = 4;
        let net = Net::new();
        let served = Served::new(t, &net, Guarantee::AtMostOnce, 1, Duration::from_millis(300));
        let (stub, _) = served.client(Mode::AtMostOnce { attempts: NonZeroU32::MIN });
        t.scene(format!("A call runs for 300 ms, and {COPIES} copies of it come meanwhile."));
        let _ = add(&stub, 1);
        let requests = served.requests();
        let request = requests.into_iter().max_by_key(|request| request.incarnation);
        let request = request.expect("the call came to the server");
        let outcomes = in_parallel(COPIES, move |_| {
            let (link, end) = net.make_end(served.group.name(0));
            net.network().enable(link, true);
            let reply = RpcClient::new(end).timeout(Duration::from_secs(5)).call(&request);
            reply.map(|reply| reply.outcome)
        });
        let answered = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Value(_)))).count();
        t.expect(answered as u64 == COPIES, || {
            format!("{answered} of {COPIES} copies of a call were answered: {outcomes:?}")
        });
    });
}

/// A client gives calls up while they run. Nobody asks for their results, so the cache must not keep them
/// (C4).
#[test]
fn rpc_given_up_is_forgotten() {
    run("rpc_given_up_is_forgotten", |t: &Test| {
        const CALLS: u64 = 6;
        let net = Net::new();
        let served = Served::new(t, &net, Guarantee::AtMostOnce, 1, RESEND * 5 / 2);
        let (stub, _) = served.client(Mode::AtMostOnce { attempts: NonZeroU32::MIN });
        t.scene(format!("A client makes {CALLS} calls, and gives each up while it runs."));
        for tag in 1..=CALLS {
            let result = add(&stub, tag);
            t.exercised(result == Err(CallError::Lost), "a call was not given up");
        }
        thread::sleep(RESEND * 5);
        let cached = served.group.visit(0, |server| server.cached_results() as u64).unwrap_or(0);
        expect_bounded(t, cached, 1, 1);
    });
}

/// A server that has restarted while a call to its earlier life was under way; the reply to that call comes
/// after a reply of the new life.
#[derive(Default)]
struct TwoLives;

impl Rpc for TwoLives {
    fn call(&self, request: Request) -> Reply {
        let is_old = request.method == "to the old life";
        let incarnation = if is_old { 1 } else { 2 };
        if is_old && request.incarnation != 0 {
            thread::sleep(RESEND / 2);
        }
        let is_known = request.incarnation == incarnation;
        let refused = Outcome::Rejected(Rejection::UnknownIncarnation);
        let outcome = if is_known { Outcome::Value(request.args) } else { refused };
        Reply { seq: request.seq, incarnation, outcome }
    }
}

/// A late reply of an earlier life does not make the client forget the life that it knows by now.
#[test]
fn rpc_late_reply_of_an_old_life() {
    run("rpc_late_reply_of_an_old_life", |t: &Test| {
        let net = Net::new();
        net.network()
            .add_server("lives", Server::new(&Node::new("lives")).with(Arc::new(TwoLives).into_service()));
        let (link, end) = net.make_end(&Name::from("lives"));
        net.network().enable(link, true);
        let attempts = NonZeroU32::new(20).expect("it is not 0");
        let stub = Arc::new(Stub::new(end, 1, Mode::AtMostOnce { attempts }, 2));
        t.scene("A call to the old life is under way. Another call meets the new life.");
        let of_thread = Arc::clone(&stub);
        let old = thread::spawn(move || of_thread.call("to the old life", vec![1]));
        thread::sleep(RESEND / 5);
        let met = stub.call("to the new life", vec![2]);
        t.exercised(met == Err(CallError::ServerRestarted), "the client knew the new life already");
        t.exercised(old.join().ok() == Some(Ok(vec![1])), "the call to the old life was not answered");
        t.scene("The client calls the new life again.");
        let result = stub.call("to the new life", vec![3]);
        t.expect(result == Ok(vec![3]), || {
            format!("the client has heard of this life, and the call returned {result:?}")
        });
    });
}

/// A service that counts its calls. It takes and gives up a lock now and then, so that a schedule can let
/// other threads run meanwhile.
#[derive(Default)]
struct Counted {
    calls: quiet::Mutex<u64>,
    pauses: Mutex<()>,
}

impl Counted {
    fn pause(&self) {
        (0..4).for_each(|_| drop(self.pauses.lock()));
    }
}

impl Handler for Counted {
    fn handle(&self, _method: &str, _args: &[u8]) -> Vec<u8> {
        self.pause();
        *self.calls.lock() += 1;
        Vec::new()
    }

    fn save(&self) -> Vec<u8> {
        let calls = *self.calls.lock();
        self.pause();
        labgob::encode(&calls)
    }

    fn load(&self, state: &[u8]) {
        if !state.is_empty() {
            *self.calls.lock() = labgob::decode(state).expect("the state was saved by an earlier life");
        }
    }
}

/// Copies of one request come to a server of exactly once, which may crash at any moment: when one of them is
/// answered, the effect is on the disk.
fn answered_and_written() {
    let start = |disk: Persister| {
        let handler = Arc::new(Counted::default());
        (Dispatcher::start(Guarantee::ExactlyOnce, 1, handler.clone(), disk), handler)
    };
    let disk = Persister::new();
    let (dispatcher, handler) = start(disk.clone());
    let client_id = ClientId { address: 1, number: 17 };
    let (method, args) = ("count".to_owned(), Vec::new());
    let mut request = Request { client_id, seq: 1, ack_below: 1, incarnation: 0, method, args };
    request.incarnation = dispatcher.dispatch(&request).incarnation;
    // A server may have refused a request that names no incarnation.
    let expected = *handler.calls.lock() + 1;
    (request.seq, request.ack_below) = (2, 2);
    let copies = (0..3).map(|_| {
        let (dispatcher, disk, request) = (Arc::clone(&dispatcher), disk.clone(), request.clone());
        thread::spawn_named("copy", move || {
            let outcome = dispatcher.dispatch(&request).outcome;
            assert!(matches!(outcome, Outcome::Value(_)), "a copy was answered with {outcome:?}");
            // What the next life would find if the server crashed now.
            let next = Arc::new(Counted::default());
            Dispatcher::start(Guarantee::ExactlyOnce, 1, next.clone(), disk.copy());
            assert_eq!(*next.calls.lock(), expected, "calls on the disk when the last one is answered (C2)");
        })
    });
    join_all(copies.collect());
}

/// No copy of a call is answered before effect and result are on the disk.
#[test]
fn rpc_written_before_any_reply() {
    run("rpc_written_before_any_reply", |t: &Test| {
        t.scene("Three copies of a call arrive at once. Whoever is answered looks at the disk.");
        answered_and_written();
        in_all_seeds(t, 100, answered_and_written);
    });
}
