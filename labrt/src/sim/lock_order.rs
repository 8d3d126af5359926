//! Locks: what identifies one in reports, and in which order threads take them.
//!
//! Two threads that take two locks in opposite orders deadlock only if they meet, which may take thousands of
//! runs. The orders themselves show in every run, so the simulation records them and warns of a circle (the
//! method of Linux's lockdep, and of Havelund, *Using Runtime Analysis to Guide Model Checking of Java
//! Programs*, SPIN 2000).

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use super::Sim;

type Place = &'static Location<'static>;

/// Number of a lock: the run that uses it in the upper half, and which lock of that run in the lower. A lock
/// gets it when it is first taken in a run, so that a lock which outlives its run is noticed, and the address
/// of a freed one says nothing about the next.
#[derive(Default)]
pub(crate) struct LockId(AtomicU64);

impl LockId {
    pub(crate) const fn new() -> Self {
        LockId(AtomicU64::new(0))
    }

    /// The number; 0 if no simulation has used the lock.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Orders that are recorded in one run. A program that makes locks without end would fill the memory
/// otherwise.
const MOST_ORDERS: usize = 10_000;

/// Several threads, where a number of a thread is expected.
const SEVERAL: u64 = u64::MAX;

/// One lock is taken while another is held.
struct Order {
    held_at: Place,
    taken_at: Place,
    /// The task that did so, or [`SEVERAL`].
    task: u64,
    who: String,
    /// Further locks that were held each time. Two threads that need one of them first cannot meet.
    gates: Vec<u64>,
}

#[derive(Default)]
pub(crate) struct LockOrders {
    orders: FxHashMap<(u64, u64), Order>,
    /// For each lock those that were taken while it was held.
    taken_under: FxHashMap<u64, Vec<u64>>,
    /// Lines of the circles that were told.
    told: Vec<Vec<(Place, Place)>>,
}

impl LockOrders {
    pub(crate) fn clear(&mut self) {
        // Most runs never take a lock while they hold another.
        if !self.orders.is_empty() {
            *self = LockOrders::default();
        }
    }

    /// Locks from `from` to `to`, each taken while the one before was held.
    fn path(&self, from: u64, to: u64) -> Option<Vec<u64>> {
        let mut paths = vec![vec![from]];
        let mut seen = vec![from];
        while let Some(path) = paths.pop() {
            let last = *path.last()?;
            if last == to {
                return Some(path);
            }
            for &next in self.taken_under.get(&last).into_iter().flatten() {
                if !seen.contains(&next) {
                    seen.push(next);
                    paths.push(path.iter().copied().chain([next]).collect());
                }
            }
        }
        None
    }

    /// The warning of a circle that this order closes, if it closes one and threads can meet in it.
    fn warning(&mut self, held: u64, taken: u64) -> Option<String> {
        let path = self.path(taken, held)?;
        let mut steps = vec![(held, taken)];
        steps.extend(path.windows(2).map(|pair| (pair[0], pair[1])));
        let orders: Vec<&Order> = steps.iter().map(|step| &self.orders[step]).collect();
        let one_thread = orders.iter().all(|order| order.task == orders[0].task && order.task != SEVERAL);
        let gated = orders[0].gates.iter().any(|gate| orders.iter().all(|order| order.gates.contains(gate)));
        if one_thread || gated {
            return None;
        }
        let mut lines: Vec<(Place, Place)> = orders.iter().map(|o| (o.held_at, o.taken_at)).collect();
        lines.sort_by_key(|(held, taken)| (held.file(), held.line(), taken.file(), taken.line()));
        if self.told.contains(&lines) {
            return None;
        }
        let told: Vec<String> = orders
            .iter()
            .map(|o| {
                format!("{} holds the lock taken at {} and takes one at {}", o.who, o.held_at, o.taken_at)
            })
            .collect();
        self.told.push(lines);
        let how =
            if orders.len() == 2 { "two locks in opposite orders" } else { "several locks in a circle" };
        Some(format!(
            "threads take {how}, which deadlocks if they meet: {}. Take them in one order everywhere",
            told.join("; ")
        ))
    }
}

impl Sim {
    /// The lock's number in this run.
    #[inline]
    fn number_of(&mut self, lock: &LockId, place: Place) -> u64 {
        let number = lock.get();
        if number >> 32 == u64::from(self.run) { number } else { self.give_number(lock, number, place) }
    }

