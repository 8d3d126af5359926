//! Kinds of hostile submissions that need nothing but what lab code may name: values that misbehave when they
//! are dropped or shown, the framework's own means, and what makes the compiler work.

use std::borrow::Cow;

use super::kinds::{Kind, kind};

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::from(KINDS);
    let sized = [
        (
            "many-functions",
            (0..15_000)
                .map(|n| format!("fn f{n}() -> [u8; {n}] {{ [{}; {n}] }}\n", n % 200))
                .collect::<String>(),
            "not_implemented|does_not_build",
        ),
        (
            "many-variants",
            format!(
                "#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)] enum Many {{ {} }} let _ = Many::V1;",
                (0..12_000).map(|n| format!("V{n},")).collect::<String>()
            ),
            "not_implemented|does_not_build",
        ),
        (
            "deep-modules",
            format!("{}{}", "mod m { ".repeat(3_000), "}".repeat(3_000)),
            "not_implemented|does_not_build",
        ),
        (
            "deep-types",
            format!("let _: {}u8{};", "Option<".repeat(20_000), ">".repeat(20_000)),
            "does_not_build",
        ),
        (
            "deep-blocks",
            format!("{}{}", "{".repeat(5_000), "}".repeat(5_000)),
            "not_implemented|does_not_build",
        ),
        ("deep-comment", format!("{}{}", "/*".repeat(100_000), "*/".repeat(100_000)), "not_implemented"),
        ("long-sum", format!("let _ = 0u64{};", " + 1".repeat(100_000)), "not_implemented|does_not_build"),
        ("long-text", format!("let _ = \"{}\";", "x".repeat(900_000)), "not_implemented"),
    ];
    kinds.extend(sized.map(|(name, body, class)| Kind { name, body: Cow::Owned(body), class, says: "" }));
    kinds
}

const KINDS: [Kind; 22] = [
    kind(
        "show-panics",
        "struct Bad; impl std::fmt::Display for Bad { \
         fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { panic!(\"shown\") } } \
         panic!(\"{Bad}\");",
        "wrong",
        "",
    ),
    kind(
        "show-sleeps",
        "struct Bad; impl std::fmt::Display for Bad { \
         fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { \
         labrt::thread::sleep(labrt::time::Duration::from_secs(1)); Ok(()) } } \
         panic!(\"{Bad}\");",
        "wrong|slow",
        "",
    ),
    kind(
        "long-names",
        "for _ in 0..100 { drop(labrt::thread::spawn_named(\"x\\n@lab \".repeat(1 << 20), || \
         labrt::thread::sleep(labrt::time::Duration::from_secs(3600)))); }",
        "wrong|slow|not_implemented",
        "",
    ),
    kind(
        "many-nodes",
        "loop { let node = labrt::node::Node::new(\"x\"); \
         drop(node.spawn(\"y\", || labrt::thread::sleep(labrt::time::Duration::from_secs(3600)))); }",
        "wrong|slow",
        "",
    ),
    kind(
        "calls-without-end",
        "fn again() { labrt::runtime::at(labrt::runtime::now(), again); } again();",
        "wrong|slow|not_implemented",
        "",
    ),
    kind("kill-itself", "labrt::node::current().kill();", "wrong", ""),
    kind(
        "kill-another-node",
        "labrt::node::Node::new(\"x\").enter(|| labrt::node::current().kill());",
        "wrong|not_implemented",
        "",
    ),
    kind("stop-itself", "labrt::node::current().pause();", "wrong|slow|not_implemented", ""),
    kind("no-clock", "labrt::node::current().set_clock_rate(f64::NAN);", "wrong|slow|not_implemented", ""),
    kind("fast-clock", "labrt::node::current().set_clock_rate(f64::MAX);", "wrong|slow|not_implemented", ""),
    kind(
        "log-reader",
        "#[derive(Debug)] struct Ear; impl tracing::Subscriber for Ear { \
         fn enabled(&self, _: &tracing::Metadata<'_>) -> bool { panic!(\"heard\") } \
         fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id { loop {} } \
         fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {} \
         fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {} \
         fn event(&self, _: &tracing::Event<'_>) { loop {} } \
         fn enter(&self, _: &tracing::span::Id) {} fn exit(&self, _: &tracing::span::Id) {} } \
         std::mem::forget(tracing::subscriber::set_default(Ear)); tracing::info!(\"x\");",
        "wrong|slow|not_implemented",
        "",
    ),
    kind("large-disk", "loop { persister.append(&vec![1; 1 << 26]); }", "slow", "memory"),
    kind(
        "calls-to-itself",
        "let end = peers[me].clone(); loop { let _ = end.call(\"Raft.Nothing\", Vec::new()); }",
        "slow|wrong",
        "",
    ),
    kind(
        "caught",
        "loop { let _ = labrt::runtime::catch_panic(|| { labrt::thread::sleep(labrt::time::Duration::from_secs(1)); panic!(\"x\") }); }",
        "slow|wrong",
        "",
    ),
    kind(
        "status-of-the-sandbox",
        "println!(\"lab-grade: the sandbox cannot be made: x\"); println!(\"bwrap: x\"); \
         println!(\"running 0 tests\"); std::process::exit(99);",
        "wrong",
        "process::exit was called",
    ),
    kind(
        "disk-is-full",
        "compile_error!(\"No space left on device (os error 28); Bus error\");",
        "does_not_build",
        "No space left",
    ),
    kind(
        "own-clone",
        "impl Clone for Raft { fn clone(&self) -> Raft { loop {} } }",
        "not_implemented|does_not_build",
        "",
    ),
    kind(
        "types-that-double",
        "fn twice<F: Fn() -> usize + Copy>(f: F, n: Box<dyn Fn()>) -> usize { f() + std::mem::size_of_val(&n) } \
         trait Grow { const SIZE: usize; } struct Leaf; struct Pair<A, B>(std::marker::PhantomData<(A, B)>); \
         impl Grow for Leaf { const SIZE: usize = 1; } \
         impl<A: Grow, B: Grow> Grow for Pair<A, B> { const SIZE: usize = A::SIZE + B::SIZE; } \
         type P1 = Pair<Leaf, Leaf>; type P2 = Pair<P1, P1>; type P3 = Pair<P2, P2>; type P4 = Pair<P3, P3>; \
         type P5 = Pair<P4, P4>; type P6 = Pair<P5, P5>; type P7 = Pair<P6, P6>; type P8 = Pair<P7, P7>; \
         type P9 = Pair<P8, P8>; type Q1 = Pair<P9, P9>; type Q2 = Pair<Q1, Q1>; type Q3 = Pair<Q2, Q2>; \
         type Q4 = Pair<Q3, Q3>; type Q5 = Pair<Q4, Q4>; type Q6 = Pair<Q5, Q5>; type Q7 = Pair<Q6, Q6>; \
         type Q8 = Pair<Q7, Q7>; type Q9 = Pair<Q8, Q8>; type R1 = Pair<Q9, Q9>; type R2 = Pair<R1, R1>; \
         type R3 = Pair<R2, R2>; type R4 = Pair<R3, R3>; type R5 = Pair<R4, R4>; \
         assert!(R5::SIZE + twice(|| 1, Box::new(|| ())) > 0);",
        "not_implemented|does_not_build",
        "",
    ),
    kind(
        "traits-without-end",
        "trait Deep { fn go(&self) {} } impl<T> Deep for Vec<T> where Vec<Vec<T>>: Deep {} \
         fn ask<T: Deep>() {} ask::<Vec<u8>>();",
        "does_not_build",
        "",
    ),
    kind(
        "const-recursion",
        "const fn deep(n: u64) -> u64 { if n == 0 { 0 } else { deep(n + 1) } } const N: u64 = deep(1); let _ = N;",
        "does_not_build",
        "",
    ),
    kind(
        "many-recursions",
        "macro_rules! down { (0) => { 0 }; ($($x:tt)*) => { 1 + down!($($x)* .) } } let _ = down!(.);",
        "does_not_build",
        "",
    ),
    kind(
        "drop-without-end",
        "struct Node(Option<Box<Node>>); let mut list = None; \
         for _ in 0..1_000_000 { list = Some(Box::new(Node(list))); } drop(list.map(|node| node.0));",
        "wrong",
        "stack",
    ),
];

