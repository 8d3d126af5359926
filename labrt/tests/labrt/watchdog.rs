//! The watchdog ends what does not come back, and names the thread that does not.

use labrt::node::Node;
use labrt::time::{Duration, Instant};
use labrt::{Config, FailureKind, Limits, channel, run, thread};

use crate::child::{is_child, run_as_child};

/// Runs the test of this name in a process of its own: whether it succeeded, and what it said.
fn in_child(test: &str) -> (bool, String) {
    let ended = run_as_child(test);
    (ended.success, ended.text)
}

fn stuck_limits() -> Limits {
    Limits { stuck_after: Duration::from_millis(300), ..Limits::default() }
}

#[test]
fn an_endless_loop_is_named_by_the_watchdog() {
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            Node::new("server-2").spawn("apply_loop", || while std::hint::black_box(true) {}).join().unwrap();
        });
        return;
    }
    let (success, text) = in_child("watchdog::an_endless_loop_is_named_by_the_watchdog");
    assert!(!success);
    assert!(text.contains("thread `apply_loop` of `server-2`") && text.contains("endless loop"), "{text}");
    assert!(text.contains("seed 7"), "{text}");
}

/// The line in which `marked` stands in this file, as a report names it.
#[cfg(target_os = "linux")]
fn line_of(marked: &str) -> String {
    let mut lines = include_str!("watchdog.rs").lines();
    let number = lines.position(|line| line.trim_end().ends_with(marked)).expect("a marked line") + 1;
    format!("labrt/tests/labrt/watchdog.rs:{number}")
}

/// Computes for ever, three calls below the thread's closure, while it allocates.
#[cfg(target_os = "linux")]
#[test]
fn an_endless_loop_is_shown_with_its_line() {
    #[inline(never)]
    fn inner() {
        loop {
            std::hint::black_box(vec![1_u8; 100]);
        }
    }
    #[inline(never)]
    fn outer() {
        inner(); // the call that does not return
        std::hint::black_box(());
    }
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            Node::new("server-2").spawn("apply_loop", outer).join().unwrap();
        });
        return;
    }
    let (success, text) = in_child("watchdog::an_endless_loop_is_shown_with_its_line");
    assert!(!success);
    let frames: Vec<&str> =
        text.lines().filter_map(|line| line.trim_end().split_once(": ")).map(|frame| frame.1).collect();
    assert!(frames.iter().any(|frame| frame.ends_with("inner")), "{text}");
    assert!(frames.iter().any(|frame| frame.ends_with("outer")), "{text}");
    assert!(text.contains(&line_of("// the call that does not return")), "{text}");
}

/// A lock of std that its own thread holds: it sleeps in the kernel.
#[cfg(target_os = "linux")]
#[test]
fn a_blocked_os_thread_is_shown_with_its_line() {
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            let lock = std::sync::Mutex::new(());
            let _first = lock.lock();
            let _second = lock.lock(); // for ever
        });
        return;
    }
    let (success, text) = in_child("watchdog::a_blocked_os_thread_is_shown_with_its_line");
    assert!(!success);
    assert!(text.contains(&line_of("// for ever")), "{text}");
}

/// On real threads each thread that does not end is shown, not the main one alone.
#[cfg(target_os = "linux")]
#[test]
fn real_threads_that_do_not_end_are_shown_with_their_lines() {
    if is_child() {
        run(Config::threads(8).limits(soon(1)), || {
            let blocks = || {
                std::thread::sleep(Duration::from_secs(60)); // sleeps
                std::hint::black_box(());
            };
            Node::new("server-1").spawn("peer_loop", blocks);
            thread::spawn_named("idle", || thread::sleep(Duration::from_secs(60)));
            std::thread::sleep(Duration::from_secs(60)); // the main thread
        });
        return;
    }
    let (success, text) = in_child("watchdog::real_threads_that_do_not_end_are_shown_with_their_lines");
    assert!(!success);
    for expected in
        [line_of("// sleeps"), line_of("// the main thread"), "`peer_loop` of `server-1`:".to_owned()]
    {
        assert!(text.contains(&expected), "{expected} in {text}");
    }
    assert!(!text.contains("`idle` of"), "{text}");
}

