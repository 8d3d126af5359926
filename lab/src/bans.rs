//! Calls that the simulation does not see: locks, threads and clocks of std in the code of a lab. Clippy
//! refuses them (`clippy.toml`), and few run it; this look at the sources takes milliseconds.

use std::path::Path;

use crate::catalogue::Test;
use crate::statics::{rust_files, sources_of, without_comments_and_texts};

/// What is banned, and what stands in its place.
const BANNED: [(&str, &str); 16] = [
    ("std::sync::Mutex", "labrt::sync::Mutex"),
    ("std::sync::RwLock", "labrt::sync::RwLock"),
    ("std::sync::Condvar", "labrt::sync::Condvar"),
    ("std::sync::Barrier", "labrt::sync"),
    ("std::sync::mpsc", "labrt::channel"),
    ("parking_lot::", "labrt::sync"),
    ("crossbeam_channel::", "labrt::channel"),
    ("crossbeam::channel", "labrt::channel"),
    ("tokio::", "labrt, which has threads instead of tasks"),
    ("std::thread", "labrt::thread"),
    ("std::time::Instant", "labrt::time::Instant"),
    ("std::time::SystemTime", "labrt::time::Instant"),
    ("rand::rng()", "labrt::rand"),
    ("rand::random", "labrt::rand"),
    ("std::process::exit", "a panic"),
    ("std::net::", "labrpc"),
];

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

fn in_text(file: &str, text: &str) -> Vec<String> {
    let code = without_comments_and_texts(text);
    let mut found = Vec::new();
    let mut is_test = false;
    for (index, line) in code.lines().enumerate() {
        // Unit tests stand at the end of a file, and run outside of the simulation.
        is_test |= line.trim() == "#[cfg(test)]";
        if is_test {
            break;
        }
        for path in paths(line) {
            if let Some((what, instead)) = BANNED.iter().find(|(what, _)| is_use_of(&path, what)) {
                found.push(format!(
                    "{file}:{}: `{}` is not seen by the simulation, which cannot schedule, time or replay it; use {instead}",
                    index + 1,
                    what.trim_end_matches("::")
                ));
            }
        }
    }
    found
}

fn is_use_of(path: &str, what: &str) -> bool {
    // `labrt::rand::random_range` is allowed.
    path.strip_prefix(what.trim_end_matches("::")).is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with("::")
            || (what.ends_with("random") && rest.starts_with(['_', '(']))
    })
}

/// The paths in a line, with `use a::{b, c}` as `a::b` and `a::c`.
fn paths(line: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let is_part = |letter: char| {
        letter.is_alphanumeric() || letter == '_' || letter == ':' || letter == '(' || letter == ')'
    };
    for (at, word) in words(line, is_part) {
        let rest = &line[at + word.len()..];
        match (word.strip_suffix("::"), rest.strip_prefix('{')) {
            (Some(stem), Some(list)) => {
                let list = list.split('}').next().unwrap_or_default();
                paths
                    .extend(list.split(',').map(|name| {
                        format!("{stem}::{}", name.trim().split(' ').next().unwrap_or_default())
                    }));
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths
}

/// The longest pieces of a line whose letters all are of a kind, with their places.
fn words(line: &str, is_part: impl Fn(char) -> bool) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut begun = None;
    for (at, letter) in line.char_indices().chain([(line.len(), ' ')]) {
        match (begun, is_part(letter)) {
            (None, true) => begun = Some(at),
            (Some(from), false) => {
                words.push((from, &line[from..at]));
                begun = None;
            }
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let words = |line: String| line.split(" is not").next().unwrap_or_default().to_owned();
        in_text("x.rs", text).into_iter().map(words).collect()
    }

    #[test]
    fn what_the_simulation_does_not_see_is_named_with_its_line() {
        let text = "use std::sync::{Arc, Mutex};\nuse std::thread;\nlet now = std::time::Instant::now();\n\
                    let x = rand::random();\nuse parking_lot::Mutex;";
        let expected = [
            "x.rs:1: `std::sync::Mutex`",
            "x.rs:2: `std::thread`",
            "x.rs:3: `std::time::Instant`",
            "x.rs:4: `rand::random`",
            "x.rs:5: `parking_lot`",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn what_the_runtime_offers_comments_and_unit_tests_are_not() {
        let text = "use std::sync::Arc;\nuse labrt::sync::Mutex;\n// std::thread::sleep\nlabrt::rand::random_range(0..3);\n\
                    let text = \"std::sync::Mutex\";\nuse std::sync::atomic::AtomicU64;\n#[cfg(test)]\nuse std::thread;";
        assert_eq!(found(text), Vec::<String>::new());
    }
}
