//! Several machines: workers over TCP, in folders of their own, with and without a shared disk; tokens.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::{Process, Stage, await_event, finish, verdict};

/// A coordinator over TCP, which writes its token to a file; and its address.
fn coordinator(stage: &Stage, arguments: &[&str]) -> (Process, String) {
    let job = ["coordinator", "--listen", "tcp:127.0.0.1:0", "--token-file", "token"];
    let mut command = stage.command(&[&job[..], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut coordinator = Process::start(command);
    let line = coordinator.first_line();
    let address = line.trim().strip_prefix("listening at ").unwrap_or_else(|| panic!("{line}")).to_owned();
    (coordinator, address)
}

/// A machine: a folder of its own, in which nothing of the coordinator's is.
fn machine(stage: &Stage, name: &str, arguments: &[&str]) -> Command {
    let folder = stage.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let mut command = stage.command(&[&["worker"][..], arguments].concat());
    command.current_dir(&folder).env("TMPDIR", &folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn expected(stage: &Stage, app: &str, files: &[&str]) -> Vec<String> {
    let output = stage.run(&[&["sequential", "--out", "expected", "--app", app][..], files].concat());
    assert_eq!(verdict(&output).0, 0);
    stage.lines_in("expected")
}

/// Workers in folders of their own, without the coordinator's files: with 1B's fetch, and with the
/// intermediate files at the coordinator, too.
#[test]
fn machines_without_a_shared_disk() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    for more in [&["--local-disks"][..], &[]] {
        let (mut coordinator, address) =
            coordinator(&stage, &[&["--app", "indexer"][..], more, &books].concat());
        let token = stage.path().join("token");
        let arguments = ["--connect", &address, "--no-shared-disk", "--token-file", token.to_str().unwrap()];
        let mut workers =
            ["one", "two", "three"].map(|name| Process::start(machine(&stage, name, &arguments)));
        assert!(coordinator.wait());
        assert!(workers.iter_mut().all(Process::wait));
        assert_eq!(stage.lines(), expected(&stage, "indexer", &books));
        stage.is_clean();
        for name in ["one", "two", "three"] {
            assert_eq!(stage.names(name, ""), Vec::<String>::new(), "a machine is left as it was");
        }
    }
}

/// Machines that see the same files need only be told where the output goes.
#[test]
fn machines_with_a_shared_disk() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-").iter().map(|book| stage.path().join(book)).collect::<Vec<_>>();
    let books: Vec<&str> = books.iter().map(|book| book.to_str().unwrap()).collect();
    let (mut coordinator, address) =
        coordinator(&stage, &[&["--app", "wc", "--local-disks"][..], &books].concat());
    // The token by the environment, as a launcher would pass it.
    let token = fs::read_to_string(stage.path().join("token")).unwrap();
    let out = stage.path().to_str().unwrap().to_owned();
    let mut workers = ["one", "two"].map(|name| {
        let mut command = machine(&stage, name, &["--connect", &address, "--out", &out]);
        Process::start({
            command.env("MRJOB_TOKEN", token.trim());
            command
        })
    });
    assert!(coordinator.wait());
    assert!(workers.iter_mut().all(Process::wait));
    assert_eq!(stage.lines(), expected(&stage, "wc", &books));
    stage.is_clean();
}

/// A machine is killed with its disk in the middle of the job; the others finish it.
#[test]
fn a_machine_is_lost() {
    let stage = Stage::with_large_text(16);
    let job =
        ["--app", "wc", "--split", "1", "--reduces", "7", "--timeout", "500", "--local-disks", "large.txt"];
    let (mut coordinator, address) = coordinator(&stage, &job);
    let token = stage.path().join("token");
    let arguments = ["--connect", &address, "--no-shared-disk", "--token-file", token.to_str().unwrap()];
    let mut victim = Process::start(machine(&stage, "victim", &arguments));
    let mut others = ["one", "two"].map(|name| Process::start(machine(&stage, name, &arguments)));
    await_event("an output of the victim", || has_output(&stage.path().join("victim")).then_some(()));
    victim.kill();
    fs::remove_dir_all(stage.path().join("victim")).unwrap();
    assert!(coordinator.wait());
    assert!(others.iter_mut().all(Process::wait));
    assert_eq!(stage.lines(), expected(&stage, "wc", &["large.txt"]));
    stage.is_clean();
}

/// Whether a map has finished on this machine.
fn has_output(machine: &Path) -> bool {
    let disks = fs::read_dir(machine).into_iter().flatten().flatten();
    let mut files = disks.flat_map(|disk| fs::read_dir(disk.path()).into_iter().flatten().flatten());
    files.any(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.starts_with("mr-") && !name.starts_with("mr-tmp-")
    })
}

#[test]
fn a_worker_with_a_wrong_token_is_refused() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let (mut coordinator, address) = coordinator(&stage, &[&["--app", "wc"][..], &books].concat());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(stage.path().join("token")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "only its owner reads the token");
    for (token, reason) in
        [("", "has a token"), ("0123456789abcdef0123456789abcdef", "wrong token"), ("x", "wrong token")]
    {
        let begun = Instant::now();
        let mut command = stage.command(&["worker", "--connect", &address]);
        command.env("MRJOB_TOKEN", token);
        let (code, said) = verdict(&finish(command));
        assert_eq!((code, said.contains(reason)), (1, true), "`{token}`: {said}");
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not try again and again");
        assert!(!said.contains(fs::read_to_string(stage.path().join("token")).unwrap().trim()));
    }
    // None of them has had a task; a worker with the token does them all.
    assert_eq!(coordinator.ended(), None);
    assert!(stage.start(&["worker", "--connect", &address, "--token-file", "token"]).wait());
    assert!(coordinator.wait());
    assert_eq!(stage.lines(), expected(&stage, "wc", &books));
    stage.is_clean();
}

