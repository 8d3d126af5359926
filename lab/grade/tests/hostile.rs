//! Hostile submissions that have to be built and run. The check of sources is left out, since it would refuse
//! nearly all of them: here the sandbox, the limits and the repetition must hold alone. What the check of
//! sources and the unpacking refuse needs no build, and is tested in `src`.
//!
//! It builds the framework once and then each submission, which takes minutes, so `.ci/slow` runs it:
//! `cargo test -p lab-grade --test hostile`.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the program under test has real processes and a real clock"
)]

mod grader;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use grader::{build_handout, grade, scratch};
use serde_json::{Value, json};

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

const KINDS: [Kind; 38] = [
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
    kind(
        "environment",
        "panic!(\"saw {:?} {:?}\", std::env::var_os(\"HOME\"), std::env::var_os(\"LAB_GRADE_CACHE\"));",
        "wrong",
        "saw None None",
    ),
    kind(
        "exec",
        "use std::os::unix::process::CommandExt; panic!(\"{}\", std::process::Command::new(\"/bin/sh\").exec());",
        "wrong",
        "Permission denied|system call",
    ),
    kind("network-datagrams", "let _ = std::net::UdpSocket::bind(\"127.0.0.1:0\");", "wrong", "system call"),
    kind(
        "remove-files",
        "panic!(\"saw {:?}\", std::fs::remove_dir_all(\"/usr\").map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind(
        "link",
        "panic!(\"saw {:?}\", std::os::unix::fs::symlink(\"/\", \"/tmp/x\").map_err(|error| error.kind()));",
        "wrong",
        "Err(|system call",
    ),
    kind("panic-flood", "panic!(\"{}\", \"x\".repeat(1 << 28));", "wrong|slow", ""),
    kind(
        "panic-in-panic",
        "struct Again; impl Drop for Again { fn drop(&mut self) { panic!(\"again\") } } \
         let _again = Again; panic!(\"first\");",
        "wrong",
        "",
    ),
    kind("terminal-and-page", "panic!(\"\\x1b]0;x\\x07</pre><script>alert(1)</script>\");", "wrong", ""),
    kind(
        "many-threads",
        "loop { drop(labrt::thread::spawn(|| labrt::thread::sleep(labrt::time::Duration::from_secs(3600)))); }",
        "slow|wrong",
        "",
    ),
    kind(
        "thread-of-the-system",
        "std::thread::spawn(|| loop { std::hint::spin_loop() });",
        "wrong|not_implemented",
        "",
    ),
];

/// The same with what stands in the reference before its threads start: code that passes at first, or by
/// chance.
const IN_THE_REFERENCE: [Kind; 3] = [
    kind(
        "first-seeds",
        "static MADE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0); \
         if MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 8 { panic!(\"enough\"); }",
        "wrong|nondeterministic|flaky",
        "",
    ),
    kind(
        "wall-clock",
        "let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH); \
         if now.map_or(0, |now| now.subsec_nanos() / 64) % 16 == 0 { panic!(\"by the clock\"); }",
        "wrong|nondeterministic|flaky",
        "",
    ),
    kind(
        "clock-as-chance",
        "let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH); \
         labrt::thread::sleep(Duration::from_micros(now.map_or(0, |now| u64::from(now.subsec_nanos() / 64) % 1000)));",
        "nondeterministic",
        "repeated with the same seed",
    ),
];

