//! Calls that the simulation does not see: locks, threads and clocks of std in the code of a lab. Clippy
//! refuses them (`clippy.toml`), and few run it; this look at the sources takes milliseconds.

mod paths;

use std::collections::BTreeMap;
use std::path::Path;

use paths::{Used, used};

use crate::catalogue::Test;
use crate::statics::{rust_files, sources_of, without_comments_and_texts};

/// What is wrong with a lock, a thread or a clock of std.
const UNSEEN: &str = "is not seen by the simulation, which cannot schedule, time or replay it";

/// With an atomic of std.
const UNEXPLORED: &str = "hides races: the simulation explores those on its own atomics only";

/// With random numbers that no seed decides.
const CHANCE: &str = "draws what no seed decides, so that no run with it can be replayed";

/// With the end of the process.
const END: &str = "ends the process, and with it all servers and the test";

/// What is banned, why, and what stands in its place. A star stands for the rest of a name.
const BANNED: [(&str, &str, &str); 24] = [
    ("std::sync::Mutex", UNSEEN, "labrt::sync::Mutex"),
    ("std::sync::RwLock", UNSEEN, "labrt::sync::RwLock"),
    ("std::sync::Condvar", UNSEEN, "labrt::sync::Condvar"),
    ("std::sync::Barrier", UNSEEN, "labrt::sync::WaitGroup"),
    ("std::sync::Once", UNSEEN, "labrt::sync::Once"),
    ("std::sync::mpsc", UNSEEN, "labrt::channel"),
    ("std::sync::atomic::Atomic*", UNEXPLORED, "labrt::sync::atomic"),
    ("parking_lot", UNSEEN, "labrt::sync"),
    ("crossbeam_channel", UNSEEN, "labrt::channel"),
    ("crossbeam::channel", UNSEEN, "labrt::channel"),
    ("tokio", UNSEEN, "labrt, which has threads instead of tasks"),
    ("async_std", UNSEEN, "labrt, which has threads instead of tasks"),
    ("rayon", UNSEEN, "labrt::thread"),
    ("std::thread", UNSEEN, "labrt::thread"),
    ("std::time::Instant", UNSEEN, "labrt::time::Instant"),
    ("std::time::SystemTime", UNSEEN, "labrt::time::Instant"),
    ("std::time::UNIX_EPOCH", UNSEEN, "labrt::time::Instant"),
    ("rand::rng", CHANCE, "labrt::rand"),
    ("rand::thread_rng", CHANCE, "labrt::rand"),
    ("rand::random*", CHANCE, "labrt::rand"),
    ("fastrand", CHANCE, "labrt::rand"),
    ("std::process::exit", END, "a panic"),
    ("std::process::abort", END, "a panic"),
    ("std::net", UNSEEN, "labrpc"),
];

/// What of that is harmless.
const HARMLESS: [&str; 2] = ["std::thread::panicking", "std::thread::Result"];

/// How many lines of one file are named for one thing.
const LINES: usize = 4;

/// The uses in the sources of the packages of these tests, each with its place and what to write instead.
pub(crate) fn in_sources_of(root: &Path, tests: &[Test]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in sources_of(root, tests) {
        for file in rust_files(&folder) {
            // A file that cannot be read is the compiler's to complain of.
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            found.extend(in_text(&name, &text));
        }
    }
    found
}

/// A line for each banned thing in a file, in the order of their first places.
fn in_text(file: &str, text: &str) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for Used { line, path } in used(&without_comments_and_texts(text), is_banned) {
        if let Some((what, ..)) = ban(&path) {
            places.entry(what).or_default().push(line);
        }
    }
    let mut found: Vec<(usize, String)> = places
        .into_iter()
        .filter_map(|(what, mut lines)| {
            lines.dedup();
            let (_, why, instead) = BANNED.iter().find(|(banned, ..)| *banned == what)?;
            let (first, more) = lines.split_first()?;
            let also = also(more);
            Some((*first, format!("{file}:{first}: `{what}` {why}; use {instead}{also}")))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, line)| line).collect()
}

/// " (also in lines 7 and 12)".
fn also(lines: &[usize]) -> String {
    let some: Vec<String> = lines.iter().take(LINES).map(usize::to_string).collect();
    let more = lines.len() - some.len();
    match (lines.len(), more) {
        (0, _) => String::new(),
        (1, _) => format!(" (also in line {})", some[0]),
        (_, 0) => format!(" (also in lines {})", some.join(", ")),
        _ => format!(" (also in lines {} and {more} more)", some.join(", ")),
    }
}

fn is_banned(path: &str) -> bool {
    ban(path).is_some()
}

