//! Part 0C: servers that crash.

use std::num::NonZeroU32;

use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use tester::{Boot, Booted, Group, Net, Test, run};
use tester_kv::{Recorded, Records, check_appends, element};
use warmup::rpc::{CallError, Clerk, Dispatcher, Guarantee, KeyValue, Mode, Rejection, Stub};

use crate::server::{Served, Step, Watch, add, in_parallel, watched};

/// The server runs a call and crashes before it replies. Its next life knows nothing of the call, and must
/// not run it again.
#[test]
fn rpc_server_restart_refuses() {
    run("rpc_server_restart_refuses", |t: &Test| {
        let net = Net::as_drawn(t);
        // A late copy of the call before would make the server crash too early.
        net.network().set_duplication(0.0);
        let served = Arc::new(Served::new(t, &net, Guarantee::AtMostOnce, 1, Duration::ZERO));
        let attempts = NonZeroU32::new(1_000).expect("it is not 0");
        let (stub, _) = served.client(Mode::AtMostOnce { attempts });
        t.expect(add(&stub, 1).is_ok(), || "a call without faults failed".to_owned());
        for step in [Step::Effect, Step::Reply] {
            t.scene(format!("The server crashes after the step {step:?}, and its cache is lost."));
            served.crash_after(step, 0);
            let of_thread = Arc::clone(&served);
            let reviver = thread::spawn_named("reviver", move || of_thread.revive());
            let tag = if step == Step::Effect { 2 } else { 4 };
            let result = add(&stub, tag);
            t.expect(result == Err(CallError::ServerRestarted), || {
                format!("expected the client to learn of the restart, but the call returned {result:?}")
            });
            let runs = served.executions().get(&tag).copied();
            t.expect(runs == Some(1), || format!("the call ran {runs:?} times"));
            let refused = served.rejections();
            t.expect(refused.last().map(|(_, why)| *why) == Some(Rejection::UnknownIncarnation), || {
                format!("the new life refused {refused:?}")
            });
            t.scene("The client calls the new life.");
            t.expect(add(&stub, tag + 1).is_ok(), || "a call to the new life failed".to_owned());
            // It ended when the server was there again.
            let _ = reviver.join();
        }
        t.expect(served.crashes() == 2, || "the server did not crash".to_owned());
    });
}

/// The server crashes at each step of a call. Every call that returns has taken effect once.
#[test]
fn rpc_exactly_once_crash() {
    run("rpc_exactly_once_crash", |t: &Test| {
        const CLIENTS: u64 = 3;
        const CALLS: u64 = 12;
        let net = Net::as_drawn(t);
        let served = Arc::new(Served::new(t, &net, Guarantee::ExactlyOnce, 1, Duration::ZERO));
        t.scene(format!("{CLIENTS} clients make {CALLS} calls each."));
        let of_threads = Arc::clone(&served);
        let clients = thread::spawn_named("clients", move || {
            let answered = in_parallel(CLIENTS, move |client| {
                let (stub, _) = of_threads.client(Mode::ExactlyOnce);
                (0..CALLS).filter(|call| add(&stub, client * CALLS + call).is_ok()).count() as u64
            });
            answered.into_iter().sum::<u64>()
        });
        for step in [Step::Receive, Step::Effect, Step::Persist, Step::Reply] {
            t.scene(format!("The server crashes after the step {step:?}."));
            served.crash_after(step, random_range(0..3));
            served.revive();
        }
        let answered = clients.join().unwrap_or(0);
        t.expect(answered == CLIENTS * CALLS, || format!("{answered} of {} calls returned", CLIENTS * CALLS));
        t.expect(served.crashes() == 4, || format!("the server crashed {} times, not 4", served.crashes()));
        let effects = served.effects();
        let sum: u64 = effects.values().sum();
        t.expect(sum == answered && effects.values().all(|times| *times == 1), || {
            format!("{answered} calls returned, and they took effect {sum} times: {effects:?} (C2)")
        });
    });
}

/// A clerk of a key/value service.
fn clerk_of(net: &Net, group: &Group<Dispatcher>, client: u64) -> Clerk {
    let (link, end) = net.make_end(group.name(0));
    net.network().enable(link, true);
    Clerk::new(Stub::new(end, client, Mode::ExactlyOnce, 1))
}

/// Gets, puts and appends. Returns the number of appends.
fn operate_at_random(clerk: &mut Recorded<Clerk>, client: u64) -> usize {
    const OPERATIONS: usize = 16;
    let mut appends = 0;
    for operation in 0..OPERATIONS {
        let key = ["x", "y"][random_range(0..2)];
        match random_range(0..3) {
            0 => _ = clerk.get(key),
            1 => clerk.put(key, &format!("{client}.{operation}")),
            _ => {
                clerk.append("appends", &element(client as usize, appends));
                appends += 1;
            }
        }
    }
    appends
}

/// A key/value service on calls that run exactly once: unreliable network, a crash, and a history that is
/// checked.
#[test]
fn rpc_kv_linearizable() {
    run("rpc_kv_linearizable", |t: &Test| {
        const CLIENTS: u64 = 5;
        let net = Net::as_drawn(t);
        net.network().set_reliable(false);
        let watch = Watch::new(t, Guarantee::ExactlyOnce, 1);
        let boot = move |boot: Boot| {
            let service = Arc::new(KeyValue::default());
            let server = Dispatcher::start(Guarantee::ExactlyOnce, 1, service, boot.persister);
            let services = vec![watched(&watch, &server)];
            Booted { server, services }
        };
        let group: Group<Dispatcher> = Group::new(t, &net, "server", 1, boot);
        group.start_all();
        group.pause_as_drawn();
        let records = Records::new(t);
        let (of_threads, of_group) = (net.clone(), group.clone());
        t.scene(format!("{CLIENTS} clients get, put and append on an unreliable network."));
        let of_clients = Arc::clone(&records);
        let clients = thread::spawn_named("clients", move || {
            in_parallel(CLIENTS, move |client| {
                let mut clerk = of_clients.clerk(clerk_of(&of_threads, &of_group, client));
                (client as usize, operate_at_random(&mut clerk, client))
            })
        });
        thread::sleep(Duration::from_millis(300));
        t.scene("The server crashes, and starts again.");
        group.crash(0);
        thread::sleep(Duration::from_millis(if random_bool(0.5) { 20 } else { 300 }));
        group.restart(0);
        let counts = clients.join().unwrap_or_default();
        t.scene("Each append is there once.");
        let mut clerk = records.clerk(clerk_of(&net, &group, CLIENTS));
        if let Err(complaint) = check_appends(&clerk.get("appends"), &counts) {
            t.fail(complaint);
        }
        t.at_end(move |_| net.figures(1, records.operations() as u64));
    });
}
