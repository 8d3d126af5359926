//! What is known of a panic: message, source line, backtrace. The hook that learns it prints nothing for
//! threads of a run, since their panics become the run's [`crate::Failure`].
//!
//! Only the hook knows the line, only the code that catches the panic knows that it ended its thread, and
//! between the two there may be other panics: code that catches its own, destructors. So the hook keeps the
//! last few, and the payload that was caught tells which of them it was.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Duration;

use crate::context::{Mode, mode};
use crate::{real, sim};

#[derive(Clone)]
pub(crate) struct PanicInfo {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

/// A panic that the hook has seen.
struct Seen {
    info: PanicInfo,
    /// See [`identity`].
    identity: usize,
    /// Number of the task that panicked; 0 on real threads.
    task: u64,
    simulated: bool,
}

/// Where the code that panics is, for a report that has to come before the process ends.
pub(crate) struct Whereabouts {
    pub(crate) node: String,
    pub(crate) thread: String,
    pub(crate) task: u64,
    pub(crate) seed: u64,
    pub(crate) at: Duration,
}

/// What is said of a panic that the hook has not seen.
const UNSEEN: &str =
    " (its line is not known: it came by resume_unwind, or the program has a panic hook of its own)";

/// How many panics of an OS thread are kept.
const KEPT: usize = 16;

thread_local! {
    static RECENT: RefCell<VecDeque<Seen>> = const { RefCell::new(VecDeque::new()) };
}

/// What core says when a panic leaves a destructor that unwinding runs, and when one leaves an `extern "C"`
/// function. The process aborts after each.
const ENDS_THE_PROCESS: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Installs the hook, once for the process; panics outside of runs go on to the hook that was there before.
pub(crate) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = message_of(info.payload());
            if mode() == Mode::Outside {
                crate::strangers::note(info, &message);
                previous(info);
                return;
            }
            if ENDS_THE_PROCESS.contains(&message.as_str()) {
                report_before_abort(&message);
                return;
            }
            let backtrace = Backtrace::capture();
            let captured = backtrace.status() == BacktraceStatus::Captured;
            let seen = Seen {
                info: PanicInfo {
                    message,
                    location: info.location().map(ToString::to_string),
                    backtrace: captured.then(|| backtrace.to_string()),
                },
                identity: identity(info.payload()),
                task: note_panic(),
                simulated: mode() == Mode::Simulated,
            };
            if mode() == Mode::Threads {
                real::note_panic(&explained(&seen));
            } else {
                let place = seen.info.location.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
                let panic = format!("{place}: {}", seen.info.message);
                sim::try_with(|sim| sim.pulse.note_panic(sim.current, panic));
            }
            RECENT.with_borrow_mut(|recent| {
                recent.truncate(KEPT - 1);
                recent.push_front(seen);
            });
        }));
    });
}

/// Forgets the panics of earlier runs on this OS thread.
pub(crate) fn forget() {
    RECENT.with_borrow_mut(VecDeque::clear);
}

/// Tells the simulation that the running task panics; the task's number.
fn note_panic() -> u64 {
    if mode() == Mode::Simulated { sim::try_with(sim::Sim::note_panic).unwrap_or_default() } else { 0 }
}

/// What the hook learned of the panic that was just caught.
pub(crate) fn take(payload: &(dyn Any + Send)) -> PanicInfo {
    let message = message_of(payload);
    let identity = identity(payload);
    let found = RECENT.with_borrow_mut(|recent| {
        let by_identity = recent.iter().position(|seen| seen.identity == identity);
        let by_message = || recent.iter().position(|seen| seen.info.message == message);
        let position = by_identity.filter(|&i| recent[i].info.message == message).or_else(by_message)?;
        recent.remove(position)
    });
    let unseen = || {
        // Outside of runs the hook leaves panics to std, which has told the line.
        let how = if mode() == Mode::Outside { "" } else { UNSEEN };
        PanicInfo { message: format!("{message}{how}"), location: None, backtrace: None }
    };
    found.map_or_else(unseen, |seen| explained(&seen))
}

