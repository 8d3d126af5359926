//! Closures that run at a given time in the real world: one OS thread with a heap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Once;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Here;

type Call = Box<dyn FnOnce() + Send>;

struct Timers {
    /// Times and numbers of the closures to come, the earliest on top.
    order: BinaryHeap<Reverse<(Instant, u64)>>,
    calls: BTreeMap<u64, (Here, Call)>,
    set: u64,
}

static TIMERS: Mutex<Timers> =
    Mutex::new(Timers { order: BinaryHeap::new(), calls: BTreeMap::new(), set: 0 });
static CHANGED: Condvar = Condvar::new();

/// Runs a short closure at nanosecond `at` of the calling thread's run.
pub(crate) fn call_at(at: u64, call: Call) {
    static START: Once = Once::new();
    START.call_once(|| {
        let builder = std::thread::Builder::new().name("labrt-timer".to_owned());
        builder.spawn(run_timers).expect("the operating system gives one thread for timers");
    });
    let here = super::capture();
    let at = here.world.started + std::time::Duration::from_nanos(at);
    let mut timers = TIMERS.lock();
    let number = timers.set;
    timers.set += 1;
    timers.order.push(Reverse((at, number)));
    timers.calls.insert(number, (here, call));
    CHANGED.notify_one();
}

fn run_timers() {
    let mut timers = TIMERS.lock();
    loop {
        let Some(&Reverse((at, number))) = timers.order.peek() else {
            CHANGED.wait(&mut timers);
            continue;
        };
        if at > Instant::now() {
            CHANGED.wait_until(&mut timers, at);
            continue;
        }
        timers.order.pop();
        if let Some((here, call)) = timers.calls.remove(&number) {
            parking_lot::MutexGuard::unlocked(&mut timers, || here.run(call));
        }
    }
}
