//! Bad input: a clear error or what is documented, never half an output, and never the loss of an earlier
//! one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::stage::{Stage, finish, verdict};

/// A job that cannot succeed: exit code 1, a message that has all of these pieces, no output and nothing else
/// left.
#[track_caller]
fn fails(stage: &Stage, arguments: &[&str], pieces: &[&str]) {
    let (code, reason) = verdict(&stage.run(&[&["run", "--workers", "2"], arguments].concat()));
    assert_eq!(code, 1, "{reason}");
    for piece in pieces {
        assert!(reason.contains(piece), "`{piece}` is not in: {reason}");
    }
    assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
    stage.is_clean();
    assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new());
}

/// A wrong call: exit code 2, and a message.
#[track_caller]
fn is_wrong_usage(stage: &Stage, arguments: &[&str], piece: &str) {
    let (code, reason) = verdict(&stage.run(arguments));
    assert_eq!(code, 2, "{reason}");
    assert!(reason.contains(piece), "`{piece}` is not in: {reason}");
    stage.is_clean();
}

/// A small job that succeeds.
#[track_caller]
fn succeeds(stage: &Stage, arguments: &[&str]) {
    let output = stage.run(&[&["run", "--workers", "2"], arguments].concat());
    assert_eq!(verdict(&output), (0, String::new()), "{arguments:?}");
    stage.is_clean();
}

#[test]
fn wrong_usage() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    is_wrong_usage(&stage, &["run", "--app", "wc"], "FILES");
    is_wrong_usage(&stage, &["run", "text"], "--app");
    is_wrong_usage(&stage, &["run", "--app", "wc", "--reduces", "0", "text"], "--reduces");
    is_wrong_usage(&stage, &["coordinator", "--app", "wc", "--reduces", "0", "text"], "--reduces");
    is_wrong_usage(&stage, &["run", "--app", "wc", "--workers", "0", "text"], "--workers");
    is_wrong_usage(&stage, &["run", "--app", "wc", "--no-such", "text"], "--no-such");
    is_wrong_usage(&stage, &["worker", "--connect", "somewhere"], "unix:PATH");
    is_wrong_usage(&stage, &["run", "--app", "grep", "text"], "pattern");
    is_wrong_usage(&stage, &["run", "--app", "grep", "--parameter", "(", "text"], "grep");
    is_wrong_usage(&stage, &["run", "--app", "wc", "--parameter", "x", "text"], "no parameters");
}

#[test]
fn numbers_out_of_range() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    for (command, option, numbers) in [
        ("run", "--reduces", &["-1", "10001", "4294967297", "99999999999999999999", "1e3", "", "ten"][..]),
        ("run", "--workers", &["-1", "1025", "18446744073709551617"]),
        ("run", "--split", &["0", "-1", "2049", "x"]),
        ("run", "--memory", &["0", "-1", "1025"]),
        ("coordinator", "--timeout", &["0", "-5", "18446744073709551616"]),
        ("worker", "--patience", &["-1", "x"]),
        ("worker", "--memory", &["0", "99999999999"]),
    ] {
        for number in numbers {
            let job: &[&str] = if command == "worker" { &[] } else { &["--app", "wc", "text"] };
            is_wrong_usage(&stage, &[&[command, option, number], job].concat(), option);
        }
    }
    // A time-out that no job lives to see is one.
    succeeds(&stage, &["--app", "wc", "--timeout", "18446744073709551615", "text"]);
}

/// A file that has no blocks on the disk can be cut into any number of maps.
#[test]
fn more_intermediate_files_than_a_job_may_make() {
    let stage = Stage::new();
    let sparse = fs::File::create(stage.path().join("sparse")).unwrap();
    sparse.set_len((64 << 30) + 1).unwrap();
    for command in ["run", "coordinator"] {
        let arguments = [command, "--app", "wc", "--reduces", "10000", "sparse"];
        is_wrong_usage(
            &stage,
            &arguments,
            "4097 maps and --reduces 10000 could make 40970000 intermediate files",
        );
    }
}

#[test]
fn an_unknown_application_is_told_which_there_are() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    for command in ["run", "coordinator", "sequential"] {
        is_wrong_usage(&stage, &[command, "--app", "word-count", "text"], "wc");
    }
}

#[test]
fn a_missing_file() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    fails(&stage, &["--app", "wc", "text", "missing.txt"], &["missing.txt", "No such file"]);
}

#[test]
fn a_directory() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    fs::create_dir(stage.path().join("folder")).unwrap();
    fails(&stage, &["--app", "wc", "text", "folder"], &["folder", "no regular file"]);
}

