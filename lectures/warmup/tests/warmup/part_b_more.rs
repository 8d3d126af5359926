//! Part 0B: the primitives of exercise 6, which have no test with points, and details of the others.

use labrt::quiet;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use tester::{Test, run};
use warmup::threads::{
    Account, Bank, BoundedQueue, Deadlock, Election, Event, InsufficientFunds, OnceCell, Step, Turnstile,
    WaitGroup, find_deadlocks,
};

use crate::part_b::join_all;
use crate::schedules::{in_all_seeds, perturbed, simulate};

/// A wait ends when the last task is done, for every thread that waits.
#[test]
fn threads_wait_group() {
    run("threads_wait_group", |t: &Test| {
        let check = || {
            const TASKS: usize = 6;
            let group = Arc::new(WaitGroup::new());
            group.wait();
            group.add(TASKS);
            let done = Arc::new(quiet::Mutex::new(0));
            let tasks = (0..TASKS).map(|_| {
                let (group, done) = (Arc::clone(&group), Arc::clone(&done));
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(random_range(0..10)));
                    *done.lock() += 1;
                    group.done();
                })
            });
            let mut threads: Vec<_> = tasks.collect();
            threads.extend((0..2).map(|_| {
                let (group, done) = (Arc::clone(&group), Arc::clone(&done));
                thread::spawn(move || {
                    group.wait();
                    assert_eq!(*done.lock(), TASKS, "a wait ended before the last task");
                })
            }));
            join_all(threads);
        };
        t.scene("Six tasks, and two threads that wait for all of them.");
        check();
        in_all_seeds(t, 40, check);
        t.scene("A task is done, and there is none.");
        let outcome = simulate(perturbed(1), || WaitGroup::new().done());
        t.expect(outcome.result.is_err(), || {
            "`done` of a wait group without a task did not panic".to_owned()
        });
    });
}

/// Five threads ask one cell for its value.
fn ask_a_cell() {
    let cell = Arc::new(OnceCell::new());
    let made = Arc::new(quiet::Mutex::new(0));
    let threads = (0..5).map(|number| {
        let (cell, made) = (Arc::clone(&cell), Arc::clone(&made));
        let make = move || {
            *made.lock() += 1;
            thread::sleep(Duration::from_millis(5));
            number
        };
        thread::spawn(move || cell.get_or_make(make))
    });
    let values = join_all(threads.collect());
    assert_eq!(*made.lock(), 1, "times that the value was made");
    assert!(values.iter().all(|value| *value == values[0]), "threads got different values: {values:?}");
}

/// The value is made once, whoever asks first, and everybody gets it.
#[test]
fn threads_once_cell() {
    run("threads_once_cell", |t: &Test| {
        t.scene("Five threads ask for a value that takes a while to make.");
        ask_a_cell();
        in_all_seeds(t, 40, ask_a_cell);
    });
}

/// A transfer to oneself moves nothing, and is refused as any other if the account holds less.
#[test]
fn threads_bank_to_oneself() {
    run("threads_bank_to_oneself", |t: &Test| {
        t.scene("Bob holds 40 of 100. He transfers money to himself, and then to Alice.");
        let bank = Bank::new(60, 40);
        let moves = [
            (Account::Bob, Account::Bob, 5, Ok(())),
            (Account::Bob, Account::Bob, 41, Err(InsufficientFunds)),
            (Account::Alice, Account::Alice, 60, Ok(())),
            (Account::Bob, Account::Alice, 41, Err(InsufficientFunds)),
            (Account::Bob, Account::Alice, 40, Ok(())),
            (Account::Alice, Account::Bob, 100, Ok(())),
        ];
        for (from, to, amount, expected) in moves {
            let moved = bank.transfer(from, to, amount);
            t.expect(moved == expected, || format!("{amount} from {from:?} to {to:?}: {moved:?}"));
            let sum = bank.audit();
            t.expect(sum == 100, || format!("after {amount} from {from:?} to {to:?} the sum is {sum} (B1)"));
        }
    });
}

