//! What a thread may still do while a kill unwinds it, and what a kill must not leave half done.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use labrt::channel::{self, select};
use labrt::node::{self, Node};
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::sync::{Arc, Condvar, Mutex, Once, WaitGroup};
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, Limits, Outcome, PolicyKind, rand, run, thread};

use crate::basics::{both, both_ok};
use crate::child::{is_child, run_as_child};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(100);

/// Runs a closure in its destructor.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs the closure in a destructor of a thread whose server crashes.
fn in_crash(f: impl FnMut() + Send + 'static) {
    let server = Node::new("server-0");
    server.spawn("loop", move || {
        let _at_end = AtEnd(f);
        thread::sleep(LONG);
    });
    thread::sleep(10 * MS);
    server.kill();
}

fn line_of(marker: &str) -> String {
    let source = include_str!("killed.rs");
    let position = source.lines().position(|line| line.contains(marker) && !line.contains("line_of"));
    format!("killed.rs:{}:", position.unwrap() + 1)
}

#[test]
fn a_select_in_a_destructor_fails_as_its_first_arm_would() {
    both_ok(|| {
        let done = Arc::new(Mutex::new(Vec::new()));
        let (_keeps, receiver) = channel::unbounded::<u32>();
        let received = Arc::clone(&done);
        in_crash(move || {
            select! { recv(receiver) -> message => received.lock().push(message.is_err()), }
        });
        let (sender, _keeps) = channel::bounded::<u32>(1);
        sender.send(1).unwrap();
        let sent = Arc::clone(&done);
        in_crash(move || {
            select! { send(sender, 2) -> result => sent.lock().push(result.is_err()), }
        });
        assert_eq!(*done.lock(), [true, true]);
    });
}

#[test]
fn a_select_of_a_panicking_thread_does_not_hide_the_panic() {
    let outcome: Outcome<()> = run(Config::simulated(1), || {
        let (_keeps, receiver) = channel::unbounded::<u32>();
        let _at_end = AtEnd(move || {
            select! { recv(receiver) -> message => assert!(message.is_err()), }
        });
        panic!("the reason");
    });
    let failure = outcome.result.unwrap_err();
    assert!(failure.message.starts_with("the reason\n"), "{failure}");
}

/// Each waits for a second at most. Waiting calls return at once there, so that without the time that they
/// would have taken the loops would have no end.
#[test]
fn a_destructor_that_waits_for_a_bounded_time_comes_to_its_end() {
    both_ok(|| {
        let ended = Arc::new(Mutex::new(0));
        let deadline = || Instant::now() + Duration::from_secs(1);
        let count = Arc::clone(&ended);
        in_crash(move || {
            let deadline = deadline();
            while Instant::now() < deadline {
                thread::sleep(MS);
            }
            *count.lock() += 1;
        });
        let count = Arc::clone(&ended);
        let (_keeps, receiver) = channel::unbounded::<u32>();
        in_crash(move || {
            let deadline = deadline();
            while receiver.recv_timeout(MS).is_err() && Instant::now() < deadline {}
            *count.lock() += 1;
        });
        let count = Arc::clone(&ended);
        in_crash(move || {
            let (lock, condvar, deadline) = (Mutex::new(()), Condvar::new(), deadline());
            while Instant::now() < deadline {
                condvar.wait_for(&mut lock.lock(), MS);
            }
            *count.lock() += 1;
        });
        assert_eq!(*ended.lock(), 3);
    });
}

#[test]
fn a_destructor_that_looks_for_ever_is_reported() {
    let outcome = run(Config::simulated(1), || {
        let flag = AtomicBool::new(false);
        in_crash(move || while !flag.load(Ordering::SeqCst) {}); // looks for ever
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Stuck, "loop"), "{failure}");
    assert!(failure.location.unwrap().contains(&line_of("// looks for ever")));
}

/// Counts for ever, and catches whatever would end that.
fn count_for_ever(count: &Mutex<u64>) {
    let _ = catch_unwind(|| thread::sleep(LONG));
    loop {
        let _ = catch_unwind(AssertUnwindSafe(|| *count.lock() += 1));
    }
}

#[test]
fn a_kill_that_is_caught_is_reported_of_a_thread_that_only_locks_too() {
    let outcome = run(Config::simulated(1), || {
        let server = Node::new("server-0");
        server.spawn("stubborn", || count_for_ever(&Mutex::new(0)));
        thread::sleep(MS);
        server.kill();
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Stuck, "stubborn"), "{failure}");
}

#[test]
fn a_rendezvous_in_a_destructor_reaches_the_receiver_that_waits() {
    both_ok(|| {
        let (sender, receiver) = channel::bounded(0);
        let receives = thread::spawn(move || receiver.recv_timeout(Duration::from_secs(2)));
        in_crash(move || sender.send(7).unwrap());
        assert_eq!(receives.join().unwrap(), Ok(7));
    });
}

/// Crashes a server at each of the first points where its thread could lose its turn, in many orders.
fn crash_anywhere(main: fn(&Node, Box<dyn FnOnce()>)) {
    for seed in 0..3000 {
        let policy = PolicyKind::Random { switch_every: 1 + (seed % 3) as u32 };
        let outcome = run(Config::simulated(seed).policy(policy), move || {
            let server = Node::new("server-0");
            let killed = server.clone();
            let crash = move || {
                let lock = Mutex::new(0);
                (0..rand::random_range(0..8)).for_each(|_| *lock.lock() += 1);
                killed.kill();
            };
            main(&server, Box::new(crash));
        });
        assert!(outcome.result.is_ok(), "seed {seed}: {}", outcome.result.unwrap_err());
    }
}

