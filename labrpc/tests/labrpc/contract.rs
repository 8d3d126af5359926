//! Mistakes of callers and servers, and what becomes of them; names; the life of a network.

use labrpc::{DecodeError, DelayModel, Name, Network, RpcError, Server, Service};
use labrt::node::Node;
use labrt::sync::Arc;
use labrt::time::Duration;
use labrt::{Config, Failure, FailureKind, run, thread};

use crate::fixture::{Fixture, JunkServer, Naps, SERVER, both, ms, simulated, slack, timed};

/// How a run of `f` fails, in both worlds.
fn failures(f: fn()) -> Vec<Failure> {
    [Config::simulated(1), Config::threads(1)]
        .map(|config| run(config, f).result.expect_err("this code is wrong on purpose"))
        .into()
}

#[test]
fn a_duplicate_name_of_an_end_fails_the_run() {
    for failure in failures(|| {
        let network = Network::new();
        network.make_end("a");
        network.make_end("a");
    }) {
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!(failure.message, "the network has an end named `a` already");
    }
}

#[test]
fn an_unknown_end_fails_the_run() {
    for failure in failures(|| Network::new().enable("nobody", true)) {
        assert_eq!(failure.message, "the network has no end named `nobody`");
    }
}

#[test]
fn an_unknown_method_fails_the_run_and_says_what_there_is() {
    for failure in failures(|| {
        let fixture = Fixture::new();
        fixture.client("end");
        let end = fixture.disabled("other");
        fixture.network.enable("other", true);
        let _ = end.call("Junk.handler_8", Vec::new());
    }) {
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!(failure.node, "server");
        let message = failure.message;
        assert!(
            message.contains("`Junk.handler_8`") && message.contains("Junk") && message.contains("handler_7"),
            "{message}"
        );
    }
}

#[test]
fn a_handlers_panic_fails_the_run() {
    for failure in failures(|| {
        let fixture = Fixture::new();
        let _ = fixture.client("end").handler_1(&"nine".to_owned());
    }) {
        assert_eq!(failure.kind, FailureKind::Panic);
        assert_eq!((failure.node.as_str(), failure.thread.as_str()), ("server", "Junk.handler_1"));
        assert!(failure.message.contains("the tests send decimals"), "{}", failure.message);
    }
}

#[test]
fn garbled_requests_and_replies_are_error_values() {
    both(|| {
        let fixture = Fixture::new();
        let end = fixture.disabled("end");
        fixture.network.enable("end", true);
        assert_eq!(
            end.call("Junk.handler_1", vec![200, 1]),
            Err(RpcError::Garbled(DecodeError::Truncated)),
            "the server cannot read the text"
        );
        assert!(fixture.server.texts().is_empty());
        let caller = labrpc::Caller::new(end);
        let reply: Result<(u64, u64), _> = caller.call("Junk.handler_6", &"text");
        assert_eq!(
            reply,
            Err(RpcError::Garbled(DecodeError::Truncated)),
            "the caller cannot read the length"
        );
        let reply: Result<(), _> = caller.call("Junk.handler_6", &"text");
        assert!(matches!(reply, Err(RpcError::Garbled(DecodeError::Trailing { .. }))), "{reply:?}");
    });
}

/// A service without the macro, as `labrpc` is used for other purposes.
fn doubler() -> Service {
    Service::new("Doubler", &["double"], |method, bytes| {
        (method == "Doubler.double").then(|| Service::answer(bytes, |n: u32| n * 2))
    })
}

#[test]
fn a_server_may_offer_several_services() {
    both(|| {
        let network = Network::new();
        let server = Server::new(&Node::new("server"));
        let junk = labrt::sync::Arc::new(JunkServer::default());
        use crate::fixture::Junk;
        network.add_server("both", server.with(junk.into_service()).with(doubler()));
        let end = network.make_end(7_usize);
        network.connect(7_usize, "both");
        network.enable(7_usize, true);
        let caller = labrpc::Caller::new(end);
        assert_eq!(caller.call("Doubler.double", &21_u32), Ok(42_u32));
        assert_eq!(caller.call("Junk.handler_6", &"four"), Ok(4_usize));
        assert_eq!(network.count("both"), 2);
    });
}

