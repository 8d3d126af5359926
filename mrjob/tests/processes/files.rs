//! Files as they are: pipes, names that are any bytes, many small files, and what killed jobs leave.
//! `changes.rs` has files that change during the job.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::{Duration, Instant};

use mapreduce_engine::zipf::Zipf;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stage::{Process, Stage, await_event, finish, verdict};

/// A job that must fail soon, with a message that has all of these pieces, and leave nothing.
#[track_caller]
fn fails(stage: &Stage, command: &str, arguments: &[&str], pieces: &[&str]) {
    let begun = Instant::now();
    let (code, reason) = verdict(&stage.run(&[&[command], arguments].concat()));
    assert_eq!(code, 1, "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{reason}");
    for piece in pieces {
        assert!(reason.contains(piece), "`{piece}` is not in: {reason}");
    }
    assert_eq!(stage.names(".", "mr-out"), Vec::<String>::new());
    stage.is_clean();
}

#[test]
fn special_files_are_refused_by_name() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    let made = Command::new("mkfifo").arg(stage.path().join("fifo")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("fifo", stage.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(stage.path().join("socket")).unwrap();
    for command in ["run", "coordinator", "sequential"] {
        for app in ["wc", "sort", "nocrash"] {
            fails(&stage, command, &["--app", app, "text", "fifo"], &["fifo", "pipe"]);
        }
        fails(&stage, command, &["--app", "wc", "link", "text"], &["link", "pipe"]);
        fails(&stage, command, &["--app", "wc", "/dev/zero"], &["/dev/zero", "device"]);
        fails(&stage, command, &["--app", "wc", "socket"], &["socket"]);
        fails(&stage, command, &["--app", "wc", "text", "/proc/self/status"], &["/proc/self/status", "copy"]);
    }
}

/// A file that is shorter than its length says, as most below `/sys` are.
#[test]
fn a_file_whose_length_says_nothing() {
    let stage = Stage::new();
    let sys =
        ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_seqnum", "/sys/kernel/fscaps"];
    let Some(file) = sys.into_iter().find(|file| fs::metadata(file).is_ok_and(|data| data.len() >= 4096))
    else {
        eprintln!("skipped: there is no such file here");
        return;
    };
    for command in ["run", "coordinator", "sequential"] {
        fails(&stage, command, &["--app", "wc", file], &[file, "shorter than its length", "copy"]);
    }
    // An ordinary file of that length is an ordinary file.
    stage.write("page", "word \n".repeat(4096).split_at(4096).0.as_bytes());
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "page"])).0, 0);
}

/// `/dev/stdin` is a regular file here, and another one in each worker.
#[test]
fn a_name_that_each_process_understands_in_its_own_way() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    std::os::unix::fs::symlink("/dev/fd/0", stage.path().join("link")).unwrap();
    for (command, name) in
        [("run", "/dev/stdin"), ("coordinator", "/proc/self/fd/0"), ("run", "/dev/fd/0"), ("run", "link")]
    {
        let mut process = stage.command(&[command, "--app", "wc", name]);
        process.stdin(fs::File::open(stage.path().join("text")).unwrap());
        let (code, reason) = verdict(&finish(process));
        assert_eq!(code, 1, "{reason}");
        assert!(reason.contains(name) && reason.contains("another file"), "{reason}");
        stage.is_clean();
    }
}

#[test]
fn links_that_lead_nowhere() {
    let stage = Stage::new();
    for (link, target) in [("a", "b"), ("b", "a"), ("dangling", "nowhere"), ("folder", "."), ("name", "text")]
    {
        std::os::unix::fs::symlink(target, stage.path().join(link)).unwrap();
    }
    stage.write("text", b"some text\n");
    fails(&stage, "run", &["--app", "wc", "a"], &["a: ", "symbolic links"]);
    fails(&stage, "run", &["--app", "wc", "text", "dangling"], &["dangling: No such file"]);
    fails(&stage, "run", &["--app", "wc", "folder"], &["folder", "directory"]);
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "name"])).0, 0);
}

