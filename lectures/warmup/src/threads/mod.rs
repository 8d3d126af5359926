//! Part 0B: eight exercises in threads that share state.

mod bank;
mod bounded_queue;
mod counter;
mod deadlock_finder;
mod latch;
mod once_cell;
mod parallel_sum;
mod ticker;
mod turnstile;
mod vote_count;
mod wait_group;

pub use bank::{Account, Bank, InsufficientFunds};
pub use bounded_queue::BoundedQueue;
pub use counter::{AtomicCounter, Counter, LockedCounter, RacyCounter};
pub use deadlock_finder::{Deadlock, Event, Step, find_deadlocks};
pub use latch::{BrokenLatch, Latch};
pub use once_cell::OnceCell;
pub use parallel_sum::parallel_sum;
pub use ticker::Ticker;
pub use turnstile::Turnstile;
pub use vote_count::{Election, LOOK, Verdict};
pub use wait_group::WaitGroup;
