//! Folders as they are: without permission, taken by something else, shared with jobs that run or were
//! killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::stage::{Process, Stage, await_event, finish, verdict};

/// The program where every user can run it.
fn program(stage: &Stage) -> PathBuf {
    let program = stage.path().join("program");
    if !program.exists() {
        // Only its owner may enter the directory in which it was built.
        fs::copy(env!("CARGO_BIN_EXE_mrjob"), &program).unwrap();
        set_mode(stage.path(), 0o777);
    }
    program
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs the command as a user who may not do everything: root may write everywhere, the user `nobody` may
/// not.
fn run_as_a_user(stage: &Stage, temporary: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program(stage));
    command.args(arguments).current_dir(stage.path()).env("TMPDIR", temporary).env_remove("MRJOB_TOKEN");
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    finish(command)
}

/// Nothing can be made in the folder for the output, the report, the token, the socket, or temporary files.
#[test]
fn folders_that_cannot_be_written() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    let closed = stage.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("mr-out-0"), "of an earlier job").unwrap();
    set_mode(&closed, 0o555);
    let is_refused = |temporary: &Path, arguments: &[&str], names: &str| {
        let (code, reason) = verdict(&run_as_a_user(&stage, temporary, arguments));
        assert!(code == 1 || code == 2, "{arguments:?}: {code} {reason}");
        assert!(reason.contains(names) && reason.contains("Permission denied"), "{arguments:?}: {reason}");
        assert_eq!(fs::read_dir(&closed).unwrap().count(), 1, "{arguments:?}");
        assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new(), "{arguments:?}");
        stage.is_clean();
        assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new());
    };
    let open = stage.path();
    is_refused(open, &["run", "--app", "wc", "--out", "closed", "text"], "closed");
    is_refused(open, &["run", "--app", "wc", "--out", "closed/deeper", "text"], "closed/deeper");
    is_refused(open, &["coordinator", "--app", "wc", "--out", "closed", "text"], "closed");
    is_refused(open, &["sequential", "--app", "wc", "--out", "closed", "text"], "closed");
    // Known before the job has worked for an hour.
    is_refused(
        open,
        &["run", "--app", "wc", "--report", "closed/job.html", "text"],
        "--report closed/job.html",
    );
    is_refused(open, &["coordinator", "--app", "wc", "--token-file", "closed/token", "text"], "closed/token");
    is_refused(open, &["coordinator", "--app", "wc", "--listen", "unix:closed/s", "text"], "closed/s");
    is_refused(&closed, &["run", "--app", "wc", "text"], "closed");
    is_refused(open, &["worker", "--local", "closed"], "closed");
    // A folder that cannot be entered has no files.
    set_mode(&closed, 0o000);
    let (code, reason) = verdict(&run_as_a_user(&stage, open, &["run", "--app", "wc", "closed/text"]));
    assert_eq!((code, reason.contains("closed/text: Permission denied")), (1, true), "{reason}");
    set_mode(&closed, 0o755);
}

/// Something else has the name of the output's folder.
#[test]
fn output_folders_that_are_none() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    assert!(Command::new("mkfifo").arg(stage.path().join("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", stage.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", stage.path().join("loop")).unwrap();
    for out in ["text", "fifo", "dangling", "loop", "/dev/null", "text/deeper", "/proc/self"] {
        for command in ["run", "coordinator", "sequential"] {
            let (code, reason) = verdict(&stage.run(&[command, "--app", "wc", "--out", out, "text"]));
            assert_eq!((code, reason.contains(&format!("{out}: "))), (1, true), "{command} {out}: {reason}");
            stage.is_clean();
        }
    }
    assert_eq!(fs::read(stage.path().join("text")).unwrap(), b"one two two\n");
    // A link to a folder is a folder.
    fs::create_dir(stage.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("folder", stage.path().join("link")).unwrap();
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "--out", "link", "text"])).0, 0);
    assert_eq!(stage.lines_in("folder"), ["one 1", "two 2"]);
}

