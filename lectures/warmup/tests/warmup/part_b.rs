//! Part 0B: threads that share state.

use std::collections::BTreeMap;

use labrt::FailureKind;
use labrt::quiet;
use labrt::rand::{random_bool, random_range};
use labrt::runtime::spurious_wakes;
use labrt::sync::Arc;
use labrt::thread::{self, JoinHandle};
use labrt::time::{Duration, Instant};
use tester::{Test, run};
use warmup::threads::{
    Account, AtomicCounter, Bank, BoundedQueue, BrokenLatch, Counter, Deadlock, Election, Event, Latch,
    LockedCounter, RacyCounter, Step, Ticker, Turnstile, Verdict, find_deadlocks, parallel_sum,
};

use crate::schedules::{failing_seed, in_all_schedules, in_all_seeds, unless_unwritten};

/// Waits for threads that the test has started. One that is gone was killed, and the run with it.
pub(crate) fn join_all<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
}

/// The caller sees what a thread has written, under 1,000 schedules.
#[test]
fn threads_join_visibility() {
    run("threads_join_visibility", |t: &Test| {
        let check = || {
            let numbers: Arc<[u64]> = (1..=10).collect();
            for threads in [1, 3, 10, 12] {
                assert_eq!(parallel_sum(&numbers, threads), 55, "the sum of 1 to 10 by {threads} threads");
            }
            assert_eq!(parallel_sum(&Arc::from([]), 2), 0, "the sum of no numbers");
        };
        t.scene("Threads add numbers, and the caller reads the sums after it has joined them.");
        check();
        in_all_seeds(t, 1_000, check);
    });
}

/// A thousand threads add 1 each.
fn count_to_1000<C: Counter>() -> u64 {
    let counter = Arc::new(C::default());
    let threads = (0..1_000).map(|_| {
        let counter = Arc::clone(&counter);
        thread::spawn(move || counter.add())
    });
    join_all(threads.collect());
    counter.value()
}

/// A counter that loads and stores in two steps loses updates in some schedules.
#[test]
fn threads_lost_update_shown() {
    run("threads_lost_update_shown", |t: &Test| {
        t.scene(
            "1,000 threads add 1 to a counter that loads and stores in two steps, in up to 200 schedules.",
        );
        let lost = failing_seed(200, FailureKind::Panic, || {
            assert_eq!(count_to_1000::<RacyCounter>(), 1_000, "updates were lost");
        });
        t.expect(lost.is_some(), || "no update was lost in 200 schedules".to_owned());
        // The smallest program that shows it: two threads, every schedule.
        let search = in_all_schedules(|| {
            let counter = Arc::new(RacyCounter::default());
            let other = Arc::clone(&counter);
            let thread = thread::spawn(move || other.add());
            counter.add();
            join_all(vec![thread]);
            assert_eq!(counter.value(), 2, "an update was lost");
        });
        t.expect(search.failure.is_some(), || format!("two threads lose no update: the search {search}"));
    });
}

/// With a lock, or with one atomic step, none is lost (B1).
#[test]
fn threads_counter_correct() {
    run("threads_counter_correct", |t: &Test| {
        let check = || {
            assert_eq!(count_to_1000::<LockedCounter>(), 1_000, "the counter with a lock (B1)");
            assert_eq!(count_to_1000::<AtomicCounter>(), 1_000, "the counter with fetch_add (B1)");
        };
        t.scene("1,000 threads add 1 to a counter with a lock, and to an atomic one.");
        check();
        in_all_seeds(t, 10, check);
    });
}

/// The sum of a bank's balances.
const SUM: u64 = 100;

/// Moves money to and fro, ten times.
fn move_money(bank: &Bank, mover: u64) {
    for number in 0..10 {
        let accounts = if (mover + number).is_multiple_of(2) {
            (Account::Alice, Account::Bob)
        } else {
            (Account::Bob, Account::Alice)
        };
        // It is no fault that an account has less.
        let _ = bank.transfer(accounts.0, accounts.1, random_range(0..=SUM));
    }
}

