//! Kinds of submissions that say something: texts with signs that a page, a table, a terminal or XML takes
//! for its own, in messages, names of threads, logs and the compiler's words; and words that are the
//! tester's.

use super::kinds::{Kind, kind};

pub(crate) const KINDS: [Kind; 3] = [
    kind(
        "error-with-signs",
        "compile_error!(\"<script>alert(1)</script> ]]> \\u{1b}[31m \\u{0} \\u{202e}abc \\u{fffe} \\n=cmd()\");",
        "does_not_build",
        "script",
    ),
    kind(
        "own-macros",
        "macro_rules! assert { ($($x:tt)*) => {} } macro_rules! println { ($($x:tt)*) => { () } } \
         macro_rules! vec { ($($x:tt)*) => { Vec::<u8>::new() } } assert!(vec![1].len() == 1); println!();",
        "not_implemented",
        "",
    ),
    kind(
        "own-framework",
        "mod labrt { pub fn seed() -> u64 { 7 } } mod tester { pub fn run() {} } tester::run(); let _ = labrt::seed();",
        "not_implemented",
        "",
    ),
];

/// In the reference, with a failure in each run whose seed is even.
pub(crate) const IN_THE_REFERENCE: [Kind; 5] = [
    kind(
        "panic-with-signs",
        "if labrt::runtime::seed() % 2 == 0 { panic!(\"</pre><script>alert(1)</script>]]>\\u{0}\\u{1b}]0;x\\u{7}\\u{202e}\\u{fffe}\\r\\n=HYPERLINK(1)\\t@x\"); }",
        "flaky|wrong",
        "script",
    ),
    kind(
        "thread-with-signs",
        "drop(thread::spawn_named(\"a`b</pre>\\u{1b}[31m\\u{0}\\n,\\\"\", || { thread::sleep(Duration::from_millis(500)); panic!(\"named\") }));",
        "flaky|wrong",
        "named",
    ),
    kind(
        "long-log",
        "for i in 0..3 { tracing::info!(\"{i} {}\", \"x<&>\\u{1b}\\n\".repeat(1 << 18)); } \
         if labrt::runtime::seed() % 2 == 0 { panic!(\"late\") }",
        "flaky|wrong",
        "late",
    ),
    kind(
        "says-it-is-to-be-written",
        "if labrt::runtime::seed() % 2 == 0 { panic!(\"not yet implemented: 2A\") }",
        "flaky|wrong|not_implemented",
        "",
    ),
    kind(
        "says-it-is-the-tester",
        "panic!(\"broken invariant: OneVote\\n  tester error\\nNOT TO BE TRUSTED: x\");",
        "wrong",
        "broken invariant",
    ),
];