/// What the command writes beside the output takes the place of a regular file only.
#[test]
fn files_in_the_way_of_what_the_command_writes_stay() {
    let stage = Stage::new();
    stage.write("text", b"some text\n");
    stage.write("precious", b"precious\n");
    let fifo = stage.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let is_refused = |arguments: &[&str], pieces: [&str; 2]| {
        let (code, reason) = verdict(&stage.run(&[arguments, &["--app", "wc", "text"]].concat()));
        assert!(code == 1 || code == 2, "{code}: {reason}");
        assert!(pieces.iter().all(|piece| reason.contains(piece)), "{reason}");
        assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fs::metadata(&fifo).unwrap().file_type()));
        assert_eq!(fs::read(stage.path().join("precious")).unwrap(), b"precious\n");
    };
    is_refused(&["run", "--report", "fifo"], ["fifo", "no regular file"]);
    is_refused(&["coordinator", "--token-file", "fifo"], ["fifo", "no regular file"]);
    is_refused(&["coordinator", "--listen", "unix:fifo"], ["fifo", "no socket"]);
    is_refused(&["coordinator", "--listen", "unix:precious"], ["precious", "no socket"]);
    fs::rename(&fifo, stage.path().join("mr-out-3")).unwrap();
    std::os::unix::fs::symlink("mr-out-3", &fifo).unwrap();
    is_refused(&["run"], ["mr-out-3", "in the way"]);
    assert_eq!(stage.names(".", "mr-out"), ["mr-out-3"]);
    stage.is_clean();
}

/// A system takes about 100 bytes for the path of a socket, and folders may have longer names.
#[test]
fn folders_with_long_names() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    let folder = stage.path().join("long".repeat(40));
    fs::create_dir(&folder).unwrap();
    for more in [&["--local-disks"][..], &[]] {
        let mut command = stage.command(&[&["run", "--app", "wc", "text"][..], more].concat());
        command.env("TMPDIR", &folder);
        assert_eq!(verdict(&finish(command)).0, 0);
    }
    let socket = format!("unix:{}/socket", folder.display());
    let mut coordinator = stage.start(&["coordinator", "--app", "wc", "--listen", &socket, "text"]);
    assert!(stage.start(&["worker", "--connect", &socket]).wait() && coordinator.wait());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// Not even an empty folder stays behind where nothing can be written.
#[test]
fn a_disk_on_which_nothing_can_be_written() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_mrjob"), "run", "--app", "wc", "text"]);
    command.current_dir(stage.path()).env("TMPDIR", stage.path());
    let (code, reason) = verdict(&finish(command));
    assert_eq!(code, 1, "{reason}");
    assert!(reason.contains("File too large"), "{reason}");
    assert_eq!(fs::read_dir(stage.path()).unwrap().count(), 1);
}

#[test]
fn names_are_bytes() {
    let stage = Stage::new();
    let name = OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(stage.path().join(name), b"coffee and milk\n").unwrap();
    stage.write("comma,and\nline \\xe9 'end'", b"coffee\n");
    for how in ["run", "sequential"] {
        let mut command = stage.command(&[how, "--out", how, "--app", "indexer"]);
        command.arg(name).arg("comma,and\nline \\xe9 'end'");
        assert_eq!(verdict(&finish(command)).0, 0);
        let escaped = r"comma\x2cand\x0aline \x5cxe9 'end'";
        assert_eq!(
            stage.lines_in(how),
            [
                r"and 1 caf\xe9.txt".to_owned(),
                format!(r"coffee 2 caf\xe9.txt,{escaped}"),
                r"milk 1 caf\xe9.txt".to_owned()
            ]
        );
    }
    for app in ["nocrash", "early_exit", "reverse-links"] {
        let mut command = stage.command(&["run", "--app", app]);
        command.arg(name).arg("comma,and\nline \\xe9 'end'");
        assert_eq!(verdict(&finish(command)).0, 0, "{app}");
        assert!(stage.lines().len() <= 4, "a name makes no lines of its own: {:?}", stage.lines());
    }
    let (code, reason) = verdict(&finish({
        let mut command = stage.command(&["run", "--app", "wc"]);
        command.arg(OsStr::from_bytes(b"missing\xff"));
        command
    }));
    assert_eq!((code, reason.contains(r"missing\xff: No such file")), (1, true), "{reason}");
}