/// Four movers and two auditors on one bank.
fn move_and_audit() {
    let bank = Arc::new(Bank::new(60, SUM - 60));
    let movers = (0..4).map(|mover| {
        let bank = Arc::clone(&bank);
        thread::spawn_named("mover", move || move_money(&bank, mover))
    });
    let movers: Vec<_> = movers.collect();
    let auditors = (0..2).map(|_| {
        let bank = Arc::clone(&bank);
        thread::spawn_named("auditor", move || {
            (0..10).for_each(|_| assert_eq!(bank.audit(), SUM, "an auditor saw another sum"));
        })
    });
    join_all(auditors.collect());
    join_all(movers);
    assert_eq!(bank.audit(), SUM, "the sum after all transfers");
    let refused = bank.transfer(Account::Alice, Account::Bob, SUM + 1);
    assert!(refused.is_err(), "more money was moved than there is");
    assert_eq!(bank.transfer(Account::Bob, Account::Bob, 0), Ok(()), "a transfer to oneself");
}

/// Four threads move money, two add up the balances.
#[test]
fn threads_bank_audit() {
    run("threads_bank_audit", |t: &Test| {
        t.scene("Four threads move money between two accounts; two auditors add the balances up.");
        move_and_audit();
        in_all_seeds(t, 40, move_and_audit);
    });
}

/// A way to wait for a vote.
type Wait = fn(&Election) -> Verdict;

/// How a vote ended, and whether that is right.
struct Vote {
    verdict: Verdict,
    expected: bool,
    /// Votes up to the deciding one.
    votes: u64,
}

/// Ten voters answer in a random order between 0.1 and 1 second; five must say yes.
fn vote(wait: Wait) -> Vote {
    const VOTERS: usize = 10;
    const NEEDED: usize = 5;
    let mut answers: Vec<(Duration, bool)> = (0..VOTERS)
        .map(|_| (Duration::from_micros(random_range(100_000..1_000_000)), random_bool(0.5)))
        .collect();
    let election = Arc::new(Election::new(VOTERS, NEEDED));
    let voters = answers.iter().map(|&(after, says_yes)| {
        let election = Arc::clone(&election);
        thread::spawn(move || {
            thread::sleep(after);
            election.vote(says_yes);
        })
    });
    let voters: Vec<_> = voters.collect();
    let verdict = wait(&election);
    answers.sort_unstable();
    let yes = answers.iter().enumerate().filter(|(_, (_, says_yes))| *says_yes);
    let deciding = yes.map(|(number, _)| number as u64 + 1).nth(NEEDED - 1);
    join_all(voters);
    Vote { verdict, expected: deciding.is_some(), votes: deciding.unwrap_or(VOTERS as u64) }
}

/// Three ways to wait for a vote, and what they cost.
#[test]
fn threads_vote_condvar() {
    run("threads_vote_condvar", |t: &Test| {
        let polling = |election: &Election| election.wait_polling(Duration::from_millis(50));
        let ways: [(&str, Wait); 3] = [
            ("a condition variable", Election::wait),
            ("polling", polling),
            ("spinning", Election::wait_spinning),
        ];
        let mut wake_ups = BTreeMap::new();
        for (name, wait) in ways {
            t.scene(format!("Ten voters answer; the candidate waits by {name}."));
            let drawn = spurious_wakes();
            let Vote { verdict, expected, votes } = vote(wait);
            let drawn = spurious_wakes() - drawn;
            // On real threads answers may come in another order than they were due.
            let is_exact = labrt::world() == labrt::World::Simulated;
            t.expect(!is_exact || verdict.won == expected, || {
                format!("waiting by {name} gave the verdict {}, not {expected}", verdict.won)
            });
            wake_ups.insert(name, verdict.wake_ups);
            // What the seed wakes for nothing is not the solution's doing.
            let most = drawn + if is_exact { votes } else { 10 };
            t.expect(name != "a condition variable" || verdict.wake_ups <= most + 1, || {
                format!("{} wake-ups for {most} votes (B4)", verdict.wake_ups)
            });
        }
        let (waited, spun) = (wake_ups["a condition variable"], wake_ups["spinning"]);
        t.note(format!("wake-ups: {wake_ups:?}"));
        t.expect(waited * 100 <= spun, || {
            format!(
                "the condition variable took {waited} wake-ups, more than a hundredth of spinning's {spun}"
            )
        });
        in_all_seeds(t, 50, || {
            let Vote { verdict, expected, votes } = vote(Election::wait);
            assert_eq!(verdict.won, expected, "the verdict");
            assert!(verdict.wake_ups <= votes + 1, "{} wake-ups for {votes} votes (B4)", verdict.wake_ups);
        });
    });
}

