// handout: file guided
//! The rules of the result cache, one test each: no network, no threads.

use warmup::rpc::{Admission, ClientId, Rejection, ReplyCache, Request};

/// A request of one client, or of another one.
fn request(client: u64, seq: u64, ack_below: u64) -> Request {
    let client_id = ClientId { address: client, number: 1 };
    Request { client_id, seq, ack_below, incarnation: 1, method: "m".to_owned(), args: Vec::new() }
}

fn run(cache: &mut ReplyCache, request: &Request, value: &[u8]) {
    assert_eq!(cache.admit(request), Admission::Run);
    cache.complete(request.client_id, request.seq, value);
}

/// A copy of a request that has run is answered from memory, as often as it comes.
#[test]
fn a_copy_is_answered_with_the_first_result() {
    let mut cache = ReplyCache::new(1);
    run(&mut cache, &request(1, 1, 1), b"one");
    for _ in 0..3 {
        assert_eq!(cache.admit(&request(1, 1, 1)), Admission::Repeat(b"one".to_vec()));
    }
}

/// A copy of a request that runs waits for it.
#[test]
fn a_copy_of_a_running_request_waits() {
    let mut cache = ReplyCache::new(1);
    assert_eq!(cache.admit(&request(1, 1, 1)), Admission::Run);
    assert_eq!(cache.admit(&request(1, 1, 1)), Admission::Wait);
}

/// What a client acknowledges is forgotten, and its copies are refused, also if they carry an old
/// acknowledgement themselves.
#[test]
fn what_is_acknowledged_is_forgotten_and_refused() {
    let mut cache = ReplyCache::new(4);
    for seq in 1..=4 {
        run(&mut cache, &request(1, seq, 1), b"x");
    }
    assert_eq!(cache.len(), 4);
    assert_eq!(cache.admit(&request(1, 5, 4)), Admission::Run);
    assert_eq!(cache.len(), 2, "calls 4 and 5");
    assert_eq!(cache.admit(&request(1, 3, 1)), Admission::Refuse(Rejection::Stale));
    assert_eq!(cache.admit(&request(1, 4, 1)), Admission::Repeat(b"x".to_vec()));
}

/// An acknowledgement that comes late does not take back a later one.
#[test]
fn an_old_acknowledgement_changes_nothing() {
    let mut cache = ReplyCache::new(4);
    run(&mut cache, &request(1, 6, 5), b"six");
    run(&mut cache, &request(1, 5, 3), b"five");
    assert_eq!(cache.admit(&request(1, 4, 3)), Admission::Refuse(Rejection::Stale));
    assert_eq!(cache.len(), 2);
}

/// A call beyond the window, or below its own acknowledgement, is no call of a correct client.
#[test]
fn a_call_outside_the_window_is_refused() {
    let mut cache = ReplyCache::new(2);
    for (seq, ack_below) in [(3, 1), (u64::MAX, 1), (1, 2), (0, 1)] {
        let refused = Admission::Refuse(Rejection::OutsideWindow);
        assert_eq!(cache.admit(&request(1, seq, ack_below)), refused, "call {seq} above {ack_below}");
    }
    assert!(cache.is_empty());
    run(&mut cache, &request(1, u64::MAX, u64::MAX), b"the last call of all");
}

/// Equal numbers of two clients are two calls.
#[test]
fn clients_have_numbers_of_their_own() {
    let mut cache = ReplyCache::new(1);
    run(&mut cache, &request(1, 1, 1), b"one");
    run(&mut cache, &request(2, 1, 1), b"two");
    assert_eq!(cache.admit(&request(1, 1, 1)), Admission::Repeat(b"one".to_vec()));
}

/// A client may give up a call that is still running; its result is not kept.
#[test]
fn the_result_of_a_call_that_was_given_up_is_not_kept() {
    let mut cache = ReplyCache::new(1);
    assert_eq!(cache.admit(&request(1, 1, 1)), Admission::Run);
    assert_eq!(cache.admit(&request(1, 2, 2)), Admission::Run);
    cache.complete(ClientId { address: 1, number: 1 }, 1, b"late");
    assert_eq!(cache.len(), 1, "call 2, which is running");
}
