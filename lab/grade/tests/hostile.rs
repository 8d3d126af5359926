//! Hostile submissions that have to be built and run. The check of sources is left out, since it would refuse
//! nearly all of them: here the sandbox, the limits and the repetition must hold alone. What the check of
//! sources and the unpacking refuse needs no build, and is tested in `src`.
//!
//! It builds the framework once and then each submission, which takes minutes, so `.ci/slow` runs it:
//! `cargo test -p lab-grade --test hostile`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const FIRST: &str = "initial_election_2a";

/// A kind of submission: its name, what stands in `Raft::make` before `todo!`, what the verdict must be, and
/// what it must say.
struct Kind {
    name: &'static str,
    body: &'static str,
    class: &'static str,
    says: &'static str,
}

const fn kind(name: &'static str, body: &'static str, class: &'static str, says: &'static str) -> Kind {
    Kind { name, body, class, says }
}

const KINDS: [Kind; 28] = [
    kind("exit", "std::process::exit(0);", "wrong", "process::exit was called"),
    kind("abort", "std::process::abort();", "wrong", "SIGABRT"),
    kind(
        "forged-reports",
        r#"for seed in 0..100 { println!("@lab {{\"version\":1,\"test\":\"initial_election_2a\",\"seed\":{seed},\"ok\":true}}"); }
           println!("test result: ok. 43 passed"); std::process::exit(0);"#,
        "wrong",
        "process::exit was called",
    ),
    kind("endless-loop", "loop { std::hint::spin_loop(); }", "slow", ""),
    kind("endless-yields", "loop { labrt::thread::yield_now(); }", "slow", ""),
    kind("endless-sleep", "loop { labrt::thread::sleep(labrt::time::Duration::from_secs(1)); }", "slow", ""),
    kind("memory", "let mut all = Vec::new(); loop { all.push(vec![1u8; 1 << 20]); }", "slow", "memory"),
    kind("memory-at-once", "let all = vec![1u8; 1 << 40]; drop(all);", "slow", "memory"),
    kind(
        "stack",
        "fn deep(n: u64) -> u64 { let a = [n; 64]; deep(n + 1) + a[(n % 64) as usize] } deep(0);",
        "wrong",
        "stack",
    ),
    kind(
        "log-flood",
        "loop { println!(\"{}\", \"x\".repeat(60_000)); labrt::thread::yield_now(); }",
        "wrong|slow",
        "",
    ),
    kind(
        "process",
        "let _ = std::process::Command::new(\"/bin/sh\").arg(\"-c\").arg(\":\").status();",
        "wrong",
        "system call",
    ),
    kind(
        "fork-bomb",
        "loop { let _ = std::process::Command::new(\"/proc/self/exe\").spawn(); }",
        "wrong",
        "system call",
    ),
    kind(
        "kill-parent",
        "let _ = std::process::Command::new(\"kill\").arg(\"-9\").arg(\"1\").status();",
        "wrong",
        "system call",
    ),
    kind("network", "let _ = std::net::TcpStream::connect(\"127.0.0.1:22\");", "wrong", "system call"),
    kind("network-listen", "let _ = std::net::TcpListener::bind(\"127.0.0.1:0\");", "wrong", "system call"),
    kind(
        "unix-socket",
        "let _ = std::os::unix::net::UnixStream::connect(\"/run/x\");",
        "wrong",
        "system call",
    ),
    kind(
        "read-files",
        "panic!(\"saw {:?}\", std::fs::read(\"/etc/passwd\").map(|_| ()).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "read-memory",
        "panic!(\"saw {:?}\", std::fs::read(\"/proc/self/mem\").map(|_| ()).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "read-others",
        "panic!(\"saw {:?}\", std::fs::read_dir(\"/\").map(|all| all.count()).map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind(
        "fill-disk",
        "panic!(\"saw {:?}\", std::fs::write(\"/tmp/x\", vec![0; 1 << 28]).map_err(|error| error.kind()));",
        "wrong",
        "Err(",
    ),
    kind(
        "close-the-channel",
        "use std::os::fd::AsFd; let end = std::io::stdin().as_fd().try_clone_to_owned(); \
         let _ = std::os::unix::net::UnixStream::from(end.unwrap()).shutdown(std::net::Shutdown::Both);",
        "wrong",
        "",
    ),
    kind("panic-hook", "std::panic::set_hook(Box::new(|_| {}));", "wrong|not_implemented", ""),
    kind(
        "catch",
        "let _ = std::panic::catch_unwind(|| { panic!(\"x\") }); loop { let _ = std::panic::catch_unwind(|| labrt::thread::sleep(labrt::time::Duration::from_secs(1))); }",
        "wrong|slow",
        "",
    ),
    kind(
        "deadlock",
        "let lock = labrt::sync::Mutex::new(()); let _first = lock.lock(); let _second = lock.lock();",
        "wrong",
        "",
    ),
    kind(
        "unsafe",
        "#[allow(unsafe_code)] unsafe { std::hint::unreachable_unchecked() }",
        "does_not_build",
        "unsafe",
    ),
    kind("include", "let _ = include_str!(\"/etc/shadow\");", "does_not_build", "shadow"),
    kind("foreign-crate", "let _ = tester::run;", "does_not_build", "tester"),
    kind(
        "large-constant",
        "static HUGE: [u8; 1 << 46] = [1; 1 << 46]; let _ = HUGE[me];",
        "does_not_build",
        "",
    ),
];

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It is there if the test ran before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for a test can be made");
    folder
}

fn grade(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_lab-grade")).args(arguments).output();
    let output = output.expect("the program was built");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!words.contains("panicked"), "{words}");
    output
}