/// One thread waits for a latch, another opens it.
fn open_while_waiting<L: Default + Send + Sync + 'static>(wait: fn(&L), open: fn(&L)) {
    let latch = Arc::new(L::default());
    let other = Arc::clone(&latch);
    let waiter = thread::spawn_named("waiter", move || wait(&other));
    open(&latch);
    join_all(vec![waiter]);
}

/// A signal that comes between test and wait is lost in the broken latch, and never in the repaired one (B2).
#[test]
fn threads_lost_wakeup() {
    run("threads_lost_wakeup", |t: &Test| {
        t.scene("A latch is opened between the waiter's test and its wait: every schedule of two threads.");
        let repaired = in_all_schedules(|| open_while_waiting(Latch::wait, Latch::open));
        if let Some(failure) = repaired.failure {
            t.fail(format!("the repaired latch: {}", unless_unwritten(failure)));
        }
        t.expect(repaired.complete, || "the search did not come to an end".to_owned());
        let broken = in_all_schedules(|| open_while_waiting(BrokenLatch::wait, BrokenLatch::open));
        let hangs = broken.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Deadlock);
        t.expect(hangs, || format!("the broken latch should hang in some schedule, but it {broken}"));
        open_while_waiting(Latch::wait, Latch::open);
        in_all_seeds(t, 100, || open_while_waiting(Latch::wait, Latch::open));
    });
}

/// Eight producers and eight consumers on a queue of this capacity.
fn produce_and_consume(capacity: usize) {
    const THREADS: u64 = 8;
    const ITEMS: u64 = 12;
    let queue = Arc::new(BoundedQueue::new(capacity));
    let producers = (0..THREADS).map(|producer| {
        let queue = Arc::clone(&queue);
        thread::spawn_named("producer", move || {
            for number in 0..ITEMS {
                queue.push((producer, number));
                assert!(queue.len() <= capacity, "the queue holds more than {capacity} items");
            }
        })
    });
    let producers: Vec<_> = producers.collect();
    // The consumers' lock is held over the pop, so that what they took has one order.
    let taken = Arc::new(labrt::sync::Mutex::new(Vec::new()));
    let consumers = (0..THREADS).map(|_| {
        let (queue, taken) = (Arc::clone(&queue), Arc::clone(&taken));
        thread::spawn_named("consumer", move || {
            let mut own = Vec::new();
            for _ in 0..ITEMS {
                own.push(queue.pop());
            }
            assert!(queue.len() <= capacity, "the queue holds more than {capacity} items");
            taken.lock().push(own);
        })
    });
    join_all(consumers.collect());
    join_all(producers);
    let taken = taken.lock();
    let mut all: Vec<(u64, u64)> = taken.iter().flatten().copied().collect();
    all.sort_unstable();
    let expected: Vec<_> =
        (0..THREADS).flat_map(|producer| (0..ITEMS).map(move |number| (producer, number))).collect();
    assert_eq!(all, expected, "each item must be delivered once");
    for own in taken.iter() {
        let mut last = BTreeMap::new();
        for (producer, number) in own {
            let before = last.insert(producer, number);
            assert!(before < Some(number), "a consumer got producer {producer}'s items in another order");
        }
    }
    assert!(queue.is_empty(), "items are left");
}

/// Items are neither lost nor repeated nor reordered, and there are never too many.
#[test]
fn threads_bounded_queue() {
    run("threads_bounded_queue", |t: &Test| {
        for capacity in [1, 64] {
            t.scene(format!("Eight producers and eight consumers on a queue of capacity {capacity}."));
            produce_and_consume(capacity);
            in_all_seeds(t, 20, move || produce_and_consume(capacity));
        }
    });
}