/// What was printed with `--json`: a value a line, and nothing else.
fn lines_of_json(output: &std::process::Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The pristine workspace, and what students begin with, which it holds. Both tests share it.
fn prepare(folder: &Path) -> (String, Vec<(String, String)>) {
    build_handout();
    fs::create_dir_all(folder.join("nobody/empty")).expect("a folder");
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/grade/raft").display().to_string();
    let at = |name: &str| folder.join(name).display().to_string();
    let (nobody, out) = (at("nobody"), at("first"));
    let first =
        grade(&["plan", "--lab", "raft", "--in", &nobody, "--out", &out, "--cache", &cache, "--json"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(lines_of_json(&first)[0]["shards"].as_u64() > Some(0), "{first:?}");
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

/// Writes the reference's sources with something put before its threads start.
fn write_into_the_reference(folder: &Path, body: &str) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../raft/src");
    let target = folder.join("raft/src");
    fs::create_dir_all(&target).expect("a folder");
    for entry in fs::read_dir(&sources).expect("the reference") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source");
        let place = "let inspector = Inspector::new(&mut state);";
        fs::write(
            target.join(path.file_name().expect("a file")),
            text.replace(place, &format!("{body}\n{place}")),
        )
        .expect("a file");
    }
    let server = fs::read_to_string(target.join("server.rs")).expect("the monitor");
    assert!(server.contains(body), "the reference has another place for it by now");
}

#[test]
fn all_are_contained_and_named_and_the_batch_goes_on() {
    let folder = scratch("hostile");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, skeleton) = prepare(&folder);
    for kind in &KINDS {
        write(&folder.join("in").join(kind.name), &skeleton, kind.body);
    }
    for kind in &IN_THE_REFERENCE {
        write_into_the_reference(&folder.join("in").join(kind.name), kind.body);
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
    for kind in KINDS.iter().chain(&IN_THE_REFERENCE) {
        let Some(row) = rows.get(kind.name) else {
            wrong.push(format!("{} is missing", kind.name));
            continue;
        };
        let class = row["class"].as_str().unwrap_or_default();
        let first = row["tests"].as_array().into_iter().flatten().find(|test| test["name"] == FIRST);
        let all = format!("{} {}", row["sentence"], first.map(Value::to_string).unwrap_or_default());
        let says = kind.says.is_empty() || kind.says.split('|').any(|says| all.contains(says));
        let points = |key: &str| row[key].as_u64().expect("a number");
        // What passes at first is graded on its merits, which are few.
        let is_reference = IN_THE_REFERENCE.iter().any(|other| other.name == kind.name);
        let deserved = if is_reference { points("most_hundredths") / 2 } else { 0 };
        let is_right = kind.class.split('|').any(|expected| expected == class);
        if !is_right || !says || points("hundredths") > deserved {
            wrong.push(format!("{}: {class}, {} points/100: {:.400}", kind.name, row["hundredths"], all));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows["zoe"]["class"], "not_implemented");
    assert_eq!(results["batch"]["faults"], json!([]));
}

/// What is copied into a folder is graded, and with it what came before; ctrl-C ends that.
#[test]
fn a_watched_folder_is_graded_as_it_fills() {
    let folder = scratch("watched");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, _) = prepare(&folder);
    fs::create_dir_all(folder.join("inbox")).expect("a folder");
    let arguments =
        ["--lab", "raft", "--watch", &at("inbox"), "--runs", "1", "--out", &at("out"), "--cache", &cache];
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-grade"));
    let mut grader = command.args(arguments).spawn().expect("the program was built");
    let grades = || fs::read_to_string(folder.join("out/grades.csv")).unwrap_or_default();
    for students in [&["alice"][..], &["alice", "bob"]] {
        let newest = students.last().expect("there is one");
        fs::write(folder.join(format!("inbox/{newest}.zip")), "no archive").expect("a file");
        let begun = std::time::Instant::now();
        while !students.iter().all(|name| grades().contains(&format!("{name},{name}.zip,0,"))) {
            assert!(begun.elapsed().as_secs() < 600, "{newest} is not graded: {}", grades());
            assert!(grader.try_wait().is_ok_and(|ended| ended.is_none()), "the grader has ended");
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    }
    let asked = Command::new("kill").args(["-INT", &grader.id().to_string()]).status();
    assert!(asked.is_ok_and(|status| status.success()), "it lives");
    assert_eq!(grader.wait().expect("it ends").code(), Some(130));
}

/// A disk that is full is the instructor's affair: no submission is blamed for it, and with room the same
/// command goes on.
#[test]
fn a_full_disk_is_no_students_fault() {
    let folder = scratch("full");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, skeleton) = prepare(&folder);
    write(&folder.join("in/alice"), &skeleton, "");
    let arguments =
        ["--lab", "raft", "--in", &at("in"), "--runs", "1", "--out", &at("out"), "--cache", &cache];
    // Where submissions are built there are 12 MiB: enough for a handout and sources, not for binaries.
    let output = Command::new("bwrap")
        .args([
            "--dev-bind",
            "/",
            "/",
            "--size",
            "12582912",
            "--tmpfs",
            "/tmp",
            env!("CARGO_BIN_EXE_lab-grade"),
        ])
        .args(arguments)
        .args(["--no-namespaces", "--jobs", "1"])
        .output()
        .expect("bubblewrap is there");
    let words =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("no room is left") || words.contains("No space left"), "{words}");
    assert!(!words.contains("alice: does not build"), "{words}");
    let output = grade(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let grades = fs::read_to_string(folder.join("out/grades.csv")).expect("grades");
    assert!(grades.contains("alice,alice,0,") && grades.contains("not implemented"), "{grades}");
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
    // All of it is done, so that these only tell of it.
    let (out, whole) = (at("whole"), arguments("whole", "1"));
    let again: Vec<&str> = whole.iter().map(String::as_str).chain(["--json"]).collect();
    for arguments in [&again[..], &["merge", "--out", &out, "--json"]] {
        let output = grade(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = lines_of_json(&output);
        let named = |name: &str| lines.iter().find(|line| line["submission"] == name).expect("it has a line");
        assert_eq!(named("student-07")["verdict"], "does not build", "{lines:?}");
        assert_eq!(named("zed")["points"], "0", "{lines:?}");
        let summary = &lines.last().expect("there are lines")["summary"];
        assert_eq!((&summary["faults"], &summary["missing_shards"]), (&json!([]), &json!([])), "{summary}");
        assert!(summary["page"].as_str().is_some_and(|page| Path::new(page).is_file()), "{summary}");
    }
}
