//! Links of limited bandwidth.

use labrpc::{DelayModel, Network, RpcError, TapAction};
use labrt::thread::{self, JoinHandle};
use labrt::time::{Duration, Instant};

use crate::fixture::{Fixture, JunkClient, both, ms, simulated, slack, timed};

/// Bytes a second.
const BANDWIDTH: u64 = 100_000;

/// A network without delays whose links have a bandwidth, and a client on a link of its own.
fn limited() -> (Fixture, JunkClient) {
    let fixture = Fixture::new();
    fixture.network.set_delay(DelayModel::zero());
    fixture.network.set_bandwidth(BANDWIDTH);
    let client = fixture.client("end");
    (fixture, client)
}

/// A text that takes this many tenths of a second on such a link, besides the few bytes of its encoded
/// length.
fn tenths(count: usize) -> String {
    "x".repeat(count * BANDWIDTH as usize / 10)
}

/// Sends a text in a thread of its own; the result, and when it came.
fn start(client: &JunkClient, text: String) -> JoinHandle<(Result<usize, RpcError>, Instant)> {
    let client = client.clone();
    let call = thread::spawn(move || (client.handler_6(&text), Instant::now()));
    // The call leaves before whatever the test does next.
    thread::sleep(ms(1));
    call
}

/// Runs a call, and demands that it takes this many tenths of a second, and some bytes of overhead.
fn expect_tenths(count: u64, call: impl FnOnce()) {
    let ((), took) = timed(call);
    let expected = ms(100 * count);
    assert!(took >= expected && took <= expected + ms(5) + slack(), "{took:?} and not {expected:?}");
}

#[test]
fn a_message_takes_as_long_as_its_bytes() {
    both(|| {
        let (fixture, client) = limited();
        expect_tenths(3, || assert_eq!(client.handler_6(&tenths(3)), Ok(tenths(3).len())));
        // The way back has the same bandwidth.
        expect_tenths(2, || {
            let reply = client.handler_7(&tenths(2).len());
            assert_eq!(reply.map(|text| text.len()), Ok(tenths(2).len()));
        });
        fixture.network.set_bandwidth(None);
        expect_tenths(0, || assert_eq!(client.handler_6(&tenths(100)), Ok(tenths(100).len())));
    });
}

#[test]
fn the_time_is_exact_and_comes_on_top_of_the_delay() {
    simulated(|| {
        let (fixture, client) = limited();
        fixture.network.set_delay(DelayModel::fixed(ms(7)));
        let (result, took) = timed(|| client.handler_6(&tenths(1)));
        assert!(result.is_ok());
        let on_the_links = fixture.network.total_bytes() * 1_000_000_000 / BANDWIDTH;
        assert_eq!(took, Duration::from_nanos(on_the_links) + 2 * ms(7));
    });
}

#[test]
fn a_message_waits_for_those_before_it_in_its_direction() {
    simulated(|| {
        let (fixture, client) = limited();
        let other = fixture.client("other end");
        let large = start(&client, tenths(5));
        // Another link is free, and so is the way back of this one.
        expect_tenths(0, || assert_eq!(other.handler_6(&"small".to_owned()), Ok(5)));
        let small = start(&client, "small".to_owned());
        let (large, small) = (large.join().unwrap(), small.join().unwrap());
        assert_eq!((large.0, small.0), (Ok(tenths(5).len()), Ok(5)));
        assert!(large.1 < small.1 && small.1 - large.1 < ms(1), "the small one came behind the large one");
        assert!(small.1 >= Instant::from_nanos(500_000_000), "{:?}", small.1);
    });
}

#[test]
fn a_call_that_has_timed_out_occupies_the_link_all_the_same() {
    simulated(|| {
        let (_fixture, client) = limited();
        let impatient = client.timeout(ms(50));
        assert_eq!(impatient.handler_6(&tenths(4)), Err(RpcError::TimedOut));
        assert_eq!(impatient.handler_6(&"small".to_owned()), Err(RpcError::TimedOut));
        thread::sleep(ms(310));
        assert_eq!(impatient.handler_6(&"small".to_owned()), Ok(5));
    });
}

#[test]
fn a_link_may_have_a_bandwidth_of_its_own() {
    simulated(|| {
        let (fixture, client) = limited();
        let fast = fixture.client("fast");
        fixture.network.set_end_bandwidth("fast", 10 * BANDWIDTH);
        expect_tenths(1, || assert!(fast.handler_6(&tenths(10)).is_ok()));
        fixture.network.set_end_bandwidth("fast", None);
        expect_tenths(10, || assert!(fast.handler_6(&tenths(10)).is_ok()));
        expect_tenths(1, || assert!(client.handler_6(&tenths(1)).is_ok()));
    });
}

#[test]
fn each_copy_of_a_request_occupies_the_link() {
    simulated(|| {
        let (fixture, client) = limited();
        fixture.network.set_tap(|_| TapAction::Duplicate);
        expect_tenths(1, || assert!(client.handler_6(&tenths(1)).is_ok()));
        // Behind the first call's second copy.
        expect_tenths(2, || assert!(client.handler_6(&tenths(1)).is_ok()));
        fixture.network.clear_tap();
        thread::sleep(ms(1000));
        fixture.network.set_duplication(1.0);
        expect_tenths(1, || assert!(client.handler_6(&tenths(1)).is_ok()));
        expect_tenths(2, || assert!(client.handler_6(&tenths(1)).is_ok()));
    });
}

#[test]
fn a_tap_that_sets_the_delay_sets_all_of_it() {
    simulated(|| {
        let (fixture, client) = limited();
        fixture.network.set_tap(|_| TapAction::Delay(ms(50)));
        expect_tenths(1, || assert!(client.handler_6(&tenths(30)).is_ok()));
    });
}

#[test]
fn a_request_that_is_lost_occupies_the_link() {
    simulated(|| {
        let (fixture, client) = limited();
        fixture.network.set_reliable(false);
        // Some are lost; each of them takes its tenth of a second, and so does each that arrives.
        let calls: Vec<_> = (0..50).map(|_| start(&client, tenths(1))).collect();
        let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap().0).collect();
        assert!(results.iter().any(Result::is_err) && results.iter().any(Result::is_ok), "{results:?}");
        let end = Instant::now();
        assert!(end >= Instant::from_nanos(4_900_000_000), "{end:?}");
    });
}

#[test]
#[should_panic(expected = "over a link of 0 bytes a second nothing arrives")]
fn a_bandwidth_of_zero_is_refused() {
    simulated(|| Network::new().set_bandwidth(0));
}
