//! Kills are unwound by tables of this crate (`src/sim/unwind`): what is dropped, in which order and with
//! which values, is what a panic would have dropped.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use labrt::node::Node;
use labrt::sync::{Arc, Mutex};
use labrt::time::Duration;
use labrt::{Config, run, runtime, thread};

type Log = Arc<Mutex<Vec<u64>>>;

/// Notes its number when it is dropped.
struct Noted<'a>(&'a Log, u64);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.lock().push(self.1);
    }
}

/// How a thread ends that has gone deep into its stack.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Panic,
}

/// Waits to be killed, or panics, in the innermost of `depth` frames, each of which keeps more values than
/// there are registers, some of them only until its cleanup.
#[inline(never)]
fn go_deep(depth: u64, log: &Log, end: End) -> u64 {
    let number = black_box(depth);
    let (twice, square, cube) = (number * 2, number * number, number.pow(3));
    let _first = Noted(log, number);
    if depth == 0 {
        match end {
            End::Kill => thread::sleep(Duration::from_secs(100)),
            End::Panic => resume_unwind(Box::new("the end")),
        }
    }
    let array = [twice, square, cube, twice ^ cube];
    let _second = Noted(log, twice + square + cube);
    let below = match depth % 3 {
        0 => go_deep(depth - 1, log, end),
        // Frames that another's code stands between, and one whose values are in a box.
        1 => (0..1).map(|_| go_deep(depth - 1, log, end)).sum(),
        _ => Box::new(|| go_deep(depth - 1, log, end) + number)(),
    };
    below + array.iter().sum::<u64>() + number
}

/// So many arguments are pushed on the stack, and the caller's cleanup expects them to be gone.
#[allow(clippy::too_many_arguments, reason = "they have to be pushed")]
#[inline(never)]
fn wait_with_many(
    log: &Log,
    numbers: [u64; 4],
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
    g: u64,
) -> u64 {
    thread::sleep(Duration::from_secs(100));
    log.lock().push(black_box(a + b + c + d + e + f + g));
    numbers[0]
}

#[inline(never)]
fn push_many(log: &Log) -> u64 {
    let n = black_box(1);
    let _first = Noted(log, n);
    let numbers = black_box([n + 1; 4]);
    let sum = wait_with_many(log, numbers, n, n * 2, n * 3, n * 4, n * 5, n * 6, n * 7);
    let _second = Noted(log, sum);
    wait_with_many(log, numbers, sum, n, n * 3, n * 4, sum, n * 6, sum) + n
}

#[test]
fn a_cleanup_finds_its_frame_behind_arguments_that_were_pushed() {
    let outcome = run(Config::simulated(1), || {
        let (server, log) = (Node::new("server"), Log::default());
        let pushed = log.clone();
        server.spawn("push", move || {
            let _outer = Noted(&pushed, 99);
            push_many(&pushed);
        });
        thread::sleep(Duration::from_millis(1));
        server.kill();
        log.lock().clone()
    });
    assert_eq!(outcome.result.unwrap(), [1, 99]);
}

/// What is dropped when a thread that has gone deep ends so.
fn dropped(depth: u64, end: End) -> Vec<u64> {
    let outcome = run(Config::simulated(1), move || {
        let (server, log) = (Node::new("server"), Log::default());
        let deep = log.clone();
        server.spawn("deep", move || {
            let caught = catch_unwind(AssertUnwindSafe(|| go_deep(depth, &deep, end)));
            deep.lock().push(u64::MAX);
            if let (Err(payload), End::Kill) = (caught, end) {
                resume_unwind(payload);
            }
        });
        thread::sleep(Duration::from_millis(1));
        server.kill();
        log.lock().clone()
    });
    outcome.result.unwrap()
}

#[test]
fn a_kill_drops_what_a_panic_drops() {
    for depth in [1, 2, 3, 10, 50] {
        let killed = dropped(depth, End::Kill);
        assert_eq!(killed, dropped(depth, End::Panic), "depth {depth}");
        assert_eq!(killed.len() as u64, 2 * depth + 2, "depth {depth}");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn a_frame_is_read_once() {
    dropped(10, End::Kill);
    let known = runtime::known_frames();
    assert!(known > 5, "kills are left to the system's unwinder");
    dropped(50, End::Kill);
    // Tests beside this one may come to frames of their own, but not to fifty.
    assert!(runtime::known_frames() < known + 50, "the same frames were read again");
}

/// A frame whose rules are of a rare kind: only the system's unwinder gets through it.
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[allow(unsafe_code, improper_ctypes, reason = "the rules of a frame can be chosen in assembly only")]
mod odd {
    use super::*;

    // Calls its first argument with the second, from a frame whose base is given by an expression (rsp + 16).
    std::arch::global_asm!(
        "labrt_test_call_oddly:",
        ".cfi_startproc",
        "sub rsp, 8",
        ".cfi_escape 0x0f, 0x02, 0x77, 0x10",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "add rsp, 8",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    );

    unsafe extern "C-unwind" {
        #[link_name = "labrt_test_call_oddly"]
        fn call_oddly(f: extern "C-unwind" fn(&Log), argument: &Log);
    }

    extern "C-unwind" fn wait_behind_values(log: &Log) {
        let _inner = Noted(log, 1);
        go_deep(2, log, End::Kill);
    }

    extern "C-unwind" fn wait(_: &Log) {
        thread::sleep(Duration::from_secs(100));
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_system() {
        // The frame comes behind cleanups, or before the first one.
        for (f, dropped) in [(wait_behind_values as extern "C-unwind" fn(&Log), 7), (wait, 1)] {
            let outcome = run(Config::simulated(1), move || {
                let (server, log) = (Node::new("server"), Log::default());
                let inner = log.clone();
                server.spawn("odd", move || {
                    let _outer = Noted(&inner, 99);
                    // SAFETY: `f` takes what it is given, and both may be unwound.
                    unsafe {
                        call_oddly(f, &inner);
                    }
                });
                thread::sleep(Duration::from_millis(1));
                server.kill();
                log.lock().clone()
            });
            let log = outcome.result.unwrap();
            assert_eq!((log.len(), log.last()), (dropped, Some(&99)), "{log:?}");
        }
    }
}