#[test]
fn a_file_that_may_not_be_read() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    stage.write("secret", b"some text\n");
    fs::set_permissions(stage.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Only its owner may enter the program's directory.
    let program = stage.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_mrjob"), &program).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--app", "wc", "text", "secret"]).current_dir(stage.path());
    command.env("TMPDIR", stage.path());
    if nix::unistd::geteuid().is_root() {
        // Root can read every file; the user `nobody` cannot.
        command.uid(65_534).gid(65_534);
    }
    let (code, reason) = verdict(&finish(command));
    assert_eq!(code, 1, "{reason}");
    assert!(reason.contains("secret: Permission denied"), "{reason}");
    assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
}

#[test]
fn empty_files() {
    let stage = Stage::new();
    stage.write("empty", b"");
    stage.write("text", b"one two two\n");
    succeeds(&stage, &["--app", "wc", "empty", "text", "empty"]);
    assert_eq!(stage.lines(), ["one 1", "two 2"]);
    succeeds(&stage, &["--app", "wc", "--reduces", "3", "empty"]);
    assert_eq!(stage.lines(), Vec::<String>::new());
    assert_eq!(stage.names(".", "mr-out"), ["mr-out-0", "mr-out-1", "mr-out-2"]);
    succeeds(&stage, &["--app", "nocrash", "empty"]);
    assert_eq!(
        stage.lines(),
        ["a empty", "b 5", "c 0", "d xyzzy"],
        "an empty file is mapped, as in the course"
    );
}

#[test]
fn bytes_that_are_no_text() {
    let stage = Stage::new();
    stage.write("bytes", b"caf\xc3\xa9 na\xc3\xafve\xffx caf\xe9\n\x00\x01\xfe\nend");
    succeeds(&stage, &["--app", "wc", "bytes"]);
    assert_eq!(stage.lines(), ["café 1", "caf 1", "end 1", "naïve 1", "x 1"].sorted());
    succeeds(&stage, &["--app", "grep", "--parameter", "caf", "bytes"]);
    assert_eq!(stage.lines(), ["café naïve\u{fffd}x caf\u{fffd}"]);
    succeeds(&stage, &["--app", "sort", "bytes"]);
    assert_eq!(stage.lines().len(), 3);
}

/// For expectations that are easier to read in another order.
trait Sorted {
    fn sorted(self) -> Self;
}

impl<const N: usize> Sorted for [&str; N] {
    fn sorted(mut self) -> Self {
        self.sort_unstable();
        self
    }
}

#[test]
fn earlier_output_is_replaced_by_a_job_that_succeeds() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    succeeds(&stage, &["--app", "wc", "--reduces", "5", "--out", "out/deep", "text"]);
    stage.write("out/deep/mr-out-of-the-way", b"not the job's");
    assert_eq!(stage.names("out/deep", "mr-out").len(), 6);
    stage.write("text", b"three\n");
    succeeds(&stage, &["--app", "wc", "--reduces", "2", "--out", "out/deep", "text"]);
    let names = stage.names("out/deep", "");
    assert_eq!(names, ["mr-out-0", "mr-out-1", "mr-out-of-the-way"], "files of the larger job are gone");
    let text: String = ["mr-out-0", "mr-out-1"]
        .map(|name| fs::read_to_string(stage.path().join("out/deep").join(name)).unwrap())
        .concat();
    assert_eq!(text, "three 1\n");
}

#[test]
fn earlier_output_survives_a_job_that_fails() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    succeeds(&stage, &["--app", "wc", "text"]);
    let before = stage.lines();
    let (code, _) = verdict(&stage.run(&["run", "--app", "wc", "missing"]));
    assert_eq!(code, 1);
    let (code, reason) = verdict(&finish(on_a_full_disk(&stage, &["--app", "wc", "--reduces", "2"])));
    assert_eq!(code, 1, "{reason}");
    assert_eq!(stage.lines(), before);
    stage.is_clean();
}

#[test]
fn an_output_folder_that_is_none() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    fails(&stage, &["--app", "wc", "--out", "text", "text"], &["text:"]);
}

#[test]
fn a_directory_in_the_place_of_an_output_file() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    fs::create_dir(stage.path().join("mr-out-3")).unwrap();
    let (code, reason) = verdict(&stage.run(&["run", "--app", "wc", "text"]));
    assert_eq!(code, 1);
    assert!(reason.contains("mr-out-3: a directory is in the way"), "{reason}");
    assert_eq!(stage.names(".", "mr-out"), ["mr-out-3"], "all of the output or none");
    stage.is_clean();
}

/// A job whose files may have 32 KiB each: writing more fails, as it does when a quota is used up.
fn on_a_full_disk(stage: &Stage, arguments: &[&str]) -> Command {
    let words: Vec<String> = (0..40_000).map(|number| format!("w{}", letters(number))).collect();
    stage.write("words", words.join(" ").as_bytes());
    let mut command = Command::new("sh");
    // Without the signal's handler at work the system call fails, which is what a program can deal with.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_mrjob"), "run", "--workers", "2"]);
    command.args(arguments).arg("words").current_dir(stage.path()).env("TMPDIR", stage.path());
    command
}

