//! Files that change while the job runs: the job fails and names the file, whatever the application and
//! wherever the worker reads.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::stage::{Process, Stage, await_event, finish, verdict};

/// What the message says of a file that has another content than when the job began.
const CHANGED: &str = "the file has changed";

/// Something that happens to the file `late`: its name, what the message says of it, and how it is done.
type Change = (&'static str, &'static str, fn(&Stage));

const CHANGES: [Change; 8] = [
    ("gone", "No such file", |stage| fs::remove_file(stage.path().join("late")).unwrap()),
    ("a pipe", "is no regular file, but a pipe", |stage| {
        fs::remove_file(stage.path().join("late")).unwrap();
        assert!(Command::new("mkfifo").arg(stage.path().join("late")).status().unwrap().success());
    }),
    ("a folder", "is no regular file, but a directory", |stage| {
        fs::remove_file(stage.path().join("late")).unwrap();
        fs::create_dir(stage.path().join("late")).unwrap();
    }),
    ("cut off", CHANGED, |stage| truncate(stage, 9)),
    ("empty", CHANGED, |stage| truncate(stage, 0)),
    ("longer", CHANGED, |stage| append(stage, b"and more\n")),
    ("the same length", CHANGED, |stage| stage.write("late", b"one six three\n")),
    ("replaced", CHANGED, |stage| {
        stage.write("other", b"one two three\n");
        fs::rename(stage.path().join("other"), stage.path().join("late")).unwrap();
    }),
];

fn truncate(stage: &Stage, length: u64) {
    let file = OpenOptions::new().write(true).open(stage.path().join("late")).unwrap();
    file.set_len(length).unwrap();
}

fn append(stage: &Stage, more: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(stage.path().join("late")).unwrap();
    file.write_all(more).unwrap();
}

/// Runs a coordinator with these arguments, and `meanwhile` beside it, after the splits were cut.
fn coordinate(stage: &Stage, arguments: &[&str], meanwhile: impl FnOnce()) -> Output {
    let mut command = stage.command(&[&["coordinator"], arguments].concat());
    command.stderr(Stdio::piped());
    std::thread::scope(|scope| {
        let coordinator = scope.spawn(|| finish(command));
        await_event("a socket", || stage.names(".", "mr-socket").pop());
        // The splits are cut before the job has its directory.
        await_event("the job", || stage.names(".", ".mr-job").pop());
        meanwhile();
        coordinator.join().unwrap()
    })
}

/// The job has failed with the name of the file, and has left nothing.
#[track_caller]
fn has_failed(stage: &Stage, coordinator: &Output, what: &str, says: &str) {
    let (code, reason) = verdict(coordinator);
    assert_eq!(code, 1, "{what}: {reason}");
    assert!(reason.contains(&format!("late: {says}")), "{what}: {reason}");
    assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new(), "{what}");
    stage.is_clean();
}

#[test]
fn a_file_that_changes_before_its_map() {
    let readers: [(&str, &[&str]); 5] = [
        ("wc", &[]),
        ("sort", &[]),
        ("nocrash", &[]),
        ("indexer", &["--no-shared-disk"]),
        ("nocrash", &["--no-shared-disk"]),
    ];
    for (number, (what, says, change)) in CHANGES.into_iter().enumerate() {
        // Every change with two of the kinds of applications and workers, every kind with several changes.
        for (app, worker) in [readers[number % 5], readers[(number + 2) % 5]] {
            let stage = Stage::new();
            stage.write("early", b"some text\n");
            stage.write("late", b"one two three\n");
            let coordinator = coordinate(&stage, &["--app", app, "early", "late"], || {
                change(&stage);
                assert!(stage.start(&[&["worker"], worker].concat()).wait());
            });
            has_failed(&stage, &coordinator, &format!("{what}, {app} {worker:?}"), says);
        }
    }
}

/// Some maps of the file are done, and others are not: their outputs would be of two files.
#[test]
fn a_file_that_changes_between_its_maps() {
    for (what, says, change) in [CHANGES[0], CHANGES[3], CHANGES[5]] {
        let stage = Stage::with_large_text(16);
        fs::rename(stage.path().join("large.txt"), stage.path().join("late")).unwrap();
        let job = ["--app", "wc", "--split", "1", "--reduces", "3", "late"];
        let coordinator = coordinate(&stage, &job, || {
            let mut worker: Process = stage.worker();
            await_event("the output of a map", || {
                let directory = stage.names(".", ".mr-job").pop()?;
                stage.names(&directory, "mr-1-").pop()
            });
            change(&stage);
            assert!(worker.wait());
        });
        has_failed(&stage, &coordinator, what, says);
    }
}

/// A file that changes after its maps has been read: the output is that of the old content.
#[test]
fn a_file_that_changes_after_its_maps() {
    let stage = Stage::new();
    stage.write("late", b"one two two\n");
    // The reduce of this name takes a while.
    stage.write("tom", b"");
    let coordinator = coordinate(&stage, &["--app", "early_exit", "--reduces", "1", "late", "tom"], || {
        let mut worker = stage.worker();
        await_event("the outputs of both maps", || {
            let directory = stage.names(".", ".mr-job").pop()?;
            (stage.names(&directory, "mr-0-").len() + stage.names(&directory, "mr-1-").len() == 2)
                .then_some(())
        });
        append(&stage, b"three\n");
        assert!(worker.wait());
    });
    assert_eq!(verdict(&coordinator).0, 0);
    assert_eq!(stage.lines(), ["late 1", "tom 1"]);
}

/// The folders of a running job are removed: it fails, and nothing waits for ever.
#[test]
fn folders_that_go_away_during_the_job() {
    let stage = Stage::with_large_text(16);
    let job = ["run", "--workers", "2", "--app", "wc", "--split", "1", "--out", "out", "large.txt"];
    for (more, folder) in [(&[][..], "out"), (&[][..], ".mr-job"), (&["--local-disks"][..], "mrjob-")] {
        let mut command = stage.command(&[&job[..], more].concat());
        command.stderr(Stdio::piped());
        let output = std::thread::scope(|scope| {
            let run = scope.spawn(|| finish(command));
            await_event("a map", || {
                let directory = stage.names("out", ".mr-job").pop()?;
                let is_local = !more.is_empty();
                let made = stage.names(&format!("out/{directory}"), "mr-").pop();
                made.or_else(|| stage.names(".", "mrjob-").pop().filter(|_| is_local))
            });
            let within = if folder == ".mr-job" { "out" } else { "." };
            let name = stage.names(within, folder).pop().unwrap();
            // Workers may be making files there.
            while fs::remove_dir_all(stage.path().join(within).join(&name))
                .is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
            {}
            run.join().unwrap()
        });
        let (code, reason) = verdict(&output);
        assert_eq!(code, 1, "{folder}: {reason}");
        assert_eq!(stage.names("out", "mr-out"), Vec::<String>::new(), "{folder}");
        let _ = fs::remove_dir_all(stage.path().join("out"));
    }
}
