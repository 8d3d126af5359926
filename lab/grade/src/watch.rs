//! A process that is watched: how long it runs, how much memory it and its children hold, how much it prints.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab_terminal::Silence;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How much of what a process prints is kept, from its beginning and from its end.
const KEPT: usize = 32 * 1024;

/// What a process may take before it is ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Without a sign of life, apart from the time in which it had no processor.
    pub(crate) silence: Duration,
    pub(crate) memory_mb: u64,
    /// Bytes that it prints.
    pub(crate) output: u64,
}

/// Why a process was ended, or ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its reports were not needed any more.
    Stopped,
    /// It ended by itself.
    Exit(i32),
    Signal(i32),
    Silence,
    Memory,
    Output,
    Processor,
    FileSize,
    ForbiddenCall,
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) cause: Cause,
    /// What it printed, standard error behind standard output.
    pub(crate) output: String,
}

/// Signs of life, from whoever reads the process's reports.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    stopped: AtomicBool,
    flooded: AtomicBool,
}

impl Pulse {
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the process: nobody needs more of its reports.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Ends the process: it writes what is no report to where only reports belong.
    pub(crate) fn flood(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }
}

/// Starts the command and waits for its end; `meanwhile` runs beside it, in this thread.
pub(crate) fn run<T>(
    command: &mut Command,
    allowance: Allowance,
    pulse: &Pulse,
    meanwhile: impl FnOnce() -> T,
) -> io::Result<(End, T)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    // The command has the child's ends of sockets; they must close with the child.
    command.stdin(Stdio::null());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let printed = AtomicU64::new(0);
    let why = Mutex::new(None);
    thread::scope(|scope| {
        let out = scope.spawn(|| read(out, &printed));
        let err = scope.spawn(|| read(err, &printed));
        let waited = scope.spawn(|| wait(&mut child, allowance, pulse, &printed, &why));
        let result = meanwhile();
        // These threads do nothing that panics; if one did, its part of the output would be empty.
        let status = waited.join().unwrap_or_else(|_| Err(io::Error::other("the watch was lost")))?;
        let mut output = out.join().unwrap_or_default();
        output.extend(err.join().unwrap_or_default());
        let killed = why.lock().ok().and_then(|why| *why);
        let cause = killed.unwrap_or_else(|| cause_of(status));
        Ok((End { cause, output: String::from_utf8_lossy(&output).into_owned() }, result))
    })
}

/// Waits, and ends the process if it takes too much.
fn wait(
    child: &mut Child,
    allowance: Allowance,
    pulse: &Pulse,
    printed: &AtomicU64,
    why: &Mutex<Option<Cause>>,
) -> io::Result<ExitStatus> {
    let (mut beats, mut silence) = (pulse.beats.load(Ordering::Relaxed), Silence::begins());
    let mut pause = Duration::from_micros(200);
    let mut looked = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let now = pulse.beats.load(Ordering::Relaxed);
        if now != beats {
            (beats, silence) = (now, Silence::begins());
        }
        let offence = if pulse.stopped.load(Ordering::Relaxed) {
            Some(Cause::Stopped)
        } else if pulse.flooded.load(Ordering::Relaxed) || printed.load(Ordering::Relaxed) > allowance.output
        {
            Some(Cause::Output)
        } else if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if silence.exceeds(allowance.silence, child.id()) {
                Some(Cause::Silence)
            } else {
                (held_mb(child.id()) > allowance.memory_mb).then_some(Cause::Memory)
            }
        } else {
            None
        };
        if let Some(cause) = offence {
            if let Ok(mut why) = why.lock() {
                why.get_or_insert(cause);
            }
            end(child);
            return child.wait();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK / 2);
    }
}

/// Ends the process and all that it started. In the sandbox they die with its first process.
fn end(child: &mut Child) {
    // Until the child is reaped, the system gives its number, which is also its group's, to no other process.
    if let Ok(number) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(number), Signal::SIGKILL);
    }
    let _ = child.kill();
}

/// Mebibytes that the process and its descendants hold.
fn held_mb(process: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    resident * 4096 / (1024 * 1024) + children.map(held_mb).sum::<u64>()
}

fn cause_of(status: ExitStatus) -> Cause {
    // Bubblewrap passes a signal on as a shell would.
    let signal = status.signal().or_else(|| status.code().filter(|code| *code > 128).map(|code| code - 128));
    match signal {
        Some(signal) => match Signal::try_from(signal) {
            Ok(Signal::SIGXCPU) => Cause::Processor,
            Ok(Signal::SIGXFSZ) => Cause::FileSize,
            Ok(Signal::SIGSYS) => Cause::ForbiddenCall,
            _ => Cause::Signal(signal),
        },
        None => Cause::Exit(status.code().unwrap_or(-1)),
    }
}

/// Reads a stream to its end; keeps its beginning and its end, and counts the rest.
fn read(stream: Option<impl Read>, printed: &AtomicU64) -> Vec<u8> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let Some(mut stream) = stream else { return first };
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        printed.fetch_add(read as u64, Ordering::Relaxed);
        let room = KEPT.saturating_sub(first.len()).min(read);
        first.extend_from_slice(&buffer[..room]);
        last.extend_from_slice(&buffer[room..read]);
        // Twice the size before cutting, so that the cutting costs nothing on average.
        if last.len() > 2 * KEPT {
            last.drain(..last.len() - KEPT);
        }
    }
    last.drain(..last.len().saturating_sub(KEPT));
    first.append(&mut last);
    first
}