/// The grader takes handouts from the program beside it.
fn build_handout() {
    let target =
        Path::new(env!("CARGO_BIN_EXE_lab-grade")).parent().and_then(Path::parent).expect("a target folder");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bin", "lab-handout", "--target-dir"])
        .arg(target)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "lab-handout is built");
}

/// The pristine workspace, and what students begin with, which it holds. Both tests share it.
fn prepare(folder: &Path) -> (String, Vec<(String, String)>) {
    build_handout();
    fs::create_dir_all(folder.join("nobody/empty")).expect("a folder");
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/grade/raft").display().to_string();
    let at = |name: &str| folder.join(name).display().to_string();
    let first =
        grade(&["plan", "--lab", "raft", "--in", &at("nobody"), "--out", &at("first"), "--cache", &cache]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let sources = Path::new(&cache).join("workspace/raft/src");
    let entries = fs::read_dir(&sources).expect("the skeleton").map(|entry| entry.expect("an entry"));
    let skeleton = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).expect("a source"))
    });
    let skeleton = skeleton.collect();
    (cache, skeleton)
}

/// Writes the sources with something put before the body that is still to be written.
fn write(folder: &Path, skeleton: &[(String, String)], body: &str) {
    for (path, text) in skeleton {
        let path = folder.join("raft/src").join(path);
        let text = match text.split_once("fn make(") {
            Some((before, behind)) => {
                let (head, rest) = behind.split_once("todo!(\"2A\")").expect("make is to be written");
                format!(
                    "{before}fn make({head}{body}\n        #[allow(unreachable_code)]\n        {{ todo!(\"2A\") }}{rest}"
                )
            }
            None => text.clone(),
        };
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

#[test]
fn all_are_contained_and_named_and_the_batch_goes_on() {
    build_handout();
    let folder = scratch();
    let at = |name: &str| folder.join(name).display().to_string();
    // The first plan makes the pristine workspace, which holds what students begin with.
    fs::create_dir_all(folder.join("nobody/empty")).expect("a folder");
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/grade/raft").display().to_string();
    let first =
        grade(&["plan", "--lab", "raft", "--in", &at("nobody"), "--out", &at("first"), "--cache", &cache]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let sources = Path::new(&cache).join("workspace/raft/src");
    let skeleton: Vec<(String, String)> = fs::read_dir(&sources)
        .expect("the skeleton")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).expect("a source"))
        })
        .collect();
    for kind in &KINDS {
        write(&folder.join("in").join(kind.name), &skeleton, kind.body);
    }
    // An honest one behind all of them.
    write(&folder.join("in/zoe"), &skeleton, "");
    let output = grade(&[
        "--lab",
        "raft",
        "--in",
        &at("in"),
        "--out",
        &at("out"),
        "--runs",
        "2",
        "--cache",
        &cache,
        "--no-source-check",
    ]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(folder.join("out/results.json")).expect("results");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    let rows: BTreeMap<&str, &Value> = results["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| Some((row["name"].as_str()?, row)))
        .collect();
    let mut wrong = Vec::new();
    for kind in &KINDS {
        let Some(row) = rows.get(kind.name) else {
            wrong.push(format!("{} is missing", kind.name));
            continue;
        };
        let class = row["class"].as_str().unwrap_or_default();
        let first = row["tests"].as_array().into_iter().flatten().find(|test| test["name"] == FIRST);
        let all = format!("{} {}", row["sentence"], first.map(Value::to_string).unwrap_or_default());
        let says = kind.says.is_empty() || kind.says.split('|').any(|says| all.contains(says));
        if !kind.class.split('|').any(|expected| expected == class) || !says || row["hundredths"] != 0 {
            wrong.push(format!("{}: {class}, {} points/100: {:.400}", kind.name, row["hundredths"], all));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows["zoe"]["class"], "not_implemented");
    assert_eq!(results["batch"]["faults"], serde_json::json!([]));
}

#[test]
fn a_grader_that_is_killed_comes_to_the_same_bytes() {
    let folder = scratch("killed");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, skeleton) = prepare(&folder);
    fs::write(folder.join("seeds.txt"), "a secret of this test").expect("a file");
    // Most do not build, which is quickly found out, so that there are many moments to be killed at.
    for number in 0..12 {
        write(
            &folder.join(format!("in/student-{number:02}")),
            &skeleton,
            &format!("let _: u8 = \"{number}\";"),
        );
    }
    fs::write(folder.join("in/zed.zip"), "no archive").expect("a file");
    let (seeds, submissions) = (at("seeds.txt"), at("in"));
    let arguments = |out: &str, jobs: &str| {
        let words =
            ["--lab", "raft", "--in", &submissions, "--runs", "1", "--secret", &seeds, "--cache", &cache];
        let more = ["--out".to_owned(), at(out), "--jobs".to_owned(), jobs.to_owned()];
        words.iter().map(|word| (*word).to_owned()).chain(more).collect::<Vec<String>>()
    };
    for number in 0..20 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab-grade"));
        command
            .args(arguments("killed", "2"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut grader = command.spawn().expect("the program was built");
        // Any moment will do; these differ from run to run of the test by how fast the machine is.
        std::thread::sleep(std::time::Duration::from_millis(150 + 397 * number % 2_900));
        let _ = grader.kill();
        let _ = grader.wait();
    }
    for (out, jobs) in [("killed", "2"), ("whole", "1")] {
        let words: Vec<String> = arguments(out, jobs);
        let output = grade(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for file in ["results.json", "grades.csv", "plan.json", "index.html"] {
        let read = |out: &str| fs::read(folder.join(out).join(file)).expect("it was written");
        assert!(read("killed") == read("whole"), "{file} differs");
    }
}
