//! Stacks of tasks: pooled, guarded, and an overflow that says so.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Once, OnceLock};

use corosensei::stack::{DefaultStack, Stack, StackPointer};
use parking_lot::Mutex;

use super::Sim;
use crate::context::{Mode, mode};

/// Size of a task's stack: as much as std gives its threads. It is reserved only; a page costs memory once it
/// is touched.
pub(crate) const STACK_SIZE: usize = 2 * 1024 * 1024;

/// Stacks kept for reuse by one OS thread.
const POOLED: usize = 4096;

/// Stacks kept from OS threads that have ended.
const INHERITED: usize = 256;

/// Stacks of OS threads that have ended, for those that begin. A run whose program uses std's hash maps
/// leaves its OS thread unfit for the next (`hash_keys.rs`); without this each of its stacks would be mapped
/// anew.
static LEFT: Mutex<Vec<TaskStack>> = Mutex::new(Vec::new());

/// How far below a stack a fault still counts as its overflow. Compilers touch large frames page by page, so
/// that the first fault is one in the guard page.
const MARGIN: usize = 64 * 1024;

thread_local! {
    /// The lowest address of the running task's stack, its guard page included; 0 outside of tasks. Set
    /// before the switch to the task, since its first frame may already be too large.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// Notes the stack that is about to run, and gives the one that ran before, to be set again afterwards.
#[inline]
pub(crate) fn enter(lowest: usize) -> usize {
    RUNNING.replace(lowest)
}

thread_local! {
    /// How deep the stack of the task that was suspended last is in use.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The running task is about to suspend itself.
#[inline(always)]
pub(crate) fn note_suspension() {
    let here = 0_u8;
    DEPTH.set(&raw const here as usize);
}

/// The lowest address that the task suspended last uses of its stack.
#[inline]
pub(crate) fn depth() -> usize {
    DEPTH.get()
}

/// Whether a suspended task's stack holds this word, as it does if a local variable is a pointer of that
/// value.
#[allow(unsafe_code, reason = "looks at another task's stack, for a report")]
pub(crate) fn holds((lowest, highest): (usize, usize), word: usize) -> bool {
    let first = lowest.next_multiple_of(size_of::<usize>());
    // SAFETY: these addresses lie in the stack of a suspended task, between its depth and its base: mapped
    // memory that is not written now, since its task runs on this very OS thread. Whatever bytes are there
    // are read as a number only.
    (first..highest)
        .step_by(size_of::<usize>())
        .any(|at| unsafe { (at as *const usize).read_volatile() == word })
}

/// A stack of the pool.
pub(crate) struct TaskStack {
    memory: DefaultStack,
    _counted: Counted,
}

/// Stacks that this process has.
static STACKS: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Counted;

impl Counted {
    /// None if the system allows no more. Where it does, others fail first: the allocator has no way to say
    /// whose fault it is.
    fn new() -> Option<Counted> {
        static MOST: LazyLock<usize> = LazyLock::new(most_stacks);
        let counted = Counted;
        (STACKS.fetch_add(1, Ordering::Relaxed) < *MOST).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        STACKS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Linux gives a process so many pieces of memory. A stack and its guard page are two.
fn most_stacks() -> usize {
    /// For everything else.
    const SPARED: usize = 4000;
    let pieces = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let pieces = pieces.and_then(|pieces| pieces.trim().parse::<usize>().ok());
    pieces.map_or(usize::MAX, |pieces| pieces.saturating_sub(SPARED) / 2)
}

impl TaskStack {
    /// The lowest address, that of the guard page, and the one above the highest.
    #[inline]
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.memory.limit().get(), self.memory.base().get())
    }
}

#[allow(unsafe_code, reason = "the trait vouches for the memory")]
// SAFETY: all is left to the stack inside, which fulfils the trait's contract.
unsafe impl Stack for TaskStack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.memory.base()
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.memory.limit()
    }
}

/// The stacks of one OS thread.
#[derive(Default)]
pub(crate) struct StackPool {
    stacks: Vec<TaskStack>,
}

impl StackPool {
    #[inline]
    pub(crate) fn take(&mut self) -> io::Result<TaskStack> {
        match self.stacks.pop() {
            Some(stack) => Ok(stack),
            None => take_inherited_or_new(),
        }
    }

