//! Part 0B: the primitives of exercise 6, which have no test with points.

use labrt::quiet;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use tester::{Test, run};
use warmup::threads::{OnceCell, WaitGroup};

use crate::part_b::join_all;
use crate::schedules::in_all_seeds;

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
    });
}

/// The value is made once, whoever asks first, and everybody gets it.
#[test]
fn threads_once_cell() {
    run("threads_once_cell", |t: &Test| {
        let check = || {
            let cell = Arc::new(OnceCell::new());
            let made = Arc::new(quiet::Mutex::new(0));
            let threads = (0..5).map(|number| {
                let (cell, made) = (Arc::clone(&cell), Arc::clone(&made));
                thread::spawn(move || {
                    cell.get_or_make(|| {
                        *made.lock() += 1;
                        thread::sleep(Duration::from_millis(5));
                        number
                    })
                })
            });
            let values = join_all(threads.collect());
            assert_eq!(*made.lock(), 1, "times that the value was made");
            assert!(
                values.iter().all(|value| *value == values[0]),
                "threads got different values: {values:?}"
            );
        };
        t.scene("Five threads ask for a value that takes a while to make.");
        check();
        in_all_seeds(t, 40, check);
    });
}