/// A number in letters.
fn letters(mut number: usize) -> String {
    let mut text = String::new();
    while number > 0 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}

#[test]
fn a_full_disk() {
    let stage = Stage::new();
    let (code, reason) = verdict(&finish(on_a_full_disk(&stage, &["--app", "wc", "--reduces", "2"])));
    assert_eq!(code, 1, "{reason}");
    assert!(reason.contains("File too large"), "{reason}");
    assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
    stage.is_clean();
}

/// A job over the output of an earlier one, into the same folder, would end with its input gone.
#[test]
fn input_that_the_output_would_replace() {
    let stage = Stage::new();
    stage.write("mr-out-0", b"one two\n");
    stage.write("mr-out-7", b"two\n");
    fs::create_dir(stage.path().join("folder")).unwrap();
    for arguments in [
        &["run", "--app", "wc", "mr-out-0"][..],
        &["run", "--app", "wc", "--reduces", "2", "./mr-out-7"],
        &["coordinator", "--app", "wc", "--out", "folder/..", "mr-out-7"],
        &["sequential", "--app", "wc", "mr-out-0"],
    ] {
        is_wrong_usage(&stage, arguments, "would replace this input");
    }
    assert_eq!(fs::read(stage.path().join("mr-out-0")).unwrap(), b"one two\n");
    assert_eq!(fs::read(stage.path().join("mr-out-7")).unwrap(), b"two\n");
    // A symbolic link leads to one of them, also by way of another link.
    std::os::unix::fs::symlink("mr-out-7", stage.path().join("link")).unwrap();
    std::os::unix::fs::symlink("folder/../link", stage.path().join("link-to-link")).unwrap();
    is_wrong_usage(&stage, &["run", "--app", "wc", "link"], "link: the job's output would replace");
    is_wrong_usage(&stage, &["sequential", "--app", "wc", "link-to-link"], "would replace this input");
    // A hard link is another name, and keeps its content.
    fs::hard_link(stage.path().join("mr-out-7"), stage.path().join("kept")).unwrap();
    succeeds(&stage, &["--app", "wc", "kept"]);
    assert_eq!(fs::read(stage.path().join("kept")).unwrap(), b"two\n");
}

/// What the command writes beside the output must not be the input or the output.
#[test]
fn reports_and_tokens_do_not_replace_data() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    std::os::unix::fs::symlink("text", stage.path().join("link")).unwrap();
    for (command, option, place) in [
        ("run", "--report", "text"),
        ("run", "--report", "./link"),
        ("coordinator", "--report", "text"),
        ("coordinator", "--token-file", "text"),
        ("run", "--report", "mr-out-1"),
        ("coordinator", "--token-file", "./mr-out-0"),
    ] {
        let (code, reason) = verdict(&stage.run(&[command, option, place, "--app", "wc", "text"]));
        assert_eq!(code, 2, "{reason}");
        assert!(reason.contains(&format!("{option} {place}: this is a file of the job's")), "{reason}");
        assert_eq!(fs::read(stage.path().join("text")).unwrap(), b"one two two\n");
        assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
        stage.is_clean();
    }
}

/// Of files whose names are like those of output, a job replaces and removes only its own.
#[test]
fn names_that_are_only_like_those_of_output() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    let others =
        ["mr-out-007", "mr-out-+8", "mr-out-9.txt", "mr-out-", "mr-out--1", "mr-out-99999999999999999999"];
    others.iter().for_each(|name| stage.write(name, b"not the job's"));
    for command in ["run", "sequential"] {
        stage.write("mr-out-77", b"of a larger job");
        assert_eq!(verdict(&stage.run(&[command, "--app", "wc", "text"])).0, 0);
        assert!(!stage.path().join("mr-out-77").exists());
        for name in others {
            assert_eq!(fs::read(stage.path().join(name)).unwrap(), b"not the job's", "{name}");
        }
    }
    assert_eq!(stage.names(".", "mr-out").len(), others.len() + 1, "one file of the sequential run");
    // They can be input, too.
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "--out", "out", "mr-out-007", "mr-out-+8"])).0, 0);
}

#[test]
fn input_files_with_the_names_of_the_jobs_own() {
    let stage = Stage::new();
    stage.write("mr-0-0.0", b"one two\n");
    stage.write("mr-out-9", b"two\n");
    succeeds(&stage, &["--app", "wc", "--out", "out", "mr-0-0.0", "mr-out-9"]);
    let text: Vec<String> = stage
        .names("out", "mr-out")
        .iter()
        .map(|name| fs::read_to_string(stage.path().join("out").join(name)).unwrap())
        .collect();
    assert_eq!(text.concat().lines().count(), 2);
}
