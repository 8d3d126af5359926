//! Test processes that run now: started in groups of their own, watched for silence and memory, ended
//! together.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lab_terminal::{Failure, INTERRUPTED, Signals, Silence, hide_echo, restore_echo};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often the running processes are looked at. A process can outgrow its memory limit for that long.
const LOOK: Duration = Duration::from_millis(50);

/// How long it may take until a signal is noticed.
const NOTICED: Duration = Duration::from_millis(100);

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
    silence: Mutex<Silence>,
    cause: Mutex<Option<Cause>>,
}

/// Whatever a lock guards here stays valid when its holder panics, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Notes a sign of life.
    pub(crate) fn hear(&self) {
        *lock(&self.silence) = Silence::begins();
    }

    /// How long ago the last sign of life was.
    pub(crate) fn silence(&self) -> Duration {
        lock(&self.silence).length()
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
        let number = lock(&self.child).id();
        let silence = &mut *lock(&self.silence);
        if silence.exceeds(self.allowance.silence, number) {
            return Some(Cause::Silent(silence.length()));
        }
        let held = resident_mb(number)?;
        (held > self.allowance.memory_mb).then_some(Cause::Memory(held))
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

    /// Whether everything is stopped, or is about to be: if this failed, that may be why. The terminal's
    /// ctrl-C ends cargo, too, and perhaps before this program has noticed it.
    pub(crate) fn has_stopped<T>(&self, result: &Result<T, Failure>) -> bool {
        if result.is_err() && !self.is_stopped() {
            thread::sleep(NOTICED);
        }
        self.is_stopped()
    }

    /// Starts a process in a group of its own, so that a ctrl-C at the terminal reaches this program only,
    /// and this program can end the process with all that it started.
    pub(crate) fn spawn(&self, command: &mut Command, allowance: Allowance) -> io::Result<Arc<Process>> {
        let child = Mutex::new(command.process_group(0).spawn()?);
        let silence = Mutex::new(Silence::begins());
        let process = Arc::new(Process { child, allowance, silence, cause: Mutex::new(None) });
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
