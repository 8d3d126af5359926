//! Makes the iteration order of std's hash maps a function of the seed.
//!
//! std draws the keys of its hash maps once for each OS thread, through the C function `getrandom` (on macOS
//! through `CCRandomGenerateBytes`). This module defines that function for the whole program: inside a
//! simulation it gives bytes derived from the seed, elsewhere it asks the system. A thread on which anything
//! was drawn keeps those keys, so the next simulation gets a fresh thread (`run.rs`).
//!
//! On macOS this is compiled but has not been run.

use std::cell::Cell;

thread_local! {
    /// State of the generator while a simulation runs on this thread.
    static STREAM: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whether anything was drawn on this thread, which may have set its hash keys.
    static DRAWN: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread may already have hash keys.
pub(crate) fn thread_is_used() -> bool {
    DRAWN.get()
}

pub(crate) fn enter(seed: u64) {
    STREAM.set(Some(seed ^ 0xD6E8_FEB8_6659_FD93));
}

pub(crate) fn leave() {
    STREAM.set(None);
}

/// The next value of the generator (splitmix64), if a simulation runs here.
fn next() -> Option<u64> {
    let state = STREAM.get()?.wrapping_add(0x9E37_79B9_7F4A_7C15);
    STREAM.set(Some(state));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Some(mixed ^ (mixed >> 31))
}

/// Fills the buffer from the seed's stream; false, with nothing promised of the buffer, if no simulation runs
/// here.
///
/// # Safety
/// `buffer` must be valid for writes of `length` bytes.
#[allow(unsafe_code, reason = "the C library's interface")]
unsafe fn fill(buffer: *mut u8, length: usize) -> bool {
    DRAWN.set(true);
    let mut filled = 0;
    while filled < length {
        let Some(word) = next() else { return false };
        let bytes = word.to_le_bytes();
        let count = bytes.len().min(length - filled);
        // SAFETY: `filled + count <= length`, so the write stays within the caller's buffer.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.add(filled), count) };
        filled += count;
    }
    true
}

/// Replaces the C library's function; see the module's text.
///
/// # Safety
/// As the C function: `buffer` must be valid for writes of `length` bytes.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the C library's interface")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: libc::c_uint) -> isize {
    // SAFETY: the caller vouches for the buffer; the kernel writes at most `length` bytes.
    unsafe {
        if fill(buffer, length) {
            return length as isize;
        }
        libc::syscall(libc::SYS_getrandom, buffer, length, flags) as isize
    }
}

/// The function that std asks for hash keys on macOS. Code that is linked into the program finds this one
/// before the system's; the system's own libraries do not, so that `arc4random_buf` does not lead back here.
///
/// # Safety
/// As the C function: `buffer` must be valid for writes of `length` bytes.
#[cfg(target_vendor = "apple")]
#[allow(unsafe_code, reason = "the C library's interface")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn CCRandomGenerateBytes(buffer: *mut u8, length: usize) -> i32 {
    // SAFETY: the caller vouches for the buffer.
    unsafe {
        if !fill(buffer, length) {
            libc::arc4random_buf(buffer.cast(), length);
        }
    }
    0
}

/// The function that the `getrandom` crate asks on macOS.
///
/// # Safety
/// As the C function: `buffer` must be valid for writes of `length` bytes.
#[cfg(target_vendor = "apple")]
#[allow(unsafe_code, reason = "the C library's interface")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getentropy(buffer: *mut u8, length: usize) -> i32 {
    // SAFETY: the caller vouches for the buffer.
    unsafe { CCRandomGenerateBytes(buffer, length) }
}
