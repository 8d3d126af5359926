//! Kinds of hostile submissions, and the verdict about each.

use std::borrow::Cow;

/// A kind of submission: its name, what stands in `Raft::make` before `todo!`, what the verdict must be, and
/// what it must say.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) body: Cow<'static, str>,
    /// One of these, with `|` between them.
    pub(crate) class: &'static str,
    pub(crate) says: &'static str,
}

pub(crate) const fn kind(
    name: &'static str,
    body: &'static str,
    class: &'static str,
    says: &'static str,
) -> Kind {
    Kind { name, body: Cow::Borrowed(body), class, says }
}

pub(crate) const KINDS: [Kind; 38] = [
    kind("exit", "std::process::exit(0);", "wrong", "process::exit was called"),
    kind("abort", "std::process::abort();", "wrong", "SIGABRT"),
    kind(
        "forged-reports",
        r#"for seed in 0..100 { println!("@lab {{\"version\":1,\"test\":\"initial_election_2a\",\"seed\":{seed},\"ok\":true}}"); }
           println!("test result: ok. 43 passed"); std::process::exit(0);"#,
        "wrong",
        "process::exit was called",
    ),
    kind("endless-loop", "loop { std::hint::spin_loop(); }", "slow", ""),
    kind("endless-yields", "loop { labrt::thread::yield_now(); }", "slow", ""),
    kind("endless-sleep", "loop { labrt::thread::sleep(labrt::time::Duration::from_secs(1)); }", "slow", ""),
    kind("memory", "let mut all = Vec::new(); loop { all.push(vec![1u8; 1 << 20]); }", "slow", "memory"),
    kind("memory-at-once", "drop(std::hint::black_box(vec![1u8; 1 << 40]));", "slow", "memory"),
    kind(
        "stack",
        "fn deep(n: u64) -> u64 { let a = [n; 64]; deep(n + 1) + a[(n % 64) as usize] } deep(0);",
        "wrong",
        "stack",
    ),
    kind(
        "log-flood",
        "loop { println!(\"{}\", \"x\".repeat(60_000)); labrt::thread::yield_now(); }",
        "wrong|slow",
        "",
    ),
    kind(
        "process",
        "let _ = std::process::Command::new(\"/bin/sh\").arg(\"-c\").arg(\":\").status();",
        "wrong",
        "system call",
    ),
    kind(
        "fork-bomb",
        "loop { let _ = std::process::Command::new(\"/proc/self/exe\").spawn(); }",
        "wrong",
        "system call",
    ),
    kind(
        "kill-parent",
        "let _ = std::process::Command::new(\"kill\").arg(\"-9\").arg(\"1\").status();",
        "wrong",
        "system call",
    ),
    kind("network", "let _ = std::net::TcpStream::connect(\"127.0.0.1:22\");", "wrong", "system call"),
    kind("network-listen", "let _ = std::net::TcpListener::bind(\"127.0.0.1:0\");", "wrong", "system call"),
    kind(
        "unix-socket",
        "let _ = std::os::unix::net::UnixStream::connect(\"/run/x\");",
        "wrong",
        "system call",
    ),
    kind(
        "read-files",
        "panic!(\"saw {:?}\", std::fs::read(\"/etc/passwd\").map(|_| ()).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "read-memory",
        "panic!(\"saw {:?}\", std::fs::read(\"/proc/self/mem\").map(|_| ()).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "read-others",
        "panic!(\"saw {:?}\", std::fs::read_dir(\"/\").map(|all| all.count()).map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind(
        "fill-disk",
        "panic!(\"saw {:?}\", std::fs::write(\"/tmp/x\", vec![0; 1 << 28]).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "close-the-channel",
        "use std::os::fd::AsFd; let end = std::io::stdin().as_fd().try_clone_to_owned(); \
         let _ = std::os::unix::net::UnixStream::from(end.unwrap()).shutdown(std::net::Shutdown::Both);",
        "wrong",
        "",
    ),
    kind("panic-hook", "std::panic::set_hook(Box::new(|_| {}));", "wrong|not_implemented", ""),
    kind(
        "catch",
        "let _ = std::panic::catch_unwind(|| { panic!(\"x\") }); loop { let _ = std::panic::catch_unwind(|| labrt::thread::sleep(labrt::time::Duration::from_secs(1))); }",
        "wrong|slow",
        "",
    ),
    kind(
        "deadlock",
        "let lock = labrt::sync::Mutex::new(()); let _first = lock.lock(); let _second = lock.lock();",
        "wrong",
        "",
    ),
    kind(
        "unsafe",
        "#[allow(unsafe_code)] unsafe { std::hint::unreachable_unchecked() }",
        "does_not_build",
        "unsafe",
    ),
    kind("include", "let _ = include_str!(\"/etc/shadow\");", "does_not_build", "shadow"),
    kind("foreign-crate", "let _ = tester::run;", "does_not_build", "tester"),
    kind(
        "large-constant",
        "static HUGE: [u8; 1 << 46] = [1; 1 << 46]; let _ = HUGE[me];",
        "does_not_build",
        "",
    ),
    kind(
        "environment",
        "panic!(\"saw {:?} {:?}\", std::env::var_os(\"HOME\"), std::env::var_os(\"LAB_GRADE_CACHE\"));",
        "wrong",
        "saw None None",
    ),
    kind(
        "exec",
        "use std::os::unix::process::CommandExt; panic!(\"{}\", std::process::Command::new(\"/bin/sh\").exec());",
        "wrong",
        "Permission denied|system call",
    ),
    kind("network-datagrams", "let _ = std::net::UdpSocket::bind(\"127.0.0.1:0\");", "wrong", "system call"),
    kind(
        "remove-files",
        "panic!(\"saw {:?}\", std::fs::remove_dir_all(\"/usr\").map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind(
        "link",
        "panic!(\"saw {:?}\", std::os::unix::fs::symlink(\"/\", \"/tmp/x\").map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind("panic-flood", "panic!(\"{}\", \"x\".repeat(1 << 28));", "wrong|slow", ""),
    kind(
        "panic-in-panic",
        "struct Again; impl Drop for Again { fn drop(&mut self) { panic!(\"again\") } } \
         let _again = Again; panic!(\"first\");",
        "wrong",
        "",
    ),
    kind("terminal-and-page", "panic!(\"\\x1b]0;x\\x07</pre><script>alert(1)</script>\");", "wrong", ""),
    kind(
        "many-threads",
        "loop { drop(labrt::thread::spawn(|| labrt::thread::sleep(labrt::time::Duration::from_secs(3600)))); }",
        "slow|wrong",
        "",
    ),
    kind(
        "thread-of-the-system",
        "std::thread::spawn(|| loop { std::hint::spin_loop() });",
        "wrong|not_implemented",
        "",
    ),
];

/// The same with what stands in the reference before its threads start: code that passes at first, or by
/// chance.
pub(crate) const IN_THE_REFERENCE: [Kind; 3] = [
    kind(
        "first-seeds",
        "static MADE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0); \
         if MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 8 { panic!(\"enough\"); }",
        "wrong|nondeterministic|flaky",
        "",
    ),
    kind(
        "wall-clock",
        "let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH); \
         if now.map_or(0, |now| now.subsec_nanos() / 64) % 16 == 0 { panic!(\"by the clock\"); }",
        "wrong|nondeterministic|flaky",
        "",
    ),
    kind(
        "clock-as-chance",
        "let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH); \
         labrt::thread::sleep(Duration::from_micros(now.map_or(0, |now| u64::from(now.subsec_nanos() / 64) % 1000)));",
        "nondeterministic",
        "repeated with the same seed",
    ),
];