    /// Gives the lock a number of this run. If it has one of another run that goes on, the two share it.
    #[cold]
    fn give_number(&mut self, lock: &LockId, before: u64, place: Place) -> u64 {
        if before != 0 && crate::watchdog::is_running((before >> 32) as u32) {
            let message = format!(
                "two runs of this process use the lock at {place} at the same time: it is a `static`, or was made \
                 outside of the runs. State that runs share makes them depend on each other; keep it in the server"
            );
            self.fail(crate::FailureKind::Panic, message, Some(place.to_string()));
        }
        self.locks += 1;
        let number = u64::from(self.run) << 32 | u64::from(self.locks);
        lock.0.store(number, Ordering::Relaxed);
        number
    }

    /// The running task has taken the lock.
    #[inline]
    pub(crate) fn lock_taken(&mut self, lock: &LockId, place: Place) {
        let number = self.number_of(lock, place);
        if let Some(task) = self.tasks.get_mut(self.current as usize) {
            task.held.push((number, place));
            if task.held.len() > 1 {
                self.note_orders(number, place);
            }
        }
        if self.trace {
            self.emit_at("lock", "", place, || format!("takes the lock at {place}"));
        }
    }

    /// The running task reads what it reads already. That deadlocks on real threads if a writer has begun to
    /// wait in between, for it goes before new readers; here it never does.
    #[cold]
    fn warn_of_second_reading(&mut self, first: Place, second: Place) {
        if self.warned.contains(&(first, second)) {
            return;
        }
        self.warned.push((first, second));
        let title = self.title(&self.tasks[self.current as usize]);
        self.warnings.push(format!(
            "{title} takes a lock for reading at {second} that it has taken for reading at {first}: if another thread \
             begins to wait for writing in between, neither goes on"
        ));
    }

    /// Records that the running task has taken this lock under each of those that it holds.
    fn note_orders(&mut self, taken: u64, place: Place) {
        let task = &self.tasks[self.current as usize];
        if let Some(&(_, first)) = task.held.iter().rev().skip(1).find(|&&(lock, _)| lock == taken) {
            self.warn_of_second_reading(first, place);
        }
        let task = &self.tasks[self.current as usize];
        let held: Vec<(u64, Place)> = task.held.iter().copied().filter(|&(lock, _)| lock != taken).collect();
        let serial = task.serial;
        for &(lock, held_at) in &held {
            let gates = held.iter().map(|&(gate, _)| gate).filter(|&gate| gate != lock);
            let known = self.lock_orders.orders.len();
            let changed = match self.lock_orders.orders.get_mut(&(lock, taken)) {
                Some(order) => order.widen(serial, gates),
                None if known >= MOST_ORDERS => false,
                None => {
                    let (who, gates) = (self.title(&self.tasks[self.current as usize]), gates.collect());
                    let order = Order { held_at, taken_at: place, task: serial, who, gates };
                    self.lock_orders.orders.insert((lock, taken), order);
                    self.lock_orders.taken_under.entry(lock).or_default().push(taken);
                    true
                }
            };
            if changed {
                self.warnings.extend(self.lock_orders.warning(lock, taken));
            }
        }
    }
}

impl Order {
    /// The order was seen once more; whether that makes a deadlock possible that was not before.
    fn widen(&mut self, task: u64, gates: impl Iterator<Item = u64>) -> bool {
        let mut wider = false;
        if self.task != task && self.task != SEVERAL {
            self.task = SEVERAL;
            wider = true;
        }
        if !self.gates.is_empty() {
            let (before, now) = (self.gates.len(), gates.collect::<Vec<_>>());
            self.gates.retain(|gate| now.contains(gate));
            wider |= self.gates.len() < before;
        }
        wider
    }
}
