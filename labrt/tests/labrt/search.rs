//! Exhaustive search: what it finds, what it proves, and that it leaves nothing out.

use std::collections::BTreeSet;

use labrt::sync::atomic::{AtomicU32, Ordering::SeqCst};
use labrt::sync::{Arc, Condvar, Mutex};
use labrt::{Bounds, FailureKind, Search, channel, explore, thread};

fn bounded(preemptions: u32) -> Bounds {
    Bounds { preemptions: Some(preemptions), ..Bounds::default() }
}

/// Three threads that each store their number twice, and a reader's view of both cells.
fn cells(seen: &Arc<std::sync::Mutex<BTreeSet<(u32, u32)>>>) -> impl Fn() + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    move || {
        let cells = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let writers: Vec<_> = (1..=2)
            .map(|me| {
                let cells = Arc::clone(&cells);
                thread::spawn(move || {
                    cells.0.store(me, SeqCst);
                    cells.1.store(me, SeqCst);
                })
            })
            .collect();
        let view = (cells.0.load(SeqCst), cells.1.load(SeqCst));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        seen.lock().unwrap().insert(view);
    }
}

#[test]
fn it_leaves_nothing_out_that_a_search_without_reduction_finds() {
    let (reduced, plain) = (Arc::default(), Arc::default());
    let with_sleep_sets = explore(Bounds::default(), cells(&reduced));
    // So many preemptions that the bound excludes nothing.
    let without = explore(bounded(1000), cells(&plain));
    assert!(with_sleep_sets.complete && without.complete, "{with_sleep_sets}, {without}");
    assert_eq!(*reduced.lock().unwrap(), *plain.lock().unwrap());
    // The first cell is read first: every value of the second may have come later.
    let all: BTreeSet<_> = (0..3).flat_map(|first| (0..3).map(move |second| (first, second))).collect();
    assert_eq!(*reduced.lock().unwrap(), all);
    assert!(with_sleep_sets.schedules * 2 < without.schedules, "{with_sleep_sets}, {without}");
}

#[test]
fn independent_threads_have_one_schedule() {
    let search = explore(Bounds::default(), || {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                thread::spawn(|| {
                    let own = AtomicU32::new(0);
                    (0..4).for_each(|_| _ = own.fetch_add(1, SeqCst));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(search.complete && search.schedules == 1, "{search}");
}

/// The number of orders of two threads with two steps each on one object is known: 4 over 2.
#[test]
fn racing_steps_are_counted_right() {
    let search = explore(Bounds::default(), || {
        let cell = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || (0..2).for_each(|_| _ = cell.fetch_add(1, SeqCst)))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(search.complete && search.schedules == 6, "{search}");
}

/// The exercise of a thread lab: three threads take their turns by a condition variable.
fn three_take_turns(notify: fn(&Condvar)) -> impl Fn() + Send + Sync + 'static {
    move || {
        let turn = Arc::new((Mutex::new(0), Condvar::new()));
        let threads: Vec<_> = (0..3)
            .map(|me| {
                let turn = Arc::clone(&turn);
                thread::spawn(move || {
                    let mut next = turn.0.lock();
                    turn.1.wait_while(&mut next, |next| *next != me);
                    *next += 1;
                    drop(next);
                    notify(&turn.1);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*turn.0.lock(), 3);
    }
}

#[test]
fn the_exercise_of_three_threads_is_proved() {
    let search = explore(Bounds::default(), three_take_turns(|turn| turn.notify_all()));
    assert!(search.complete && search.failure.is_none(), "{search}");
    assert_eq!(search.to_string(), format!("passed in all of its {} schedules", search.schedules));
}

#[test]
fn waking_one_of_several_kinds_is_found_out() {
    let search = explore(Bounds::default(), three_take_turns(|turn| _ = turn.notify_one()));
    let failure = search.failure.expect("the wrong waiter may wake");
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert!(failure.to_string().contains("waits for a notification"), "{failure}");
}

fn lost_wakeup() {
    let shared = Arc::new((Mutex::new(()), Condvar::new(), AtomicU32::new(0)));
    let setter = Arc::clone(&shared);
    thread::spawn(move || {
        setter.2.store(1, SeqCst);
        setter.1.notify_one();
    });
    let mut guard = shared.0.lock();
    while shared.2.load(SeqCst) == 0 {
        shared.1.wait(&mut guard);
    }
}

#[test]
fn a_lost_wakeup_needs_one_preemption() {
    let none: Search = explore(bounded(0), lost_wakeup);
    assert!(none.complete && none.failure.is_none(), "{none}");
    assert!(explore(bounded(1), lost_wakeup).failure.is_some());
    assert!(explore(Bounds::default(), lost_wakeup).failure.is_some());
}

#[test]
fn a_lock_that_is_only_tried_is_looked_at_in_both_states() {
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let of_runs = Arc::clone(&seen);
    let search = explore(Bounds::default(), move || {
        let lock = Arc::new((Mutex::new(()), AtomicU32::new(0)));
        let other = Arc::clone(&lock);
        let holder = thread::spawn(move || {
            let _guard = other.0.lock();
            other.1.store(1, SeqCst);
        });
        let free = lock.0.try_lock().is_some();
        of_runs.lock().unwrap().insert(free);
        holder.join().unwrap();
    });
    assert!(search.complete, "{search}");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn channels_and_their_ends_are_explored() {
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let of_runs = Arc::clone(&seen);
    let search = explore(Bounds::default(), move || {
        let (sender, receiver) = channel::unbounded();
        let sends = thread::spawn(move || sender.send(1).unwrap());
        let view = format!("{:?}", receiver.try_recv());
        of_runs.lock().unwrap().insert(view);
        sends.join().unwrap();
        assert!(receiver.try_iter().count() <= 1 && receiver.is_empty());
    });
    assert!(search.complete && search.failure.is_none(), "{search}");
    assert_eq!(seen.lock().unwrap().len(), 2, "{:?}", seen.lock().unwrap());
}

#[test]
fn a_loop_that_yields_comes_to_an_end() {
    let search = explore(Bounds::default(), || {
        let flag = Arc::new(AtomicU32::new(0));
        let sets = Arc::clone(&flag);
        thread::spawn(move || sets.store(1, SeqCst));
        while flag.load(SeqCst) == 0 {
            thread::yield_now();
        }
    });
    assert!(search.complete && search.failure.is_none(), "{search}");
}

#[test]
fn a_search_that_is_cut_off_says_so() {
    let seen = Arc::default();
    let search = explore(Bounds { schedules: 3, ..Bounds::default() }, cells(&seen));
    assert!(!search.complete && search.failure.is_none());
    assert_eq!(search.to_string(), "passed in 3 schedules; there are more");
}
