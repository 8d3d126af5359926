//! Runs that differ from what their seed says: other futures, streams of nodes, skipped sleeps, calm threads.

use std::time::Duration;

use labrt::node::Node;
use labrt::rand::random;
use labrt::sync::Arc;
use labrt::{Config, PolicyKind, run, thread, time::Instant};

/// Numbers that are drawn at 0, 10, 20 ms.
fn draws(config: Config) -> Vec<u64> {
    let draw = |_| {
        let number = random();
        thread::sleep(Duration::from_millis(10));
        number
    };
    run(config, move || (0..3).map(draw).collect()).result.unwrap()
}

#[test]
fn another_future_has_the_same_past() {
    let whole = draws(Config::simulated(7));
    let fork = |seed| Config { reseed: Some((Duration::from_millis(15), seed)), ..Config::simulated(7) };
    let (one, other) = (draws(fork(1)), draws(fork(2)));
    assert_eq!((&one[..2], &other[..2]), (&whole[..2], &whole[..2]));
    assert!(one[2] != whole[2] && one[2] != other[2], "{whole:?} {one:?} {other:?}");
    assert_eq!(draws(fork(1)), one, "a future is determined, too");
    let late = Config { reseed: Some((Duration::from_secs(9), 1)), ..Config::simulated(7) };
    assert_eq!(draws(late), whole);
}

/// What a second node draws, if the first draws so often before.
fn of_second(before: usize, streams: Option<u64>) -> u64 {
    let config = Config { own_streams: streams, ..Config::simulated(7) };
    let body = move || {
        let (one, other) = (Node::new("server-0"), Node::new("server-1"));
        one.spawn("draws", move || (0..before).map(|_| random::<u64>()).for_each(drop)).join().unwrap();
        other.spawn("draws", random::<u64>).join().unwrap()
    };
    run(config, body).result.unwrap()
}

#[test]
fn with_a_stream_of_its_own_a_node_does_not_hear_others_draw() {
    assert_ne!(of_second(1, None), of_second(2, None));
    assert_eq!(of_second(1, Some(3)), of_second(2, Some(3)));
    assert_ne!(of_second(1, Some(3)), of_second(1, Some(4)), "the number counts");
}

#[test]
fn each_life_of_a_server_has_another_stream() {
    let config = Config { own_streams: Some(1), ..Config::simulated(7) };
    let draw = || Node::new("server-0").spawn("draws", random::<u64>).join().unwrap();
    let (one, other) = run(config, move || (draw(), draw())).result.unwrap();
    assert_ne!(one, other);
}

#[test]
fn skipped_sleeps_of_the_main_node_take_no_time() {
    let config = Config { skipped_sleeps: vec![(1, 1), (3, 4)], ..Config::simulated(7) };
    let body = || {
        let node = Node::new("server-0");
        node.spawn("sleeps", || thread::sleep(Duration::from_millis(1))).join().unwrap();
        for _ in 0..4 {
            thread::sleep(Duration::from_secs(1));
        }
        Instant::now().as_nanos()
    };
    assert_eq!(run(config, body).result.unwrap(), 1_001_000_000, "the second sleep, and the server's");
}

#[test]
fn calm_threads_run_in_the_order_in_which_they_became_ready() {
    let order = |seed| {
        let body = || {
            let order = Arc::new(labrt::quiet::Mutex::new(Vec::new()));
            let handles: Vec<_> = (0..9)
                .map(|number| {
                    let order = Arc::clone(&order);
                    thread::spawn(move || order.lock().push(number))
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            order.lock().clone()
        };
        run(Config::simulated(seed).policy(PolicyKind::Calm), body).result.unwrap()
    };
    assert_eq!(order(1), order(2));
}
