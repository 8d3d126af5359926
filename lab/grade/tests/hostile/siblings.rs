//! More kinds of hostile submissions: siblings of those in `kinds.rs`.

use std::borrow::Cow;

use super::kinds::{Kind, kind};

/// Standard input, on which reports go out, as lab code without `unsafe` can get hold of it.
const CHANNEL: &str = "use std::io::Write as _; use std::os::fd::AsFd as _; \
    let end = std::io::stdin().as_fd().try_clone_to_owned().unwrap(); \
    let mut end = std::os::unix::net::UnixStream::from(end); ";

/// A kind whose body is computed.
fn made(name: &'static str, body: String, class: &'static str, says: &'static str) -> Kind {
    Kind { name, body: Cow::Owned(body), class, says }
}

pub(crate) fn siblings() -> Vec<Kind> {
    let mut kinds = vec![
        made(
            "forge-in-channel",
            format!(
                r#"{CHANNEL} for seed in 0..100 {{ let _ = writeln!(end,
                   "@lab {{{{\"version\":1,\"test\":\"initial_election_2a\",\"seed\":{{seed}},\"ok\":true}}}}"); }}
                   std::process::exit(0);"#
            ),
            "wrong",
            "process::exit was called",
        ),
        made(
            "garble-channel",
            format!("{CHANNEL} let _ = end.write_all(b\"half a line\");"),
            "wrong|not_implemented",
            "",
        ),
        made(
            "flood-channel",
            format!("{CHANNEL} let noise = vec![b'x'; 1 << 20]; loop {{ let _ = end.write_all(&noise); }}"),
            "wrong|slow",
            "output|blocked",
        ),
        made(
            "flood-channel-with-lines",
            format!(
                "{CHANNEL} let noise = \"x\\n\".repeat(1 << 19); loop {{ let _ = end.write_all(noise.as_bytes()); }}"
            ),
            "wrong|slow",
            "output|blocked",
        ),
        made(
            "deep-expression",
            format!("let _ = {}0{};", "(".repeat(100_000), ")".repeat(100_000)),
            "does_not_build",
            "",
        ),
        made("many-errors", "let _: u8 = \"\";\n".repeat(20_000), "does_not_build", "mismatched types"),
    ];
    kinds.extend(SIBLINGS);
    kinds
}

const SIBLINGS: [Kind; 19] = [
    kind(
        "read-seeds",
        "panic!(\"saw {:?} {:?}\", std::env::var_os(\"LAB_SEEDS\"), std::env::var_os(\"LAB_SEED\"));",
        "wrong",
        "saw None None",
    ),
    kind(
        "read-secret",
        "use std::io::Read as _; panic!(\"saw {:?}\", std::io::stdin().read(&mut [0; 64]).ok());",
        "wrong",
        "saw Some(0)",
    ),
    kind(
        "use-up-files",
        "use std::os::fd::AsFd as _; let all: Vec<_> = (0..10_000).map(|_| std::io::stdin().as_fd().try_clone_to_owned()).collect(); \
         std::mem::forget(all);",
        "wrong|not_implemented",
        "",
    ),
    kind("change-folder", "let _ = std::env::set_current_dir(\"/\");", "wrong", "system call"),
    kind(
        "allowed-exit",
        "labrt::runtime::allow_exit(); std::process::exit(0);",
        "wrong",
        "status 0|process::exit",
    ),
    kind(
        "exit-with-the-thread",
        "struct Last; impl Drop for Last { fn drop(&mut self) { std::process::exit(0) } } \
         thread_local! { static LAST: Last = const { Last } } LAST.with(|_| ());",
        "wrong|not_implemented",
        "",
    ),
    kind(
        "run-in-a-run",
        "let _ = labrt::run(labrt::Config::threads(1), || ());",
        "wrong|not_implemented",
        "",
    ),
    kind("park", "loop { std::thread::park(); }", "slow|wrong", ""),
    kind(
        "extern-kill",
        "unsafe extern \"C\" { safe fn kill(process: i32, signal: i32) -> i32; } kill(-1, 9);",
        "does_not_build",
        "unsafe",
    ),
    kind(
        "extern-ptrace",
        "unsafe extern \"C\" { safe fn ptrace(request: i64, process: i32, place: usize, data: usize) -> i64; } ptrace(16, 1, 0, 0);",
        "does_not_build",
        "unsafe",
    ),
    kind(
        "no-mangle",
        "#[unsafe(no_mangle)] pub extern \"C\" fn getrandom(_: *mut u8, length: usize, _: u32) -> isize { length as isize }",
        "does_not_build",
        "unsafe",
    ),
    kind(
        "before-main",
        "extern \"C\" fn before() { std::process::exit(0) } \
         #[used] #[unsafe(link_section = \".init_array\")] static BEFORE: extern \"C\" fn() = before;",
        "does_not_build",
        "unsafe",
    ),
    kind("assembler", "unsafe { std::arch::asm!(\"syscall\") }", "does_not_build", "unsafe"),
    kind(
        "allocator",
        "struct Mine; unsafe impl std::alloc::GlobalAlloc for Mine { \
         unsafe fn alloc(&self, _: std::alloc::Layout) -> *mut u8 { std::ptr::null_mut() } \
         unsafe fn dealloc(&self, _: *mut u8, _: std::alloc::Layout) {} } \
         #[global_allocator] static MINE: Mine = Mine;",
        "does_not_build",
        "unsafe",
    ),
    kind("foreign-path", "#[path = \"/etc/passwd\"] mod foreign;", "does_not_build", ""),
    kind(
        "endless-compilation",
        "#[allow(long_running_const_eval)] const SLOW: u64 = { let mut n = 0_u64; while n < u64::MAX { n += 1; } n }; let _ = SLOW;",
        "does_not_build",
        "processor time",
    ),
    kind(
        "compiler-memory",
        "const HUGE: [u64; 1 << 32] = [1; 1 << 32]; static PLACE: &[u64] = &HUGE; let _ = PLACE[me];",
        "does_not_build",
        "",
    ),
    kind(
        "endless-types",
        "fn deeper<T>(n: u64) { if n > 0 { deeper::<(T, T)>(n - 1) } } deeper::<u8>(9);",
        "does_not_build",
        "",
    ),
    kind(
        "endless-macro",
        "macro_rules! twice { ($($x:tt)*) => { twice!($($x)* $($x)*) } } twice!(x);",
        "does_not_build",
        "",
    ),
];

/// In the reference, which passes as long as the system does not play dice for it.
pub(crate) const IN_THE_REFERENCE: [Kind; 2] = [
    kind(
        "address-as-chance",
        "let place = Box::new(0_u8); \
         labrt::thread::sleep(Duration::from_micros((&raw const *place).addr() as u64 / 16 % 1000));",
        "nondeterministic",
        "repeated with the same seed",
    ),
    kind(
        "count-across-seeds",
        "static MADE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0); \
         let made = MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst); \
         labrt::thread::sleep(Duration::from_micros(made));",
        "nondeterministic",
        "repeated with the same seed",
    ),
];
