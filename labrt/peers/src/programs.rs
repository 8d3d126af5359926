//! Eight programs with a bug each, the same text for labrt, shuttle and loom: each of them offers the names
//! of `facade`.

use super::facade::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, SeqCst, lock, spawn, wait};

/// The programs, by the names of their bugs.
pub(crate) const ALL: [(&str, fn()); 8] = [
    ("lost wake-up", lost_wakeup),
    ("circle of three locks", circle_of_locks),
    ("missed signal", missed_signal),
    ("double-checked flag", double_checked),
    ("check, then act", check_then_act),
    ("notify_one, two kinds", two_kinds_of_waiters),
    ("depth three", depth_three),
    ("bounded buffer", bounded_buffer),
];

/// The flag is set and the notification sent without the lock of the condition variable.
fn lost_wakeup() {
    let shared = Arc::new((Mutex::new(()), Condvar::new(), AtomicBool::new(false)));
    let setter = shared.clone();
    let thread = spawn(move || {
        setter.2.store(true, SeqCst);
        setter.1.notify_one();
    });
    let mut guard = lock(&shared.0);
    while !shared.2.load(SeqCst) {
        guard = wait(&shared.1, guard);
    }
    drop(guard);
    thread.join().unwrap();
}

/// Three threads take two of three locks each, around a circle.
fn circle_of_locks() {
    let locks: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(()))).collect();
    let threads: Vec<_> = (0..3)
        .map(|i| {
            let (first, second) = (locks[i].clone(), locks[(i + 1) % 3].clone());
            spawn(move || {
                let first = lock(&first);
                let second = lock(&second);
                drop(second);
                drop(first);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A notification that may come before the wait, and nothing that tells so.
fn missed_signal() {
    let shared = Arc::new((Mutex::new(()), Condvar::new()));
    let notifier = shared.clone();
    let thread = spawn(move || {
        let _guard = lock(&notifier.0);
        notifier.1.notify_one();
    });
    let guard = lock(&shared.0);
    let guard = wait(&shared.1, guard);
    drop(guard);
    thread.join().unwrap();
}

/// Two threads look at a flag without the lock, and both initialise.
fn double_checked() {
    let shared = Arc::new((AtomicBool::new(false), Mutex::new(0)));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            spawn(move || {
                if !shared.0.load(SeqCst) {
                    let mut count = lock(&shared.1);
                    *count += 1;
                    drop(count);
                    shared.0.store(true, SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let count = *lock(&shared.1);
    assert!(count == 1, "initialised {count} times");
}

/// Two threads count with a load and a store.
fn check_then_act() {
    let count = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let count = count.clone();
            spawn(move || {
                let value = count.load(SeqCst);
                count.store(value + 1, SeqCst);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(count.load(SeqCst) == 2, "an increment was lost");
}

/// Two kinds of waiters on one condition variable, and a notification for one.
fn two_kinds_of_waiters() {
    let shared = Arc::new((Mutex::new((false, false)), Condvar::new()));
    let waiter = |first: bool| {
        let shared = shared.clone();
        spawn(move || {
            let mut flags = lock(&shared.0);
            while !(if first { flags.0 } else { flags.1 }) {
                flags = wait(&shared.1, flags);
            }
            drop(flags);
        })
    };
    let (first, second) = (waiter(true), waiter(false));
    let mut flags = lock(&shared.0);
    flags.0 = true;
    drop(flags);
    shared.1.notify_one();
    let mut flags = lock(&shared.0);
    flags.1 = true;
    drop(flags);
    shared.1.notify_one();
    first.join().unwrap();
    second.join().unwrap();
}

/// The reader must come behind the third of ten steps, and then behind the seventh, after ten steps of its
/// own.
fn depth_three() {
    let shared = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let writer = {
        let shared = shared.clone();
        spawn(move || (1..=10).for_each(|step| shared.0.store(step, SeqCst)))
    };
    let reader = {
        let shared = shared.clone();
        spawn(move || {
            (0..10).for_each(|_| {
                shared.1.fetch_add(1, SeqCst);
            });
            let (first, second) = (shared.0.load(SeqCst), shared.0.load(SeqCst));
            assert!(!(first == 3 && second == 7), "3, then 7");
        })
    };
    writer.join().unwrap();
    reader.join().unwrap();
}

/// A buffer for one element is looked at, given up, and filled later.
fn bounded_buffer() {
    let buffer = Arc::new(Mutex::new(Vec::<u32>::new()));
    let threads: Vec<_> = (0..3)
        .map(|i| {
            let buffer = buffer.clone();
            spawn(move || {
                let is_full = !lock(&buffer).is_empty();
                if !is_full {
                    let mut buffer = lock(&buffer);
                    buffer.push(i);
                    assert!(buffer.len() <= 1, "a buffer for one holds {}", buffer.len());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
