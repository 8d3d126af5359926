//! Hostile submissions that have to be built and run. The check of sources is left out, since it would refuse
//! nearly all of them: here the sandbox, the limits and the repetition must hold alone. What the check of
//! sources and the unpacking refuse needs no build, and is tested in `src`.
//!
//! It builds the framework once and then each submission, which takes minutes, so `.ci/slow` runs it:
//! `cargo test -p lab-grade --test hostile`.
//!
//! `kinds.rs`, `siblings.rs`, `inside.rs` and `texts.rs` list them, each with the verdict that it must get.
//! `own_style` is none of them: an honest submission that looks unlike the reference.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the program under test has real processes and a real clock"
)]

#[path = "../grader/mod.rs"]
mod grader;
mod inside;
mod kinds;
mod siblings;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use grader::{build_handout, grade, scratch};
use kinds::Kind;
use serde_json::{Value, json};

const FIRST: &str = "initial_election_2a";

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

/// The kinds that the issue of graders names, and those that come to mind at once.
#[test]
fn all_are_contained_and_named_and_the_batch_goes_on() {
    are_contained("hostile", &kinds::KINDS, &kinds::IN_THE_REFERENCE);
}

/// What else tries the same places: the report's channel, the compiler, the linker, the system.
#[test]
fn their_siblings_are_contained_too() {
    are_contained("siblings", &siblings::siblings(), &siblings::IN_THE_REFERENCE);
}

/// What needs nothing but what lab code may name.
#[test]
fn what_stays_inside_is_contained_too() {
    are_contained("inside", &inside::kinds(), &inside::IN_THE_REFERENCE);
}

/// What is said of them is whole, too.
#[test]
fn what_they_say_stays_a_text() {
    are_contained("texts", &texts::KINDS, &texts::IN_THE_REFERENCE);
}

