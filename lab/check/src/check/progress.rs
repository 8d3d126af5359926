//! Something to look at while a check takes long.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use lab_terminal::{Waiting, is_lively};

/// What is done within this time needs no progress shown.
const LONG: Duration = Duration::from_millis(700);

/// How often what is shown is renewed.
const STEP: Duration = Duration::from_millis(100);

/// Does `work`. If that takes long, what `say` returns stands on standard error meanwhile; where nothing can
/// move, as a line now and then.
pub(super) fn watched<T>(say: impl Fn() -> String + Send, work: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    // The closure owns `done`: if `work` panics, it is dropped before the scope waits for its thread.
    thread::scope(move |scope| {
        scope.spawn(move || show(&wait, say));
        let result = work();
        drop(done);
        result
    })
}

fn show(wait: &Receiver<()>, say: impl Fn() -> String) {
    if wait.recv_timeout(LONG) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = if is_lively() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut waiting = Waiting::begin();
    loop {
        bar.set_message(say());
        bar.tick();
        if let Some(line) = waiting.due(&say) {
            eprintln!("{line}");
        }
        if wait.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    bar.finish_and_clear();
}