/// Names that look like options, have blanks, or are as long as the system lets them be.
#[test]
fn names_that_shells_and_parsers_trip_over() {
    let stage = Stage::new();
    let longest = "x".repeat(255);
    for name in
        ["-dash", "--help", "-", " ", "a b", "*", "$HOME", "~", "#", "\u{1b}[31m", "\u{202e}x", &longest]
    {
        stage.write(name, b"one two two\n");
        for command in ["run", "sequential"] {
            let output = stage.run(&[command, "--app", "indexer", "--out", "out", "--", name]);
            assert_eq!(verdict(&output), (0, String::new()), "{name:?}");
        }
        let written = name.replace('\u{1b}', r"\x1b");
        assert_eq!(stage.lines_in("out"), [format!("one 1 {written}"), format!("two 1 {written}")]);
    }
    let too_long = "x".repeat(256);
    for (name, says) in [("", "No such file"), (&too_long, "name too long"), ("-dash/", "Not a directory")] {
        fails(&stage, "run", &["--app", "wc", "--", "a b", name], &[says]);
    }
    // The name cannot speak to the terminal.
    let (_, reason) = verdict(&stage.run(&["run", "--app", "wc", "\u{1b}]0;x\u{7}"]));
    assert!(reason.contains(r"\x1b]0;x\x07: No such file") && !reason.contains('\u{1b}'), "{reason:?}");
}

/// One file given twice is read twice, as `cat` does.
#[test]
fn a_file_that_is_given_twice() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "text", "./text"])).0, 0);
    assert_eq!(stage.lines(), ["one 2", "two 4"]);
}

