//! Whether a run on real threads had the processors that it needed.
//!
//! On real threads a test waits on the wall clock. If other programs have the processors meanwhile, a missed
//! expectation says nothing about the solution. A ticker, a thread that looks every few milliseconds,
//! measures that: Linux tells of each thread how long it has waited for a processor
//! (`/proc/self/task/*/schedstat`). Elsewhere the ticker takes how late its own sleeps end. A solution that
//! keeps all processors busy by itself is not excused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use labrt::World;

/// How long the ticker sleeps.
const TICK: Duration = Duration::from_millis(5);

/// As long as one of the shorter expectations allows (50 ms), with room for what else the test does then.
const LONG: Duration = Duration::from_millis(25);

/// The ticker's measurements of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    /// How long it has measured.
    wall: Duration,
    /// How long threads of this process waited for a processor, all together.
    waited: Duration,
    /// The longest wait of one thread.
    longest: Duration,
    /// Processor time of this process meanwhile, on all processors.
    used: Duration,
    processors: u32,
}

impl Ticks {
    fn take(&mut self, wait: Duration) {
        self.waited += wait;
        self.longest = self.longest.max(wait);
    }

    /// Whether threads had to wait for the sake of other programs: a fifth of the time, or once for long.
    pub(super) fn are_of_a_starved_run(&self) -> bool {
        let waits = 5 * self.waited >= self.wall || self.longest >= LONG;
        self.wall > Duration::ZERO && waits && 2 * self.used < self.wall * self.processors
    }

    /// The measurements in words, for the report.
    pub(super) fn words(&self) -> String {
        format!(
            "in {} ms its threads waited {} ms for a processor, once for {} ms, and used {} ms of {} processors",
            self.wall.as_millis(),
            self.waited.as_millis(),
            self.longest.as_millis(),
            self.used.as_millis(),
            self.processors
        )
    }
}

/// The thread that ticks. It ends when this is dropped.
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Ticks>>,
}

impl Ticker {
    /// Starts to measure if the run is on real threads.
    pub(super) fn start(world: World) -> Ticker {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let start =
            || std::thread::Builder::new().name("ticker".to_owned()).spawn(move || tick(&stopped)).ok();
        // Without the thread there is no measurement, and so no excuse.
        let thread = if world == World::Threads { start() } else { None };
        Ticker { stop, thread }
    }

    /// Ends the measurement.
    pub(super) fn stop(mut self) -> Ticks {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn tick(stop: &AtomicBool) -> Ticks {
    let processors = std::thread::available_parallelism().map_or(1, |number| number.get() as u32);
    let mut ticks = Ticks { processors, ..Ticks::default() };
    let (begun, used_before) = (Instant::now(), processor_time());
    let mut waits = waits_of_threads();
    loop {
        let slept = Instant::now();
        std::thread::sleep(TICK);
        let late = slept.elapsed().saturating_sub(TICK);
        let is_last = stop.load(Ordering::Relaxed);
        match waits_of_threads() {
            Some(now) => {
                let before = waits.replace(now);
                let grown = |(thread, &wait): (&u32, &Duration)| {
                    wait.saturating_sub(
                        before.as_ref().and_then(|before| before.get(thread).copied()).unwrap_or_default(),
                    )
                };
                waits.iter().flatten().map(grown).for_each(|wait| ticks.take(wait));
            }
            None => ticks.take(late),
        }
        if is_last {
            break;
        }
    }
    ticks.wall = begun.elapsed();
    // Where the system does not tell, the process counts as one that used nothing.
    ticks.used = processor_time().zip(used_before).map_or(Duration::ZERO, |(now, before)| now - before);
    ticks
}

/// How long each living thread of this process has waited for a processor so far; None where the system does
/// not tell.
fn waits_of_threads() -> Option<BTreeMap<u32, Duration>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let waits: BTreeMap<u32, Duration> = tasks
        .flatten()
        .filter_map(|task| {
            let thread = task.file_name().to_str()?.parse().ok()?;
            // A thread may end meanwhile.
            let statistics = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanoseconds = statistics.split_whitespace().nth(1)?.parse().ok()?;
            Some((thread, Duration::from_nanos(nanoseconds)))
        })
        .collect();
    (!waits.is_empty()).then_some(waits)
}

/// Processor time of this process so far, as Linux tells it: user and system time, in hundredths of a second.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Ticks = Ticks {
        wall: Duration::from_secs(2),
        waited: Duration::ZERO,
        longest: Duration::ZERO,
        used: Duration::from_millis(300),
        processors: 2,
    };

    fn with(waits: u32, each: Duration) -> Ticks {
        let mut ticks = IDLE;
        (0..waits).for_each(|_| ticks.take(each));
        ticks
    }

    #[test]
    fn a_quiet_machine_excuses_nothing() {
        assert!(!IDLE.are_of_a_starved_run());
        assert!(!Ticks::default().are_of_a_starved_run(), "no measurement is no excuse");
        assert!(!with(1000, Duration::from_micros(300)).are_of_a_starved_run());
        assert!(!with(2, Duration::from_millis(20)).are_of_a_starved_run());
    }

    #[test]
    fn long_or_frequent_waits_are_starvation() {
        assert!(with(1, Duration::from_millis(30)).are_of_a_starved_run());
        assert!(with(40, Duration::from_millis(10)).are_of_a_starved_run());
    }

    #[test]
    fn a_process_that_keeps_the_processors_itself_is_not_starved() {
        let busy = Ticks { used: Duration::from_millis(3500), ..with(40, Duration::from_millis(100)) };
        assert!(!busy.are_of_a_starved_run());
    }

    #[test]
    fn the_ticker_measures_and_ends() {
        let ticker = Ticker::start(World::Threads);
        std::thread::sleep(Duration::from_millis(20));
        let ticks = ticker.stop();
        assert!(ticks.wall >= Duration::from_millis(5) && ticks.processors >= 1, "{ticks:?}");
        assert_eq!(Ticker::start(World::Simulated).stop(), Ticks::default());
    }
}
