//! What spec chapter 1.2 says of a call, measured: chances, ranges of delays, counters, and when a dead
//! server is noticed.

use std::collections::BTreeSet;

use labrpc::{DelayModel, RpcError};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::fixture::{Fixture, Naps, SERVER, add_nap_server, ms, simulated, timed};

/// Whether `count` of `trials` is what a chance of `p` gives, within five standard deviations.
fn fits(count: usize, trials: usize, p: f64) -> bool {
    let trials = trials as f64;
    (count as f64 - trials * p).abs() <= 5.0 * (trials * p * (1.0 - p)).sqrt()
}

/// Durations of `calls` sequential calls of `nap(0)`, successes and failures apart.
fn durations(naps: &Naps, calls: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        match timed(|| naps.client.nap(&0)) {
            (Ok(_), took) => succeeded.push(took),
            (Err(error), took) => {
                assert_eq!(error, RpcError::Failed);
                failed.push(took);
            }
        }
    }
    (succeeded, failed)
}

fn mean(durations: &[Duration]) -> f64 {
    durations.iter().map(Duration::as_secs_f64).sum::<f64>() / durations.len() as f64
}

#[test]
fn an_unreliable_network_loses_a_tenth_each_way_and_takes_up_to_26_ms() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_reliable(false);
        let (succeeded, failed) = durations(&naps, 20_000);
        assert!(fits(succeeded.len(), 20_000, 0.81), "{} of 20,000 calls succeeded", succeeded.len());
        let ran = naps.begun().len();
        assert!(fits(ran, 20_000, 0.9), "{ran} of 20,000 handlers ran");
        assert_eq!(naps.network.count(0), ran as u64);
        assert_eq!(naps.network.calls_on("end"), 20_000);
        let replies_lost = (ran - succeeded.len()) as u64;
        assert_eq!(naps.network.replies_lost("end"), replies_lost);
        let traffic = naps.network.traffic("end");
        let counted = (traffic.calls(), traffic.lost(), traffic.open(), traffic.replies_lost());
        assert_eq!(counted, (20_000, 20_000 - ran as u64, 0, replies_lost));
        for took in [succeeded, failed] {
            let seen: BTreeSet<_> = took.iter().copied().collect();
            assert_eq!(seen, (0..=26).map(ms).collect());
            assert!((mean(&took) - 0.013).abs() < 0.001, "mean {} s", mean(&took));
        }
    });
}

/// What waits in a handler is not lost, and counting anew does not forget it.
#[test]
fn a_request_is_open_until_its_handler_returns() {
    simulated(|| {
        let naps = Naps::new();
        let traffic = naps.network.traffic("end");
        let (long, short) = (naps.start(1000), naps.start(10));
        thread::sleep(ms(500));
        assert_eq!((traffic.calls(), traffic.open(), traffic.unanswered()), (2, 1, 0));
        traffic.forget();
        assert_eq!((traffic.calls(), traffic.open(), traffic.lost()), (0, 1, 0));
        let _ = (long.join(), short.join());
        assert_eq!(traffic.open(), 0);
        let again = naps.start(1000);
        thread::sleep(ms(500));
        assert_eq!((traffic.open(), traffic.unanswered()), (1, 1));
        naps.node.kill();
        assert_eq!(traffic.open(), 0);
        let _ = again.join();
    });
}

#[test]
fn a_reliable_hop_takes_1_to_10_ms_in_the_simulation() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::default_here());
        let (succeeded, failed) = durations(&naps, 10_000);
        assert!(failed.is_empty());
        let range = succeeded.iter().min().zip(succeeded.iter().max()).unwrap();
        assert!(
            *range.0 >= ms(2) && *range.0 < ms(3) && *range.1 > ms(19) && *range.1 <= ms(20),
            "{range:?}"
        );
        assert!((mean(&succeeded) - 0.011).abs() < 0.000_2, "mean {} s", mean(&succeeded));

        naps.network.set_reliable(false);
        let (_, failed) = durations(&naps, 1_000);
        assert!(failed.iter().all(|took| *took >= ms(1) && *took <= ms(26)));
    });
}

