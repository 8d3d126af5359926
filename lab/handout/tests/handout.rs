//! The program as instructors run it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn handout(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab-handout")).args(arguments).output().expect("the program was built")
}

/// A folder for one test, empty, and where the handout goes in it.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It is there if the test ran before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for a test can be made");
    folder
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).expect("the file can be read"));
        }
    }
    found
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let folder = scratch("refused");
    let out = folder.join("out");
    let path = out.display().to_string();
    for (arguments, says) in [
        (vec!["--lab", "rafft", "--out", &path], "there is no lab `rafft`; did you mean raft?"),
        (vec!["--lab", "raft", "--level", "hard", "--out", &path], "invalid value 'hard'"),
        (vec!["--out", &path], "which lab?"),
        (
            vec!["--lab", "raft", "--with", "kvraft", "--out", &path],
            "no lab of this handout stands on kvraft",
        ),
        (vec!["--lab", "raft", "--out", &path, "--diff", &path], "is no handout"),
        (vec!["--lab", "raft"], "--out"),
        // Both would be passed over, and everything be built.
        (vec!["--book", "--no-build"], "cannot be used with"),
        (vec!["--book", "--level", "guided"], "cannot be used with"),
    ] {
        let output = handout(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(words(&output).contains(says), "{arguments:?}: {}", words(&output));
        assert_eq!(fs::read_dir(&folder).map(Iterator::count).ok(), Some(0), "{arguments:?}");
    }
    fs::create_dir(&out).expect("a folder can be made");
    fs::write(out.join("mine"), "").expect("a file can be written");
    let output = handout(&["--lab", "raft", "--out", &path]);
    assert_eq!((output.status.code(), words(&output).contains("is not empty")), (Some(2), true));
    assert_eq!(files(&out).len(), 1);
}

#[test]
fn twice_gives_equal_bytes() {
    let folder = scratch("twice");
    let contents = ["a", "b"].map(|name| {
        let out = folder.join(name);
        let output = handout(&["--lab", "kvraft", "--level", "guided", "--out", &out.display().to_string()]);
        assert!(output.status.success(), "{}", words(&output));
        files(&out)
            .into_iter()
            .map(|(path, content)| (path.strip_prefix(&out).expect("it is below").to_path_buf(), content))
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(contents[0], contents[1]);
    assert!(!contents[0].keys().any(|path| path.starts_with("raft") || path.starts_with("bugs")));
}

/// cargo knows a crate by its name, and a folder is none; crates without tests of rules are not named.
#[test]
fn the_readme_names_the_crates_whose_rules_have_tests() {
    let out = scratch("rules").join("out");
    for (labs, command) in [
        ("warmup,gfs", Some("`cargo test -p warmup`")),
        ("zookeeper", Some("`cargo test -p rsm`")),
        ("gfs", None),
    ] {
        let path = out.display().to_string();
        let output = handout(&["--lab", labs, "--level", "guided", "--out", &path]);
        assert!(output.status.success(), "{}", words(&output));
        let readme = fs::read_to_string(out.join("README.md")).expect("the handout has one");
        let told = readme.lines().find_map(|line| line.split("not graded: ").nth(1)?.split(" runs").next());
        assert_eq!(told, command, "of {labs}");
        fs::remove_dir_all(&out).expect("the folder is the test's own");
    }
}

#[test]
fn an_update_leaves_out_what_the_student_has_changed() {
    let folder = scratch("update");
    let (old, new) = (folder.join("old"), folder.join("new"));
    let out = |path: &Path| path.display().to_string();
    assert!(handout(&["--lab", "raft", "--level", "guided", "--out", &out(&old)]).status.success());
    // The student worked in one file that has another form by now, and in a file of their own.
    fs::write(old.join("raft/src/server.rs"), "// mine\n").expect("a file can be written");
    fs::write(old.join("raft/src/mine.rs"), "// mine\n").expect("a file can be written");
    let output = handout(&["--lab", "raft", "--level", "classic", "--out", &out(&new), "--diff", &out(&old)]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("the student has changed it: raft/src/server.rs"), "{}", words(&output));
    assert!(!words(&output).contains("mine.rs"));
    let patch = folder.join("update.patch");
    fs::write(&patch, &output.stdout).expect("a file can be written");
    let applied = Command::new("git")
        .args(["apply", "--unsafe-paths", "--directory", &out(&old), &out(&patch)])
        .current_dir("/")
        .output()
        .expect("git is there");
    assert!(applied.status.success(), "{}", words(&applied));
    for path in ["raft/src/lib.rs", "raft/src/api.rs", "README.md", "raft/src/rpc.rs"] {
        assert_eq!(fs::read(old.join(path)).ok(), fs::read(new.join(path)).ok(), "{path}");
    }
    assert!(!old.join("raft/tests/raft/figure2.rs").exists());
    assert_eq!(fs::read(old.join("raft/src/mine.rs")).ok().as_deref(), Some(&b"// mine\n"[..]));
}

/// A line for programs, and nothing else, of a handout, of an update, and of a proof.
#[test]
fn what_programs_read_is_json() {
    let folder = scratch("json");
    let at = |name: &str| folder.join(name).display().to_string();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = handout(&[arguments, &["--lab", "warmup", "--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", words(&output));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        serde_json::from_str(&text).expect("it is JSON")
    };
    let (old, new) = (at("old"), at("new"));
    let made = json(&["--out", &old]);
    let count = files(&folder.join("old")).len() as u64;
    assert_eq!((made["folder"].as_str(), made["files"].as_u64()), (Some(&*old), Some(count)), "{made}");
    assert!(made["patch"].is_null(), "{made}");
    let update = json(&["--out", &new, "--diff", &old]);
    assert_eq!((&update["patch"], &update["not_in_patch"]), (&"".into(), &serde_json::json!([])), "{update}");
    let proof = json(&["--prove", "--no-build", "--level", "classic", "--out", &at("proof")]);
    assert_eq!(
        (proof["lab"].as_str(), proof["level"].as_str()),
        (Some("warmup"), Some("classic")),
        "{proof}"
    );
    assert!(proof["fault"].is_null() && proof["facts"].is_string(), "{proof}");
}
