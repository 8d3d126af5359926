//! What becomes a test binary: `lab-grade __confine CPU ADDRESS FILE TEST PROGRAM ARGUMENT…`.
//!
//! It sets limits of the system. For a test it also gives up the right to open other files than libraries and
//! to write any, and all system calls but those that a test makes. A call that is not there ends the process
//! with SIGSYS, by which the grader knows it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::resource::{Resource, setrlimit};

/// The argument that asks for this.
pub(crate) const WORD: &str = "__confine";

/// The exit code that says that the sandbox could not be made; no test ends with it.
pub(crate) const BROKEN: u8 = 99;

/// What is said then, before anything else.
pub(crate) const COMPLAINT: &str = "lab-grade: the sandbox cannot be made";

/// Confines this process and becomes the program. Returns only if that is impossible.
pub(crate) fn become_confined(arguments: &[OsString]) -> ExitCode {
    let complaint = match confined(arguments) {
        Ok(mut command) => {
            let error = command.exec();
            format!("{}: {error}", command.get_program().display())
        }
        Err(complaint) => complaint,
    };
    eprintln!("{COMPLAINT}: {complaint}");
    ExitCode::from(BROKEN)
}

fn confined(arguments: &[OsString]) -> Result<Command, String> {
    let number = |at: usize| {
        let text = arguments.get(at).and_then(|text| text.to_str()).unwrap_or_default();
        text.parse::<u64>().map_err(|error| format!("argument {at}: {error}"))
    };
    let (cpu_s, address_mb, file_mb, is_test) = (number(0)?, number(1)?, number(2)?, number(3)? == 1);
    const MEBIBYTE: u64 = 1024 * 1024;
    limit(Resource::RLIMIT_CORE, 0)?;
    // The first signal, SIGXCPU, tells why; a process that lives on is killed a second later.
    setrlimit(Resource::RLIMIT_CPU, cpu_s, cpu_s + 1).map_err(|error| error.to_string())?;
    limit(Resource::RLIMIT_FSIZE, file_mb * MEBIBYTE)?;
    if address_mb > 0 {
        limit(Resource::RLIMIT_AS, address_mb * MEBIBYTE)?;
    }
    let program = arguments.get(4).ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(&arguments[5..]);
    if is_test {
        limit(Resource::RLIMIT_NOFILE, 64)?;
        system::restrict(std::path::Path::new(program))?;
    }
    Ok(command)
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    setrlimit(resource, most, most).map_err(|error| format!("{resource:?}: {error}"))
}

/// What this system has to confine a process with.
pub(crate) fn describe() -> &'static str {
    system::DESCRIPTION
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeMap;
    use std::path::Path;

    use landlock::{
        ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
        RulesetCreatedAttr,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    pub(super) const DESCRIPTION: &str = "Landlock (files), seccomp (system calls)";

    pub(super) fn restrict(program: &Path) -> Result<(), String> {
        files(program).map_err(|error| format!("Landlock: {error}"))?;
        calls().map_err(|error| format!("seccomp: {error}"))
    }

    /// Libraries and the program may be read and executed; no other file can be opened.
    fn files(program: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::Execute;
        let all = AccessFs::from_all(ABI::V3);
        let mut rules =
            Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all)?.create()?;
        for path in ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"]
            .map(Path::new)
            .into_iter()
            .chain([program])
        {
            if let Ok(folder) = PathFd::new(path) {
                rules = rules.add_rule(PathBeneath::new(folder, read))?;
            }
        }
        let status = rules.restrict_self()?;
        if status.ruleset == landlock::RulesetStatus::NotEnforced {
            return Err("this kernel has none".into());
        }
        Ok(())
    }

    /// The calls that a test makes, beside those that start it. Measured on all tests of the reference.
    const CALLS: [i64; 51] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_munmap,
        libc::SYS_brk,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_ioctl,
        libc::SYS_pread64,
        libc::SYS_sched_yield,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_set_tid_address,
        libc::SYS_ppoll,
        libc::SYS_fcntl,
        libc::SYS_sched_getaffinity,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_readlinkat,
        libc::SYS_openat,
        libc::SYS_faccessat,
        libc::SYS_getrandom,
        libc::SYS_prlimit64,
        libc::SYS_execve,
        libc::SYS_dup,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_shutdown,
        libc::SYS_membarrier,
        libc::SYS_getcwd,
        libc::SYS_uname,
        libc::SYS_sysinfo,
    ];

    /// Those that only this processor has.
    #[cfg(target_arch = "x86_64")]
    const OLD_CALLS: [i64; 7] = [
        libc::SYS_access,
        libc::SYS_arch_prctl,
        libc::SYS_getrlimit,
        libc::SYS_open,
        libc::SYS_poll,
        libc::SYS_readlink,
        libc::SYS_stat,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD_CALLS: [i64; 0] = [];

    /// Only with some arguments: threads, and signals to this process itself.
    fn calls() -> Result<(), Box<dyn std::error::Error>> {
        const CLONE_THREAD: u64 = 0x0001_0000;
        const PR_SET_NAME: u64 = 15;
        // glibc names its memory by it.
        const PR_SET_VMA: u64 = 0x5356_4d41;
        let bits = |mask, value| {
            let op = SeccompCmpOp::MaskedEq(mask);
            SeccompCondition::new(0, SeccompCmpArgLen::Qword, op, value)
                .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let equal = |value| {
            let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
            condition.and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            CALLS.iter().chain(&OLD_CALLS).map(|call| (*call, Vec::new())).collect();
        rules.insert(libc::SYS_clone, vec![bits(CLONE_THREAD, CLONE_THREAD)?]);
        rules.insert(libc::SYS_prctl, vec![equal(PR_SET_NAME)?, equal(PR_SET_VMA)?]);
        // `abort` sends itself a signal, and nobody else. What is executed next keeps this number.
        rules.insert(libc::SYS_tgkill, vec![equal(u64::from(std::process::id()))?]);
        // glibc tries `clone3` and goes back to `clone`, whose flags can be looked at.
        let arch = std::env::consts::ARCH.try_into()?;
        let absent: BpfProgram = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
            arch,
        )?
        .try_into()?;
        rules.insert(libc::SYS_clone3, Vec::new());
        let filter: BpfProgram =
            SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()?;
        seccompiler::apply_filter(&absent)?;
        seccompiler::apply_filter(&filter)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    pub(super) const DESCRIPTION: &str = "nothing else";

    pub(super) fn restrict(_program: &Path) -> Result<(), String> {
        Err("only Linux has one".to_owned())
    }
}