#[test]
fn a_call_that_cannot_be_delivered_fails_after_up_to_100_ms_or_7_s() {
    simulated(|| {
        let naps = Naps::new();
        let spoil: [fn(&Naps); 3] = [
            |naps| naps.network.enable("end", false),
            |naps| {
                naps.network.enable("end", true);
                naps.network.delete_server(0);
            },
            // A server that never existed.
            |naps| naps.network.connect("end", 5),
        ];
        for spoil in spoil {
            spoil(&naps);
            for (long_delays, longest) in [(false, 99), (true, 6999)] {
                naps.network.set_long_delays(long_delays);
                let (succeeded, failed) = durations(&naps, 5_000);
                assert!(succeeded.is_empty());
                let whole = |took: &Duration| took.subsec_nanos().is_multiple_of(1_000_000);
                assert!(failed.iter().all(|took| whole(took) && *took <= ms(longest)));
                let (center, spread) = (longest as f64 / 2e3, longest as f64 / 1e3);
                assert!((mean(&failed) - center).abs() < 0.03 * spread, "mean {} s", mean(&failed));
                assert!(*failed.iter().max().unwrap() > ms(longest).mul_f64(0.98));
            }
        }
        assert!(naps.begun().is_empty());
    });
}

#[test]
fn an_end_that_was_never_connected_fails_too() {
    simulated(|| {
        let fixture = Fixture::new();
        let end = fixture.network.make_end("alone");
        fixture.network.enable("alone", true);
        assert_eq!(end.call("Junk.handler_6", Vec::new()), Err(RpcError::Failed));
        assert_eq!((fixture.network.total_count(), fixture.network.count(SERVER)), (1, 0));
    });
}

#[test]
fn long_reordering_delays_two_of_three_replies_by_200_to_2199_ms() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_long_reordering(true);
        let (succeeded, failed) = durations(&naps, 20_000);
        assert!(failed.is_empty());
        let late: Vec<_> = succeeded.iter().copied().filter(|took| !took.is_zero()).collect();
        assert!(fits(late.len(), 20_000, 2.0 / 3.0), "{} of 20,000 replies were late", late.len());
        assert!(late.iter().all(|took| *took >= ms(200) && *took <= ms(2199)));
        assert!(*late.iter().max().unwrap() > ms(2100));
        // The inner bound is uniform, so the mean is 200 + 1999/4.
        assert!((mean(&late) - 0.7).abs() < 0.02, "mean {} s", mean(&late));
        // Skewed to short: half of the late ones wait less than 373 ms on top (x ln(2000/x) + x = 1000).
        let short = late.iter().filter(|took| **took < ms(573)).count();
        assert!(fits(short, late.len(), 0.5), "{short} of {} late replies come within 573 ms", late.len());
    });
}

#[test]
fn every_request_is_counted_and_only_delivered_replies_are() {
    simulated(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end");
        fixture.network.set_reliable(false);
        let text = "x".repeat(50);
        let replies = (0..1000).filter(|_| client.handler_6(&text).is_ok()).count() as u64;
        // A text of 50 bytes takes 51, the number 50 takes one.
        assert_eq!(fixture.network.total_bytes(), 1000 * 51 + replies);
        fixture.network.enable("end", false);
        assert!(client.handler_6(&text).is_err());
        assert_eq!(fixture.network.total_bytes(), 1001 * 51 + replies);
        assert_eq!(fixture.network.total_count(), 1001);
        assert!(fixture.network.count(SERVER) > replies, "some handlers ran, and their replies were lost");
    });
}

#[test]
fn a_late_reply_is_counted_when_it_is_handed_over() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_end_delay("end", DelayModel::fixed(ms(10)));
        let call = naps.start(5);
        let mut seen = Vec::new();
        for _ in 0..3 {
            thread::sleep(ms(8));
            seen.push(naps.network.total_bytes());
        }
        thread::sleep(ms(2));
        seen.push(naps.network.total_bytes());
        assert_eq!(seen, [1, 1, 1, 2]);
        assert_eq!(call.join().unwrap().0, Ok(1));
    });
}

/// The looks happen every 100 ms after the start of the handler, so a death is noticed at the next one.
#[test]
fn a_dead_server_is_noticed_at_the_next_multiple_of_100_ms() {
    let deaths: [fn(&Naps); 4] = [
        |naps| naps.network.enable("end", false),
        |naps| naps.network.delete_server(0),
        |naps| drop(add_nap_server(&naps.network, "server-again")),
        |naps| naps.node.kill(),
    ];
    for death in deaths {
        for (at, noticed) in [(0, 100), (50, 100), (100, 100), (101, 200), (999, 1000), (5050, 5100)] {
            simulated(move || {
                let naps = Naps::new();
                thread::sleep(ms(33));
                let started = Instant::now();
                let call = naps.start(20_000);
                thread::sleep(ms(at));
                thread::yield_now();
                death(&naps);
                let (result, ended) = call.join().unwrap();
                assert_eq!(
                    (result, ended - started),
                    (Err(RpcError::Failed), ms(noticed)),
                    "dead at {at} ms"
                );
            });
        }
    }
}