#[test]
fn a_blocked_os_thread_is_named_by_the_watchdog() {
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            let blocks = || std::thread::sleep(std::time::Duration::from_secs(60));
            Node::new("server-1").spawn("peer_loop", blocks).join().unwrap();
        });
        return;
    }
    let (success, text) = in_child("watchdog::a_blocked_os_thread_is_named_by_the_watchdog");
    assert!(!success);
    assert!(
        text.contains("thread `peer_loop` of `server-1`") && text.contains("blocks the OS thread"),
        "{text}"
    );
}

fn soon(real_s: u64) -> Limits {
    let (stuck_after, real_time) = (Duration::from_millis(300), Duration::from_secs(real_s));
    Limits { stuck_after, real_time, ..Limits::default() }
}

/// A thread of another node than the killer's, that computes for ever in a destructor.
#[test]
fn a_thread_that_does_not_die_is_named_and_not_its_killer() {
    struct Computes;
    impl Drop for Computes {
        fn drop(&mut self) {
            while std::hint::black_box(true) {}
        }
    }
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            let server = Node::new("server-2");
            server.spawn("stubborn", || {
                let _computes = Computes;
                thread::sleep(Duration::from_secs(9));
            });
            thread::sleep(Duration::from_millis(1));
            server.kill();
        });
        return;
    }
    let (success, text) = in_child("watchdog::a_thread_that_does_not_die_is_named_and_not_its_killer");
    assert!(!success);
    assert!(text.contains("thread `stubborn` of `server-2`") && text.contains("endless loop"), "{text}");
}

#[test]
fn the_limit_of_time_holds_for_a_real_main_thread_that_loops() {
    if is_child() {
        run(Config::threads(8).limits(soon(1)), || while std::hint::black_box(true) {});
        return;
    }
    let ended = run_as_child("watchdog::the_limit_of_time_holds_for_a_real_main_thread_that_loops");
    let text = &ended.text;
    assert_eq!(ended.code, Some(101), "{text}");
    assert!(ended.took < Duration::from_secs(30));
    assert!(text.contains("not ended after 1 s of real time") && text.contains("`main` of `main`"), "{text}");
    assert!(text.contains("endless loop") && text.contains("seed 8"), "{text}");
}

#[test]
fn the_limit_of_time_holds_for_a_real_main_thread_that_blocks() {
    if is_child() {
        run(Config::threads(8).limits(soon(1)), || {
            thread::spawn_named("idle", || thread::sleep(Duration::from_secs(60)));
            let (_sender, receiver) = std::sync::mpsc::channel::<u32>();
            receiver.recv().ok()
        });
        return;
    }
    let (success, text) = in_child("watchdog::the_limit_of_time_holds_for_a_real_main_thread_that_blocks");
    assert!(!success);
    assert!(text.contains("a channel of std") && text.contains("`main` of `main`"), "{text}");
    assert!(!text.contains("`idle`"), "that thread ended when it was asked to: {text}");
}

#[test]
fn a_pipe_that_nobody_reads_is_not_called_a_lock() {
    if is_child() {
        run(Config::simulated(7).limits(stuck_limits()), || {
            let (_reader, mut writer) = std::io::pipe().unwrap();
            let fills = move || while std::io::Write::write(&mut writer, &[0; 4096]).is_ok() {};
            Node::new("server-1").spawn("peer_loop", fills).join().unwrap();
        });
        return;
    }
    let (success, text) = in_child("watchdog::a_pipe_that_nobody_reads_is_not_called_a_lock");
    assert!(!success);
    assert!(text.contains("`peer_loop` of `server-1`"), "{text}");
    assert!(cfg!(not(target_os = "linux")) || text.contains("it waits in a write"), "{text}");
}

/// The process prints more than the pipe holds, and the reader comes late: that fails no test.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_comes_late_fails_nothing() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    const NAME: &str = "watchdog::a_reader_that_comes_late_fails_nothing";
    if is_child() {
        let outcome = run(Config::simulated(7).limits(stuck_limits()), || {
            for line in 0..20_000 {
                println!("line {line}");
            }
        });
        outcome.result.unwrap();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env("LABRT_TEST_CHILD", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success() && text.contains("line 19999"));
}