/// The row of the table that a path falls under.
fn ban(path: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let below = |path: &str, what: &str| {
        path.strip_prefix(what).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if HARMLESS.iter().any(|what| below(path, what)) {
        return None;
    }
    BANNED.iter().find(|(what, ..)| match what.strip_suffix('*') {
        Some(stem) => path.starts_with(stem),
        None => below(path, what),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let words = |line: String| line.split("` ").next().unwrap_or_default().to_owned() + "`";
        in_text("x.rs", text).into_iter().map(words).collect()
    }

    #[test]
    fn what_the_simulation_does_not_see_is_named_with_its_line() {
        let text = "use std::sync::{Arc, Mutex};\nuse std::thread;\nlet now = std::time::Instant::now();\n\
                    let x = rand::random();\nuse parking_lot::Mutex;\nuse std::sync::atomic::{AtomicU64, Ordering};";
        let expected = [
            "x.rs:1: `std::sync::Mutex`",
            "x.rs:2: `std::thread`",
            "x.rs:3: `std::time::Instant`",
            "x.rs:4: `rand::random*`",
            "x.rs:5: `parking_lot`",
            "x.rs:6: `std::sync::atomic::Atomic*`",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn what_the_runtime_offers_comments_and_unit_tests_are_not() {
        let text = "use std::sync::Arc;\nuse labrt::sync::Mutex;\n// std::thread::sleep\nlabrt::rand::random_range(0..3);\n\
                    let text = \"std::sync::Mutex\";\nuse std::sync::atomic::Ordering;\nstd::thread::panicking();\n\
                    #[cfg(test)]\nmod tests {\n    use std::thread;\n}";
        assert_eq!(found(text), Vec::<String>::new());
    }

    /// As rustfmt lays out a long list.
    #[test]
    fn a_list_may_take_many_lines() {
        let text = "use std::{\n    collections::HashMap,\n    sync::{\n        Arc, Condvar,\n        mpsc::{self, Sender},\n    },\n    \
                    thread::{JoinHandle, sleep as doze},\n};\n";
        let expected = ["x.rs:4: `std::sync::Condvar`", "x.rs:5: `std::sync::mpsc`", "x.rs:7: `std::thread`"];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn a_module_that_is_named_first_is_followed() {
        assert_eq!(
            found("use std::sync;\nlet a = 1;\nlet m = sync::Mutex::new(a);"),
            ["x.rs:3: `std::sync::Mutex`"]
        );
        assert_eq!(
            found("use std::time as clock;\nclock::SystemTime::now();"),
            ["x.rs:2: `std::time::SystemTime`"]
        );
        assert_eq!(found("use std::sync::*;\nstruct A { b: Mutex<u8> }"), ["x.rs:2: `std::sync::Mutex`"]);
        assert_eq!(found("use ::std::thread::spawn;"), ["x.rs:1: `std::thread`"]);
        // The runtime's own, under the names of others.
        assert_eq!(
            found(
                "use labrt::{rand, sync, thread};\nthread::sleep(rand::random_range(x));\nsync::Mutex::new(1);"
            ),
            Vec::<String>::new()
        );
        assert_eq!(
            found("use std::sync::*;\nuse labrt::sync::Mutex;\nstruct A { b: Mutex<u8> }"),
            Vec::<String>::new()
        );
    }

    /// What stands behind a module of tests is looked at, too.
    #[test]
    fn unit_tests_end_where_they_end() {
        assert_eq!(found("#[cfg(test)]\nmod tests;\nuse std::thread;"), ["x.rs:3: `std::thread`"]);
        let text = "#[cfg(test)]\nmod tests {\n    fn a() { let b = ['{', '\\''; std::thread::spawn(|| {}); }\n}\nfn b() { std::thread::spawn(|| {}); }";
        assert_eq!(found(text), ["x.rs:5: `std::thread`"]);
    }

    /// The sources are looked at before the compiler has seen them.
    #[test]
    fn a_list_that_is_not_closed_ends_with_its_line() {
        let text = "use std::sync::{Arc, Mutex;\nuse std::{thread, sync::{Condvar;\nfn f() { std::process::exit(0) }";
        let expected = [
            "x.rs:1: `std::sync::Mutex`",
            "x.rs:2: `std::sync::Condvar`",
            "x.rs:2: `std::thread`",
            "x.rs:3: `std::process::exit`",
        ];
        assert_eq!(found(text), expected);
        for text in ["use a::{", "use {;", "use ;", "use {{{,;}", "use a::{b,,;c}", "use", "use }"] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    /// One thing that a file uses often is one line.
    #[test]
    fn places_of_one_thing_stand_together() {
        let text = "std::thread::spawn(f);\n\nstd::thread::sleep(t);\nstd::process::exit(0);";
        let lines = in_text("x.rs", text);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("use labrt::thread (also in line 3)"), "{lines:?}");
        assert!(lines[1].starts_with("x.rs:4: `std::process::exit` ends the process"), "{lines:?}");
        assert_eq!(also(&[1, 2, 3, 4, 5, 6]), " (also in lines 1, 2, 3, 4 and 2 more)");
    }
}
