//! What the tests on processes have in common: a folder with books, processes that end with their test, and
//! looks at what they have left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mapreduce_engine::zipf::Zipf;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scratch::Scratch;

/// How long anything may take; the course's script has 180 s. Only a process that hangs gets there.
const LIMIT: Duration = Duration::from_secs(180);

/// How often a test looks whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The course's books.
const BOOKS: [&str; 8] = [
    "pg-being_ernest.txt",
    "pg-dorian_gray.txt",
    "pg-frankenstein.txt",
    "pg-grimm.txt",
    "pg-huckleberry_finn.txt",
    "pg-metamorphosis.txt",
    "pg-sherlock_holmes.txt",
    "pg-tom_sawyer.txt",
];

/// A folder in which a test starts its processes.
pub(super) struct Stage {
    scratch: Scratch,
}

impl Stage {
    /// An empty one.
    pub(super) fn new() -> Stage {
        Stage { scratch: Scratch::new() }
    }

    /// One with eight books: the course's, if they are there, and else made-up text under their names.
    pub(super) fn with_books() -> Stage {
        let stage = Stage::new();
        for (number, name) in BOOKS.iter().enumerate() {
            let book = fs::read(shared().join("data/text").join(name)).unwrap_or_else(|_| {
                let mut text = Vec::new();
                Zipf::new(number as u64, 20_000).write(100_000 + 50_000 * number, &mut text).unwrap();
                text
            });
            stage.write(name, &book);
        }
        stage
    }

    /// One with a text for that many maps of a megabyte.
    pub(super) fn with_large_text(maps: usize) -> Stage {
        let stage = Stage::new();
        let mut text = Vec::new();
        Zipf::new(7, 20_000).write(maps << 20, &mut text).unwrap();
        stage.write("large.txt", &text);
        stage
    }

    pub(super) fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn write(&self, name: &str, contents: &[u8]) {
        self.scratch.write(name, contents);
    }

    /// A command in this folder.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mrjob"));
        command.current_dir(self.path()).args(arguments).stdin(Stdio::null());
        // What a killed process leaves behind goes with the folder.
        command.env("TMPDIR", self.path()).env_remove("MRJOB_TOKEN");
        command
    }

    /// Starts a process. What it says is of no interest; how it ends is.
    pub(super) fn start(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Process::start(command)
    }

    /// Starts a coordinator over the books, for ten reduces.
    pub(super) fn coordinator(&self, arguments: &[&str]) -> Process {
        self.start(&[&["coordinator", "--reduces", "10"], arguments, &BOOKS].concat())
    }

    /// Starts a worker. It looks for the coordinator for a while, so that it need not be there yet.
    pub(super) fn worker(&self) -> Process {
        self.start(&["worker"])
    }

    /// Runs a process to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments))
    }

    /// What a sequential run over the books gives, sorted.
    pub(super) fn expected(&self, app: &str) -> Vec<String> {
        let output = self.run(&[&["sequential", "--out", "expected", "--app", app][..], &BOOKS].concat());
        assert!(output.status.success(), "{output:?}");
        self.lines_in("expected")
    }

    /// The lines of all output files, sorted, as the course compares them.
    pub(super) fn lines(&self) -> Vec<String> {
        lines_of(self.path())
    }

    /// The lines of the output in one of its folders, sorted.
    pub(super) fn lines_in(&self, folder: &str) -> Vec<String> {
        lines_of(&self.path().join(folder))
    }

    /// Names in a folder that begin like this.
    pub(super) fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names
    }

    /// Nothing but complete output was left in the folder: no job's directory, no socket.
    #[track_caller]
    pub(super) fn is_clean(&self) {
        assert_eq!(self.names(".", ".mr-"), Vec::<String>::new());
        assert_eq!(self.names(".", "mr-socket"), Vec::<String>::new());
        assert_eq!(self.names(".", "mr-tmp"), Vec::<String>::new());
    }
}

/// The folder with the shared data.
fn shared() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("shared");
    std::env::var_os("LAB_SHARED").map_or(root, PathBuf::from)
}

fn lines_of(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("mr-out") {
            let text = fs::read_to_string(entry.path()).unwrap();
            lines.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        }
    }
    lines.sort_unstable();
    lines
}

/// Waits until it happens.
#[track_caller]
pub(super) fn await_event<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Runs a command to its end, and gives what it has written.
#[track_caller]
pub(super) fn finish(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Short messages, that fit into the pipes.
    let mut process = Process { child };
    process.wait();
    let mut output = Output { status: process.child.wait().unwrap(), stdout: Vec::new(), stderr: Vec::new() };
    std::io::Read::read_to_end(process.child.stdout.as_mut().unwrap(), &mut output.stdout).unwrap();
    std::io::Read::read_to_end(process.child.stderr.as_mut().unwrap(), &mut output.stderr).unwrap();
    output
}

/// The exit code and what was said about it.
#[track_caller]
pub(super) fn verdict(output: &Output) -> (i32, String) {
    let code = output.status.code().unwrap_or_else(|| panic!("killed: {output:?}"));
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A process that does not outlive its test.
pub(super) struct Process {
    child: Child,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Process {
        Process { child: command.spawn().unwrap() }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id() as i32), signal).unwrap();
    }

    /// Whether it ended with exit code 0, if it has ended.
    pub(super) fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    /// Waits for its end, and tells whether its exit code is 0.
    #[track_caller]
    pub(super) fn wait(&mut self) -> bool {
        await_event("the end of a process", || self.ended())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The first line of its standard output. Only for one that was started with a pipe there.
    pub(super) fn first_line(&mut self) -> String {
        self.lines().next().unwrap_or_default()
    }

    /// The lines of its standard output, which no one reads after this.
    pub(super) fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        let output = std::io::BufReader::new(self.child.stdout.take().unwrap());
        std::io::BufRead::lines(output).map_while(Result::ok)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Mostly it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
