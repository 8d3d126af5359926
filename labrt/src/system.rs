//! What the operating system knows of this process and its threads: memory, processor time, and whether a
//! thread wants a processor. Linux and macOS say so in different ways; other systems get "unknown", and the
//! watchdog says less there.

pub(crate) use facts::{OsThread, number_of_this_thread, resident, used};

#[cfg(target_os = "linux")]
mod facts {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// Resident memory of the process, in bytes; 0 if it is unknown.
    pub(crate) fn resident() -> u64 {
        static PAGE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| {
            let pages = statm.split_whitespace().nth(1)?;
            pages.parse::<u64>().ok()
        });
        pages.unwrap_or(0) * *PAGE.get_or_init(page_size)
    }

    /// Processor time of this process so far, of all its threads.
    #[allow(unsafe_code, reason = "std does not tell it")]
    pub(crate) fn used() -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes to `time` only, which lives until it returns.
        let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } == 0;
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
        done.then(|| Duration::new(seconds, nanoseconds))
    }

    #[allow(unsafe_code, reason = "std does not tell the size of a page")]
    fn page_size() -> u64 {
        // SAFETY: `sysconf` only reads its argument.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        u64::try_from(size).unwrap_or(4096)
    }

    /// An OS thread, by its directory below `/proc`.
    #[derive(Clone)]
    pub(crate) struct OsThread {
        directory: PathBuf,
    }

    /// The system's number of the calling thread.
    #[allow(unsafe_code, reason = "std's thread numbers are its own, not the system's")]
    pub(crate) fn number_of_this_thread() -> Option<i32> {
        // SAFETY: the call has no preconditions.
        Some(unsafe { libc::gettid() })
    }

    impl OsThread {
        pub(crate) fn current() -> Option<OsThread> {
            let path = std::fs::read_link("/proc/thread-self").ok()?;
            Some(OsThread { directory: Path::new("/proc").join(path) })
        }

        /// Whether the thread wants a processor (on a busy machine it may have to wait for one) rather than
        /// an event.
        pub(crate) fn is_runnable(&self) -> Option<bool> {
            let stat = std::fs::read_to_string(self.directory.join("stat")).ok()?;
            // The second field is a name in parentheses, which may contain anything; the state follows it.
            let state = stat.rsplit_once(')')?.1.split_whitespace().next()?;
            Some(state == "R")
        }

        /// How long the thread has had a processor so far.
        pub(crate) fn processor_time(&self) -> Option<Duration> {
            self.schedule(0)
        }

        /// How long the thread has wanted a processor so far while others had them.
        pub(crate) fn waiting_time(&self) -> Option<Duration> {
            self.schedule(1)
        }

        fn schedule(&self, field: usize) -> Option<Duration> {
            let schedule = std::fs::read_to_string(self.directory.join("schedstat")).ok()?;
            Some(Duration::from_nanos(schedule.split_whitespace().nth(field)?.parse().ok()?))
        }

        /// Which file the thread waits to write to, if that is what it waits for.
        pub(crate) fn writes_to(&self) -> Option<u32> {
            let call = std::fs::read_to_string(self.directory.join("syscall")).ok()?;
            let mut words = call.split_whitespace();
            let number: libc::c_long = words.next()?.parse().ok()?;
            let file = u32::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
            [libc::SYS_write, libc::SYS_writev].contains(&number).then_some(file)
        }
    }
}

#[cfg(target_vendor = "apple")]
mod facts {
    use std::ffi::c_int;
    use std::time::Duration;

    /// Selects a thread by its 64-bit number (`sys/proc_info.h`); the crate libc does not name it.
    const PROC_PIDTHREADID64INFO: c_int = 15;
    /// The run state of a thread that runs or waits for a processor (`mach/thread_info.h`).
    const TH_STATE_RUNNING: i32 = 1;