    #[inline]
    pub(crate) fn put_back(&mut self, stack: TaskStack) {
        if self.stacks.len() < POOLED {
            self.stacks.push(stack);
        }
    }
}

impl Drop for StackPool {
    fn drop(&mut self) {
        let mut left = LEFT.lock();
        let room = INHERITED.saturating_sub(left.len());
        // The others are unmapped when the lock is free again.
        left.extend(self.stacks.drain(..room.min(self.stacks.len())));
    }
}

#[cold]
fn take_inherited_or_new() -> io::Result<TaskStack> {
    // The lock is free again before the system is asked.
    let inherited = LEFT.lock().pop();
    inherited.map_or_else(new_stack, Ok)
}

fn new_stack() -> io::Result<TaskStack> {
    watch_overflows();
    let no_more = || io::Error::other("the system allows a process no more of them (vm.max_map_count)");
    let counted = Counted::new().ok_or_else(no_more)?;
    let memory = DefaultStack::new(STACK_SIZE)?;
    keep_pages_small(&memory);
    Ok(TaskStack { memory, _counted: counted })
}

/// Lets an overflow name its thread, once for the process.
pub(crate) fn watch_overflows() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(install_overflow_handler);
}

/// Asks Linux not to use pages of 2 MiB here, of which the first touch would take a whole one.
#[allow(unsafe_code, reason = "std has no interface for advice on memory")]
fn keep_pages_small(memory: &DefaultStack) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is the stack's own mapping, and the advice changes nothing that can be seen in it. An
    // older system that does not know the advice may ignore it.
    unsafe {
        let lowest = memory.limit().get();
        libc::madvise(lowest as *mut libc::c_void, memory.base().get() - lowest, libc::MADV_NOHUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// A guard page turns an overflow into one of these: SIGSEGV on Linux, SIGBUS on macOS.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The handlers that were there before, for each of [`SIGNALS`]: std's own, which know the guard pages of OS
/// threads.
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
        // SAFETY: as above; the handler only does what a synchronous fault allows, and `PREVIOUS` is set
        // before it runs.
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
    let lowest = RUNNING.get();
    if lowest != 0 && (lowest.saturating_sub(MARGIN)..lowest + MARGIN).contains(&address) {
        report_overflow();
        crate::abort::is_told();
        std::process::abort();
    }
    // A thread of the system's. Code without `unsafe` faults only where its stack ends; std's handler, which
    // comes next, tells whether it was so.
    if mode() == Mode::Threads {
        let mut line = Line::default();
        let _ = write!(line, "\nstack overflow in ");
        crate::real::write_whereabouts(&mut line);
        let _ = writeln!(line, ": endless recursion, or a large array?");
        line.print();
        crate::abort::is_told();
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

/// Says which thread has overflowed its stack. The code that did so may have been within the allocator, or
/// may have held the lock of standard error, so that this neither allocates nor locks.
fn report_overflow() {
    let mut line = Line::default();
    let say = |line: &mut Line, sim: &Sim| {
        let size = STACK_SIZE / 1024;
        // A line that is too long is cut.
        let _ = write!(line, "\nstack overflow in ");
        let _ = sim.write_whoami(line);
        let _ = writeln!(
            line,
            " (its stack has {size} KiB), seed {}: endless recursion, or a large array?",
            sim.seed
        );
    };
    if super::try_with(|sim| say(&mut line, sim)).is_none() {
        // It overflowed within a call of this crate. The names are shown behind a line that is out in any
        // case.
        let _ = writeln!(line, "\nstack overflow in a simulated thread, in a call of the runtime");
        line.print();
        line.length = 0;
        super::with_even_if_borrowed(|sim| say(&mut line, sim));
    }
    line.print();
}

/// Text in a fixed piece of memory.
pub(crate) struct Line {
    text: [u8; 512],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line { text: [0; 512], length: 0 }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.text[self.length..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        if count == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl Line {
    #[allow(unsafe_code, reason = "std's standard error has a lock")]
    pub(crate) fn print(&self) {
        // SAFETY: the vector points to `length` bytes that live as long as the call.
        unsafe {
            let vector = libc::iovec { iov_base: self.text.as_ptr().cast_mut().cast(), iov_len: self.length };
            libc::writev(libc::STDERR_FILENO, &vector, 1);
        }
    }
}