/// The folders for temporary files, output and disks may have such names, too.
#[test]
fn folders_have_names_of_any_bytes() {
    let stage = Stage::new();
    stage.write("text", b"one two two\n");
    // Output, report, token, socket and a worker's disk.
    let odd = |name: &str| OsStr::from_bytes(&[&b"\xff\\x41,\n"[..], name.as_bytes()].concat()).to_owned();
    let mut command = stage.command(&["run", "--app", "wc", "text", "--report"]);
    command.arg(odd("page")).arg("--out").arg(odd("out"));
    assert_eq!(verdict(&finish(command)).0, 0);
    assert!(
        stage.path().join(odd("page")).exists() && stage.path().join(odd("out")).join("mr-out-9").exists()
    );
    fs::create_dir(stage.path().join(odd("disk"))).unwrap();
    let mut coordinator =
        stage.command(&["coordinator", "--app", "wc", "--local-disks", "text", "--token-file"]);
    coordinator.arg(odd("token")).arg("--out").arg(odd("out"));
    coordinator.args(["--listen", "unix:s\u{e4},\n"]);
    let mut coordinator = Process::start(coordinator);
    await_event("a token", || {
        fs::metadata(stage.path().join(odd("token"))).ok().filter(|data| data.len() > 0)
    });
    let mut worker = stage.command(&["worker", "--connect", "unix:s\u{e4},\n", "--local"]);
    worker.arg(odd("disk")).arg("--token-file").arg(odd("token")).arg("--out").arg(odd("out"));
    assert_eq!(verdict(&finish(worker)), (0, String::new()));
    assert!(coordinator.wait());
    // An address is text; other bytes in it are written as in messages, `\xff`.
    let mut refused = stage.command(&["worker", "--connect"]);
    refused.arg(OsStr::from_bytes(b"unix:\xff"));
    assert_eq!(verdict(&finish(refused)).0, 2);
    let folder = stage.path().join(OsStr::from_bytes(b"t\xe9mp\\x41"));
    fs::create_dir(&folder).unwrap();
    for more in [&["--local-disks"][..], &[]] {
        let mut command = stage.command(&[&["run", "--app", "wc", "text", "--out"], &["out"][..]].concat());
        command.args(more).env("TMPDIR", &folder);
        assert_eq!(verdict(&finish(command)).0, 0);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn many_small_files_share_maps_and_give_the_same_output() {
    let stage = Stage::new();
    let mut text = Vec::new();
    Zipf::new(3, 2_000).write(400_000, &mut text).unwrap();
    let mut names = Vec::new();
    for (number, piece) in text.chunks(200).enumerate() {
        names.push(format!("small-{number}"));
        stage.write(&names[number], piece);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for app in ["wc", "indexer", "nocrash"] {
        let run = stage
            .run(&[&["run", "--workers", "2", "--report", "job.html", "--app", app][..], &names].concat());
        assert_eq!(verdict(&run), (0, String::new()));
        let lines = stage.lines();
        assert_eq!(
            verdict(&stage.run(&[&["sequential", "--out", "expected", "--app", app][..], &names].concat())).0,
            0
        );
        let expected = fs::read_to_string(stage.path().join("expected/mr-out-0")).unwrap();
        let mut expected: Vec<&str> = expected.lines().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{app}");
        let page = fs::read_to_string(stage.path().join("job.html")).unwrap();
        let maps: usize = page.split(": ").nth(1).unwrap().split(" maps").next().unwrap().parse().unwrap();
        assert!((32..100).contains(&maps), "{} files in {maps} maps", names.len());
    }
}

#[test]
fn numbers_that_no_input_can_use() {
    let stage = Stage::new();
    stage.write("text", b"8 bytes\n");
    for (reduces, piece) in [("100000", "10000"), ("5000", "at most 1000, or one for each 64 KiB")] {
        for command in ["run", "coordinator"] {
            let (code, reason) = verdict(&stage.run(&[command, "--app", "wc", "--reduces", reduces, "text"]));
            assert_eq!(code, 2, "{reason}");
            assert!(reason.contains("--reduces") && reason.contains(piece), "{reason}");
            stage.is_clean();
        }
    }
    assert_eq!(verdict(&stage.run(&["run", "--app", "wc", "--reduces", "1000", "text"])).0, 0);
}

/// A killed run takes its workers with it, and the next job removes what it has left.
#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let mut run =
        stage.start(&[&["run", "--workers", "2", "--app", "mtiming", "--local-disks"][..], &books].concat());
    let marker = await_event("a map", || stage.names(".", "mr-worker-map-").pop());
    run.kill();
    let worker: i32 = marker.rsplit('-').next().unwrap().parse().unwrap();
    await_event("the worker's end", || kill(Pid::from_raw(worker), None::<Signal>).err());
    assert_eq!(stage.names(".", ".mr-job").len(), 1);
    assert_eq!(stage.names(".", "mrjob-").len(), 1);
    // A job that is running keeps its own.
    let mut other = stage.start(&[&["coordinator", "--app", "wc"][..], &books].concat());
    await_event("the other job", || (stage.names(".", ".mr-job").len() == 1).then_some(()));
    let output = stage.run(&[&["run", "--app", "wc", "--local-disks"][..], &books].concat());
    assert_eq!(verdict(&output), (0, String::new()));
    assert_eq!(stage.names(".", ".mr-job").len(), 1, "that of the coordinator");
    assert!(stage.worker().wait() && other.wait());
    stage.is_clean();
    assert_eq!(stage.names(".", "mrjob-"), Vec::<String>::new());
}

/// Two jobs into one folder: in the end all files are of the same one.
#[test]
fn jobs_into_one_folder_move_their_output_one_after_the_other() {
    let stage = Stage::new();
    for name in ["a", "b"] {
        stage.write(name, format!("{name} ").repeat(20).as_bytes());
    }
    for _ in 0..10 {
        let jobs = ["a", "b"].map(|name| {
            stage.start(&[
                "run",
                "--workers",
                "1",
                "--app",
                "nocrash",
                "--reduces",
                "300",
                "--out",
                "out",
                name,
            ])
        });
        for mut job in jobs {
            assert!(job.wait());
        }
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for file in stage.names("out", "mr-out") {
            for line in fs::read_to_string(stage.path().join("out").join(file)).unwrap().lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(lines.len(), 4, "the output of one job: {lines:?}");
        assert_eq!(stage.names("out", "."), Vec::<String>::new());
    }
}

/// A directory that the user gives to a worker is not the worker's to delete.
#[test]
fn a_workers_disk_keeps_what_was_there() {
    let stage = Stage::with_books();
    stage.write("disk-of-mine", b"");
    fs::create_dir(stage.path().join("disk")).unwrap();
    stage.write("disk/precious", b"precious");
    let mut coordinator = stage.coordinator(&["--app", "wc", "--local-disks"]);
    let mut worker: Process = stage.start(&["worker", "--local", "disk"]);
    assert!(worker.wait() && coordinator.wait());
    assert_eq!(stage.names("disk", ""), ["precious"]);
}
