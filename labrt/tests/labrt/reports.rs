//! The runtime explains itself: each report names the guilty lines.

use labrt::node::Node;
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::time::Duration;
use labrt::{Config, Failure, FailureKind, Limits, channel, run, thread};

fn failure(config: Config, main: fn()) -> Failure {
    run(config, main).result.expect_err("this code is wrong on purpose")
}

/// The line on which the marked source text stands, as reports show it.
fn line_of(marker: &str) -> String {
    let source = include_str!("reports.rs");
    let line =
        source.lines().position(|line| line.contains(marker) && !line.contains("line_of")).unwrap() + 1;
    format!("reports.rs:{line}:")
}

#[test]
fn a_deadlock_names_threads_lines_and_the_cycle() {
    let failure = failure(Config::simulated(1), || {
        let (first, second) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let node = Node::new("server-0");
        let (a, b) = (Arc::clone(&first), Arc::clone(&second));
        node.spawn("vote", move || {
            let _a = a.lock(); // vote takes the first
            thread::sleep(Duration::from_millis(1));
            let _b = b.lock(); // vote wants the second
        });
        let append = node.spawn("append", move || {
            let _b = second.lock(); // append takes the second
            thread::sleep(Duration::from_millis(1));
            let _a = first.lock(); // append wants the first
        });
        append.join().unwrap();
    });
    assert_eq!(failure.kind, FailureKind::Deadlock);
    let text = failure.to_string();
    for marker in
        ["vote takes the first", "vote wants the second", "append takes the second", "append wants the first"]
    {
        assert!(text.contains(&line_of(&format!("// {marker}"))), "{marker} is missing in {text}");
    }
    assert!(
        text.contains("`vote` of `server-0` -> `append` of `server-0` -> `vote` of `server-0`"),
        "{text}"
    );
}

#[test]
fn a_thread_without_a_name_takes_that_of_the_line_that_started_it() {
    let expected = |marker: &str| line_of(marker).trim_end_matches(':').to_owned();
    let failure = failure(Config::simulated(1), || {
        thread::spawn(|| panic!("without a name")).join().unwrap(); // starts a nameless thread
    });
    assert_eq!(failure.thread, expected("// starts a nameless thread"));
    let built = run(Config::threads(1), || {
        thread::Builder::new().spawn(thread::current_name).unwrap().join().unwrap() // builds one
    });
    assert_eq!(built.result.unwrap(), expected("// builds one"));
    let named =
        run(Config::simulated(1), || thread::spawn_named("apply_loop", thread::current_name).join().unwrap());
    assert_eq!(named.result.unwrap(), "apply_loop");
}

#[test]
fn a_lost_wakeup_is_a_deadlock_that_names_the_wait() {
    let failure = failure(Config::simulated(1), || {
        let (lock, condvar) = (Mutex::new(()), Condvar::new());
        condvar.wait(&mut lock.lock()); // nobody notifies
    });
    assert_eq!(failure.kind, FailureKind::Deadlock);
    let text = failure.to_string();
    assert!(
        text.contains("waits for a notification") && text.contains(&line_of("// nobody notifies")),
        "{text}"
    );
}

#[test]
fn a_loop_over_messages_waits_at_its_own_line() {
    for main in [
        (|| {
            let (_keeps, receiver) = channel::unbounded::<u32>();
            for _ in &receiver {} // waits at the head
        }) as fn(),
        || {
            let (_keeps, receiver) = channel::unbounded::<u32>();
            receiver.iter().for_each(drop); // waits at the head
        },
    ] {
        let failure = failure(Config::simulated(1), main);
        let lines = include_str!("reports.rs").lines().enumerate();
        let mut heads = lines.filter(|(_, line)| {
            line.ends_with("; // waits at the head") || line.ends_with("{} // waits at the head")
        });
        let text = failure.to_string();
        assert!(heads.any(|(at, _)| text.contains(&format!("reports.rs:{}:", at + 1))), "{text}");
    }
}

#[test]
fn spinning_is_reported_with_its_line() {
    let failure = failure(Config::simulated(1), || {
        let done = Mutex::new(false);
        while !*done.lock() {
            thread::yield_now(); // spins here
        }
    });
    assert_eq!(failure.kind, FailureKind::Spin);
    assert!(failure.location.unwrap().contains(&line_of("// spins here")));
}

/// The limit is noticed when a thread gets its turn: it must not go on, since nothing would stop it any more.
#[test]
fn threads_that_take_a_lock_again_and_again_are_called_spinning() {
    for seed in 1..4 {
        let failure = failure(Config::simulated(seed), || {
            let is_done = Arc::new(Mutex::new(false));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let is_done = is_done.clone();
                    thread::spawn(move || while !*is_done.lock() {})
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it never ends"));
        });
        assert_eq!(failure.kind, FailureKind::Spin, "seed {seed}: {failure}");
    }
}

#[test]
fn a_lock_held_while_blocking_is_warned_of_with_both_lines() {
    let outcome = run(Config::simulated(1), || {
        let lock = Mutex::new(0);
        for _ in 0..3 {
            let mut guard = lock.lock(); // takes the lock
            thread::sleep(Duration::from_millis(1)); // sleeps with it
            *guard += 1;
        }
        let free = lock.lock();
        drop(free);
        thread::sleep(Duration::from_millis(1));
    });
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
    assert!(outcome.warnings[0].contains(&line_of("// takes the lock")));
    assert!(outcome.warnings[0].contains(&line_of("// sleeps with it")));
}

#[test]
fn a_send_that_blocks_under_a_lock_is_warned_of() {
    let outcome = run(Config::simulated(1), || {
        let (sender, receiver) = channel::bounded(0);
        thread::spawn(move || receiver.recv());
        let lock = Mutex::new(());
        let _guard = lock.lock();
        sender.send(1).unwrap(); // sends under the lock
    });
    assert!(outcome.warnings[0].contains("a send at"), "{:?}", outcome.warnings);
    assert!(outcome.warnings[0].contains(&line_of("// sends under the lock")));
}

#[test]
fn running_out_of_virtual_time_says_who_waits() {
    let limits = Limits { virtual_time: Duration::from_secs(10), ..Limits::default() };
    let failure = failure(Config::simulated(1).limits(limits), || {
        loop {
            thread::sleep(Duration::from_secs(1)); // for ever
        }
    });
    assert_eq!(failure.kind, FailureKind::VirtualTime);
    assert!(failure.to_string().contains(&line_of("// for ever")));
}

#[test]
fn running_out_of_real_time_ends_both_worlds() {
    let limits = Limits { real_time: Duration::from_millis(100), spin_steps: u64::MAX, ..Limits::default() };
    for config in [Config::simulated(1), Config::threads(1)] {
        let failure = failure(config.limits(limits), || {
            loop {
                thread::yield_now();
            }
        });
        assert_eq!(failure.kind, FailureKind::RealTime, "{failure}");
    }
}

#[test]
fn eating_memory_ends_the_run() {
    let limits = Limits { memory: 1, ..Limits::default() };
    let failure = failure(Config::simulated(1).limits(limits), || {
        loop {
            thread::sleep(Duration::from_nanos(1));
        }
    });
    assert_eq!(failure.kind, FailureKind::Memory);
    assert!(failure.message.contains("MiB"), "{failure}");
}
