//! What ends a process in the middle of a run says whose doing it was; and what a report must not contain.

use labrt::node::Node;
use labrt::{Config, Outcome, run, thread};

use crate::child::{is_child, run_as_child, run_with};

/// Runs `main` in a process of its own, as a thread of a server, in both worlds. Each time the process must
/// fail and say all of `expected`.
fn ends(test: &str, main: fn(), expected: &[&str]) {
    const WORLD: &str = "LABRT_TEST_WORLD";
    if is_child() {
        let real = std::env::var(WORLD).is_ok_and(|world| world == "threads");
        let config = if real { Config::threads(6) } else { Config::simulated(6) };
        let _ = run(config, move || Node::new("server-1").spawn("apply_loop", main).join().unwrap());
        return;
    }
    for world in ["simulated", "threads"] {
        let ended = run_with(&format!("ends::{test}"), &[(WORLD, world)]);
        assert!(!ended.success, "{world}: {}", ended.text);
        for words in expected {
            assert!(ended.text.contains(words), "{world}: {words} is missing in {}", ended.text);
        }
    }
}

#[test]
fn an_exit_of_a_thread_of_std_is_a_failure() {
    ends(
        "an_exit_of_a_thread_of_std_is_a_failure",
        || std::thread::spawn(|| std::process::exit(0)).join().unwrap(),
        &["process::exit was called in a run", "a thread of std", "seed 6"],
    );
}

#[test]
fn giving_up_is_no_silent_end_for_a_lab() {
    ends(
        "giving_up_is_no_silent_end_for_a_lab",
        || labrt::runtime::give_up(),
        &["process::exit was called in a run: by thread `apply_loop` of `server-1`", "seed 6"],
    );
}

const ABORTED: [&str; 2] =
    ["the process was aborted in a run: by thread `apply_loop` of `server-1`", "seed 6"];

#[test]
fn an_abort_names_its_thread() {
    ends("an_abort_names_its_thread", || std::process::abort(), &ABORTED);
}

#[test]
fn an_allocation_that_is_refused_names_its_thread() {
    ends(
        "an_allocation_that_is_refused_names_its_thread",
        || drop(std::hint::black_box(vec![1_u8; 1 << 46])),
        &ABORTED,
    );
}

#[test]
fn an_overflowing_stack_names_its_thread_in_both_worlds() {
    fn recurse(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[7] }
    }
    ends(
        "an_overflowing_stack_names_its_thread_in_both_worlds",
        || {
            std::hint::black_box(recurse(0));
        },
        &["`apply_loop` of `server-1`", "seed 6"],
    );
}

/// Of two logs that should be equal, say.
#[test]
fn a_message_of_megabytes_is_shortened() {
    let outcome: Outcome<()> = run(Config::simulated(1), || panic!("begins {} ends", "é ".repeat(1_000_000)));
    let failure = outcome.result.unwrap_err();
    let message = failure.message;
    assert!(message.len() < 10_000 && failure.location.is_some(), "{}", message.len());
    assert!(message.starts_with("begins é") && message.ends_with("é  ends"), "{message}");
    assert!(message.contains("bytes are left out"), "{message}");
}

#[test]
fn a_line_that_an_earlier_run_began_is_not_shown() {
    const NAME: &str = "ends::a_line_that_an_earlier_run_began_is_not_shown";
    if is_child() {
        run(Config::simulated(1), || eprint!("without an end")).result.unwrap();
        let outcome: Outcome<()> = run(Config::simulated(1), || {
            eprintln!("of the second run");
            panic!("fails");
        });
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.printed[0].text, "of the second run");
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}

/// The program's own panic hook takes the place of labrt's, which alone learns the lines.
#[test]
fn a_panic_past_another_hook_says_why_it_has_no_line() {
    const NAME: &str = "ends::a_panic_past_another_hook_says_why_it_has_no_line";
    if is_child() {
        let outcome: Outcome<()> = run(Config::simulated(1), || {
            std::panic::set_hook(Box::new(|_| ()));
            panic!("fails");
        });
        let failure = outcome.result.unwrap_err();
        assert!(failure.message.starts_with("fails (its line is not known"), "{failure}");
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}

/// The limit stands for that of the system, some thirty thousand stacks.
#[cfg(target_os = "linux")]
#[test]
fn more_threads_than_there_is_room_for_are_a_failure_with_its_line() {
    #[allow(unsafe_code, reason = "std has no interface for limits")]
    fn limit_memory() {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split_whitespace().next().unwrap().parse().unwrap();
        let limit = pages * 4096 + (200 << 20);
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the pointer is valid for the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    }
    const NAME: &str = "ends::more_threads_than_there_is_room_for_are_a_failure_with_its_line";
    if is_child() {
        let outcome = run(Config::simulated(1), || {
            limit_memory();
            let sleep = || thread::sleep(std::time::Duration::from_secs(1));
            (0..1000).for_each(|_| drop(thread::spawn(sleep)));
        });
        let failure = outcome.result.unwrap_err();
        assert!(failure.message.contains("no room for another thread's stack"), "{failure}");
        assert!(failure.location.as_ref().unwrap().contains("ends.rs"), "{failure}");
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.success, "{}", ended.text);
}
