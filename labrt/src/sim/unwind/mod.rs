//! Unwinds killed tasks by what is known of the frames that others were unwound through before.
//!
//! A crash unwinds each thread of a server, so that its values are dropped, and a simulated cluster crashes
//! thousands of times a second. The system's unwinder goes through the stack twice, first to see whether
//! anybody catches the panic. At each frame it searches the program's tables, reads the rules in them, and
//! asks the language where the cleanup begins. All of that is a function of the return address. Here the
//! answers are kept, and the first way through the stack is left out: a task's root catches every kill.
//!
//! Both functions of the C interface that Rust's panics go through are defined here for the whole program, as
//! `hash_keys.rs` does it for `getrandom`. A panic that is no kill goes on to the system's unwinder, and so
//! does a kill that comes to a frame that is not understood. On other systems than Linux on `x86_64` all of
//! them do.

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod frames;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod walk;

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
pub(crate) use {frames::count as known_frames, walk::expect_kill};

/// The next panic of this OS thread is a kill of the running task.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
pub(crate) fn expect_kill() {}

/// Of how many return addresses it is known how to go on.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
pub(crate) fn known_frames() -> usize {
    0
}
