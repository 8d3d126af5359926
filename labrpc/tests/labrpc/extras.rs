//! What goes beyond the course: one-way cuts, held links, duplicates, delays of one link, the tap, limits of
//! time.

use std::collections::VecDeque;

use labrpc::{ClientEnd, DelayModel, Direction, Name, RpcError, Service, TapAction, Transport};
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::fixture::{Naps, add_nap_server, both, ms, simulated, slack, timed};

#[test]
fn a_cut_of_the_requests_keeps_handlers_from_running() {
    both(|| {
        let naps = Naps::new();
        naps.network.cut_requests("end", true);
        let (result, took) = timed(|| naps.client.nap(&1));
        assert_eq!(result, Err(RpcError::Failed));
        assert!(took < ms(100) + slack(), "{took:?}");
        assert!(naps.begun().is_empty());
        naps.network.cut_requests("end", false);
        assert_eq!(naps.client.nap(&1), Ok(1));
    });
}

#[test]
fn a_cut_of_the_replies_lets_handlers_run() {
    both(|| {
        let naps = Naps::new();
        naps.network.cut_replies("end", true);
        assert_eq!(naps.client.nap(&1), Err(RpcError::Failed));
        assert_eq!(naps.begun(), [1]);
        naps.network.cut_replies("end", false);
        assert_eq!(naps.client.nap(&1), Ok(2));
    });
}

#[test]
fn under_long_delays_a_cut_is_learned_late() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_long_delays(true);
        naps.network.cut_requests("end", true);
        let requests: Vec<_> = (0..50).map(|_| timed(|| naps.client.nap(&0)).1).collect();
        naps.network.cut_requests("end", false);
        naps.network.cut_replies("end", true);
        let replies: Vec<_> = (0..50).map(|_| timed(|| naps.client.nap(&0)).1).collect();
        for longest in [requests.iter().max().unwrap(), replies.iter().max().unwrap()] {
            assert!(*longest > ms(5000) && *longest <= ms(6999), "{longest:?}");
        }
    });
}

#[test]
fn a_held_link_keeps_messages_in_order_until_it_is_released() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.hold("end");
        let calls: Vec<_> = (1..=5)
            .map(|i| {
                let call = naps.start(i);
                thread::sleep(ms(20));
                call
            })
            .collect();
        assert!(naps.begun().is_empty());
        naps.network.release("end");
        naps.network.hold("end");
        // The requests run now; their replies are held in turn.
        thread::sleep(ms(500));
        assert_eq!(*naps.server.ended.lock(), [1, 2, 3, 4, 5]);
        assert!(calls.iter().all(|call| !call.is_finished()));
        naps.network.release("end");
        let at = Instant::from_nanos(600_000_000);
        let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(results, (1..=5).map(|i| (Ok(i), at)).collect::<Vec<_>>());
    });
}

#[test]
fn holding_works_on_real_threads_too() {
    both(|| {
        let naps = Naps::new();
        naps.network.hold("end");
        let call = naps.start(1);
        thread::sleep(ms(50));
        assert!(naps.begun().is_empty() && !call.is_finished());
        naps.network.release("end");
        assert_eq!(call.join().unwrap().0, Ok(1));
    });
}

#[test]
fn a_duplicated_request_runs_twice_and_is_answered_once() {
    both(|| {
        let naps = Naps::new();
        naps.network.set_duplication(1.0);
        let first = naps.client.nap(&1).unwrap();
        assert!(first == 1 || first == 2);
        thread::sleep(ms(50));
        assert_eq!(naps.begun(), [1, 1]);
        assert_eq!(
            (naps.network.count(0), naps.network.total_count(), naps.network.total_bytes()),
            (2, 1, 2)
        );
    });
}

#[test]
fn the_copy_may_arrive_long_after_the_call_has_ended() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::uniform(ms(1), ms(1000)));
        naps.network.set_duplication(1.0);
        let late = (0..100).filter(|_| {
            let before = naps.begun().len();
            assert!(naps.client.nap(&0).is_ok());
            let late = naps.begun().len() == before + 1;
            thread::sleep(ms(1000));
            assert_eq!(naps.begun().len(), before + 2);
            late
        });
        let late = late.count();
        assert!((10..90).contains(&late), "{late} of 100 copies came after the reply to the first");
    });
}

#[test]
fn duplication_has_its_probability() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_duplication(0.25);
        (0..10_000).for_each(|_| assert!(naps.client.nap(&0).is_ok()));
        let copies = naps.network.count(0) - 10_000;
        assert!((2300..2700).contains(&copies), "{copies} of 10,000 requests were duplicated");
    });
}