/// Four threads come to a turnstile one after the other, and are let through one by one.
fn come_and_go() {
    const THREADS: u64 = 4;
    let turnstile = Arc::new(Turnstile::new());
    let passed = Arc::new(quiet::Mutex::new(Vec::new()));
    let settle = || thread::sleep(Duration::from_millis(20));
    let threads = (0..THREADS).map(|number| {
        let (turnstile, passed) = (Arc::clone(&turnstile), Arc::clone(&passed));
        let thread = thread::spawn(move || {
            turnstile.pass();
            passed.lock().push(number);
        });
        settle();
        thread
    });
    let threads: Vec<_> = threads.collect();
    for _ in 0..THREADS {
        turnstile.let_one();
        settle();
    }
    assert_eq!(*passed.lock(), [0, 1, 2, 3], "the order in which threads were let through");
    join_all(threads);
}

/// A signal lets the thread go on that has waited longest.
#[test]
fn threads_turnstile_order() {
    run("threads_turnstile_order", |t: &Test| {
        t.scene("Four threads wait, and four signals come.");
        come_and_go();
        in_all_seeds(t, 20, come_and_go);
    });
}

/// A signal while nobody waits is lost: threads that come later wait for the next one.
fn signal_nobody() {
    let turnstile = Arc::new(Turnstile::new());
    turnstile.let_all();
    turnstile.let_one();
    assert_eq!(turnstile.waiting(), 0, "threads that wait after a signal that found nobody");
    let passed = Arc::new(quiet::Mutex::new(false));
    let (of_thread, is_through) = (Arc::clone(&turnstile), Arc::clone(&passed));
    let thread = thread::spawn(move || {
        of_thread.pass();
        *is_through.lock() = true;
    });
    thread::sleep(Duration::from_millis(20));
    assert!(!*passed.lock(), "a thread has passed by a signal that came before it");
    assert_eq!(turnstile.waiting(), 1, "threads that wait");
    turnstile.let_one();
    join_all(vec![thread]);
}

/// A signal is for threads that wait, and not for those that come later.
#[test]
fn threads_turnstile_empty() {
    run("threads_turnstile_empty", |t: &Test| {
        t.scene("A signal comes, then a thread, then another signal.");
        signal_nobody();
        in_all_seeds(t, 20, signal_nobody);
    });
}

/// More traces: locks given up in any order, one thread twice in a circle, several channels.
#[test]
fn threads_deadlock_details() {
    run("threads_deadlock_details", |t: &Test| {
        let event = |thread: &str, step: fn(String) -> Step, what: &str, line: u32| {
            Event::new(thread, step(what.to_owned()), &format!("x.rs:{line}"))
        };
        let both = |thread: &str, first: &str, second: &str, line: u32| {
            [
                event(thread, Step::Lock, first, line),
                event(thread, Step::Lock, second, line + 1),
                event(thread, Step::Unlock, second, line + 2),
                event(thread, Step::Unlock, first, line + 3),
            ]
        };
        let expect = |what: &str, trace: &[Event], expected: &[Deadlock]| {
            t.scene(format!("A trace: {what}."));
            let found = find_deadlocks(trace);
            t.expect(found == expected, || format!("{what}: expected {expected:?}, but found {found:?}"));
        };
        let twice = [both("one", "A", "B", 1), both("two", "B", "C", 11), both("one", "C", "A", 21)];
        expect("a thread has two edges of a circle, and cannot wait at both", &twice.concat(), &[]);
        // Thread one holds B alone when it takes C.
        let crossed = [
            event("one", Step::Lock, "A", 1),
            event("one", Step::Lock, "B", 2),
            event("one", Step::Unlock, "A", 3),
            event("one", Step::Lock, "C", 4),
            event("one", Step::Unlock, "C", 5),
            event("one", Step::Unlock, "B", 6),
        ];
        let held = [crossed.to_vec(), both("two", "C", "B", 11).to_vec()].concat();
        let cycle = Deadlock::LockCycle {
            locks: ["B", "C"].map(str::to_owned).to_vec(),
            sites: ["x.rs:2", "x.rs:4", "x.rs:11", "x.rs:12"].map(str::to_owned).to_vec(),
        };
        expect("the lock that was taken first is given up first", &held, &[cycle]);
        let free = [crossed.to_vec(), both("two", "C", "A", 11).to_vec()].concat();
        expect("a lock that was given up is wanted elsewhere", &free, &[]);
        let channels = [
            event("one", Step::Send, "c", 1),
            event("two", Step::Receive, "d", 2),
            event("three", Step::Send, "d", 3),
        ];
        let blocked = Deadlock::BlockedSend {
            thread: "one".to_owned(),
            channel: "c".to_owned(),
            site: "x.rs:1".to_owned(),
        };
        expect("a receive from another channel", &channels, &[blocked]);
        let opposite = |line: u32| [both("one", "A", "B", line), both("two", "B", "A", line + 2)].concat();
        let first = Deadlock::LockCycle {
            locks: ["A", "B"].map(str::to_owned).to_vec(),
            sites: ["x.rs:7", "x.rs:8", "x.rs:9", "x.rs:10"].map(str::to_owned).to_vec(),
        };
        expect("the same cycle twice, in line 7 first", &[opposite(7), opposite(11)].concat(), &[first]);
    });
}