    /// Asks the kernel for facts of this process, or of one of its threads.
    ///
    /// # Safety
    /// `T` must be the structure that the kernel writes for `flavor`.
    #[allow(unsafe_code, reason = "std has no interface for these facts")]
    unsafe fn ask<T>(flavor: c_int, argument: u64) -> Option<T> {
        let mut facts = std::mem::MaybeUninit::<T>::zeroed();
        let size = c_int::try_from(size_of::<T>()).ok()?;
        // SAFETY: the buffer is valid for `size` bytes, and the kernel writes no more than that.
        let written =
            unsafe { libc::proc_pidinfo(libc::getpid(), flavor, argument, facts.as_mut_ptr().cast(), size) };
        // SAFETY: the kernel has written the whole structure, which holds numbers and characters only.
        (written == size).then(|| unsafe { facts.assume_init() })
    }

    /// Processor time of this process: nothing here needs it.
    pub(crate) fn used() -> Option<Duration> {
        None
    }

    /// Resident memory of the process, in bytes; 0 if it is unknown.
    #[allow(unsafe_code, reason = "std has no interface for these facts")]
    pub(crate) fn resident() -> u64 {
        // SAFETY: this flavor writes a `proc_taskinfo`.
        let facts = unsafe { ask::<libc::proc_taskinfo>(libc::PROC_PIDTASKINFO, 0) };
        facts.map_or(0, |facts| facts.pti_resident_size)
    }

    /// The system's number of the calling thread: nothing here needs it.
    pub(crate) fn number_of_this_thread() -> Option<i32> {
        None
    }

    /// An OS thread, by its number.
    #[derive(Clone)]
    pub(crate) struct OsThread {
        number: u64,
    }

    impl OsThread {
        #[allow(unsafe_code, reason = "std's thread numbers are its own, not the system's")]
        pub(crate) fn current() -> Option<OsThread> {
            let mut number = 0;
            // SAFETY: the pointer is valid for the call.
            let status = unsafe { libc::pthread_threadid_np(libc::pthread_self(), &mut number) };
            (status == 0).then_some(OsThread { number })
        }

        #[allow(unsafe_code, reason = "std has no interface for these facts")]
        fn facts(&self) -> Option<libc::proc_threadinfo> {
            // SAFETY: this flavor writes a `proc_threadinfo`.
            unsafe { ask(PROC_PIDTHREADID64INFO, self.number) }
        }

        /// Whether the thread wants a processor (on a busy machine it may have to wait for one) rather than
        /// an event.
        pub(crate) fn is_runnable(&self) -> Option<bool> {
            self.facts().map(|facts| facts.pth_run_state == TH_STATE_RUNNING)
        }

        /// How long the thread has had a processor so far.
        pub(crate) fn processor_time(&self) -> Option<Duration> {
            self.facts().map(|facts| Duration::from_nanos(facts.pth_user_time + facts.pth_system_time))
        }

        /// How long the thread has wanted a processor while others had them: this system does not say.
        pub(crate) fn waiting_time(&self) -> Option<Duration> {
            None
        }

        /// Which file the thread waits to write to: this system does not say.
        pub(crate) fn writes_to(&self) -> Option<u32> {
            None
        }
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod facts {
    use std::time::Duration;

    pub(crate) fn resident() -> u64 {
        0
    }

    pub(crate) fn used() -> Option<Duration> {
        None
    }

    pub(crate) fn number_of_this_thread() -> Option<i32> {
        None
    }

    #[derive(Clone)]
    pub(crate) struct OsThread(());

    impl OsThread {
        pub(crate) fn current() -> Option<OsThread> {
            None
        }

        pub(crate) fn is_runnable(&self) -> Option<bool> {
            None
        }

        pub(crate) fn processor_time(&self) -> Option<Duration> {
            None
        }

        pub(crate) fn waiting_time(&self) -> Option<Duration> {
            None
        }

        pub(crate) fn writes_to(&self) -> Option<u32> {
            None
        }
    }
}
