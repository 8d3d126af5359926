//! On real threads, a test that misses an expectation while other programs have the processors is
//! inconclusive.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labreport::{Kind, Verdict};
use labrt::runtime::beside;
use labrt::thread;
use tester::{Test, run};

use crate::process::{child, plays, reports};

/// Spins: one of the programs that have the processors.
#[test]
fn busy() {
    if plays("busy") {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            std::hint::spin_loop();
        }
    }
}

/// Expects twenty times that a sleep of 1 ms takes less than 50 ms, as a solution that is right would do.
#[test]
fn punctual() {
    if plays("punctual") {
        run("punctual", |t: &Test| {
            for _ in 0..20 {
                let begun = labrt::time::Instant::now();
                // Work of some milliseconds, which a thread without a processor cannot do in time.
                let worked = std::time::Instant::now();
                while worked.elapsed() < Duration::from_millis(5) {
                    std::hint::spin_loop();
                }
                thread::sleep(Duration::from_millis(1));
                t.expect(begun.elapsed() < Duration::from_millis(50), || "was late".to_owned());
            }
        });
    }
}

/// Misses its expectation on any machine.
#[test]
fn late() {
    if plays("late") {
        run("late", |t: &Test| {
            thread::sleep(Duration::from_millis(100));
            t.fail("was late for no reason");
        });
    }
}

/// Computes for that long, and calls the runtime each millisecond: often enough to be stopped, and too seldom
/// to be called a spin (200,000 calls at one instant). Time without a processor does not count.
fn compute(time: Duration) {
    let used = || -> Option<Duration> {
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(schedule.split_whitespace().next()?.parse().ok()?))
    };
    let (before, begun) = (used(), Instant::now());
    let took = || used().zip(before).map_or(begun.elapsed(), |(now, before)| now.saturating_sub(before));
    while took() < time {
        let slice = Instant::now();
        while slice.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        thread::yield_now();
    }
}

/// Ends within a second, if it has a processor.
#[test]
fn quick() {
    if plays("quick") {
        run("quick", |_: &Test| compute(Duration::from_millis(500)));
    }
}

/// As [`quick`], in a simulation beside the run.
#[test]
fn quick_beside() {
    if plays("quick_beside") {
        run("quick_beside", |_: &Test| {
            let config = labrt::Config::simulated(1);
            let outcome = beside(move || labrt::run(config, || compute(Duration::from_millis(500))));
            assert!(outcome.result.is_ok(), "{:?}", outcome.result);
            // Here a run ends that has taken too long.
            compute(Duration::from_millis(100));
        });
    }
}

/// Takes longer than a second on any machine.
#[test]
fn slow() {
    if plays("slow") {
        run("slow", |_: &Test| compute(Duration::from_secs(3)));
    }
}

/// Processor time of this process so far, on all processors; None where the system does not tell.
fn used() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name stands in parentheses, and may hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    // User and system time, in hundredths of a second.
    let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis(10 * (ticks.next()? + ticks.next()?)))
}

/// Aborts this process if it still runs after that time, and had more than half of the processors all the
/// while. A process that had less may take longer.
fn abort_after(time: Duration) {
    let (begun, processors) =
        (Instant::now(), std::thread::available_parallelism().map_or(1, |number| number.get()));
    std::thread::spawn(move || {
        std::thread::sleep(time);
        if used().is_some_and(|used| 2 * used > begun.elapsed() * processors as u32) {
            std::process::abort();
        }
    });
}

