//! Test processes that run now: started in groups of their own, watched for silence and memory, ended
//! together.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lab_terminal::{Failure, INTERRUPTED, Signals, hide_echo, restore_echo};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::cli::cores;

/// How often the running processes are looked at. A process can outgrow its memory limit for that long.
const LOOK: Duration = Duration::from_millis(50);

/// Why a process was ended from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its listener needs no more reports, or the user pressed ctrl-C.
    Stopped,
    /// It reported nothing for that long.
    Silent(Duration),
    /// It held that many mebibytes of memory.
    Memory(u64),
}

/// What a process may take before it is ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// How long it may be silent. The test's own limit of real time is shorter, so this ends only what cannot
    /// end itself.
    pub(crate) silence: Duration,
    /// How many mebibytes it may hold.
    pub(crate) memory_mb: u64,
}

/// A running process.
pub(crate) struct Process {
    child: Mutex<Child>,
    allowance: Allowance,
    heard: Mutex<Heard>,
    cause: Mutex<Option<Cause>>,
}

/// The last sign of life of a process.
struct Heard {
    at: Instant,
    /// What its threads had had of the processors, at the first look after a second of silence.
    shares: Option<Shares>,
    /// What they had had at the last look, and since when each has waited without getting a processor. The
    /// system counts a wait only when it is over.
    last: Shares,
    waiting: BTreeMap<String, Instant>,
}

impl Heard {
    fn now() -> Heard {
        Heard { at: Instant::now(), shares: None, last: Shares::default(), waiting: BTreeMap::new() }
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
        self.shares.get_or_insert_with(|| now.clone());
        self.last = now;
    }

    /// For how long of the silence a thread of the process wanted a processor while other programs had them.
    fn starved(&self, processors: u32) -> Duration {
        let Some(before) = &self.shares else { return Duration::ZERO };
        let mut now = self.last.clone();
        for (thread, since) in &self.waiting {
            if let Some(share) = now.0.get_mut(thread) {
                share.waited += since.elapsed();
            }
        }
        before.starved(&now, self.at.elapsed(), processors)
    }
}

/// Whatever a lock guards here stays valid when its holder panics, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Notes a sign of life.
    pub(crate) fn hear(&self) {
        *lock(&self.heard) = Heard::now();
    }

    /// How long ago the last sign of life was.
    pub(crate) fn silence(&self) -> Duration {
        lock(&self.heard).at.elapsed()
    }

    /// Ends the process and all that it started. Only the first cause counts.
    pub(crate) fn end(&self, cause: Cause) {
        lock(&self.cause).get_or_insert(cause);
        let mut child = lock(&self.child);
        // Until the child is reaped, the system gives its number, which is also its group's, to no other
        // process.
        if let (Ok(None), Ok(number)) = (child.try_wait(), i32::try_from(child.id())) {
            // It fails only if the whole group is gone already, which is what is wanted.
            let _ = killpg(Pid::from_raw(number), Signal::SIGKILL);
        }
    }

    /// Waits for the end. Not by a blocking call, which would keep the lock that [`Process::end`] needs.
    fn wait(&self) -> io::Result<ExitStatus> {
        let mut pause = Duration::from_micros(50);
        loop {
            if let Some(status) = lock(&self.child).try_wait()? {
                return Ok(status);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// The limit that the process exceeds, if it exceeds one.
    fn offence(&self) -> Option<Cause> {
        let silence = self.silence();
        let number = lock(&self.child).id();
        if silence > Duration::from_secs(1) {
            let shares = Shares::of(number);
            let heard = &mut *lock(&self.heard);
            heard.note(shares);
            let processors = u32::try_from(cores()).unwrap_or(1);
            let (silence, allowed) = (heard.at.elapsed(), self.allowance.silence);
            if silence > allowed && silence - heard.starved(processors) > allowed {
                return Some(Cause::Silent(silence));
            }
        }
        let held = resident_mb(number)?;
        (held > self.allowance.memory_mb).then_some(Cause::Memory(held))
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
    fn of(process: u32) -> Shares {
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
        Shares(threads.filter_map(|thread| Some((name(&thread), share(&thread)?))).collect())
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

/// How many mebibytes the process holds in memory. None where the system does not tell.
fn resident_mb(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}

/// All processes that run now.
#[derive(Default)]
pub(crate) struct Supervisor {
    stopped: AtomicBool,
    running: Mutex<Vec<Arc<Process>>>,
}

impl Supervisor {
    /// A supervisor that looks after its processes from a thread of its own, for as long as this program
    /// runs, and that ctrl-C and SIGTERM stop. A second ctrl-C ends this program at once. To be called once.
    pub(crate) fn start() -> Result<Arc<Supervisor>, Failure> {
        let supervisor = Arc::new(Supervisor::default());
        let watching = Arc::clone(&supervisor);
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK);
                watching.look();
            }
        });
        let stopping = Arc::clone(&supervisor);
        let mut signals = Signals::default();
        ctrlc::set_handler(move || {
            if signals.is_second() {
                restore_echo();
                std::process::exit(i32::from(INTERRUPTED));
            }
            stopping.stop();
        })
        .map_err(|error| Failure::new(format!("ctrl-C cannot be handled: {error}")))?;
        hide_echo();
        Ok(supervisor)
    }

    /// Ends all processes, and any that would start from now on.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.snapshot().iter().for_each(|process| process.end(Cause::Stopped));
    }

    /// Whether [`Supervisor::stop`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Starts a process in a group of its own, so that a ctrl-C at the terminal reaches this program only,
    /// and this program can end the process with all that it started.
    pub(crate) fn spawn(&self, command: &mut Command, allowance: Allowance) -> io::Result<Arc<Process>> {
        let child = Mutex::new(command.process_group(0).spawn()?);
        let heard = Mutex::new(Heard::now());
        let process = Arc::new(Process { child, allowance, heard, cause: Mutex::new(None) });
        lock(&self.running).push(Arc::clone(&process));
        // Looked at after the process is listed: a stop that comes in between finds it there.
        if self.is_stopped() {
            process.end(Cause::Stopped);
        }
        Ok(process)
    }

    /// Waits for the end of a process. Tells how it ended, and why it was ended if it was.
    pub(crate) fn wait(&self, process: &Arc<Process>) -> io::Result<(ExitStatus, Option<Cause>)> {
        let status = process.wait();
        lock(&self.running).retain(|other| !Arc::ptr_eq(other, process));
        let cause = *lock(&process.cause);
        Ok((status?, cause))
    }

    /// One look at all processes.
    fn look(&self) {
        for process in self.snapshot() {
            if let Some(cause) = process.offence() {
                process.end(cause);
            }
        }
    }

    fn snapshot(&self) -> Vec<Arc<Process>> {
        lock(&self.running).clone()
    }
}

/// The child's pipes, for the caller that started it to read.
pub(crate) fn take_pipes(
    process: &Process,
) -> (Option<std::process::ChildStdout>, Option<std::process::ChildStderr>) {
    let mut child = lock(&process.child);
    (child.stdout.take(), child.stderr.take())
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
            let mut heard = Heard { at: ago(60), ..Heard::now() };
            for look in looks {
                heard.waiting.values_mut().for_each(|since| *since = (*since).min(ago(50)));
                heard.note(look.clone());
            }
            heard.starved(2).as_secs()
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
