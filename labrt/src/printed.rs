//! What lab code prints: `println!`, `eprintln!` and `dbg!`, with the node and the thread that printed, and
//! when.
//!
//! std offers no way to learn of such a line, but all of them end in the C function `write`. This module
//! defines that function for the whole program. It passes everything on to the system; what a thread of a run
//! writes to standard output or standard error is kept for the run's report besides. (Under `cargo test`
//! without `--nocapture` libtest takes the lines before they come here, and shows them itself if the test
//! fails.)

use std::cell::RefCell;
use std::collections::VecDeque;

use libc::{c_int, c_void, iovec, size_t, ssize_t};
use parking_lot::Mutex;

use crate::context::{Mode, mode};
use crate::outcome::Event;
use crate::{real, sim};

/// Lines that a run keeps, the last ones.
const KEPT: usize = 50;

/// Bytes of one line that are kept.
const LONGEST: usize = 2000;

/// The last lines of a run.
#[derive(Default)]
pub(crate) struct Printed {
    lines: Mutex<VecDeque<Event>>,
}

impl Printed {
    /// Forgets the lines of the earlier run, and what it has begun on this OS thread.
    pub(crate) fn clear(&self) {
        self.lines.lock().clear();
        let _ = BEGUN.try_with(|begun| begun.try_borrow_mut().map(|mut begun| *begun = Default::default()));
    }

    pub(crate) fn push(&self, line: Event) {
        let mut lines = self.lines.lock();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<Event> {
        self.lines.lock().iter().cloned().collect()
    }
}

thread_local! {
    /// Lines that this OS thread has begun on standard output and standard error.
    static BEGUN: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Replaces the C library's function; see the module's text.
///
/// # Safety
/// As the C function: `buffer` must be valid for reads of `length` bytes.
#[allow(unsafe_code, reason = "the C library's interface")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(file: c_int, buffer: *const c_void, length: size_t) -> ssize_t {
    let vector = iovec { iov_base: buffer.cast_mut(), iov_len: length };
    // SAFETY: the caller vouches for the buffer, which the system only reads; the vector lives as long as the
    // call.
    let written = unsafe { libc::writev(file, &vector, 1) };
    if matches!(file, libc::STDOUT_FILENO | libc::STDERR_FILENO) && written > 0 && mode() != Mode::Outside {
        // SAFETY: the caller vouches for `length` bytes, and no more than those were written.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), written.cast_unsigned()) };
        note(file, bytes);
    }
    written
}

fn note(file: c_int, bytes: &[u8]) {
    let index = usize::from(file == libc::STDERR_FILENO);
    // A line that is printed while this function works is lost here, not on the screen.
    let _ = BEGUN.try_with(|begun| {
        let Ok(mut begun) = begun.try_borrow_mut() else { return };
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = &mut begun[index];
            let room = LONGEST.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let text = String::from_utf8_lossy(line).trim_end().to_owned();
                line.clear();
                keep(["stdout", "stderr"][index], text);
            }
        }
    });
}

fn keep(target: &'static str, text: String) {
    match mode() {
        Mode::Simulated => {
            sim::try_with(|sim| sim.note_printed(target, text));
        }
        Mode::Threads => real::note_printed(target, text),
        Mode::Outside => {}
    }
}
