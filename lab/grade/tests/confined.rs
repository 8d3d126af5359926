//! What a process may do once it is confined, as the binary of a test is. Submissions cannot ask the system
//! for most of this without `unsafe`, and the check of sources refuses the rest; the sandbox must hold all
//! the same.
//!
//! The process that is confined is this binary: with [`DEED`] in its environment it does one thing and says
//! that it is still there.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    reason = "the program under test is a process: nothing is simulated here"
)]

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, chroot, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs, thread};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, Uid, setuid};

/// The variable that says what the confined process does.
const DEED: &str = "LAB_GRADE_DEED";

/// Calls that no test makes. Each of them does nothing, or fails, where it is allowed.
const FORBIDDEN: [(&str, fn()); 27] = [
    ("ptrace another process", || try_out(ptrace::attach(Pid::from_raw(1)))),
    ("be traced", || try_out(ptrace::traceme())),
    ("ask for another process", || try_out(kill(Pid::from_raw(1), None))),
    ("ask for all processes", || try_out(kill(Pid::from_raw(-1), None))),
    ("ask for a group", || try_out(killpg(Pid::from_raw(0), None::<Signal>))),
    ("start a process", || try_out(Command::new("/bin/true").status())),
    ("start itself again", || try_out(Command::new(env::args_os().next().unwrap_or_default()).spawn())),
    ("make a namespace", || try_out(unshare(CloneFlags::CLONE_NEWUSER))),
    ("mount", || try_out(mount(None::<&str>, "/nowhere", None::<&str>, MsFlags::empty(), None::<&str>))),
    ("become another user", || try_out(setuid(Uid::current()))),
    ("change the root", || try_out(chroot("/"))),
    ("change the folder", || try_out(env::set_current_dir("/"))),
    ("listen", || try_out(TcpListener::bind("127.0.0.1:0"))),
    ("connect", || try_out(TcpStream::connect("127.0.0.1:9"))),
    ("send", || try_out(UdpSocket::bind("127.0.0.1:0"))),
    ("listen on the machine", || try_out(UnixListener::bind("/nowhere/socket"))),
    ("send on the machine", || try_out(UnixDatagram::unbound())),
    ("make a pair of sockets", || try_out(UnixStream::pair())),
    ("make a pipe", || try_out(io::pipe())),
    ("remove a file", || try_out(fs::remove_file("/nowhere"))),
    ("remove a folder", || try_out(fs::remove_dir("/nowhere"))),
    ("make a folder", || try_out(fs::create_dir("/nowhere/folder"))),
    ("make a link", || try_out(symlink("/", "/nowhere/link"))),
    ("make a hard link", || try_out(fs::hard_link("/nowhere", "/nowhere/link"))),
    ("rename", || try_out(fs::rename("/nowhere", "/nowhere/else"))),
    ("open a file to all", || try_out(fs::set_permissions("/nowhere", fs::Permissions::from_mode(0o777)))),
    ("give a file away", || try_out(chown("/nowhere", Some(1), None))),
];

/// What a test does, or may at least try.
const ALLOWED: [(&str, fn()); 7] = [
    ("nothing", || ()),
    ("start a thread", || thread::spawn(|| ()).join().expect("it ends")),
    ("take memory", || drop(vec![1_u8; 64 << 20])),
    ("print", || eprintln!("x")),
    ("read no file", || {
        let files =
            ["/etc/passwd", "/etc/hostname", "/proc/self/mem", "/proc/self/environ", "/dev/mem", "/dev/null"];
        for path in files {
            let kind = fs::read(path).map(|bytes| bytes.len()).map_err(|error| error.kind());
            assert!(
                matches!(kind, Err(ErrorKind::PermissionDenied | ErrorKind::NotFound)),
                "{path}: {kind:?}"
            );
        }
        let folders = ["/", "/tmp", "/usr/lib", "/proc"]
            .map(|path| fs::read_dir(path).map(drop).map_err(|error| error.kind()));
        assert!(folders.iter().all(Result::is_err), "{folders:?}");
    }),
    ("write no file", || {
        for path in ["/tmp/x", "/x", "/dev/null", "/usr/lib/x"] {
            let kind = fs::write(path, "x").map_err(|error| error.kind());
            assert!(
                matches!(kind, Err(ErrorKind::PermissionDenied | ErrorKind::NotFound)),
                "{path}: {kind:?}"
            );
        }
        let become_another = Command::new("/bin/sh").args(["-c", "echo survived"]).exec();
        assert_eq!(become_another.kind(), ErrorKind::PermissionDenied);
    }),
    ("open few files", || {
        let all: Vec<_> = (0..200).map_while(|_| io::stdin().as_fd().try_clone_to_owned().ok()).collect();
        assert!(all.len() < 64, "{}", all.len());
    }),
];

/// How the call ends does not matter: whether it is made does.
fn try_out<T>(outcome: T) {
    drop(outcome);
}

/// Does what the environment says, in the process that is confined; nothing otherwise.
#[test]
fn a_deed() {
    let Ok(name) = env::var(DEED) else { return };
    let spins: [(&str, fn()); 3] = [
        ("spin", || {
            loop {
                std::hint::spin_loop();
            }
        }),
        ("write much", || drop(fs::write(env::var("LAB_GRADE_PLACE").unwrap_or_default(), vec![0; 2 << 20]))),
        ("take much memory", || drop(vec![1_u8; 4 << 30])),
    ];
    let all = FORBIDDEN.iter().chain(&ALLOWED).chain(&spins);
    let (_, deed) = all.into_iter().find(|(known, _)| *known == name).expect("a deed");
    deed();
    println!("survived");
}

/// This binary, confined with these bounds: seconds, MiB of addresses, MiB of a file, whether it is a test.
fn confined(deed: &str, bounds: [&str; 4], place: &Path) -> Output {
    let own = env::current_exe().expect("this binary");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-grade"));
    command.arg("__confine").args(bounds).arg(own).args([
        "--exact",
        "a_deed",
        "--nocapture",
        "--test-threads",
        "1",
    ]);
    command.env_clear().env(DEED, deed).env("LAB_GRADE_PLACE", place).env("RUST_BACKTRACE", "0");
    command.output().expect("the program was built")
}

fn survives(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("survived")
}

#[test]
fn calls_that_no_test_makes_end_the_process() {
    for (deed, _) in FORBIDDEN {
        let output = confined(deed, ["10", "0", "1", "1"], Path::new(""));
        assert_eq!(output.status.signal(), Some(Signal::SIGSYS as i32), "{deed}: {output:?}");
    }
    for (deed, _) in ALLOWED {
        let output = confined(deed, ["10", "0", "1", "1"], Path::new(""));
        assert!(survives(&output), "{deed}: {output:?}");
    }
}

#[test]
fn what_a_process_takes_is_limited() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("confined");
    let signal = |deed, bounds| confined(deed, bounds, &file).status.signal();
    assert_eq!(signal("spin", ["1", "0", "1", "1"]), Some(Signal::SIGXCPU as i32));
    // The compiler may write, but not more than it needs.
    assert_eq!(signal("write much", ["10", "0", "1", "0"]), Some(Signal::SIGXFSZ as i32));
    assert!(survives(&confined("write much", ["10", "0", "4", "0"], &file)));
    assert_eq!(signal("take much memory", ["10", "2048", "1", "1"]), Some(Signal::SIGABRT as i32));
}
