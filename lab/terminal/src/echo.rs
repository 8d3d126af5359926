//! The `^C` that a terminal writes when ctrl-C is typed. Bars fill their last row, so it would begin a row of
//! its own, of which they know nothing: one row of theirs would stay on the screen.

use std::io::stderr;
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::waiting::is_lively;

/// The terminal's settings as they were.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps the terminal from writing `^C` until [`restore_echo`]. Nothing happens where nothing moves.
pub fn hide_echo() {
    if !is_lively() || !is_in_front() {
        return;
    }
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    // The terminal's settings cannot be read: they stay as they are.
    let Ok(settings) = tcgetattr(stderr()) else { return };
    if before.is_some() || !settings.local_flags.contains(LocalFlags::ECHOCTL) {
        return;
    }
    let mut quiet = settings.clone();
    quiet.local_flags.remove(LocalFlags::ECHOCTL);
    if tcsetattr(stderr(), SetArg::TCSANOW, &quiet).is_ok() {
        *before = Some(settings);
    }
}

/// Makes the terminal what it was before [`hide_echo`]. For each way in which a program ends.
pub fn restore_echo() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_in_front()) {
        // The terminal may be gone: then there is nothing to restore.
        let _ = tcsetattr(stderr(), SetArg::TCSANOW, &before);
    }
}

/// Whether this program is in the terminal's foreground. The system stops a program of the background that
/// changes the terminal's settings.
fn is_in_front() -> bool {
    tcgetpgrp(stderr()) == Ok(getpgrp())
}