/// Grades all of them in one batch, with an honest submission behind them.
fn are_contained(name: &str, kinds: &[Kind], in_the_reference: &[Kind]) {
    let folder = scratch(name);
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, skeleton) = prepare(&folder);
    for kind in kinds {
        write(&folder.join("in").join(kind.name), &skeleton, &kind.body);
    }
    for kind in in_the_reference {
        write_into_the_reference(&folder.join("in").join(kind.name), &kind.body);
    }
    write(&folder.join("in/zoe"), &skeleton, "");
    let (submissions, out) = (at("in"), at("out"));
    let batch = ["--lab", "raft", "--in", &submissions, "--out", &out, "--runs", "2", "--cache", &cache];
    let output = grade(&[&batch[..], &["--no-source-check"]].concat());
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
    for (kind, is_reference) in
        kinds.iter().map(|kind| (kind, false)).chain(in_the_reference.iter().map(|kind| (kind, true)))
    {
        match rows.get(kind.name) {
            Some(row) => wrong.extend(complaint(kind, is_reference, row)),
            None => wrong.push(format!("{} is missing", kind.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    no_file_obeys_a_text(&folder.join("out"), rows.keys());
    assert_eq!(rows["zoe"]["class"], "not_implemented");
    assert_eq!(results["batch"]["faults"], json!([]));
}

/// Looks for signs in what was written that a program would take for its own.
fn no_file_obeys_a_text<'a>(out: &Path, names: impl Iterator<Item = &'a &'a str>) {
    let read = |path: &Path| fs::read_to_string(path).expect("it was written");
    let has_control = |text: &str| text.chars().any(|letter| letter.is_control() && !"\n\t".contains(letter));
    for name in names.filter(|name| !name.starts_with('(')) {
        let folder = out.join("students").join(name);
        for file in ["junit.xml", "index.html"] {
            let text = read(&folder.join(file));
            assert!(
                !has_control(&text) && !text.contains("<script") && !text.contains("]]>"),
                "{name}: {file}"
            );
        }
        for file in ["gradescope.json", "classroom.json"] {
            serde_json::from_str::<Value>(&read(&folder.join(file))).expect("JSON");
        }
    }
    let (grades, page) = (read(&out.join("grades.csv")), read(&out.join("index.html")));
    assert!(!has_control(&grades) && !has_control(&page) && !page.contains("<script"));
    assert!(grades.lines().all(|line| !line.starts_with(['=', '+', '-', '@'])), "{grades}");
}

/// What is wrong with the verdict about a submission of this kind.
fn complaint(kind: &Kind, is_reference: bool, row: &Value) -> Option<String> {
    let class = row["class"].as_str().unwrap_or_default();
    let first = row["tests"].as_array().into_iter().flatten().find(|test| test["name"] == FIRST);
    let all = format!("{} {}", row["sentence"], first.map(Value::to_string).unwrap_or_default());
    let says = kind.says.is_empty() || kind.says.split('|').any(|says| all.contains(says));
    let points = |key: &str| row[key].as_u64().expect("a number");
    // What passes at first is graded on its merits, which are few.
    let deserved = match (is_reference, kind.class) {
        (false, _) => 0,
        (true, "correct") => points("most_hundredths"),
        (true, _) => points("most_hundredths") / 2,
    };
    let is_right = kind.class.split('|').any(|expected| expected == class);
    let is_good = is_right && says && points("hundredths") <= deserved;
    let given = &row["hundredths"];
    (!is_good).then(|| format!("{}: {class}, {given} points/100: {all:.400}", kind.name))
}

/// The reference with a module in another style, and with what honest students have in their folders. It
/// lies in a folder as instructors have it: with links, what other systems leave, names in all alphabets, and
/// the results of before.
#[test]
fn an_honest_submission_in_a_messy_folder_is_correct() {
    let folder = scratch("messy");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, _) = prepare(&folder);
    write_in_its_own_style(&folder.join("in/alice"));
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).expect("a link");
    link("alice", "in/latest");
    link("nowhere", "in/gone");
    fs::create_dir_all(folder.join("in/__MACOSX/alice")).expect("a folder");
    fs::write(folder.join(format!("in/{}.ZIP", "\u{1f600}".repeat(60))), "no archive").expect("a file");
    let (submissions, out) = (at("in"), at("in/grades"));
    let arguments = ["--lab", "raft", "--in", &submissions, "--out", &out, "--runs", "3", "--cache", &cache];
    // The second time the results are there already, and are no submission.
    for _ in 0..2 {
        let output = grade(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = fs::read_to_string(folder.join("in/grades/results.json")).expect("results");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    let students = results["rows"].as_array().into_iter().flatten().filter(|row| row["role"] == "student");
    let students: Vec<&Value> = students.collect();
    let classes = students.iter().map(|row| row["class"].as_str().unwrap_or_default());
    assert_eq!(classes.collect::<Vec<_>>(), ["refused", "correct", "refused", "refused"], "{students:?}");
    let row = students[1];
    assert_eq!(row["name"], "alice");
    let unused = ["raft/src/bin/play.rs", "raft/src/own_style/tests.rs"];
    let words = |path| format!("{path} is not used: no `mod` names it, or only one for unit tests.");
    assert_eq!(row["notes"], json!(unused.map(words)));
}

/// A right solution that looks unlike the reference.
fn write_in_its_own_style(own: &Path) {
    write_into_the_reference(own, "crate::own_style::exercise();");
    let sources = own.join("raft/src");
    let put = |path: &str, text: &str| {
        let path = sources.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    let lib = fs::read_to_string(sources.join("lib.rs")).expect("a source");
    put("lib.rs", &format!("{lib}\nmod own_style;\n"));
    put("own_style/mod.rs", &include_str!("own_style/mod.rs").replace('\n', "\r\n"));
    put("own_style/core.rs", &format!("\u{feff}{}", include_str!("own_style/core.rs")));
    put("own_style/tests.rs", "#[test]\nfn reads() { assert!(std::fs::read(\"/dev/null\").is_ok()) }\n");
    put("bin/play.rs", "fn main() { println!(\"{:?}\", std::env::args()) }\n");
}

/// What is copied into a folder is graded, and with it what came before; a round that fails is tried again;
/// ctrl-C ends that.
#[test]
fn a_watched_folder_is_graded_as_it_fills() {
    let folder = scratch("watched");
    let at = |name: &str| folder.join(name).display().to_string();
    let (cache, _) = prepare(&folder);
    fs::create_dir_all(folder.join("inbox")).expect("a folder");
    let secret = "a secret of this test";
    fs::write(folder.join("seeds.txt"), secret).expect("a file");
    let said = fs::File::create(folder.join("said")).expect("a file");
    let (inbox, seeds, out) = (at("inbox"), at("seeds.txt"), at("out"));
    let batch = ["--lab", "raft", "--watch", &inbox, "--runs", "1", "--secret", &seeds, "--out", &out];
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-grade"));
    let mut grader =
        command.args(batch).args(["--cache", &cache]).stderr(said).spawn().expect("the program was built");
    let mut wait = |what: &str, is_done: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_done() {
            let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
            assert!(begun.elapsed().as_secs() < 600, "{what}: {said}");
            assert!(grader.try_wait().is_ok_and(|ended| ended.is_none()), "the grader has ended: {said}");
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    };
    let grades = || fs::read_to_string(folder.join("out/grades.csv")).unwrap_or_default();
    let is_graded = |name: &str| grades().contains(&format!("{name},{name}.zip,0,"));
    fs::write(folder.join("inbox/alice.zip"), "no archive").expect("a file");
    wait("alice is graded", &|| is_graded("alice"));
    fs::remove_file(folder.join("seeds.txt")).expect("it was there");
    fs::write(folder.join("inbox/bob.zip"), "no archive").expect("a file");
    let has_failed =
        || fs::read_to_string(folder.join("said")).is_ok_and(|said| said.contains("it is tried again"));
    wait("a round fails", &has_failed);
    assert!(!is_graded("bob") && is_graded("alice"));
    fs::write(folder.join("seeds.txt"), secret).expect("a file");
    wait("both are graded", &|| is_graded("alice") && is_graded("bob"));
    // A submission that is handed in again takes the place of the first.
    fs::remove_file(folder.join("inbox/alice.zip")).expect("it was there");
    fs::create_dir(folder.join("inbox/alice")).expect("a folder");
    wait("alice is graded again", &|| grades().contains("alice,alice,0,") && is_graded("bob"));
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
    let room = at("room");
    fs::create_dir(&room).expect("a folder");
    let output = Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--size", "12582912", "--tmpfs", &room, "--setenv", "TMPDIR", &room])
        .arg(env!("CARGO_BIN_EXE_lab-grade"))
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