#[test]
fn each_link_may_have_its_own_delays() {
    both(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::fixed(ms(30)));
        let (result, took) = timed(|| naps.client.nap(&0));
        assert!(result.is_ok() && took >= ms(60), "{took:?}");
        naps.network.set_end_delay("end", DelayModel::fixed(ms(50)));
        let (result, took) = timed(|| naps.client.nap(&0));
        assert!(result.is_ok() && took >= ms(100), "{took:?}");
        naps.network.set_end_delay("end", None);
        naps.network.set_delay(DelayModel::zero());
        let (result, took) = timed(|| naps.client.nap(&0));
        assert!(result.is_ok() && took <= slack(), "{took:?}");
    });
}

#[test]
fn exponential_delays_have_their_mean() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::exponential(ms(5), ms(20)));
        let took: Vec<_> = (0..5000).map(|_| timed(|| naps.client.nap(&0)).1).collect();
        assert!(took.iter().all(|took| *took >= ms(10)));
        let mean = took.iter().sum::<Duration>() / 5000;
        assert!(mean > ms(48) && mean < ms(52), "{mean:?}");
        assert!(*took.iter().max().unwrap() > ms(150));
    });
}

#[test]
fn a_slow_link_stays_slow_on_an_unreliable_network() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_reliable(false);
        naps.network.set_end_delay("end", DelayModel::fixed(ms(100)));
        let took = (0..100).filter_map(|_| match timed(|| naps.client.nap(&0)) {
            (Ok(_), took) => Some(took),
            (Err(_), _) => None,
        });
        assert!(took.into_iter().all(|took| took == ms(200)));
    });
}

#[test]
fn a_call_with_a_limit_ends_in_time_and_its_late_reply_is_dropped() {
    both(|| {
        let naps = Naps::new();
        let hurried = naps.client.timeout(ms(100));
        let (result, took) = timed(|| hurried.nap(&500));
        assert_eq!(result, Err(RpcError::TimedOut));
        assert!(took >= ms(100) && took <= ms(100) + slack(), "{took:?}");
        // The next call gets its own reply, not the late one.
        assert_eq!(hurried.nap(&1), Ok(1));
        thread::sleep(ms(600));
        assert_eq!(*naps.server.ended.lock(), [1, 500]);
        assert_eq!(hurried.nap(&1), Ok(3));
    });
}

#[test]
fn the_limit_is_on_the_clock_of_the_callers_node() {
    simulated(|| {
        let naps = Naps::new();
        let node = labrt::node::Node::new("client");
        node.set_clock_rate(2.0);
        let client = naps.client.timeout(ms(100));
        let started = Instant::now();
        let call = node.spawn("caller", move || client.nap(&5000));
        assert_eq!(call.join().unwrap(), Err(RpcError::TimedOut));
        assert_eq!(started.elapsed(), ms(50));
    });
}

/// Directions and bytes of the messages that a tap has seen.
type Seen = Arc<Mutex<Vec<(Direction, Vec<u8>)>>>;

/// A tap that takes its actions from a list, and notes what it sees.
fn scripted(naps: &Naps, actions: &[TapAction]) -> Seen {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, mut actions) = (Arc::clone(&seen), VecDeque::from(actions.to_vec()));
    naps.network.set_tap(move |event| {
        assert_eq!((event.method, event.end), ("Nap.nap", &Name::from("end")));
        assert_eq!(*event.server, Name::from(0));
        log.lock().push((event.direction, event.bytes.to_vec()));
        actions.pop_front().unwrap_or(TapAction::Deliver)
    });
    seen
}

#[test]
fn a_tap_sees_requests_and_replies() {
    both(|| {
        let naps = Naps::new();
        let seen = scripted(&naps, &[]);
        assert_eq!(naps.client.nap(&7), Ok(1));
        naps.network.enable("end", false);
        assert_eq!(naps.client.nap(&7), Err(RpcError::Failed));
        naps.network.enable("end", true);
        naps.network.clear_tap();
        assert_eq!(naps.client.nap(&7), Ok(2));
        assert_eq!(*seen.lock(), [(Direction::Request, vec![7]), (Direction::Reply, vec![1])]);
    });
}