/// A TCP socket has a token even if no one asks for one: it is printed.
#[test]
fn a_coordinator_on_tcp_prints_its_token() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    let job = ["coordinator", "--listen", "tcp:127.0.0.1:0", "--app", "indexer", "--local-disks"];
    let mut command = stage.command(&[&job[..], &books].concat());
    command.stdout(Stdio::piped());
    let mut coordinator = Process::start(command);
    let mut lines = coordinator.lines();
    let address = lines.next().unwrap().strip_prefix("listening at ").unwrap().to_owned();
    let token = lines.next().unwrap().strip_prefix("token ").unwrap().to_owned();
    let mut workers = [0, 1].map(|_| {
        let mut command = stage.command(&["worker", "--connect", &address]);
        command.env("MRJOB_TOKEN", &token);
        Process::start(command)
    });
    assert!(workers.iter_mut().all(Process::wait));
    assert!(coordinator.wait());
    assert_eq!(stage.lines(), stage.expected("indexer"));
}

/// A launcher of `test-scripts/` with a stand-in for the program that reaches other machines: it runs the
/// command here, in a folder of the machine's name.
fn launch(stage: &Stage, script: &str, stand_in: (&str, &str), arguments: &[&str]) -> Command {
    let (name, text) = stand_in;
    let folder = stage.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join(name), executable).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-scripts").join(script);
    let mut command = Command::new("sh");
    command.arg(script).args(arguments).current_dir(stage.path());
    command.env("TMPDIR", stage.path()).env("MRJOB", env!("CARGO_BIN_EXE_mrjob")).env_remove("MRJOB_TOKEN");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.display()));
    command
}

#[test]
fn the_launcher_for_ssh() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    // Not in the caller's folder, as on another machine.
    let ssh = "#!/bin/sh\nmkdir -p \"machines/$1\" && cd \"machines/$1\" && exec sh -c \"${2#*; }\"\n";
    for shared in ["0", "1"] {
        let arguments = [&["one two", "--app", "wc", "--local-disks", "--out", "out"][..], &books].concat();
        let mut command = launch(&stage, "mrjob-ssh.sh", ("ssh", ssh), &arguments);
        command.env("SSH", "ssh").env("MRJOB_ADDRESS", "127.0.0.1:0").env("MRJOB_SHARED", shared);
        command.env("MRJOB_WORKERS", "2");
        if shared == "1" {
            // With a shared disk the other machine is in the same folder.
            fs::write(stage.path().join("bin/here"), "#!/bin/sh\nexec sh -c \"$2\"\n").unwrap();
            fs::set_permissions(
                stage.path().join("bin/here"),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .unwrap();
            command.env("SSH", "here");
        }
        let output = finish(command);
        assert_eq!(verdict(&output).0, 0, "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("keys in"), "{output:?}");
        assert_eq!(stage.lines_in("out"), expected(&stage, "wc", &books));
        fs::remove_dir_all(stage.path().join("out")).unwrap();
    }
    let failing = launch(&stage, "mrjob-ssh.sh", ("ssh", ssh), &["one", "--app", "wc", "missing"]);
    assert_eq!(verdict(&finish(failing)).0, 1);
}

#[test]
fn the_launcher_for_slurm() {
    let stage = Stage::with_books();
    let books = stage.names(".", "pg-");
    let books: Vec<&str> = books.iter().map(String::as_str).collect();
    // Two tasks of the command behind the options.
    let srun = "#!/bin/sh\nwhile [ \"${1#--}\" != \"$1\" ]; do shift; done\n\"$@\" & \"$@\" & wait\n";
    let hostname = "#!/bin/sh\necho 127.0.0.1\n";
    for shared in ["0", "1"] {
        let arguments = [&["--app", "wc", "--out", "out"][..], &books].concat();
        drop(launch(&stage, "mrjob-slurm.sh", ("hostname", hostname), &arguments));
        let mut command = launch(&stage, "mrjob-slurm.sh", ("srun", srun), &arguments);
        command.env("SLURM_JOB_ID", "1").env("MRJOB_SHARED", shared);
        let output = finish(command);
        assert_eq!(verdict(&output).0, 0, "{output:?}");
        assert_eq!(stage.lines_in("out"), expected(&stage, "wc", &books));
        fs::remove_dir_all(stage.path().join("out")).unwrap();
    }
}
