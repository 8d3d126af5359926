//! A seed decides everything, and a traced run tells what happened.

use labrpc::{DelayModel, TapAction};
use labrt::{Config, Outcome, run, thread};

use crate::fixture::{Naps, ms};

/// Traffic with every fault that the network knows; what the calls gave.
fn traffic() -> Vec<(u64, bool)> {
    let naps = Naps::new();
    naps.network.set_delay(DelayModel::default_here());
    naps.network.set_duplication(0.2);
    naps.network.set_tap(|event| match event.bytes.first() {
        Some(3) => TapAction::Duplicate,
        _ => TapAction::Deliver,
    });
    let mut calls = Vec::new();
    for round in 0..40 {
        naps.network.set_reliable(round % 3 != 0);
        naps.network.set_long_reordering(round % 5 == 0);
        naps.network.enable("end", round % 7 != 0);
        naps.network.cut_replies("end", round % 11 == 0);
        calls.extend((0..10).map(|i| naps.start(i * 20)));
        thread::sleep(ms(30));
    }
    let end = |call: thread::JoinHandle<(Result<usize, _>, labrt::time::Instant)>| {
        let (result, at) = call.join().unwrap();
        (at.as_nanos(), result.is_ok())
    };
    calls.into_iter().map(end).collect()
}

fn outcome(seed: u64, trace: bool) -> Outcome<Vec<(u64, bool)>> {
    run(Config::simulated(seed).trace(trace), traffic)
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..10 {
        let (a, b) = (outcome(seed, false), outcome(seed, false));
        assert_eq!(a.stats.event_hash, b.stats.event_hash);
        assert_eq!((a.stats.steps, a.stats.virtual_time), (b.stats.steps, b.stats.virtual_time));
        assert_eq!(a.result.unwrap(), b.result.unwrap());
    }
}

#[test]
fn other_seeds_give_other_runs() {
    let hashes: std::collections::BTreeSet<_> =
        (0..50).map(|seed| outcome(seed, false).stats.event_hash).collect();
    assert_eq!(hashes.len(), 50);
}

#[test]
fn a_traced_run_is_the_same_run() {
    let (plain, traced) = (outcome(3, false), outcome(3, true));
    assert_eq!(plain.stats.event_hash, traced.stats.event_hash);
    assert!(plain.events.is_empty());
    let count = |kind: &str, text: &str| {
        traced.events.iter().filter(|event| event.kind == kind && event.text.contains(text)).count()
    };
    let calls = traced.result.unwrap();
    let succeeded = calls.iter().filter(|(_, ok)| *ok).count();
    assert_eq!(count("message", "reply arrives"), succeeded);
    assert_eq!(count("message", "fails: "), calls.len() - succeeded);
    assert!(count("message", "main -> server: request, 1 bytes") > 300);
    assert!(count("message", " reply, lost") > 10);
    assert_eq!(count("fault", "end end is switched off"), 6);
}