/// A signal lets one of three waiting threads go on, a broadcast all of them (B3).
#[test]
fn threads_signal_vs_broadcast() {
    run("threads_signal_vs_broadcast", |t: &Test| {
        let check = || {
            const WAITERS: u64 = 3;
            let turnstile = Arc::new(Turnstile::new());
            let passed = Arc::new(quiet::Mutex::new(0));
            let waiters = (0..WAITERS).map(|_| {
                let (turnstile, passed) = (Arc::clone(&turnstile), Arc::clone(&passed));
                thread::spawn_named("waiter", move || {
                    turnstile.pass();
                    *passed.lock() += 1;
                })
            });
            let waiters: Vec<_> = waiters.collect();
            let settle = || thread::sleep(Duration::from_millis(20));
            settle();
            assert_eq!((turnstile.waiting(), *passed.lock()), (WAITERS, 0), "before any signal");
            for (let_through, expected) in [(1, 1), (1, 2), (0, 3)] {
                match let_through {
                    1 => turnstile.let_one(),
                    _ => turnstile.let_all(),
                }
                settle();
                assert_eq!(*passed.lock(), expected, "threads that have gone on (B3)");
            }
            join_all(waiters);
            // Nobody waits: a signal is not kept for later.
            turnstile.let_one();
            turnstile.let_all();
            let (late, other) = (Arc::clone(&turnstile), Arc::clone(&passed));
            let late = thread::spawn_named("late", move || {
                late.pass();
                *other.lock() += 1;
            });
            settle();
            assert_eq!(*passed.lock(), WAITERS, "a thread passed by a signal from before it came (B3)");
            turnstile.let_all();
            join_all(vec![late]);
        };
        t.scene("Three threads wait: a signal, another one, a broadcast.");
        check();
        in_all_seeds(t, 40, check);
        t.scene("Three threads wait, and a broadcast lets all of them go on.");
        let turnstile = Arc::new(Turnstile::new());
        let waiters = (0..3).map(|_| {
            let turnstile = Arc::clone(&turnstile);
            thread::spawn(move || turnstile.pass())
        });
        let waiters: Vec<_> = waiters.collect();
        thread::sleep(Duration::from_millis(20));
        turnstile.let_all();
        join_all(waiters);
    });
}

