use super::*;

fn fault(text: &str) -> &'static str {
    inspect_text(text).map_or_else(|finding| finding.fault, |()| "none")
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
        ("#[cfg_attr(all(), path = \"x\")] mod x;", "attribute"),
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
    ];
    for (text, expected) in table {
        assert_eq!(fault(text), expected, "{text}");
    }
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
        "assert!(!std::thread::panicking());",
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
        assert_eq!(inspect(&sources, &handed_out), Ok(()), "{lab}");
    }
}

#[test]
fn a_given_file_may_be_laid_out_anew_and_not_changed() {
    let given = "// given\nuse std::fs;\nfn f() -> &'static str { \"a\nb\" }\n";
    let sources = |text: &str| Sources::from([("raft/src/given.rs".to_owned(), text.to_owned())]);
    let mut checks = Vec::new();
    for text in [
        given.to_owned(),
        given.replace('\n', "\r\n"),
        given.replace("// given", ""),
        given.replace("{ ", "{\n    "),
        given.replace("fs;", "fs;\nuse std::net;"),
        given.replace("\"a", "\" a"),
    ] {
        checks.push(inspect(&sources(&text), &sources(given)).is_ok());
    }
    assert_eq!(checks, [true, true, true, true, false, false]);
}
