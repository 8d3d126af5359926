//! Stack traces of other threads: where a thread is that does not come back to the runtime.
//!
//! The watchdog sends the thread a signal. The handler may have interrupted anything, the allocator and the
//! lock of standard error included. So it neither allocates nor locks: it walks the stack and stores raw
//! addresses in memory that is always there. The watchdog turns them into names and lines afterwards.

#[cfg(target_os = "linux")]
pub(crate) use linux::of;

/// Other systems get no trace: sending a signal to a thread that may have ended is not safe there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_thread: Option<i32>) -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::fmt::Write;
    use std::path::Path;
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;

    /// Frames that are stored, at most. An endless recursion has more.
    const MOST: usize = 256;

    /// How long the watchdog waits for the handler. A thread that waits in the kernel without listening to
    /// signals gets no trace.
    const PATIENCE: Duration = Duration::from_millis(500);

    /// By default this signal is ignored, and hardly any program uses it.
    const SIGNAL: c_int = libc::SIGURG;

    /// The thread whose handler shall store its frames; 0 if none shall.
    static ASKED: AtomicI32 = AtomicI32::new(0);
    /// The handler has stored all.
    static DONE: AtomicBool = AtomicBool::new(false);
    static FRAMES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    /// Where among the frames the interrupted one is. Those before are the handler's.
    static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);

    /// A frame as the unwinder sees it.
    #[repr(C)]
    struct Context {
        _opaque: [u8; 0],
    }

    // The unwinder that panics use as well. Every program with std is linked with it.
    #[allow(unsafe_code, reason = "std's own backtraces allocate and lock")]
    unsafe extern "C" {
        fn _Unwind_Backtrace(
            visit: extern "C" fn(*mut Context, *mut c_void) -> c_int,
            argument: *mut c_void,
        ) -> c_int;
        fn _Unwind_GetIPInfo(context: *mut Context, is_before_instruction: *mut c_int) -> usize;
    }

    /// Stores the address of one frame; whether to stop, as a number other than 0.
    #[allow(unsafe_code, reason = "asks the unwinder")]
    extern "C" fn store(context: *mut Context, _: *mut c_void) -> c_int {
        let mut is_interrupted = 0;
        // SAFETY: the unwinder passes its valid context, and the second pointer is valid for the call.
        let address = unsafe { _Unwind_GetIPInfo(context, &raw mut is_interrupted) };
        let count = COUNT.load(Ordering::Relaxed);
        let Some(frame) = FRAMES.get(count).filter(|_| address != 0) else { return 1 };
        // The frame in which a coroutine is entered is marked like an interrupted one, and comes later.
        if is_interrupted != 0 && INTERRUPTED.load(Ordering::Relaxed) == 0 {
            INTERRUPTED.store(count, Ordering::Relaxed);
        }
        // Other frames hold the address behind their call, as `backtrace::resolve` expects it.
        frame.store(address + usize::from(is_interrupted != 0), Ordering::Relaxed);
        COUNT.store(count + 1, Ordering::Relaxed);
        0
    }

    #[allow(unsafe_code, reason = "walks the stack of the interrupted code")]
    extern "C" fn on_signal(_: c_int) {
        // SAFETY: these calls have no preconditions; the place of `errno` is the thread's own.
        let (thread, errno) = unsafe { (libc::gettid(), libc::__errno_location()) };
        if ASKED.compare_exchange(thread, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: `errno` is valid for as long as the thread lives.
        let before = unsafe { *errno };
        // SAFETY: the unwinder reads the stack and the tables of the program's code only. It neither
        // allocates nor blocks: the only lock on its way, the loader's, may be taken again by its holder.
        unsafe { _Unwind_Backtrace(store, std::ptr::null_mut()) };
        // SAFETY: as above. The interrupted code must not see another value than its own.
        unsafe { *errno = before };
        DONE.store(true, Ordering::Release);
    }

    #[allow(unsafe_code, reason = "std has no interface for signals")]
    fn install() {
        // SAFETY: all zeroes is a valid `sigaction`, the pointers are valid for the call, and the handler
        // only does what an asynchronous signal allows. It runs on the stack of the interrupted code, which
        // has more room than a stack for signals.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut());
        }
    }

    /// Asks the thread for its frames; none if it does not answer.
    #[allow(unsafe_code, reason = "std has no interface for signals")]
    fn capture(thread: i32) -> Vec<usize> {
        static HANDLER: Once = Once::new();
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        /// A handler has begun and not ended: the frames are its own from now on.
        static LOST: AtomicBool = AtomicBool::new(false);
        HANDLER.call_once(install);
        let _turn = ONE_AT_A_TIME.lock();
        if LOST.load(Ordering::Relaxed) {
            return Vec::new();
        }
        COUNT.store(0, Ordering::Relaxed);
        INTERRUPTED.store(0, Ordering::Relaxed);
        DONE.store(false, Ordering::Relaxed);
        ASKED.store(thread, Ordering::Release);
        // SAFETY: the call fails if there is no such thread any more, and its handler does nothing in any
        // other thread.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) } == 0;
        let deadline = Instant::now() + PATIENCE;
        while sent && !DONE.load(Ordering::Acquire) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !DONE.load(Ordering::Acquire) {
            let begun = ASKED.compare_exchange(thread, 0, Ordering::Relaxed, Ordering::Relaxed).is_err();
            LOST.store(begun, Ordering::Relaxed);
            return Vec::new();
        }
        let frames = INTERRUPTED.load(Ordering::Relaxed)..COUNT.load(Ordering::Relaxed);
        FRAMES[frames].iter().map(|frame| frame.load(Ordering::Relaxed)).collect()
    }

    /// The stack trace of a thread of this process, by its number in the system, innermost frame first and
    /// written as std writes them; None if the thread does not answer.
    pub(crate) fn of(thread: Option<i32>) -> Option<String> {
        let frames = capture(thread?);
        let mut text = String::new();
        for (number, &address) in frames.iter().enumerate() {
            backtrace::resolve(address as *mut c_void, |symbol| {
                let name = symbol.name().map_or_else(|| "?".to_owned(), |name| format!("{name:#}"));
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{number:>4}: {name}");
                if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
                    let _ = writeln!(text, "             at {}:{line}", from_workspace(file).display());
                }
            });
        }
        (!text.is_empty()).then(|| text.trim_end().to_owned())
    }

    /// The path as the compiler's own messages have it: within the workspace.
    fn from_workspace(file: &Path) -> &Path {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        workspace.and_then(|folder| file.strip_prefix(folder).ok()).unwrap_or(file)
    }
}