/// A job that runs is not resumed by another one, which leaves it alone.
#[test]
fn a_job_that_runs_is_not_resumed() {
    let stage = Stage::with_large_text(16);
    let job = ["--app", "wc", "--split", "1", "--reduces", "3", "large.txt"];
    let mut first = stage.start(&[&["coordinator"][..], &job].concat());
    let directory = await_event("the job", || stage.names(".", ".mr-job").pop());
    let second = stage.run(&[&["run", "--resume"][..], &job].concat());
    let (code, reason) = verdict(&second);
    assert_eq!(code, 1, "{reason}");
    assert!(reason.contains("nothing to resume") && reason.contains("a job that is running"), "{reason}");
    assert_eq!(stage.names(".", ".mr-job"), [directory]);
    assert!(stage.worker().wait() && first.wait());
    stage.is_clean();
}

/// Of two that resume one job, one gets it; the other says so, and nothing is lost.
#[test]
fn a_killed_job_is_resumed_once() {
    let stage = Stage::with_large_text(16);
    let job = ["--app", "wc", "--split", "1", "--reduces", "3", "--out", "out", "large.txt"];
    let mut killed = stage.start(&[&["run", "--workers", "1"][..], &job].concat());
    await_event("the output of a map", || {
        let directory = stage.names("out", ".mr-job").pop()?;
        stage.names(&format!("out/{directory}"), "mr-1-").pop()
    });
    killed.kill();
    let mut both = [0, 1].map(|_| stage.start(&[&["run", "--workers", "1", "--resume"][..], &job].concat()));
    let succeeded = both.iter_mut().map(Process::wait).filter(|succeeded| *succeeded).count();
    assert!(succeeded >= 1);
    assert_eq!(verdict(&stage.run(&["sequential", "--app", "wc", "--out", "expected", "large.txt"])).0, 0);
    assert_eq!(stage.lines_in("out"), stage.lines_in("expected"));
    assert_eq!(stage.names("out", "."), Vec::<String>::new());
}

/// The disk of a worker that was killed is removed by the next worker on the machine, and a worker that lives
/// keeps its own.
#[test]
fn what_a_killed_worker_leaves_is_removed_by_the_next() {
    let stage = Stage::with_large_text(16);
    let job =
        ["--app", "wc", "--split", "1", "--reduces", "3", "--timeout", "300", "--local-disks", "large.txt"];
    let mut coordinator = stage.start(&[&["coordinator"][..], &job].concat());
    let mut killed = stage.worker();
    let disk = await_event("a disk", || stage.names(".", "mrjob-w-").pop());
    await_event("an output", || stage.names(&disk, "mr-").pop());
    killed.kill();
    assert_eq!(stage.names(".", "mrjob-w-"), [disk.as_str()]);
    let mut next = stage.worker();
    await_event("another disk", || {
        Some(stage.names(".", "mrjob-w-")).filter(|disks| disks.len() == 1 && disks[0] != disk)
    });
    assert!(next.wait() && coordinator.wait());
    assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new());
}

/// A sequential run is a job like others: it removes what a killed one has left, and not what a living one
/// has.
#[test]
fn a_sequential_run_clears_up_too() {
    let stage = Stage::with_books();
    let mut killed = stage.coordinator(&["--app", "wc"]);
    await_event("the job", || stage.names(".", ".mr-job").pop());
    killed.kill();
    stage.write("text", b"one two two\n");
    assert_eq!(verdict(&stage.run(&["sequential", "--app", "wc", "text"])).0, 0);
    assert_eq!(stage.names(".", ".mr-job"), Vec::<String>::new());
    assert_eq!(stage.lines(), ["one 1", "two 2"]);
    fs::remove_file(stage.path().join("mr-socket")).unwrap();
    let mut alive = stage.coordinator(&["--app", "wc"]);
    let directory = await_event("the job", || stage.names(".", ".mr-job").pop());
    assert_eq!(verdict(&stage.run(&["sequential", "--app", "wc", "text"])).0, 0);
    assert_eq!(stage.names(".", ".mr-job"), [directory]);
    assert!(stage.worker().wait() && alive.wait());
}