#[test]
fn a_kill_within_the_end_of_a_sender_or_receiver_does_not_keep_it() {
    crash_anywhere(|server, crash| {
        let (sender, receiver) = channel::unbounded();
        server.spawn("sends", move || sender.send(1).unwrap());
        crash();
        assert!(receiver.iter().count() <= 1);
    });
    crash_anywhere(|server, crash| {
        let (sender, receiver) = channel::bounded::<u32>(1);
        server.spawn("receives", move || drop(receiver));
        crash();
        while sender.send(1).is_ok() {}
    });
}

#[test]
fn a_kill_within_the_end_of_a_once_or_a_group_keeps_nobody_waiting() {
    crash_anywhere(|server, crash| {
        let (once, lock) = (Arc::new(Once::new()), Arc::new(Mutex::new(0)));
        let (first, count) = (Arc::clone(&once), Arc::clone(&lock));
        server.spawn("first", move || first.call_once(|| *count.lock() += 1));
        crash();
        once.call_once(|| *lock.lock() += 1);
    });
    crash_anywhere(|server, crash| {
        let group = WaitGroup::new();
        let member = group.clone();
        server.spawn("member", move || drop(member));
        crash();
        group.wait();
    });
}

#[test]
fn a_main_thread_that_kills_its_own_node_says_so() {
    for outcome in both(|| {
        Node::new("other").spawn("ticks", || {
            loop {
                thread::sleep(MS);
            }
        });
        node::current().kill();
    }) {
        let failure = outcome.result.unwrap_err();
        assert!(failure.message.contains("unwound by a kill of its own node"), "{failure}");
        assert!(failure.at < Duration::from_secs(1), "{failure}");
    }
}

struct Complains;

impl Drop for Complains {
    fn drop(&mut self) {
        panic!("the destructor complains");
    }
}

#[test]
fn a_payload_whose_destructor_panics_is_a_panic_as_any_other() {
    for outcome in both(|| {
        Node::new("server-0").spawn("loop", || panic_any(Complains)).join().unwrap(); // its payload complains
    }) {
        let failure = outcome.result.unwrap_err();
        assert_eq!((failure.kind, failure.thread.as_str()), (FailureKind::Panic, "loop"), "{failure}");
        assert!(failure.location.unwrap().contains(&line_of("// its payload complains")));
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }
    for outcome in both(|| panic_any(Complains)) {
        assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Panic);
    }
}

#[test]
fn a_closure_that_never_ran_may_panic_at_the_end_of_the_run_too() {
    let outcome = run(Config::simulated(1), || {
        let complains = Complains;
        // Its spawner goes on, and ends the run.
        thread::Builder::new().name("never").spawn(move || drop(complains)).map(drop)
    });
    assert_eq!(outcome.result.unwrap_err().message, "the destructor complains");
}

#[test]
fn a_thread_has_new_locals_though_its_os_thread_is_not_new() {
    struct Again(Arc<Mutex<u32>>);
    impl Drop for Again {
        fn drop(&mut self) {
            *self.0.lock() += 1;
            NUMBER.set(NUMBER.get() + 1);
        }
    }
    labrt::thread_local! {
        static NUMBER: std::cell::Cell<u32> = const { std::cell::Cell::new(5) };
        static AGAIN: std::cell::RefCell<Option<Again>> = const { std::cell::RefCell::new(None) };
    }
    for _ in 0..3 {
        both_ok(|| {
            let dropped = Arc::new(Mutex::new(0));
            for _ in 0..5 {
                let counts = Arc::clone(&dropped);
                let thread = thread::spawn(move || {
                    AGAIN.with_borrow_mut(|again| *again = Some(Again(counts)));
                    NUMBER.replace(6)
                });
                assert_eq!(thread.join().unwrap(), 5);
                thread::sleep(10 * MS);
            }
            assert_eq!((NUMBER.get(), *dropped.lock()), (5, 5));
        });
    }
}

/// The victim's destructor kills the node of the thread that waits for the victim's end.
#[test]
fn a_killer_whose_own_node_is_killed_meanwhile_does_nothing_more() {
    let outcome = run(Config::simulated(1), || {
        let (a, b, acts) = (Node::new("a"), Node::new("b"), Arc::new(Mutex::new(0)));
        let (killer, victim, after) = (a.clone(), b.clone(), Arc::clone(&acts));
        b.spawn("victim", move || {
            let _at_end = AtEnd(|| killer.kill());
            thread::sleep(LONG);
        });
        thread::sleep(MS);
        a.spawn("killer", move || {
            victim.kill();
            *after.lock() += 1;
        });
        thread::sleep(MS);
        *acts.lock()
    });
    assert_eq!(outcome.result.unwrap(), 0);
}

#[test]
fn a_panic_on_a_real_thread_is_reported_although_a_destructor_waits_for_ever() {
    if is_child() {
        let second = Duration::from_secs(1);
        let limits = Limits { real_time: second, stuck_after: second, ..Limits::default() };
        let _: Outcome<()> = run(Config::threads(1).limits(limits), || {
            let _at_end = AtEnd(|| Condvar::new().wait_while(&mut Mutex::new(()).lock(), |()| true));
            panic!("the reason");
        });
        return;
    }
    let test = "a_panic_on_a_real_thread_is_reported_although_a_destructor_waits_for_ever";
    let ended = run_as_child(&format!("killed::{test}"));
    assert!(!ended.success && ended.text.contains("): the reason\n"), "{}", ended.text);
}