#[test]
fn a_tap_loses_duplicates_and_delays() {
    simulated(|| {
        let naps = Naps::new();
        use TapAction::{Delay, Deliver, Drop, Duplicate};
        // The last is for the second copy's reply, which leaves only if the call has not ended by then.
        scripted(&naps, &[Drop, Deliver, Drop, Duplicate, Deliver, Deliver]);
        assert_eq!(naps.client.nap(&1), Err(RpcError::Failed));
        assert!(naps.begun().is_empty());
        assert_eq!(naps.client.nap(&2), Err(RpcError::Failed));
        assert_eq!(naps.begun(), [2]);
        assert!(naps.client.nap(&3).is_ok());
        thread::sleep(ms(10));
        assert_eq!(naps.begun(), [2, 3, 3]);
        scripted(&naps, &[Delay(ms(70)), Delay(ms(4))]);
        let (result, took) = timed(|| naps.client.nap(&4));
        assert_eq!((result, took), (Ok(4), ms(78)));
    });
}

#[test]
fn a_second_reply_never_answers_a_later_call() {
    simulated(|| {
        let naps = Naps::new();
        use TapAction::{Delay, Duplicate};
        scripted(&naps, &[Duplicate, Delay(ms(10)), Delay(ms(50))]);
        assert!(naps.client.nap(&0).is_ok());
        let (result, took) = timed(|| naps.client.nap(&500));
        assert_eq!((result, took), (Ok(3), ms(500)));
    });
}

/// "A crash right after the request has left": the tap kills the caller's own node.
#[test]
fn a_tap_may_kill_the_caller() {
    both(|| {
        let naps = Naps::new();
        let node = labrt::node::Node::new("client");
        let victim = node.clone();
        naps.network.set_tap(move |_| {
            victim.kill();
            TapAction::Deliver
        });
        let client = naps.client.clone();
        assert!(node.spawn("caller", move || client.nap(&1)).join().is_err());
        naps.network.clear_tap();
        assert_eq!(naps.client.nap(&1), Ok(1), "the dead caller's request has not left");
    });
}

/// "A crash between persisting and answering": the tap kills the server's own node.
#[test]
fn a_tap_may_kill_the_server() {
    both(|| {
        let naps = Naps::new();
        let victim = naps.node.clone();
        naps.network.set_tap(move |event| {
            if event.direction == Direction::Reply {
                victim.kill();
            }
            TapAction::Deliver
        });
        let (result, took) = timed(|| naps.client.nap(&1));
        assert_eq!(result, Err(RpcError::Failed));
        assert!(took <= ms(100) + slack(), "{took:?}");
        assert_eq!(*naps.server.ended.lock(), [1]);
    });
}

#[test]
fn messages_to_a_dead_incarnation_never_reach_the_next_one() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_end_delay("end", DelayModel::fixed(ms(50)));
        let in_flight = naps.start(1);
        naps.network.set_end_delay("end", DelayModel::zero());
        naps.network.hold("end");
        let held = naps.start(2);
        thread::sleep(ms(10));
        naps.network.delete_server(0);
        naps.node.kill();
        let (_, next) = add_nap_server(&naps.network, "server-again");
        thread::sleep(ms(100));
        naps.network.release("end");
        for call in [in_flight, held] {
            assert_eq!(call.join().unwrap().0, Err(RpcError::Failed));
        }
        assert_eq!(naps.client.nap(&3), Ok(1));
        assert_eq!(*next.begun.lock(), [3]);
        assert!(naps.begun().is_empty());
        assert_eq!(naps.network.count(0), 1, "a new incarnation counts from zero");
    });
}

/// A way of calls that is no network: the service itself. Methods that it does not have are lost.
struct Direct {
    service: Service,
    limits: Mutex<Vec<Option<Duration>>>,
}

impl Transport for Direct {
    fn call(
        &self,
        service_method: &'static str,
        args: Vec<u8>,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, RpcError> {
        self.limits.lock().push(limit);
        let answer = self.service.handle(service_method, &args).ok_or(RpcError::Failed)?;
        answer.map_err(RpcError::Garbled)
    }
}

labrpc::service! {
    service Doubler, client DoublerClient {
        fn double(number: u64) -> u64;
    }
}

labrpc::service! {
    service Tripler, client TriplerClient {
        fn triple(number: u64) -> u64;
    }
}

struct Two;

impl Doubler for Two {
    fn double(&self, number: u64) -> u64 {
        2 * number
    }
}

#[test]
fn calls_may_go_over_another_transport() {
    let service = Arc::new(Two).into_service();
    let direct = Arc::new(Direct { service, limits: Mutex::new(Vec::new()) });
    let end = ClientEnd::over(direct.clone());
    assert_eq!(DoublerClient::new(end.clone()).double(&4), Ok(8));
    assert_eq!(DoublerClient::new(end.clone()).timeout(ms(50)).double(&5), Ok(10));
    assert_eq!(*direct.limits.lock(), [None, Some(ms(50))]);
    assert_eq!(TriplerClient::new(end).triple(&4), Err(RpcError::Failed));
}