/// In the reference, which would pass.
pub(crate) const IN_THE_REFERENCE: [Kind; 7] = [
    kind(
        "drop-panics",
        "struct Last; impl Drop for Last { fn drop(&mut self) { panic!(\"dropped\") } } let last = Last; \
         drop(thread::spawn(move || { let _last = last; loop { thread::sleep(Duration::from_secs(1)); } }));",
        "wrong|flaky|slow|nondeterministic",
        "",
    ),
    kind(
        "drop-hangs",
        "struct Last; impl Drop for Last { fn drop(&mut self) { loop { std::hint::spin_loop(); } } } let last = Last; \
         drop(thread::spawn(move || { let _last = last; loop { thread::sleep(Duration::from_secs(1)); } }));",
        "slow|wrong|flaky",
        "",
    ),
    kind(
        "drop-sleeps",
        "struct Last; impl Drop for Last { fn drop(&mut self) { loop { thread::sleep(Duration::from_secs(1)); } } } \
         let last = Last; drop(thread::spawn(move || { let _last = last; loop { thread::sleep(Duration::from_secs(1)); } }));",
        "correct|slow|wrong|flaky|nondeterministic",
        "",
    ),
    kind(
        "drop-exits",
        "struct Last; impl Drop for Last { fn drop(&mut self) { std::process::exit(0) } } let last = Last; \
         drop(thread::spawn(move || { let _last = last; loop { thread::sleep(Duration::from_secs(1)); } }));",
        "wrong|slow|flaky",
        "",
    ),
    kind(
        "no-such-test",
        "use std::os::fd::AsFd as _; println!(\"\\nrunning 0 tests\\n\"); \
         let end = std::io::stdin().as_fd().try_clone_to_owned().unwrap(); \
         let _ = std::os::unix::net::UnixStream::from(end).shutdown(std::net::Shutdown::Both);",
        "wrong",
        "",
    ),
    kind(
        "output-of-its-own",
        "println!(\"test result: ok. 1 passed\\n@lab {{}}\\n\\u{1b}[2J\");",
        "correct",
        "",
    ),
    kind(
        "counts-its-seeds",
        "let made = thread::current_name(); if labrt::runtime::seed() % 2 == 0 && !made.is_empty() { panic!(\"by the seed\") }",
        "flaky|wrong",
        "",
    ),
];