#[test]
fn what_is_around_a_service_sees_its_own_methods_only() {
    both(|| {
        let seen = labrt::sync::Arc::new(labrt::sync::Mutex::new(Vec::new()));
        let watched = |service: Service, number: u32| {
            let seen = seen.clone();
            service.around(move |method, _, handle| {
                seen.lock().push((number, method.to_owned()));
                handle()
            })
        };
        let network = Network::new();
        let junk = labrt::sync::Arc::new(JunkServer::default());
        use crate::fixture::Junk;
        let server = Server::new(&Node::new("server"));
        network.add_server(0, server.with(watched(junk.into_service(), 1)).with(watched(doubler(), 2)));
        let end = network.make_end(7_usize);
        network.connect(7_usize, 0);
        network.enable(7_usize, true);
        let caller = labrpc::Caller::new(end);
        assert_eq!(caller.call("Doubler.double", &21_u32), Ok(42_u32));
        assert_eq!(caller.call("Junk.handler_6", &"four"), Ok(4_usize));
        let expected = [(2, "Doubler.double".to_owned()), (1, "Junk.handler_6".to_owned())];
        assert_eq!(*seen.lock(), expected);
    });
}

#[test]
fn names_are_numbers_or_texts() {
    assert_eq!(Name::from(7_i64), Name::from(7_usize));
    assert_eq!(Name::from(7), Name::from(7_i64));
    assert_ne!(Name::from(7), Name::from("7"));
    assert_eq!(Name::from("a"), Name::from("a".to_owned()));
    assert_eq!((Name::from(7).to_string(), Name::from("a").to_string()), ("7".to_owned(), "a".to_owned()));
}

#[test]
fn counts_of_unknown_and_deleted_servers_are_zero() {
    simulated(|| {
        let fixture = Fixture::new();
        assert!(fixture.client("end").handler_6(&String::new()).is_ok());
        assert_eq!((fixture.network.count(SERVER), fixture.network.count("nobody")), (1, 0));
        fixture.network.delete_server(SERVER);
        assert_eq!(fixture.network.count(SERVER), 0);
        assert_eq!(fixture.network.total_count(), 1);
    });
}

/// Servers own ends of their network, which would be a circle if the ends owned the network.
#[test]
fn a_network_is_freed_when_its_last_handle_is_dropped() {
    both(|| {
        let naps = Naps::new();
        naps.network.set_end_delay("end", DelayModel::fixed(ms(10)));
        let server = Arc::downgrade(&naps.server);
        let (client, node) = (naps.client.clone(), naps.node.clone());
        let waiting = naps.start(20_000);
        naps.network.hold("end");
        let held = naps.start(1);
        thread::sleep(ms(50));
        drop(naps);
        // The handler that is still running holds the server as well.
        node.kill();
        assert_eq!(server.strong_count(), 0);
        assert_eq!(waiting.join().unwrap().0, Err(RpcError::Failed));
        assert_eq!(held.join().unwrap().0, Err(RpcError::Failed));
        let (result, took) = timed(|| client.nap(&1));
        assert_eq!(result, Err(RpcError::Failed));
        assert!(took <= slack(), "{took:?}");
    });
}

#[test]
fn calls_that_are_under_way_when_the_run_ends_do_no_harm() {
    for _ in 0..3 {
        both(|| {
            let naps = Naps::new();
            naps.network.set_delay(DelayModel::uniform(Duration::ZERO, ms(100)));
            naps.network.set_duplication(0.5);
            (0..50).for_each(|i| drop(naps.start(10 * i)));
            thread::sleep(ms(50));
            naps.network.enable("end", false);
            thread::sleep(ms(50));
        });
    }
}

#[test]
fn a_lock_held_across_a_call_is_warned_of() {
    let outcome = run(Config::simulated(1), || {
        let naps = Naps::new();
        let lock = labrt::sync::Mutex::new(());
        let _guard = lock.lock(); // taken too early
        naps.client.nap(&0).is_ok()
    });
    let line = |marker: &str| {
        let lines: Vec<_> = include_str!("contract.rs").lines().collect();
        lines.iter().position(|line| line.contains(marker) && !line.contains("line(")).unwrap() + 1
    };
    let [warning] = &outcome.warnings[..] else { panic!("{:?}", outcome.warnings) };
    assert!(warning.contains("an RPC"), "{warning}");
    for line in [line("// taken too early"), line("naps.client.nap(&0).is_ok()")] {
        assert!(warning.contains(&format!("contract.rs:{line}:")), "{warning}");
    }
}