/// Memory that is being given back takes its time, in which the run calls nothing.
#[test]
fn a_process_that_gives_memory_back_is_not_ended() {
    const MIB: u64 = 1024 * 1024;
    if is_child() {
        let limits = Limits { memory: 150 * MIB, ..Limits::default() };
        // Blocks that the allocator gives back to the system at once.
        let mut blocks: Vec<Vec<u8>> = (0..8).map(|_| vec![1; 40 * MIB as usize]).collect();
        let outcome = run(Config::simulated(1).limits(limits), move || {
            while blocks.pop().is_some() {
                std::thread::sleep(Duration::from_millis(60));
            }
            thread::yield_now();
            blocks.len()
        });
        assert_eq!(outcome.result.unwrap(), 0);
        return;
    }
    let (success, text) = in_child("watchdog::a_process_that_gives_memory_back_is_not_ended");
    assert!(success, "{text}");
}

#[test]
fn a_run_that_eats_memory_without_a_call_is_ended_with_its_process() {
    if is_child() {
        let limits = Limits { memory: 200 * 1024 * 1024, ..Limits::default() };
        run(Config::simulated(5).limits(limits), || {
            let blocks: Vec<Vec<u8>> = (0..300).map(|_| vec![1; 1024 * 1024]).collect();
            while std::hint::black_box(!blocks.is_empty()) {}
        });
        return;
    }
    let (success, text) =
        in_child("watchdog::a_run_that_eats_memory_without_a_call_is_ended_with_its_process");
    assert!(!success);
    assert!(text.contains("the limit is 200 MiB (seed 5)"), "{text}");
}

#[test]
fn for_ever_is_for_ever_on_a_wrong_clock_too() {
    for rate in [0.98, 1.5] {
        let outcome = run(Config::simulated(1), move || {
            let node = Node::new("server-0");
            thread::sleep(Duration::from_secs(1));
            node.set_clock_rate(rate);
            let (sender, receiver) = channel::unbounded::<u32>();
            let sleeps = node.spawn("sleeps", || thread::sleep(Duration::MAX));
            let receives = node.spawn("receives", move || receiver.recv_timeout(Duration::MAX));
            thread::sleep(Duration::from_secs(100));
            let ended = (sleeps.is_finished(), receives.is_finished());
            drop(sender);
            assert!(node.enter(Instant::now) > Instant::from_nanos(90_000_000_000));
            ended
        });
        assert_eq!(outcome.result.unwrap(), (false, false));
    }
}

#[test]
fn a_kind_of_failure_is_one_of_the_known() {
    let limits = Limits { real_time: Duration::from_millis(50), spin_steps: u64::MAX, ..Limits::default() };
    let outcome = run(Config::threads(1).limits(limits), || thread::sleep(Duration::from_secs(60)));
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::RealTime);
}

fn exits(test: &str, config: Config) {
    if is_child() {
        run(config, || {
            let thread = Node::new("server-1").spawn("apply_loop", || std::process::exit(0));
            thread.join().unwrap();
        });
        return;
    }
    let ended = run_as_child(&format!("watchdog::{test}"));
    let text = &ended.text;
    assert_eq!(ended.code, Some(101), "{text}");
    assert!(text.contains("process::exit was called in a run"), "{text}");
    assert!(text.contains("`apply_loop` of `server-1`") && text.contains("seed 6"), "{text}");
}

#[test]
fn an_exit_in_a_simulation_is_a_failure() {
    exits("an_exit_in_a_simulation_is_a_failure", Config::simulated(6));
}

#[test]
fn an_exit_on_a_real_thread_is_a_failure() {
    exits("an_exit_on_a_real_thread_is_a_failure", Config::threads(6));
}

/// Handlers that call themselves for ever are thousands of threads in one place.
#[test]
fn threads_that_wait_in_one_place_are_one_line() {
    let limits = Limits { real_time: Duration::from_millis(300), ..Limits::default() };
    let outcome = run(Config::threads(1).limits(limits), || {
        for _ in 0..50 {
            thread::spawn_named("sleeper", || thread::sleep(Duration::from_secs(60)));
        }
        thread::sleep(Duration::from_secs(60));
    });
    let message = outcome.result.expect_err("it sleeps too long").message;
    assert!(message.contains("`sleeper` of `main` (50 threads) was last at "), "{message}");
    assert_eq!(message.matches("sleeper").count(), 1, "{message}");
}