/// As [`slow`], beside threads of its own that leave it no processor.
#[test]
fn selfish() {
    if plays("selfish") {
        abort_after(Duration::from_secs(6));
        for _ in 0..16 * std::thread::available_parallelism().map_or(1, |number| number.get()) {
            std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
        run("selfish", |_: &Test| compute(Duration::from_secs(3)));
    }
}

const THREADS: (&str, &str) = ("LAB_RUNTIME", "threads");

/// Programs that keep all processors busy until they are dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn gather() -> Crowd {
        let processors = std::thread::available_parallelism().map_or(1, |number| number.get());
        let spinner = || {
            Command::new(std::env::current_exe().expect("a test binary knows where it is"))
                .args(["--exact", "starved::busy", "--test-threads", "1"])
                .env("TESTER_PART", "busy")
                .stdout(Stdio::null())
                .spawn()
                .expect("a test binary can start itself")
        };
        Crowd((0..8 * processors).map(|_| spinner()).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn whoever_is_starved_is_not_called_wrong() {
    let crowd = Crowd::gather();
    let mut starved = 0;
    for seed in 0..10 {
        let seed = seed.to_string();
        let output = child("punctual", &[("LAB_SEED", &seed), ("LAB_REPORT", "1"), THREADS]);
        let report = reports(&output).remove(0);
        assert_ne!(report.verdict(), Verdict::Failed, "{report:?}");
        assert!(output.status.success(), "inconclusive is not failed");
        if report.kind == Some(Kind::Starved) {
            starved += 1;
            assert!(report.reason().contains("other programs had the processors"), "{}", report.reason());
            break;
        }
    }
    drop(crowd);
    assert!(starved > 0, "with eight busy programs for each processor, some run must have been late");
}

/// On a quiet machine at the first attempt. Where other programs run as well, one of many attempts is quiet
/// enough.
#[test]
fn whoever_is_wrong_fails_where_it_is_quiet() {
    let begun = Instant::now();
    loop {
        let output = child("late", &[("LAB_SEED", "1"), ("LAB_REPORT", "1"), THREADS]);
        let report = reports(&output).remove(0);
        if report.verdict() == Verdict::Failed {
            assert_eq!((report.kind, output.status.code()), (Some(Kind::Expectation), Some(101)));
            return;
        }
        assert_eq!(report.kind, Some(Kind::Starved), "a miss is never a pass");
        if begun.elapsed() > Duration::from_secs(60) {
            println!("skipped: the machine was not quiet for a tenth of a second in a minute");
            return;
        }
    }
}

/// The simulation has no wall clock to miss.
#[test]
fn a_simulated_run_is_never_starved() {
    let crowd = Crowd::gather();
    let output = child("late", &[("LAB_SEED", "1"), ("LAB_REPORT", "1")]);
    drop(crowd);
    assert_eq!(reports(&output).remove(0).kind, Some(Kind::Expectation));
}

/// A limit of real time does not count the time in which others had the processors.
#[test]
fn a_simulated_run_has_its_time_on_a_busy_machine() {
    let limit = ("LAB_REAL_LIMIT_S", "1");
    let crowd = Crowd::gather();
    for part in ["quick", "quick_beside"] {
        let quick = reports(&child(part, &[("LAB_SEED", "1"), ("LAB_REPORT", "1"), limit])).remove(0);
        assert!(quick.ok && quick.real_ns > 500_000_000, "{quick:?}");
    }
    drop(crowd);
    let slow = reports(&child("slow", &[("LAB_SEED", "1"), ("LAB_REPORT", "1"), limit])).remove(0);
    assert_eq!(slow.kind, Some(Kind::RealTime), "{slow:?}");
    assert!(slow.overdue && !slow.cut, "whatever was to be seen of it, it took too long: {slow:?}");
}

/// A solution that keeps the processors busy itself, with threads of std, is not excused.
#[test]
fn a_run_that_starves_itself_has_no_more_time() {
    let environment = [("LAB_SEED", "1"), ("LAB_REPORT", "1"), ("LAB_REAL_LIMIT_S", "1")];
    let output = child("selfish", &environment);
    let reports = reports(&output);
    let selfish = reports.first().unwrap_or_else(|| panic!("its threads have given it 6 s: {output:?}"));
    assert_eq!(selfish.kind, Some(Kind::RealTime), "{selfish:?}");
}