/// Traces, and the deadlocks that they show.
#[test]
fn threads_deadlock_reported() {
    run("threads_deadlock_reported", |t: &Test| {
        let lock =
            |thread: &str, lock: &str, site: &str| Event::new(thread, Step::Lock(lock.to_owned()), site);
        let unlock = |thread: &str, lock: &str| Event::new(thread, Step::Unlock(lock.to_owned()), "");
        // A thread takes the first lock, then the second.
        let both = |thread: &str, first: &str, second: &str, line: u32| {
            [
                lock(thread, first, &format!("x.rs:{line}")),
                lock(thread, second, &format!("x.rs:{}", line + 1)),
                unlock(thread, second),
                unlock(thread, first),
            ]
        };
        let cycle = |locks: &[&str], sites: &[&str]| Deadlock::LockCycle {
            locks: locks.iter().map(ToString::to_string).collect(),
            sites: sites.iter().map(ToString::to_string).collect(),
        };
        let expect = |what: &str, trace: &[Event], expected: &[Deadlock]| {
            t.scene(format!("A trace: {what}."));
            let found = find_deadlocks(trace);
            t.expect(found == expected, || format!("{what}: expected {expected:?}, but found {found:?}"));
        };
        let opposite = [both("one", "A", "B", 1), both("two", "B", "A", 11)].concat();
        let found = [cycle(&["A", "B"], &["x.rs:1", "x.rs:2", "x.rs:11", "x.rs:12"])];
        expect("two threads take two locks in opposite orders", &opposite, &found);
        let repeated = [opposite.clone(), both("one", "A", "B", 21).to_vec()].concat();
        expect("the same again in another line", &repeated, &found);
        let circle = [both("one", "A", "B", 1), both("two", "B", "C", 11), both("three", "C", "A", 21)];
        let sites = ["x.rs:1", "x.rs:2", "x.rs:11", "x.rs:12", "x.rs:21", "x.rs:22"];
        expect("three locks in a circle", &circle.concat(), &[cycle(&["A", "B", "C"], &sites)]);
        let again = [lock("one", "A", "x.rs:1"), lock("one", "A", "x.rs:2")];
        expect("a thread takes its own lock", &again, &[cycle(&["A"], &["x.rs:1", "x.rs:2"])]);

        let same = [both("one", "A", "B", 1), both("two", "A", "B", 11)].concat();
        expect("one order everywhere", &same, &[]);
        let alone = [both("one", "A", "B", 1), both("one", "B", "A", 11)].concat();
        expect("opposite orders in one thread", &alone, &[]);
        let guarded = |thread: &str, inner: [Event; 4]| {
            [vec![lock(thread, "G", "x.rs:9")], inner.to_vec(), vec![unlock(thread, "G")]].concat()
        };
        let gate =
            [guarded("one", both("one", "A", "B", 1)), guarded("two", both("two", "B", "A", 11))].concat();
        expect("a third lock keeps opposite orders apart", &gate, &[]);

        let send = |thread: &str, site: &str| Event::new(thread, Step::Send("c".to_owned()), site);
        let receive = |thread: &str| Event::new(thread, Step::Receive("c".to_owned()), "x.rs:50");
        let blocked = |thread: &str, site: &str| Deadlock::BlockedSend {
            thread: thread.to_owned(),
            channel: "c".to_owned(),
            site: site.to_owned(),
        };
        expect("a send that nobody receives", &[send("one", "x.rs:5")], &[blocked("one", "x.rs:5")]);
        let to_itself = [send("one", "x.rs:5"), receive("one")];
        expect("a thread sends to itself", &to_itself, &[blocked("one", "x.rs:5")]);
        let met = [send("one", "x.rs:5"), receive("two"), receive("two"), send("one", "x.rs:6")];
        expect("two sends, two receives", &met, &[]);
    });
}

/// A ticker ticks once in each period, ends soon when it is stopped, and never ticks after that (B5).
#[test]
fn threads_ticker_stops() {
    run("threads_ticker_stops", |t: &Test| {
        let period = Duration::from_millis(100);
        let check = move |is_exact: bool| {
            let ticks = Arc::new(quiet::Mutex::new(Vec::new()));
            let of_ticker = Arc::clone(&ticks);
            let began = Instant::now();
            let ticker = Ticker::start(period, move || of_ticker.lock().push(began.elapsed()));
            thread::sleep(period * 3 + period / 2);
            let asked = Instant::now();
            ticker.stop();
            assert!(asked.elapsed() <= period, "the ticker took {:?} to stop", asked.elapsed());
            // The ticker's thread held the other one, and has ended.
            assert_eq!(Arc::strong_count(&ticks), 1, "the ticker's thread is there after stop (B5)");
            let seen = ticks.lock().clone();
            let expected: Vec<Duration> = (1..=3).map(|number| period * number).collect();
            assert!(
                !is_exact || seen == expected,
                "expected ticks at {expected:?}, but they came at {seen:?}"
            );
            assert!(!seen.is_empty() && seen.len() <= 3, "{} ticks in three periods and a half", seen.len());
            thread::sleep(period * 3);
            assert_eq!(ticks.lock().len(), seen.len(), "the ticker has ticked after it was stopped");
        };
        t.scene("A ticker is stopped in the middle of its fourth period.");
        check(t.is_ordinary());
        in_all_seeds(t, 20, move || check(true));
        t.scene("A ticker is dropped.");
        let token = Arc::new(());
        let of_ticker = Arc::clone(&token);
        drop(Ticker::start(period, move || assert_eq!(Arc::strong_count(&of_ticker), 2)));
        t.expect(Arc::strong_count(&token) == 1, || "a dropped ticker goes on (B5)".to_owned());
    });
}
