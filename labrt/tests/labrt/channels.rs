//! Channels and select.

use labrt::channel::{self, TryRecvError, bounded, select, unbounded};
use labrt::time::{Duration, Instant};
use labrt::{Config, run, thread};

use crate::basics::both_ok;

#[test]
fn messages_arrive_in_order_and_then_the_channel_ends() {
    both_ok(|| {
        for capacity in [Some(0), Some(1), Some(7), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            thread::spawn(move || (0..50).for_each(|i| sender.send(i).unwrap()));
            assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        }
    });
}

#[test]
fn a_rendezvous_waits_for_its_receiver() {
    both_ok(|| {
        let (sender, receiver) = bounded(0);
        let started = Instant::now();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(40));
            receiver.recv().unwrap()
        });
        assert!(sender.try_send(1).is_err());
        assert!(sender.send_timeout(2, Duration::from_millis(10)).is_err());
        sender.send(3).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(40));
        assert_eq!(thread.join().unwrap(), 3);
        assert!(sender.send(4).is_err());
    });
}

#[test]
fn many_senders_in_rendezvous_all_get_through() {
    both_ok(|| {
        let (sender, receiver) = bounded(0);
        for i in 0..20 {
            let sender = sender.clone();
            thread::spawn(move || sender.send(i).unwrap());
        }
        drop(sender);
        let mut all: Vec<i32> = receiver.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn select_takes_what_is_ready_and_its_default_otherwise() {
    both_ok(|| {
        let (first, from_first) = bounded::<u32>(1);
        let (second, from_second) = bounded::<u32>(1);
        let nothing = select! {
            recv(from_first) -> _ => false,
            recv(from_second) -> _ => false,
            default => true,
        };
        assert!(nothing);
        second.send(2).unwrap();
        let got = select! {
            recv(from_first) -> message => message.unwrap(),
            recv(from_second) -> message => { message.unwrap() }
            default(Duration::from_secs(5)) => 0,
        };
        assert_eq!(got, 2);
        let sent = select! {
            send(first, 1) -> result => result.is_ok(),
            recv(from_second) -> _ => false,
        };
        assert!(sent);
        assert_eq!(from_first.recv(), Ok(1));
        let started = Instant::now();
        select! {
            recv(from_first) -> _ => panic!("nothing was sent"),
            default(Duration::from_millis(20)) => {}
        }
        assert!(started.elapsed() >= Duration::from_millis(20));
    });
}

#[test]
fn select_waits_for_time_and_ticks() {
    both_ok(|| {
        let ticks = channel::tick(Duration::from_millis(10));
        let end = channel::after(Duration::from_millis(75));
        let mut count = 0;
        loop {
            select! {
                recv(ticks) -> _ => count += 1,
                recv(end) -> _ => break,
                recv(channel::never::<()>()) -> _ => unreachable!(),
            }
        }
        assert!((3..=7).contains(&count), "{count} ticks in 75 ms");
    });
}

#[test]
fn two_selects_meet_in_a_rendezvous() {
    both_ok(|| {
        let (sender, receiver) = bounded::<u32>(0);
        let thread = thread::spawn(move || {
            select! { recv(receiver) -> message => message.unwrap() }
        });
        select! { send(sender, 9) -> result => result.unwrap() }
        assert_eq!(thread.join().unwrap(), 9);
    });
}

#[test]
fn the_seed_chooses_among_ready_arms() {
    let choice = |seed| {
        let outcome = run(Config::simulated(seed), || {
            let (first, from_first) = bounded(1);
            let (second, from_second) = bounded(1);
            first.send(1).unwrap();
            second.send(2).unwrap();
            select! { recv(from_first) -> m => m.unwrap(), recv(from_second) -> m => m.unwrap() }
        });
        outcome.result.unwrap()
    };
    let ones = (0..100).filter(|&seed| choice(seed) == 1).count();
    assert!((20..80).contains(&ones), "{ones} of 100");
    assert_eq!(choice(5), choice(5));
}