#[test]
fn an_end_that_is_switched_on_again_before_the_next_look_was_never_dead() {
    simulated(|| {
        let naps = Naps::new();
        let call = naps.start(1000);
        for _ in 0..4 {
            thread::sleep(ms(60));
            naps.network.enable("end", false);
            thread::sleep(ms(30));
            naps.network.enable("end", true);
            thread::sleep(ms(10));
        }
        assert_eq!(call.join().unwrap(), (Ok(1), Instant::from_nanos(1_000_000_000)));

        // And once more dead at a look, after having been dead between two others.
        let call = naps.start(1000);
        thread::sleep(ms(310));
        naps.network.enable("end", false);
        naps.network.enable("end", true);
        thread::sleep(ms(210));
        naps.network.enable("end", false);
        assert_eq!(call.join().unwrap(), (Err(RpcError::Failed), Instant::from_nanos(1_600_000_000)));
    });
}

#[test]
fn a_handler_that_returns_after_the_death_gives_no_reply() {
    simulated(|| {
        let naps = Naps::new();
        let call = naps.start(230);
        thread::sleep(ms(210));
        naps.network.delete_server(0);
        assert_eq!(call.join().unwrap(), (Err(RpcError::Failed), Instant::from_nanos(230_000_000)));
        assert_eq!(*naps.server.ended.lock(), [230], "the handler itself is not interrupted");
    });
}

#[test]
fn a_reply_that_is_on_its_way_survives_the_death() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_end_delay("end", DelayModel::fixed(ms(500)));
        let call = naps.start(1);
        thread::sleep(ms(600));
        naps.network.delete_server(0);
        naps.network.enable("end", false);
        assert_eq!(call.join().unwrap(), (Ok(1), Instant::from_nanos(1_001_000_000)));
    });
}

#[test]
fn it_survives_a_look_that_was_scheduled_before_it_left() {
    simulated(|| {
        let naps = Naps::new();
        let call = naps.start(50);
        thread::sleep(ms(10));
        naps.network.set_end_delay("end", DelayModel::fixed(ms(500)));
        naps.network.enable("end", false);
        naps.network.enable("end", true);
        thread::sleep(ms(70));
        naps.network.delete_server(0);
        assert_eq!(call.join().unwrap(), (Ok(1), Instant::from_nanos(550_000_000)));
    });
}

#[test]
fn a_request_that_is_on_its_way_still_runs_its_handler() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_end_delay("end", DelayModel::fixed(ms(10)));
        let (quick, slow) = (naps.start(7), naps.start(400));
        thread::sleep(ms(5));
        naps.network.enable("end", false);
        assert_eq!(quick.join().unwrap(), (Err(RpcError::Failed), Instant::from_nanos(17_000_000)));
        assert_eq!(slow.join().unwrap(), (Err(RpcError::Failed), Instant::from_nanos(110_000_000)));
        assert_eq!(naps.begun().into_iter().collect::<BTreeSet<_>>(), [7, 400].into());
    });
}

#[test]
fn a_call_keeps_the_modes_of_its_start() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_reliable(false);
        naps.network.set_long_reordering(true);
        let calls: Vec<_> = (0..2000).map(|_| naps.start(100)).collect();
        thread::sleep(ms(50));
        naps.network.set_reliable(true);
        naps.network.set_long_reordering(false);
        let ends: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        let late = ends.iter().filter(|(_, at)| at.as_nanos() >= 300_000_000).count();
        assert!(fits(late, 2000, 0.81 * 2.0 / 3.0), "{late} of 2000 replies were late");
    });
}

#[test]
fn a_reliable_network_reorders_requests() {
    simulated(|| {
        let naps = Naps::new();
        naps.network.set_delay(DelayModel::default_here());
        let calls: Vec<_> = (0..50)
            .map(|i| {
                let call = naps.start(i);
                thread::sleep(ms(1));
                call
            })
            .collect();
        calls.into_iter().for_each(|call| assert!(call.join().unwrap().0.is_ok()));
        assert!(!naps.begun().is_sorted());
    });
}

#[test]
fn a_network_that_is_cleaned_up_fails_calls_at_once() {
    simulated(|| {
        let naps = Naps::new();
        let waiting = naps.start(20_000);
        thread::sleep(ms(10));
        naps.network.cleanup();
        let call = timed(|| naps.client.nap(&0));
        assert_eq!(call, (Err(RpcError::Failed), Duration::ZERO));
        assert_eq!(naps.network.total_count(), 1);
        assert_eq!(waiting.join().unwrap(), (Err(RpcError::Failed), Instant::from_nanos(100_000_000)));
    });
}
