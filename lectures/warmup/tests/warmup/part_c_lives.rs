//! Part 0C: what one life of a server leaves to the next.

use std::num::NonZeroU32;

use labapi::Persister;
use labrt::quiet;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Duration;
use tester::{Net, Test, run};
use warmup::rpc::{ClientId, Dispatcher, Guarantee, Handler, Mode, Outcome, Request, RpcClient};

use crate::part_b::join_all;
use crate::schedules::in_all_seeds;
use crate::server::{Served, Step, add};

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