/// A thread that holds two locks and takes a third one holds both of them meanwhile.
#[test]
fn threads_deadlock_around_a_lock() {
    run("threads_deadlock_around_a_lock", |t: &Test| {
        let event = |thread: &str, step: fn(String) -> Step, lock: &str, line: u32| {
            Event::new(thread, step(lock.to_owned()), &format!("x.rs:{line}"))
        };
        t.scene("A trace: one thread takes A, B and C; another one takes C and A.");
        let trace = [
            event("one", Step::Lock, "A", 1),
            event("one", Step::Lock, "B", 2),
            event("one", Step::Lock, "C", 3),
            event("one", Step::Unlock, "C", 4),
            event("one", Step::Unlock, "B", 5),
            event("one", Step::Unlock, "A", 6),
            event("two", Step::Lock, "C", 11),
            event("two", Step::Lock, "A", 12),
        ];
        let cycle = Deadlock::LockCycle {
            locks: ["A", "C"].map(str::to_owned).to_vec(),
            sites: ["x.rs:1", "x.rs:3", "x.rs:11", "x.rs:12"].map(str::to_owned).to_vec(),
        };
        let found = find_deadlocks(&trace);
        t.expect(found == [cycle], || format!("A is held while C is taken, and C while A is: {found:?}"));
    });
}

/// Three producers wait in front of a full queue, and three items are taken at once.
fn fill_and_take() {
    let queue = Arc::new(BoundedQueue::new(3));
    (0..3).for_each(|item| queue.push(item));
    let producers = (3..6).map(|item| {
        let queue = Arc::clone(&queue);
        thread::spawn_named("producer", move || queue.push(item))
    });
    let producers: Vec<_> = producers.collect();
    thread::sleep(Duration::from_millis(20));
    let taken: Vec<_> = (0..3).map(|_| queue.pop()).collect();
    join_all(producers);
    assert_eq!((taken, queue.len()), (vec![0, 1, 2], 3), "what was taken first, and how many were left");
}

/// Each item that is taken makes room for one producer that waits, also if the queue was not full (B2).
#[test]
fn threads_producers_wait() {
    run("threads_producers_wait", |t: &Test| {
        t.scene("Three producers wait, and three items are taken.");
        fill_and_take();
        in_all_seeds(t, 40, fill_and_take);
    });
}

/// Two threads wait for the verdict of one election.
fn wait_together() {
    let election = Arc::new(Election::new(3, 2));
    let waiters = (0..2).map(|_| {
        let election = Arc::clone(&election);
        thread::spawn_named("waiter", move || election.wait().won)
    });
    let waiters: Vec<_> = waiters.collect();
    for says_yes in [true, false, true] {
        thread::sleep(Duration::from_millis(20));
        election.vote(says_yes);
    }
    assert_eq!(join_all(waiters), [true, true], "two of three votes say yes");
}

/// Everybody who waits for votes hears the verdict (B2).
#[test]
fn threads_vote_heard_by_all() {
    run("threads_vote_heard_by_all", |t: &Test| {
        t.scene("Two threads wait for three votes.");
        wait_together();
        in_all_seeds(t, 40, wait_together);
    });
}
