//! Stacks of tasks: pooled, guarded, and an overflow that says so.

use super::task;
use corosensei::stack::DefaultStack;
use std::io;
use std::sync::{Once, OnceLock};

/// Size of a task's stack. Only touched pages cost memory.
pub(crate) const STACK_SIZE: usize = 512 * 1024;

/// Stacks kept for reuse by one OS thread.
const POOLED: usize = 4096;

pub(crate) type TaskStack = DefaultStack;

#[derive(Default)]
pub(crate) struct StackPool {
    stacks: Vec<TaskStack>,
}

impl StackPool {
    #[inline]
    pub(crate) fn take(&mut self) -> TaskStack {
        self.stacks.pop().unwrap_or_else(new_stack)
    }

    #[inline]
    pub(crate) fn put_back(&mut self, stack: TaskStack) {
        if self.stacks.len() < POOLED {
            self.stacks.push(stack);
        }
    }
}

fn new_stack() -> TaskStack {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(install_overflow_handler);
    DefaultStack::new(STACK_SIZE)
        .unwrap_or_else(|error| panic!("no memory for another simulated thread's stack: {error}"))
}

/// A guard page turns an overflow into one of these: SIGSEGV on Linux, SIGBUS on macOS.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The handlers that were there before, for each of [`SIGNALS`]: std's own, which know the guard pages of OS threads.
static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Turns the signal of a guard page into a sentence.
#[allow(unsafe_code, reason = "std has no interface for signals")]
fn install_overflow_handler() {
    // SAFETY: all zeroes is a valid `sigaction`, and the pointer is valid for the call.
    let previous = SIGNALS.map(|signal| unsafe {
        let mut previous: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut previous);
        previous
    });
    PREVIOUS.get_or_init(|| previous);
    for signal in SIGNALS {
        // SAFETY: as above; the handler only does what a synchronous fault allows, and `PREVIOUS` is set before it runs.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

#[allow(unsafe_code, reason = "a signal handler gets raw pointers")]
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler.
    let address = unsafe { (*info).si_addr() } as usize;
    let base = task::stack_base_hint();
    if base != 0 && address < base && base - address <= STACK_SIZE + 64 * 1024 {
        let (node, thread) = super::try_with(|sim| sim.whoami()).unwrap_or_default();
        let seed = super::try_with(|sim| sim.seed).unwrap_or_default();
        // The fault is synchronous and the process is about to end, so that allocating here risks no more than a
        // worse message.
        let text = format!(
            "\nstack overflow in thread `{thread}` of `{node}` (its stack has {} KiB), seed {seed}: endless recursion?\n",
            STACK_SIZE / 1024
        );
        let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
        std::process::abort();
    }
    // SAFETY: not ours, so the previous handler gets the signal with the arguments it expects.
    unsafe {
        let position = SIGNALS.iter().position(|&ours| ours == signal);
        match PREVIOUS.get().zip(position).map(|(previous, position)| &previous[position]) {
            Some(previous) if previous.sa_flags & libc::SA_SIGINFO != 0 && previous.sa_sigaction > 1 => {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(previous.sa_sigaction);
                handler(signal, info, context);
            }
            _ => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
