//! Calls of the dead, calls to the dead, and what is lost of calls that were delivered twice.

use labrpc::{DelayModel, Direction, RpcError, Server, TapAction};
use labrt::node::Node;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::thread;
use labrt::time::Instant;

use crate::fixture::{Nap, NapClient, Naps, both, ms, simulated};

/// Calls when it is dropped.
struct Farewell(NapClient);

impl Drop for Farewell {
    fn drop(&mut self) {
        assert!(self.0.nap(&1).is_err(), "the dead are not heard");
        assert!(self.0.timeout(ms(50)).nap(&1).is_err(), "the dead are not heard");
    }
}

/// A machine that has crashed sends nothing, also if destructors of its threads call.
#[test]
fn the_dead_send_nothing() {
    both(|| {
        let naps = Naps::new();
        let node = Node::new("client");
        let farewell = Farewell(naps.client.clone());
        let caller = node.spawn("caller", move || {
            let _farewell = farewell;
            thread::sleep(ms(100_000));
        });
        thread::sleep(ms(20));
        node.kill();
        assert!(caller.join().is_err());
        thread::sleep(ms(50));
        assert!(naps.begun().is_empty());
        assert_eq!((naps.network.total_count(), naps.network.total_bytes()), (0, 0));
    });
}

/// An end whose owner says no makes no call.
#[test]
fn a_guard_may_refuse_a_call() {
    both(|| {
        let naps = Naps::new();
        let may_call = Arc::new(AtomicBool::new(false));
        let guard = may_call.clone();
        let end = naps.network.make_end("guarded").guarded(move |_| guard.load(Ordering::SeqCst));
        naps.network.connect("guarded", 0);
        naps.network.enable("guarded", true);
        let client = NapClient::new(end);
        assert_eq!(client.nap(&1), Err(RpcError::Failed));
        assert_eq!(client.timeout(ms(50)).nap(&1), Err(RpcError::Failed));
        assert_eq!(naps.network.total_count(), 0);
        may_call.store(true, Ordering::SeqCst);
        assert_eq!(client.nap(&1), Ok(1));
    });
}

#[test]
fn a_reply_that_nobody_waits_for_is_not_counted() {
    both(|| {
        let naps = Naps::new();
        let traffic = naps.network.traffic("end");
        assert_eq!(naps.client.timeout(ms(20)).nap(&100), Err(RpcError::TimedOut));
        let node = Node::new("client");
        let client = naps.client.clone();
        let killed = node.spawn("caller", move || client.nap(&100));
        thread::sleep(ms(50));
        node.kill();
        assert!(killed.join().is_err());
        thread::sleep(ms(200));
        assert_eq!(naps.server.ended.lock().len(), 2);
        assert_eq!((naps.network.total_bytes(), traffic.unanswered()), (2, 2));
        // Whoever wants late replies gets them, however late.
        let late = naps.client.timeout(ms(20)).late(|_| {});
        assert_eq!(late.nap(&100), Err(RpcError::TimedOut));
        thread::sleep(ms(200));
        assert_eq!((naps.network.total_bytes(), traffic.unanswered()), (4, 0));
    });
}

/// Neither a handler that a crash has ended, nor one that never began, is one that has not returned.
#[test]
fn nothing_is_open_at_a_dead_server() {
    both(|| {
        let naps = Naps::new();
        let running = naps.start(10_000);
        thread::sleep(ms(50));
        naps.network.set_delay(DelayModel::fixed(ms(100)));
        let on_its_way = naps.start(10_000);
        thread::sleep(ms(50));
        assert_eq!(naps.network.traffic("end").open(), 1);
        naps.network.delete_server(0);
        naps.node.kill();
        for call in [running, on_its_way] {
            assert_eq!(call.join().unwrap().0, Err(RpcError::Failed));
        }
        assert_eq!(naps.network.traffic("end").open(), 0);
    });
}

