//! Stacks: their size, and what is said when one overflows.

use labrt::node::Node;
use labrt::time::Duration;
use labrt::{Config, run, thread};

use crate::child::{is_child, run_as_child};

/// Runs `main` as a thread of a node in a process of its own, which must end soon with a report of the
/// overflow.
fn overflows(test: &str, main: fn()) {
    if is_child() {
        run(Config::simulated(9), move || Node::new("server-0").spawn("election_loop", main).join().unwrap());
        return;
    }
    let ended = run_as_child(&format!("stacks::{test}"));
    let text: String = ended.text.chars().rev().take(2000).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(!ended.success);
    assert!(text.contains("stack overflow in thread `election_loop` of `server-0`"), "{text}");
    assert!(text.contains("seed 9"), "{text}");
    assert!(ended.took < Duration::from_secs(5), "the report took {:?}", ended.took);
}

fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[7] }
}

#[test]
fn an_overflow_says_so() {
    overflows("an_overflow_says_so", || {
        std::hint::black_box(recurse(0));
    });
}

/// Sizes for which most of the time goes into the allocator, so that it overflows there, with its lock held.
#[test]
fn an_overflow_within_the_allocator_says_so_at_once() {
    #[allow(unconditional_recursion, reason = "it overflows on purpose")]
    fn allocate(depth: usize, size: usize) -> usize {
        let block = std::hint::black_box(vec![depth as u8; size]);
        allocate(depth + 1, size) + 1 + block.len()
    }
    overflows("an_overflow_within_the_allocator_says_so_at_once", || {
        std::hint::black_box(allocate(1, 24));
    });
}

#[test]
fn an_overflow_while_standard_error_is_locked_says_so() {
    #[allow(unconditional_recursion, reason = "it overflows on purpose")]
    fn print(depth: u64) -> u64 {
        eprintln!("depth {depth}");
        print(depth + 1) + 1
    }
    overflows("an_overflow_while_standard_error_is_locked_says_so", || {
        std::hint::black_box(print(0));
    });
}

#[test]
fn an_array_that_does_not_fit_says_so_even_in_the_first_frame() {
    overflows("an_array_that_does_not_fit_says_so_even_in_the_first_frame", || {
        let array = std::hint::black_box([1_u8; 3_000_000]);
        std::hint::black_box(array[std::hint::black_box(77)]);
    });
}

#[test]
fn a_main_closure_with_a_huge_array_says_so() {
    const NAME: &str = "stacks::a_main_closure_with_a_huge_array_says_so";
    if is_child() {
        run(Config::simulated(9), || {
            let array = std::hint::black_box([1_u8; 3_000_000]);
            array[std::hint::black_box(77)]
        });
        return;
    }
    let ended = run_as_child(NAME);
    assert!(ended.text.contains("stack overflow in thread `main` of `main`"), "{}", ended.text);
}

#[test]
fn what_fits_a_thread_of_std_fits_here() {
    let outcome = run(Config::simulated(1), || {
        let sum = |size: usize| (0..size).sum::<usize>();
        let thread = thread::spawn(move || {
            let array = std::hint::black_box([1_u8; 600_000]);
            sum(array.iter().map(|&byte| usize::from(byte)).sum::<usize>() / 600_000 + 9)
        });
        thread.join().unwrap()
    });
    assert_eq!(outcome.result.unwrap(), 45);
}

/// Pages that this process has touched for the first time, so far.
fn first_touches() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses; the tenth field is the eighth behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// In a process of its own, since other tests touch pages as well.
#[test]
fn a_run_on_a_new_os_thread_takes_the_stacks_of_the_last_one() {
    const NAME: &str = "stacks::a_run_on_a_new_os_thread_takes_the_stacks_of_the_last_one";
    const THREADS: u64 = 200;
    const RUNS: u64 = 20;
    fn uses_a_map_of_std() {
        assert!(std::collections::HashMap::<u64, u64>::new().is_empty());
        let threads: Vec<_> =
            (0..THREADS).map(|_| thread::spawn(|| thread::sleep(Duration::from_millis(1)))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    if !is_child() {
        let ended = run_as_child(NAME);
        assert!(ended.success, "{}", ended.text);
        return;
    }
    let run_some = |runs: u64| {
        (0..runs).for_each(|_| run(Config::simulated(1), uses_a_map_of_std).result.unwrap());
    };
    run_some(3);
    let Some(before) = first_touches() else { return };
    run_some(RUNS);
    let touches = first_touches().unwrap() - before;
    assert!(touches < RUNS * THREADS / 2, "{touches} pages are touched anew in {RUNS} runs");
}
