//! What a report says of a mistake in a program that calls: its line, and that the network is not to blame.

use labrpc::{ClientEnd, RpcError, Server};
use labrt::node::Node;
use labrt::sync::Arc;
use labrt::{Config, FailureKind, run};
use serde::{Deserialize, Serialize};

use crate::fixture::{Fixture, NapClient, SERVER, simulated};

/// Is written without a field that the reader expects.
#[derive(Debug, Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<u64>,
    number: u64,
}

/// Cannot be read by a format that does not describe itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
}

/// Cannot be written.
#[derive(Debug)]
struct Mute;

impl Serialize for Mute {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("I say nothing"))
    }
}

impl<'de> Deserialize<'de> for Mute {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Mute, D::Error> {
        Ok(Mute)
    }
}

labrpc::service! {
    /// Types that labgob cannot carry.
    service Odd, client OddClient {
        fn skips(args: Skips) -> u64;
        fn untagged(args: u64) -> Untagged;
        fn mute(args: Mute) -> u64;
        fn mute_reply(args: u64) -> Mute;
    }
}

struct OddServer;

impl Odd for OddServer {
    fn skips(&self, args: Skips) -> u64 {
        args.hint.unwrap_or(args.number)
    }

    fn untagged(&self, args: u64) -> Untagged {
        Untagged::Number(args)
    }

    fn mute(&self, _: Mute) -> u64 {
        0
    }

    fn mute_reply(&self, _: u64) -> Mute {
        Mute
    }
}

fn odd_client() -> (Fixture, OddClient) {
    let fixture = Fixture::new();
    let server = Server::new(&Node::new("odd")).with(Arc::new(OddServer).into_service());
    fixture.network.add_server(SERVER, server);
    let end = fixture.disabled("odd");
    fixture.network.enable("odd", true);
    (fixture, OddClient::new(end))
}

/// Whoever takes each error for a lost message tries again for ever, so the report says what it is.
#[test]
fn what_cannot_be_read_is_a_warning_with_the_calls_line() {
    let outcome = run(Config::simulated(1), || {
        let (_fixture, client) = odd_client();
        for _ in 0..3 {
            let skips = client.skips(&Skips { hint: None, number: 3 });
            assert!(matches!(skips, Err(RpcError::Garbled(_))), "{skips:?}");
            let untagged = client.untagged(&3);
            assert!(matches!(untagged, Err(RpcError::Garbled(_))), "{untagged:?}");
        }
    });
    outcome.result.unwrap();
    let [arguments, reply] = outcome.warnings.as_slice() else { panic!("{:?}", outcome.warnings) };
    for (warning, words) in [
        (arguments, ["the arguments of `Odd.skips`, called at ", "blame.rs:", "changes no bytes"]),
        (
            reply,
            ["the reply of `Odd.untagged`, called at ", "blame.rs:", "the type asks the bytes what they are"],
        ),
    ] {
        words.iter().for_each(|word| assert!(warning.contains(word), "{warning}"));
    }
}

/// The place of the panic is a line of the program, not one of the framework.
#[test]
fn what_cannot_be_written_is_told_with_the_calls_line() {
    for config in [Config::simulated(1), Config::threads(1)] {
        let failure = run(config.clone(), || drop(odd_client().1.mute(&Mute))).result.unwrap_err();
        assert_eq!((failure.kind, failure.node.as_str()), (FailureKind::Panic, "main"));
        assert!(failure.location.as_ref().is_some_and(|place| place.contains("blame.rs")), "{failure}");
        let failure = run(config, || drop(odd_client().1.mute_reply(&1))).result.unwrap_err();
        assert_eq!((failure.node.as_str(), failure.thread.as_str()), ("odd", "Odd.mute_reply"));
        assert!(failure.location.as_ref().is_some_and(|place| place.contains("blame.rs")), "{failure}");
    }
}

#[test]
fn an_unknown_method_is_told_with_the_calls_line() {
    for config in [Config::simulated(1), Config::threads(1)] {
        let failure = run(config, || {
            let (fixture, _) = odd_client();
            let end = fixture.disabled("end");
            fixture.network.enable("end", true);
            let _ = NapClient::new(end).nap(&1);
        });
        let message = failure.result.unwrap_err().message;
        assert!(
            message.contains("unknown RPC `Nap.nap`, called at ") && message.contains("blame.rs:"),
            "{message}"
        );
    }
}

/// A `static` that keeps an end is a way from run to run.
#[test]
fn an_end_of_another_run_is_named() {
    let kept: ClientEnd = simulated(|| {
        let fixture = Fixture::new();
        let end = fixture.disabled("end");
        fixture.network.enable("end", true);
        end
    });
    let failure = run(Config::simulated(2), move || drop(NapClient::new(kept).nap(&1))).result.unwrap_err();
    assert!(failure.message.starts_with("an end of another run's network is used"), "{failure}");
    assert!(failure.location.as_ref().is_some_and(|place| place.contains("blame.rs")), "{failure}");
}

/// A tap that calls over its own network waits for itself; both lines are the program's.
#[test]
fn a_tap_that_calls_is_told_with_its_line() {
    let failure = run(Config::simulated(1), || {
        let fixture = Fixture::new();
        let (client, other) = (fixture.client("end"), fixture.client("other"));
        fixture.network.set_tap(move |_| {
            let _ = other.handler_6(&String::new());
            labrpc::TapAction::Deliver
        });
        drop(client.handler_6(&String::new()));
    });
    let failure = failure.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert_eq!(failure.message.matches("blame.rs:").count(), 2, "{failure}");
}