#[test]
fn the_call_fails_when_both_replies_are_lost_and_not_before() {
    both(|| {
        let naps = Naps::new();
        let mut messages = 0;
        naps.network.set_tap(move |_| {
            messages += 1;
            match messages {
                // Requests of the two calls.
                1 | 4 => TapAction::Duplicate,
                3 => TapAction::Deliver,
                // A reply of the first one, both of the second one.
                _ => TapAction::Drop,
            }
        });
        assert_eq!(naps.client.nap(&5), Ok(2));
        assert_eq!(naps.client.nap(&5), Err(RpcError::Failed));
        assert_eq!((naps.network.replies_lost("end"), naps.network.traffic("end").replies_lost()), (3, 3));
    });
}

#[test]
fn two_replies_may_be_lost_by_chance() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_reliable(false);
        naps.network.set_duplication(1.0);
        let failed = (0..5000).filter(|_| naps.client.nap(&0).is_err()).count();
        // One request in ten, and one in a hundred of the others' pairs of replies.
        assert!((460..630).contains(&failed), "{failed} of 5,000 calls have failed");
    });
}

/// The server has sent it, whatever becomes of the handler of the request's other copy.
#[test]
fn a_reply_on_its_way_survives_the_crash_of_the_other_handler() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::fixed(ms(30)));
        let network = naps.network.clone();
        naps.network.set_tap(move |message| match message.direction {
            Direction::Request => {
                // The copy leaves after the tap has looked, so it is the first to arrive.
                network.set_delay(DelayModel::zero());
                TapAction::Duplicate
            }
            Direction::Reply => TapAction::Delay(ms(400)),
        });
        let call = naps.start(50);
        thread::sleep(ms(60));
        naps.network.delete_server(0);
        naps.node.kill();
        assert_eq!(call.join().unwrap(), (Ok(1), Instant::from_nanos(450_000_000)));
    });
}

#[test]
fn a_network_that_is_cleaned_up_holds_nothing() {
    both(|| {
        let naps = Naps::new();
        naps.network.hold("end");
        let call = naps.start(1);
        thread::sleep(ms(20));
        naps.network.cleanup();
        assert_eq!(call.join().unwrap().0, Err(RpcError::Failed));
    });
}

#[test]
fn no_delay_overflows() {
    both(|| {
        let naps = Naps::new();
        let longest = labrt::time::Duration::MAX;
        for model in [DelayModel::exponential(longest, longest), DelayModel::fixed(longest)] {
            naps.network.set_delay(model);
            assert_eq!(naps.client.timeout(ms(20)).nap(&1), Err(RpcError::TimedOut));
        }
    });
}

/// As for the other switches: a call that was made under long delays learns its fate late.
#[test]
fn a_call_keeps_the_long_delays_under_which_it_was_made() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.cut_replies("end", true);
        naps.network.set_long_delays(true);
        let calls: Vec<_> = (0..50).map(|_| naps.start(100)).collect();
        thread::sleep(ms(50));
        naps.network.set_long_delays(false);
        let last = calls.into_iter().map(|call| call.join().unwrap().1).max();
        assert!(last > Some(Instant::from_nanos(5_000_000_000)), "{last:?}");
    });
}

/// Takes its time to end.
struct Slow(Arc<AtomicBool>);

impl Nap for Slow {
    fn nap(&self, _: u64) -> usize {
        0
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        thread::sleep(ms(20));
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A message to a crashed server may have the last reference to it, and arrives outside of all threads.
#[test]
fn a_server_may_wait_in_its_destructor_whoever_lets_go_of_it() {
    both(|| {
        let naps = Naps::new();
        let (node, has_ended) = (Node::new("slow"), Arc::new(AtomicBool::new(false)));
        let slow = Arc::new(Slow(has_ended.clone()));
        naps.network.add_server(0, Server::new(&node).with(slow.into_service()));
        naps.network.set_delay(DelayModel::fixed(ms(50)));
        let call = naps.start(1);
        thread::sleep(ms(20));
        naps.network.delete_server(0);
        node.kill();
        assert!(!has_ended.load(Ordering::SeqCst));
        assert_eq!(call.join().unwrap().0, Err(RpcError::Failed));
        thread::sleep(ms(50));
        assert!(has_ended.load(Ordering::SeqCst));
    });
}