/// Drops what a panic carried. That may panic as well, outside of any code that would catch it; what the
/// second panic carries is left alone.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// The last panic of a task, which has not been caught yet, and how many of any tasks came later; None if the
/// hook has not seen it.
pub(crate) fn of_task(task: u64) -> Option<(usize, PanicInfo)> {
    RECENT.with_borrow(|recent| {
        let age = recent.iter().position(|seen| seen.task == task)?;
        Some((age, explained(&recent[age])))
    })
}

/// A number that stays the same from the hook to where the payload is caught: the address of its text. Other
/// payloads move in between; they are known by their message.
fn identity(payload: &(dyn Any + Send)) -> usize {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text.as_ptr() as usize,
        (_, Some(text)) => text.as_ptr() as usize,
        _ => 0,
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => shortened(text),
        (_, Some(text)) => shortened(text),
        _ => "a panic whose payload is no text".to_owned(),
    }
}

/// Bytes of a message that are kept. Nobody reads more, and a report goes through several hands.
const LONGEST: usize = 8000;

/// The text, without its middle if it is very long: two logs that should have been equal, say.
fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(LONGEST - LONGEST / 8)];
    let tail = &text[text.ceil_char_boundary(text.len() - LONGEST / 8)..];
    format!("{head} … ({} bytes are left out) … {tail}", text.len() - head.len() - tail.len())
}

/// What is known of a panic, with what is probably behind it where the code alone does not tell. All
/// simulated threads run on one thread of the system: what std keeps for each thread is one value for them.
fn explained(seen: &Seen) -> PanicInfo {
    let mut info = seen.info.clone();
    if seen.simulated && info.message.starts_with("RefCell already") {
        info.message += " (if it stands in std's thread_local!, all simulated threads share it: use \
                         labrt::thread_local!)";
    }
    if info.message.ends_with("instance has previously been poisoned") {
        info.message += " (a `static` outlives crashes and runs: a thread was killed, or panicked, while it made \
                         the value)";
    }
    if info.message.ends_with("value: Any { .. }") {
        info.message +=
            " (if it is of a join: that thread was killed with its node, or was one of std's and panicked)";
    }
    if info.message.contains("PoisonError") {
        info.message += " (a lock of std is poisoned if a crash, too, unwinds the thread that holds it: use those of \
                         labrt::sync)";
    }
    info
}

/// A panic left a destructor that ran because of another panic, or of a kill. Rust ends the process then,
/// in any case, so this is the only report that there will be.
fn report_before_abort(message: &str) {
    crate::abort::is_told();
    let here = match mode() {
        Mode::Simulated => sim::try_with(|sim| sim.whereabouts()),
        Mode::Threads => real::whereabouts(),
        Mode::Outside => None,
    };
    let Some(Whereabouts { node, thread, task, seed, at }) = here else { return };
    let before = match mode() {
        Mode::Simulated => sim::try_with(|sim| sim.known_failure()).flatten(),
        Mode::Threads | Mode::Outside => real::known_failure(),
    };
    let panics: Vec<PanicInfo> = RECENT.with_borrow(|recent| {
        recent.iter().filter(|seen| seen.task == task).take(2).map(explained).collect()
    });
    let place = |info: &PanicInfo| info.location.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
    let at = at.as_secs_f64();
    let mut text =
        format!("\n{message}: thread `{thread}` of `{node}` was being unwound at {at:.6} s, seed {seed}");
    if let Some(last) = panics.first() {
        text += &format!("{}: {}", place(last), last.message);
        text += last.backtrace.as_deref().map(|trace| format!("\n{trace}")).as_deref().unwrap_or_default();
    }
    text += if message == ENDS_THE_PROCESS[0] {
        "\n  Rust ends the process when a destructor panics while a panic or a kill unwinds its thread."
    } else {
        "\n  Rust ends the process when a panic, or a kill, comes to a function that is `extern \"C\"`."
    };
    if let Some(first) = panics.get(1) {
        text += &format!("\n  An earlier panic of the thread{}: {}", place(first), first.message);
    }
    if let Some(failure) = before {
        text += &format!("\n  The run had failed before: {failure}");
    }
    text += "\n";
    // Not by `eprint!`, which libtest may capture and then lose with the process.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
