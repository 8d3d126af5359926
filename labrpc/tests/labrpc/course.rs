//! The course's tests (spec chapter 1.4), in both worlds.

use labrpc::RpcError;
use labrt::sync::Arc;
use labrt::thread::{self, JoinHandle};
use labrt::time::Instant;

use crate::fixture::{Fixture, JunkArgs, JunkClient, SERVER, both, ms, slack};

fn join_all<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn basic() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        assert_eq!(client.handler_2(&111).unwrap(), "handler2-111");
        assert_eq!(client.handler_1(&"9099".to_owned()).unwrap(), 9099);
        assert_eq!((fixture.server.numbers(), fixture.server.texts()), (vec![111], vec!["9099".to_owned()]));
    });
}

#[test]
fn types() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        assert_eq!(client.handler_4(&Box::new(JunkArgs { x: 4 })).unwrap(), "pointer");
        assert_eq!(client.handler_5(&JunkArgs { x: 5 }).unwrap(), "no pointer");
    });
}

#[test]
fn disconnect() {
    both(|| {
        let fixture = Fixture::new();
        let client = JunkClient::new(fixture.disabled("end1-99"));
        assert_eq!(client.handler_2(&111), Err(RpcError::Failed));
        fixture.network.enable("end1-99", true);
        assert_eq!(client.handler_1(&"9099".to_owned()), Ok(9099));
        assert!(fixture.server.numbers().is_empty(), "the first call must not have reached the server");
    });
}

#[test]
fn counts() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        for i in 0..17 {
            assert_eq!(client.handler_2(&i).unwrap(), format!("handler2-{i}"));
        }
        assert_eq!(fixture.network.count(SERVER), 17);
    });
}

#[test]
fn bytes() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        let text = "x".repeat(4 * 71);
        for _ in 0..17 {
            assert_eq!(client.handler_6(&text).unwrap(), 284);
        }
        let before = fixture.network.total_bytes();
        assert!((4828..=6000).contains(&before), "{before} bytes for 17 requests of 284");
        for _ in 0..17 {
            assert_eq!(client.handler_7(&107).unwrap().len(), 107);
        }
        let growth = fixture.network.total_bytes() - before;
        assert!((1800..=2500).contains(&growth), "{growth} bytes for 17 replies of 107");
    });
}

#[test]
fn concurrent_many() {
    both(|| {
        let fixture = Arc::new(Fixture::new());
        let clients = (0..20).map(|i| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let client = fixture.client(i);
                for j in 0..10 {
                    let number = i * 100 + j;
                    assert_eq!(client.handler_2(&number).unwrap(), format!("handler2-{number}"));
                }
                10
            })
        });
        assert_eq!(join_all(clients.collect()).iter().sum::<i32>(), 200);
        assert_eq!(fixture.network.count(SERVER), 200);
    });
}

#[test]
fn unreliable() {
    both(|| {
        let fixture = Arc::new(Fixture::new());
        fixture.network.set_reliable(false);
        let clients = (0..300).map(|i| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || match fixture.client(i).handler_2(&(i * 100)) {
                Ok(reply) => {
                    assert_eq!(reply, format!("handler2-{}", i * 100));
                    1
                }
                Err(error) => {
                    assert_eq!(error, RpcError::Failed);
                    0
                }
            })
        });
        let succeeded = join_all(clients.collect()).iter().sum::<i32>();
        assert!((1..300).contains(&succeeded), "{succeeded} of 300 calls succeeded on an unreliable network");
    });
}

#[test]
fn concurrent_one() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        let clients = (0..20).map(|i| {
            let client = client.clone();
            thread::spawn(move || {
                assert_eq!(client.handler_2(&(100 + i)).unwrap(), format!("handler2-{}", 100 + i));
            })
        });
        join_all(clients.collect());
        let mut numbers = fixture.server.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, (100..120).collect::<Vec<_>>());
        assert_eq!(fixture.network.count(SERVER), 20);
    });
}

/// Calls that failed on a disabled end must not delay one that is made after it is enabled.
#[test]
fn regression_1() {
    both(|| {
        let fixture = Fixture::new();
        let client = JunkClient::new(fixture.disabled("end1-99"));
        fixture.network.enable("end1-99", false);
        let calls = (0..20).map(|i| {
            let client = client.clone();
            thread::spawn(move || client.handler_2(&(100 + i)))
        });
        let calls = calls.collect();
        thread::sleep(ms(100));

        fixture.network.enable("end1-99", true);
        let started = Instant::now();
        assert_eq!(client.handler_2(&99).unwrap(), "handler2-99");
        let took = started.elapsed();
        assert!(took < ms(30) + slack(), "one call after the failed ones took {took:?}");

        let failed = join_all(calls);
        assert!(failed.iter().all(|reply| *reply == Err(RpcError::Failed)), "{failed:?}");
        assert_eq!(fixture.server.numbers(), [99]);
        assert_eq!(fixture.network.count(SERVER), 1);
    });
}

/// A call whose handler is still running fails when its server is deleted.
#[test]
fn killed() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        let call = thread::spawn(move || client.handler_3(&99));
        thread::sleep(ms(1100));
        assert!(!call.is_finished(), "the handler is still asleep, yet the call has ended");

        let deleted = Instant::now();
        fixture.network.delete_server(SERVER);
        assert_eq!(call.join().unwrap(), Err(RpcError::Failed));
        // The course allows exactly the period of its looks.
        let took = deleted.elapsed();
        assert!(took <= ms(100) + slack(), "the call ended {took:?} after its server");
    });
}

/// The course's benchmark, as a test of endurance: its time is measured in `benches/labrpc.rs`.
#[test]
fn benchmark() {
    both(|| {
        let fixture = Fixture::new();
        let client = fixture.client("end1-99");
        for _ in 0..100_000 {
            assert_eq!(client.handler_2(&111).unwrap(), "handler2-111");
        }
        assert_eq!(fixture.network.total_count(), 100_000);
    });
}
