use super::*;

/// The fault's name in a crate of this one file.
fn fault(text: &str) -> String {
    faults(&[("raft/src/lib.rs", text)])
}

/// The fault's name in a crate of these files.
fn faults(files: &[(&str, &str)]) -> String {
    let inspected = inspect(&sources(files), &Sources::new());
    inspected.map_or_else(|refusal| refusal.fault, |_| "none".to_owned())
}

fn sources(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn what_reaches_out_of_the_simulation_is_refused() {
    let table = [
        ("fn f() { std::process::exit(0) }", "process"),
        ("use std::{fmt, process::abort};", "process"),
        ("use std::process as p;", "process"),
        ("use std as s;", "std"),
        ("use ::std::*;", "std"),
        ("use std::{self, fmt};", "std"),
        ("m!(std);", "std"),
        ("use core as c;", "std"),
        ("use ::core as c;", "std"),
        ("core::env!(\"HOME\")", "environment"),
        ("r#std::fs::read(\"x\")", "files"),
        ("std /* a */ :: /* b */ fs::read(\"x\")", "files"),
        ("use std::path::Path;", "files"),
        ("let x = std::env::var(\"X\");", "environment"),
        ("const X: &str = env!(\"HOME\");", "environment"),
        ("const X: Option<&str> = option_env!(\"HOME\");", "environment"),
        ("use std::net::TcpStream;", "network"),
        ("use std::os::fd::AsFd;", "system"),
        ("use std::time::{Duration, Instant};", "clock"),
        ("use std::time;", "clock"),
        ("use std::sync::{Arc, Mutex};", "blocking"),
        ("use std::sync::*;", "blocking"),
        ("std::thread::spawn(f);", "blocking"),
        ("std::panic::catch_unwind(f);", "panic"),
        ("unsafe { *p }", "unsafe"),
        ("extern crate alloc;", "extern"),
        ("extern \"C\" { fn kill(); }", "extern"),
        ("include!(\"/etc/passwd\");", "include"),
        ("const X: &str = include_str!(\"../tests/raft/main.rs\");", "include"),
        ("m!(include_bytes);", "include"),
        ("#[path = \"/tmp/x.rs\"] mod x;", "path"),
        ("#[link_section = \".init_array\"] fn f() {}", "link"),
        ("#[unsafe(no_mangle)] fn f() {}", "attribute"),
        ("#![feature(x)]", "attribute"),
        ("#[cfg_attr(all(), path = \"x\")] mod x;", "path"),
        ("#[serde(default = \"std::process::abort\")] x: u8,", "process"),
        ("static SEEN: AtomicU64 = AtomicU64::new(0);", "shared"),
        ("fn f() { static X: labrt::sync::Mutex<u8> = y; }", "shared"),
        ("thread_local! { static X: u8 = 0; }", "shared"),
        ("macro_rules! m { ($x:ident) => { $x!(\"y\") } }", "macro"),
        ("macro_rules! m { ($x:path) => { $x::read() } }", "macro"),
        ("serde::__private::x()", "private"),
        ("std::io::stdin().lines();", "input"),
        ("asm!(\"nop\")", "assembler"),
        ("#[proc_macro] pub fn m() {}", "attribute"),
        ("#[cfg(test)] mod tests { fn f() {} } use std::fs;", "files"),
        ("#[cfg(test)] use std::net; use std::fs;", "files"),
        ("#[cfg(test)] fn f() {} fn g() { std::fs::read(\"x\") }", "files"),
        ("#[cfg(test)] static X: Log = Log::new();", "shared"),
        ("struct A { #[cfg(test)] x: u8, y: std::fs::File }", "files"),
        ("#[cfg(not(test))] use std::fs;", "files"),
    ];
    for (text, expected) in table {
        assert_eq!(fault(text), expected, "{text}");
    }
}

/// Words that are harmless where they stand, and that a macro, or whoever reads a text, puts elsewhere.
#[test]
fn what_a_macro_makes_of_words_is_refused() {
    let table = [
        ("macro_rules! m { ($s:ident :: $a:ident $b:ident) => { $s::$b } } m!(std::mem process)", "std"),
        (
            "macro_rules! m { ($($($a:tt)*)|*) => { $($($a)*)* } } m!(std::sync::Arc; std | ::fs::read(\"x\"))",
            "std",
        ),
        ("macro_rules! m { ($($($a:tt)*)|*) => { $($($a)*)* } } m!(include | !(\"x\"))", "include"),
        (
            "macro_rules! m { ($a:tt :: $x:tt $($b:tt)*) => { $a $($b)* } } m!(std::mem ::fs::read(\"x\"))",
            "std",
        ),
        ("macro_rules! m { ($($a:tt)*) => { $($a)::* } } m!(std fs read)", "std"),
        (
            "macro_rules! n { ($a:tt $b:tt) => { use $a as s; } } macro_rules! m { ($($a:tt)*) => { n!($($a)*) } } \
             m!(std::mem)",
            "std",
        ),
        ("macro_rules! m { ($s:ident) => { $s } } use m as vec; vec!(std::mem)", "std"),
        ("macro_rules! m { ($($x:tt)*) => { $($x)* } } m! { #[cfg(test)] mod a { use std::fs; } }", "none"),
        ("macro_rules! m { ($($x:tt)*) => { $($x)*!(\"X\") } } m!(env)", "macro"),
        ("macro_rules! m { ($($x:tt),*) => { $($x),*![\"X\"] } } m!(env)", "macro"),
        ("macro_rules! m { ($a:tt $b:tt $c:tt) => { $a $b $c } } m!(env 1 2)", "environment"),
        ("macro_rules! m { ($n:ident) => { macro_rules! $n { () => {} } } } m!(vec);", "macro"),
        ("macro_rules! m { ($a:tt ! $b:tt $($c:tt)*) => { } } m!(macro_rules ! x vec)", "macro"),
        ("macro_rules! m { ($u8:ty, $e:expr) => { static X: $u8 = $e; } }", "shared"),
        ("macro_rules! m { ($u8:ident) => { static X: u8 = 3; } }", "shared"),
        (
            "macro_rules! m { ($a:tt $n:ident : $t:ty) => { $a $n: Log = X; } } m!(static X: u64 = 0)",
            "shared",
        ),
        (
            "macro_rules! m { ($t:ident) => { type $t = Log; } } m!(u64); static X: u64 = Log::new();",
            "shared",
        ),
        ("macro_rules! u8 { () => { Log } } static X: u8!() = Log::new();", "shared"),
        ("type u64 = Log; static X: u64 = u64::new();", "shared"),
        ("struct Duration(Log); static X: Duration = Duration(Log::new());", "shared"),
        ("use log::{Other as f64, x}; static X: f64 = f64::new();", "shared"),
        ("macro_rules! m { ($a:ident) => { #[$a] fn f() {} } }", "attribute"),
        ("macro_rules! m { ($a:meta) => { #[$a] fn f() {} } } m!(path = \"x\");", "attribute"),
        ("macro_rules! m { ($($a:tt)*) => { #[$($a)*] mod x; } }", "attribute"),
        ("macro_rules! m { ($x:tt) => { #[serde(default = $x)] } } m!(\"std::process::abort\")", "attribute"),
        ("#[serde(default = \"\\x73td::process::abort\")] x: u8,", "attribute"),
        ("#[cfg_attr(all(), derive(A), no_mangle)] fn f() {}", "link"),
        ("#[cfg_attr(all(), cfg_attr(all(), path = \"x\"))] mod a;", "attribute"),
        ("\u{feff}#!/*\nuse std::fs;\n// */", "files"),
        ("macro_rules! m { ($($x:tt)*) => { $($x)* } } m!(mod a { use std::fs; })", "files"),
    ];
    for (text, expected) in table {
        assert_eq!(fault(text), expected, "{text}");
    }
}

/// What the framework has for oracles and for the tester's own use.
#[test]
fn what_all_servers_can_reach_is_refused() {
    let table = [
        ("let log = labrpc::ClientEnd::beside(&peers, || Mutex::new(Log::new()));", "shared"),
        ("use tracing::subscriber::{set_default};", "logging"),
        ("use tracing::{debug, dispatcher};", "logging"),
        ("use tracing as t;", "logging"),
        ("use tracing::*; use dispatcher as d;", "logging"),
        ("let current = tracing::Dispatch::default();", "logging"),
        ("macro_rules! m { ($a:ident :: $b:ident $c:ident) => { $a::$c } } m!(tracing::x y)", "logging"),
    ];
    for (text, expected) in table {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_built_may_be_anything() {
    /// Files, the fault in them, and how many of them are built.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, usize);
    const LIB: &str = "raft/src/lib.rs";
    let table: [Row<'_>; 7] = [
        (&[(LIB, "mod a;\n#[cfg(test)] mod tests;"), ("raft/src/tests.rs", "use std::fs;")], "none", 1),
        (
            &[
                (LIB, "mod a;"),
                ("raft/src/a.rs", "#[cfg(test)]\npub(crate) mod tests;"),
                ("raft/src/a/tests.rs", "unsafe {}"),
                ("raft/src/a/tests/more.rs", "static X: Log = 1;"),
            ],
            "none",
            2,
        ),
        (
            &[(LIB, ""), ("raft/src/main.rs", "use std::env;"), ("raft/src/bin/play.rs", "use std::net;")],
            "none",
            1,
        ),
        (&[(LIB, "mod a;"), ("raft/src/a/mod.rs", ""), ("raft/src/old copy.rs", "use std::env;")], "none", 2),
        (&[(LIB, "mod a { mod b; }"), ("raft/src/a/b.rs", "use std::fs;")], "files", 2),
        (
            &[
                (LIB, "macro_rules! m { ($a:ident) => { mod $a; } } m!(a);"),
                ("raft/src/a.rs", "use std::fs;"),
            ],
            "files",
            2,
        ),
        (&[(LIB, "#[cfg(test)] mod tests; mod tests;"), ("raft/src/tests.rs", "use std::fs;")], "files", 2),
    ];
    for (files, expected, count) in table {
        assert_eq!(faults(files), expected, "{files:?}");
        let built = unbuilt::built(&sources(files), &Sources::new());
        assert_eq!(built.len(), count, "{files:?}: {:?}", built.keys());
    }
    // What a macro takes out of unit tests has nothing in it.
    let text = "m! { #[cfg(test)] #[allow(x)] mod a {\n use std::fs; /* } */ \"é}\" } }";
    let built = unbuilt::built(&sources(&[(LIB, text)]), &Sources::new());
    let emptied: String = built[LIB].split(' ').collect();
    assert_eq!(emptied, "m!{#[cfg(test)]#[allow(x)]moda{\n}}");
    // What is left is a source, and an import is left as one that nobody takes.
    let text =
        "impl A {\n#[cfg(test)]\nfn f() -> u8 { 1 }\n}\n#[cfg(test)] pub use std::{fs,\nnet};\nfn g() {}";
    let built = unbuilt::built(&sources(&[(LIB, text)]), &Sources::new());
    let emptied: Vec<&str> = built[LIB].lines().map(str::trim_end).collect();
    assert_eq!(
        emptied,
        ["impl A {", "#[cfg(test)]", "fn f() -> u8 {   }", "}", "#[cfg(test)] pub use a;", "", "fn g() {}"]
    );
}

/// Groups in one another, and rows of what has to be looked at, a tenth of what a source may have. None of it
/// may take the grader minutes, or its stack.
#[test]
fn a_source_that_is_hard_to_read_is_read() {
    let rows = [
        ("m!(", 33_000),
        ("#[allow ", 13_000),
        ("std::{mem,", 10_000),
        ("#[cfg(test)] ", 8_000),
        ("#[cfg_attr(a, ", 7_000),
        ("macro_rules! m { ", 6_000),
        ("static X: u8 ", 8_000),
        ("#[$a] ", 18_000),
        ("$(", 55_000),
        ("#[cfg(test)] mod a {", 5_000),
        ("#[cfg(test)] fn ", 6_000),
        ("#[cfg(test)] use {", 5_000),
        ("/*", 55_000),
        ("m!(m, ", 18_000),
    ];
    for (text, count) in rows {
        let text = format!("macro_rules! m {{ ($a:tt) => {{ }} }} {}", text.repeat(count));
        assert!(!fault(&text).is_empty());
    }
    let names: Vec<String> = (0..900).map(|at| format!("raft/src/m{at}.rs")).collect();
    let texts: Vec<String> = (0..900).map(|at| format!("mod m{};", at + 1)).collect();
    let mut files = vec![("raft/src/lib.rs", "mod m0;")];
    files.extend(names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())));
    assert_eq!(unbuilt::built(&sources(&files), &Sources::new()).len(), 901);
}

#[test]
fn students_tests_are_built_with_their_unit_tests() {
    let tests = sources(&[("raft/tests/raft/main.rs", "#[cfg(test)] mod a { use std::fs; }")]);
    assert_eq!(inspect_tests(&tests).map_err(|refusal| refusal.fault), Err("files".to_owned()));
}

#[test]
fn what_a_lab_needs_is_allowed() {
    let table = [
        "use std::collections::{BTreeMap, HashMap};",
        "use std::{cmp::{self, Ordering}, fmt, mem, sync::{Arc, atomic::AtomicU64}, time::Duration};",
        "impl std::fmt::Display for X {}",
        "fn f() -> &'static str { \"std::fs\" }",
        "// std::fs\n/* unsafe */ /// include!\nfn f() {}",
        "let env = 3; self.core.x; a..b",
        "static NAMES: [&str; 2] = [\"a\", \"b\"];",
        "#[derive(Clone)] #[serde(default = \"first\")] struct X;",
        "#![expect(unused)] #[inline] #[must_use] fn f() { std::panic!(\"x\") }",
        "#[cfg(test)] mod tests { use std::fs; unsafe {} }",
        "macro_rules! max { ($a:expr) => { $a } }",
        "labrt::thread_local! { }",
        "fn f() -> std::thread::Result<u8> { assert!(!std::thread::panicking()); Ok(1) }",
        "struct Raft { core: Arc<Core> } fn core(&self) -> u8 { let core = self.core(); core.term() }",
        "mod core; use crate::{core::Core, log}; fn f() { core::start(); dlog!(core, \"{}\", 1) }",
        "fn include(&mut self) { let include = true; self.log.include(1); if include {} }",
        "macro_rules! id { ($(#[$m:meta])* $n:ident, $t:ty) => { $(#[$m])* struct $n($t); } } \
         id!(#[derive(Clone)] Term, u64);",
        "macro_rules! dlog { ($id:expr, $($x:tt)*) => { tracing::debug!(\"{}\", format!($($x)*)) } } \
         dlog!(1, \"{}\", std::mem::size_of::<u8>() + include);",
        "macro_rules! least { ($a:expr, $b:expr) => { std::cmp::min($a, $b) } } least!(std::u64::MAX, x)",
        "macro_rules! differ { ($a:expr, $b:expr) => { if $a != $b { todo!() } } } if env != include {}",
        "fn f(include: u8, env: u8) -> bool { include != 3 || env != 3 }",
        "macro_rules! mask { ($a:expr, $b:expr) => { $a & !$b } } (a) * !(b)",
        "static LONGEST: Duration = Duration::from_millis(100); fn f(x: u8) -> u64 { x as u64 }",
        "#[cfg_attr(test, derive(PartialEq))] #[tracing::instrument(skip_all)] #![recursion_limit = \"256\"]",
        "#[cfg(test)] #[allow(clippy::all)] mod tests { use std::fs; unsafe {} }",
        "#[cfg(test)] use std::{fs, time::Instant}; use std::fmt;",
        "impl A { #[cfg(test)] pub(crate) fn log(&self) -> u8 { std::fs::read(\"é\"); 1 } fn b() {} }",
        "#[cfg(test)] const fn a() { unsafe {} } #[cfg(test)] impl A { fn b() { std::process::exit(0) } }",
        "use tracing::{debug, info_span as span}; fn subscriber() {} let dispatcher = 1;",
        "use tracing::*; fn f() { debug!(\"x\") }",
        "std::debug_assert_ne!(1, 2); use std::i8; std::eprint!(\"x\")",
        "\u{feff}#![allow(unused)]\r\nfn f() {}\r\n",
        "impl std::ops::AddAssign for Term {} #[serde(rename = \"a b\", skip_serializing_if = \"Option::is_none\")]",
    ];
    for text in table {
        assert_eq!(fault(text), "none", "{text}");
    }
}

#[test]
fn every_reference_may_be_handed_in() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lectures = ["warmup", "vmft", "zookeeper", "zookeeper-recipes"].map(|lab| format!("lectures/{lab}"));
    let labs = ["mapreduce", "raft", "rsm", "kvraft", "shardctrler", "shardkv"].map(str::to_owned);
    for lab in labs.iter().chain(&lectures) {
        let taken = crate::take::take(&root.join(lab), std::slice::from_ref(lab));
        let sources = taken.map(|taken| taken.sources).unwrap_or_default();
        assert!(!sources.is_empty(), "{lab} has sources");
        // Students get it as it is.
        let given = "mapreduce/src/directory_store.rs";
        let handed_out = sources.iter().filter(|(path, _)| *path == given);
        let handed_out = handed_out.map(|(path, text)| (path.clone(), text.clone())).collect();
        let built = inspect(&sources, &handed_out);
        assert_eq!(built.map(|built| built.len()), Ok(sources.len()), "{lab}");
    }
}

#[test]
fn a_given_file_may_be_laid_out_anew_and_not_changed() {
    let given = "// given\nuse std::fs;\nfn f() -> &'static str { \"a\nb\" }\n";
    let sources = |text: &str| sources(&[("raft/src/lib.rs", text)]);
    let mut checks = Vec::new();
    for text in [
        given.to_owned(),
        given.replace('\n', "\r\n"),
        given.replace("// given", ""),
        format!("\u{feff}{given}"),
        given.replace("{ ", "{\n    "),
        given.replace("fs;", "fs;\nuse std::net;"),
        given.replace("\"a", "\" a"),
    ] {
        checks.push(inspect(&sources(&text), &sources(given)).is_ok());
    }
    assert_eq!(checks, [true, true, true, true, true, false, false]);
}
