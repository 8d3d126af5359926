//! How long a process has been silent, apart from the time in which it had no processor.

use std::collections::BTreeMap;
use std::fs;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// For how long a process is not looked at after a sign of life. Most are heard of again before.
const UNWATCHED: Duration = Duration::from_secs(1);

/// The time since the last sign of life of a process.
///
/// A limit of silence is a limit of wall time. On a busy machine a process may have no processor for most of
/// it, which is no fault of its own.
#[derive(Debug)]
pub struct Silence {
    since: Instant,
    /// What the threads had had of the processors at the first look.
    first: Option<Shares>,
    /// The same at the last look, and since when each has waited without getting a processor. The system
    /// counts a wait only when it is over.
    last: Shares,
    waiting: BTreeMap<String, Instant>,
}

impl Silence {
    /// It begins now.
    pub fn begins() -> Silence {
        Silence { since: Instant::now(), first: None, last: Shares::default(), waiting: BTreeMap::new() }
    }

    /// How long it has lasted.
    pub fn length(&self) -> Duration {
        self.since.elapsed()
    }

    /// Looks at the process, and at those that it has started. Whether the silence is longer than `allowed`,
    /// apart from the time in which a thread of theirs waited for a processor while other programs had them.
    /// To be asked again and again: what was not seen cannot be excused.
    pub fn exceeds(&mut self, allowed: Duration, process: u32) -> bool {
        if self.length() <= UNWATCHED.min(allowed) {
            return false;
        }
        self.note(Shares::of(process));
        let (silence, processors) = (self.length(), available_parallelism().map_or(1, |number| number.get()));
        silence > allowed && silence - self.starved(u32::try_from(processors).unwrap_or(1), silence) > allowed
    }

    /// Notes what the threads have had by now.
    fn note(&mut self, now: Shares) {
        let is_waiting = |thread: &String, share: &Share| {
            share.is_runnable && self.last.0.get(thread).is_some_and(|last| last == share)
        };
        self.waiting.retain(|thread, _| now.0.get(thread).is_some_and(|share| is_waiting(thread, share)));
        for (thread, _) in now.0.iter().filter(|(_, share)| share.is_runnable) {
            self.waiting.entry(thread.clone()).or_insert_with(Instant::now);
        }
        self.first.get_or_insert_with(|| now.clone());
        self.last = now;
    }

    fn starved(&self, processors: u32, silence: Duration) -> Duration {
        let Some(first) = &self.first else { return Duration::ZERO };
        let mut now = self.last.clone();
        for (thread, since) in &self.waiting {
            if let Some(share) = now.0.get_mut(thread) {
                share.waited += since.elapsed();
            }
        }
        first.starved(&now, silence, processors)
    }
}

/// What each thread of a process has had of the processors so far. Empty where the system does not tell.
#[derive(Clone, Debug, Default)]
struct Shares(BTreeMap<String, Share>);

/// What a thread has had of the processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    /// For how long it has had one.
    ran: Duration,
    /// For how long it has waited for one, in waits that are over.
    waited: Duration,
    /// Whether it has one or wants one.
    is_runnable: bool,
}

impl Shares {
    /// Of the process, and of those that it has started.
    fn of(process: u32) -> Shares {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let share = |thread: &fs::DirEntry| {
            let schedule = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let mut times = schedule.split_whitespace().map(|time| time.parse().map(Duration::from_nanos));
            let (ran, waited) = (times.next()?.ok()?, times.next()?.ok()?);
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            // The name stands in parentheses, and may hold blanks; the state stands behind it.
            let is_runnable = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'));
            Some(Share { ran, waited, is_runnable })
        };
        let name = |thread: &fs::DirEntry| thread.file_name().to_string_lossy().into_owned();
        let own = threads.filter_map(|thread| Some((name(&thread), share(&thread)?)));
        Shares(own.chain(children.flat_map(|child| Shares::of(child).0)).collect())
    }

    /// For how long of that silence one of the threads has waited since then. On a busy machine that may be
    /// most of it, and is no fault of the process; but one that keeps the processors busy itself is not
    /// excused.
    fn starved(&self, now: &Shares, silence: Duration, processors: u32) -> Duration {
        let since = |thread: &String, share: &Share| {
            let before = self.0.get(thread).copied().unwrap_or_default();
            (share.ran.saturating_sub(before.ran), share.waited.saturating_sub(before.waited))
        };
        let shares: Vec<_> = now.0.iter().map(|(thread, share)| since(thread, share)).collect();
        let used: Duration = shares.iter().map(|(ran, _)| *ran).sum();
        let longest = shares.iter().map(|(_, waited)| *waited).max().unwrap_or_default();
        if 2 * used < silence * processors { longest.min(silence) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads that have had a processor and waited for one for so many seconds each.
    fn shares(threads: &[(u64, u64)]) -> Shares {
        let share = |(ran, waited)| Share {
            ran: Duration::from_secs(ran),
            waited: Duration::from_secs(waited),
            is_runnable: true,
        };
        Shares(
            threads.iter().enumerate().map(|(number, &times)| (number.to_string(), share(times))).collect(),
        )
    }

    fn starved(before: &[(u64, u64)], now: &[(u64, u64)], silence: u64) -> u64 {
        shares(before).starved(&shares(now), Duration::from_secs(silence), 2).as_secs()
    }

    #[test]
    fn waiting_for_other_programs_is_excused() {
        assert_eq!(starved(&[(5, 5), (0, 0)], &[(15, 55), (0, 0)], 60), 50);
        assert_eq!(starved(&[(5, 5)], &[(15, 5)], 60), 0, "it slept");
        assert_eq!(starved(&[(5, 0)], &[(65, 0)], 60), 0, "it computed");
        assert_eq!(starved(&[], &[], 60), 0, "the system does not tell");
    }

    /// The system says nothing of a wait until it is over, and that may take half a minute.
    #[test]
    fn a_wait_that_goes_on_is_excused_as_well() {
        let ago =
            |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the clock is older");
        let waiting = |looks: &[Shares]| {
            let mut silence = Silence { since: ago(60), ..Silence::begins() };
            for look in looks {
                silence.waiting.values_mut().for_each(|since| *since = (*since).min(ago(50)));
                silence.note(look.clone());
            }
            silence.starved(2, Duration::from_secs(60)).as_secs()
        };
        let asleep = |mut shares: Shares| {
            shares.0.values_mut().for_each(|share| share.is_runnable = false);
            shares
        };
        let still = shares(&[(1, 2)]);
        assert_eq!(waiting(&[still.clone(), still.clone()]), 50);
        assert_eq!(waiting(&[still.clone(), asleep(still.clone())]), 0, "it sleeps");
        assert_eq!(waiting(&[still, shares(&[(2, 2)])]), 0, "that wait has only begun");
    }

    #[test]
    fn a_process_whose_threads_wait_for_one_another_is_not() {
        assert_eq!(starved(&[(0, 0); 3], &[(40, 20); 3], 60), 0);
        // Threads that have begun since count as well.
        assert_eq!(starved(&[(0, 0)], &[(1, 59), (60, 0), (58, 2)], 60), 0);
    }
}
