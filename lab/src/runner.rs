//! Runs one test with a range of seeds, in as few processes as that takes, and hands over a report for each
//! seed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::ops::{ControlFlow, Range};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::Failure;
use crate::build::DEFAULT_PROFILE;
use crate::catalogue::Test;
use crate::process::{Allowance, Cause, Process, Supervisor, take_pipes};
use crate::protocol::{self, Kind, Report, Secret};

/// How much of a process's last words is kept: enough for two long backtraces.
const TAIL: usize = 64 * 1024;

/// A test binary may hold finished reports back for 50 ms; if it dies then, they are lost. So the run that
/// killed it is looked for among the first runs that were not reported, as many as fit in this time.
const HELD_BACK: Duration = Duration::from_millis(200);

/// Asks a test binary to draw the knobs of each run.
pub(crate) const SWARM: &str = "LAB_SWARM";

/// Asks it to ignore what a solution shows to observers.
pub(crate) const UNWATCHED: &str = "LAB_UNWATCHED";

/// Tells it how to schedule threads.
pub(crate) const SCHEDULER: &str = "LAB_SCHEDULER";

/// Asks it to run each seed twice.
pub(crate) const CHECK_DETERMINISM: &str = "LAB_CHECK_DETERMINISM";

/// The variable that tells a test process what to put below the labs that need consensus.
pub(crate) const OVER: &str = "LAB_OVER";

/// Where tests put pictures of what failed.
pub(crate) const PICTURES: &str = "LAB_PICTURES";

/// In which world, and under which special conditions, tests run.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// On real threads instead of simulated ones.
    pub(crate) threads: bool,
    /// Further variables, such as `LAB_SWARM`.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The cargo profile that the tests are built with; empty for the usual one.
    pub(crate) profile: String,
    /// Whether a campaign gives a tenth of its seeds to swarm.
    pub(crate) swarms_a_tenth: bool,
    /// Seeds from this one on are such: they also draw delays, scheduler, clocks and pauses.
    pub(crate) swarm_from: Option<u64>,
}

impl World {
    /// Whether this seed draws the knobs of its run.
    pub(crate) fn is_swarm(&self, seed: u64) -> bool {
        let all = self.variables.iter().any(|(variable, _)| *variable == SWARM);
        all || self.swarm_from.is_some_and(|from| seed >= from)
    }

    /// What stands before a command that asks for this world, for what no option asks for.
    pub(crate) fn prefix(&self) -> &'static str {
        let is_unwatched = self.variables.iter().any(|(name, _)| *name == UNWATCHED);
        if is_unwatched { "LAB_UNWATCHED=1 " } else { "" }
    }

    /// The options of the command line that ask for this world and this seed, each behind a blank.
    pub(crate) fn flags(&self, seed: u64) -> String {
        let has = |name: &str| self.variables.iter().any(|(variable, _)| *variable == name);
        let flags = [
            (self.threads, " --threads"),
            (self.is_swarm(seed), " --swarm"),
            (has(OVER), " --over oracle"),
            (has(CHECK_DETERMINISM), " --check-determinism"),
        ];
        let mut flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
        if let Some((_, policy)) = self.variables.iter().find(|(variable, _)| *variable == SCHEDULER) {
            flags += &format!(" --scheduler {policy}");
        }
        if !self.profile.is_empty() && self.profile != DEFAULT_PROFILE {
            flags += &format!(" --profile {}", self.profile);
        }
        flags
    }
}

/// Starts test processes.
pub(crate) struct Runner {
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) world: World,
}

/// One test, and with which seeds to run it. None or all of them belong to [`World::swarm_from`].
#[derive(Clone, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) test: &'a Test,
    pub(crate) seeds: Range<u64>,
}

/// Takes the reports one by one; `Break` ends the job.
pub(crate) type Listener<'a> = dyn FnMut(Report) -> ControlFlow<()> + 'a;

/// How a process ended.
struct End {
    /// The first seed that was not reported.
    next: u64,
    status: ExitStatus,
    cause: Option<Cause>,
    /// How long it had said nothing.
    silent: Duration,
    /// libtest said that the binary has no test of that name.
    no_such_test: bool,
    /// The last report said that its run was stuck, and that the process would therefore end.
    stuck: bool,
    /// The last output, standard error behind standard output.
    tail: String,
}

impl Runner {
    /// Runs `job`. Each seed is reported exactly once and in order, as far as the job gets: to its end,
    /// unless the listener breaks or everything is stopped.
    ///
    /// # Errors
    ///
    /// If the test cannot be run at all. A process that dies is a failed seed and no error.
    pub(crate) fn run(&self, job: &Job<'_>, listener: &mut Listener<'_>) -> Result<(), Failure> {
        let mut next = job.seeds.start;
        while next < job.seeds.end {
            let mut broke = false;
            let end = self.run_process(job, next..job.seeds.end, &mut |report| {
                let flow = listener(report);
                broke = flow.is_break();
                flow
            })?;
            next = end.next;
            if broke || end.cause == Some(Cause::Stopped) || next >= job.seeds.end {
                break;
            }
            if end.stuck {
                continue;
            }
            for report in self.explain_death(job, end)? {
                next = report.seed + 1;
                if listener(report).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The reports of the runs up to the one that killed a process, that one included; none if everything is
    /// stopped.
    fn explain_death(&self, job: &Job<'_>, end: End) -> Result<Vec<Report>, Failure> {
        let mut reports = Vec::new();
        // A process that was silent for longer, or large for long, held nothing back.
        let certain = end.cause.is_some() || end.silent > HELD_BACK;
        let mut held_back = if certain { Duration::ZERO } else { HELD_BACK };
        let mut seed = end.next;
        while seed < job.seeds.end && !held_back.is_zero() {
            let again = self.run_process(job, seed..seed + 1, &mut |report| {
                reports.push(report);
                ControlFlow::Continue(())
            })?;
            match again.cause {
                Some(Cause::Stopped) => return Ok(Vec::new()),
                _ if again.next == seed => {
                    reports.push(again.died(job.test));
                    return Ok(reports);
                }
                _ => {}
            }
            let took = Duration::from_nanos(reports.last().map_or(0, |report| report.real_ns));
            held_back = held_back.saturating_sub(took.max(Duration::from_millis(1)));
            seed += 1;
        }
        // It did not happen again; still, one of these runs did it, and a failure must not be lost.
        let first = end.died(job.test);
        match reports.first_mut() {
            Some(report) => *report = first,
            None => reports.push(first),
        }
        Ok(reports)
    }

    /// Runs one process for `seeds`, and passes on the reports in order.
    fn run_process(
        &self,
        job: &Job<'_>,
        seeds: Range<u64>,
        listener: &mut Listener<'_>,
    ) -> Result<End, Failure> {
        let mut command = self.command(job, &seeds);
        let cannot = |error| Failure::new(format!("cannot run {}: {error}", job.binary.display()));
        let (secret, (socket, of_process)) = (Secret::draw(), UnixStream::pair().map_err(cannot)?);
        command.stdin(OwnedFd::from(of_process));
        let process = self.supervisor.spawn(&mut command, self.allowance(job.test)).map_err(cannot)?;
        // The command has the process's end of the socket as well, and would keep it open.
        drop(command);
        // A process that has died already hears nothing, and reports nothing.
        let _ = (&socket).write_all(secret.line().as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        let (Some(output), Some(errors)) = take_pipes(&process) else {
            return Err(Failure::new("the test's process has no output"));
        };
        let errors = thread::spawn(move || tail_of(errors));
        let output = thread::spawn(move || read_output(output));
        let mut reading = Reading { process: &process, secret, seeds, stuck: false };
        reading.read(socket, listener);
        let silent = process.silence();
        let Reading { seeds, stuck, .. } = reading;
        let (status, cause) = self.supervisor.wait(&process).map_err(cannot)?;
        let (no_such_test, mut tail) = output.join().unwrap_or_default();
        tail += &errors.join().unwrap_or_default();
        let end = End { next: seeds.start, status, cause, silent, no_such_test, stuck, tail };
        if end.no_such_test {
            let advice = "labs.toml and the binary disagree";
            return Err(Failure::new(format!(
                "{} has no test {}: {advice}",
                job.binary.display(),
                job.test.path
            )));
        }
        Ok(end)
    }

    fn command(&self, job: &Job<'_>, seeds: &Range<u64>) -> Command {
        let bounds = job.test.bounds;
        let mut command = Command::new(job.binary);
        command.args(["--exact", &job.test.path, "--nocapture", "--test-threads", "1"]);
        command.env("LAB_REPORT", "socket").env_remove("LAB_SEED").env_remove("LAB_SEEDS");
        // Reports stand four blanks deep.
        if let Some(width) = lab_terminal::width() {
            command.env("LAB_COLUMNS", width.saturating_sub(4).to_string());
        }
        // The options say it, or what they have made of the environment.
        command
            .env_remove("LAB_RUNTIME")
            .env_remove(OVER)
            .env_remove(UNWATCHED)
            .env_remove(SWARM)
            .env_remove(SCHEDULER)
            .env_remove(CHECK_DETERMINISM);
        if seeds.end - seeds.start == 1 {
            command.env("LAB_SEED", seeds.start.to_string());
        } else {
            command.env("LAB_SEEDS", format!("{}..{}", seeds.start, seeds.end));
        }
        command.env("LAB_VIRTUAL_LIMIT_S", bounds.virtual_s.to_string());
        command.env("LAB_REAL_LIMIT_S", self.real_limit_s(job.test).to_string());
        command.env("LAB_MEMORY_LIMIT_MB", bounds.memory_mb.to_string());
        if self.world.threads {
            command.env("LAB_RUNTIME", "threads");
        }
        command.envs(self.world.variables.iter().map(|(name, value)| (name, value)));
        if self.world.is_swarm(seeds.start) {
            command.env(SWARM, "1");
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn real_limit_s(&self, test: &Test) -> u64 {
        if self.world.threads { test.bounds.threads_s } else { test.bounds.real_s }
    }

    /// The test ends itself at its limits, with a better explanation; what is allowed here is a little more.
    fn allowance(&self, test: &Test) -> Allowance {
        let silence = Duration::from_secs(self.real_limit_s(test)).mul_f64(1.5) + Duration::from_secs(1);
        Allowance { silence, memory_mb: test.bounds.memory_mb + test.bounds.memory_mb / 4 }
    }
}

/// The reports of a process, being read.
struct Reading<'a> {
    process: &'a Process,
    /// What begins each of them.
    secret: Secret,
    /// The seeds still to be reported.
    seeds: Range<u64>,
    stuck: bool,
}

impl Reading<'_> {
    /// Reads to the end of the reports, or until the listener breaks.
    fn read(&mut self, reports: impl Read, listener: &mut Listener<'_>) {
        let mut reports = BufReader::with_capacity(TAIL, reports);
        let mut line = Vec::new();
        // A read error is the end of the reports; how the process ended tells the rest.
        while reports.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if self.take(&line, listener).is_break() {
                self.process.end(Cause::Stopped);
                return;
            }
            line.clear();
        }
    }

    fn take(&mut self, line: &[u8], listener: &mut Listener<'_>) -> ControlFlow<()> {
        let Some(report) = protocol::parse(line, &self.secret) else { return ControlFlow::Continue(()) };
        self.process.hear();
        // The tester reports the seeds in order.
        if report.seed != self.seeds.start {
            return ControlFlow::Continue(());
        }
        self.seeds.start += 1;
        self.stuck = report.stuck;
        listener(report)
    }
}

impl End {
    /// The report that the process owes for the seed that killed it.
    fn died(&self, test: &Test) -> Report {
        let (kind, message) = match self.cause {
            Some(Cause::Memory(held)) => {
                let limit = test.bounds.memory_mb;
                (
                    Kind::Memory,
                    format!("the test held {held} MiB of memory; {limit} MiB are allowed (labs.toml)"),
                )
            }
            Some(Cause::Silent(silence)) => {
                let silence = silence.as_secs_f64();
                (Kind::RealTime, format!("no sign of life for {silence:.1} s; the process was ended"))
            }
            Some(Cause::Stopped) | None => self.last_words(),
        };
        protocol::died(&test.name, self.next, kind, message, self.tail.clone())
    }

    /// What the process itself says of its death.
    fn last_words(&self) -> (Kind, String) {
        let has = |words: &str| {
            self.tail.lines().find(|line| line.contains(words)).map(|line| line.trim().to_owned())
        };
        if let Some(line) = has("ThreadSanitizer: ") {
            return (Kind::Race, line);
        }
        if let Some(line) = has("process::exit was called in a run") {
            return (Kind::Exit, line);
        }
        if let Some(line) = has("panic in a destructor during cleanup").or_else(|| has("that cannot unwind"))
        {
            return (Kind::Panic, line);
        }
        // The runtime's own line names the thread, that of std does not.
        if let Some(line) = has("stack overflow in ").or_else(|| has("overflowed its stack")) {
            return (Kind::StackOverflow, line);
        }
        if let Some(line) = has("the process was aborted in a run: ") {
            return (Kind::Died, line);
        }
        match (self.status.signal(), self.status.code()) {
            (Some(signal), _) => (Kind::Died, format!("the process was killed by {}", signal_name(signal))),
            (None, Some(code)) => {
                (Kind::Died, format!("the process ended with status {code} before the test did"))
            }
            (None, None) => (Kind::Died, "the process ended before the test did".to_owned()),
        }
    }
}

/// A signal as people know it.
fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Twice the size before cutting, so that the cutting costs nothing on average.
        if self.bytes.len() > 2 * TAIL {
            self.bytes.drain(..self.bytes.len() - TAIL);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[self.bytes.len().saturating_sub(TAIL)..]).into_owned()
    }
}

/// Reads standard output to its end: whether libtest, which speaks before any test does, says that there is
/// no test of that name; and the last of the rest.
fn read_output(stream: impl Read) -> (bool, String) {
    let mut stream = BufReader::new(stream);
    let (mut first, mut tail) = (Vec::new(), Tail::default());
    // libtest begins with an empty line.
    while first.iter().all(u8::is_ascii_whitespace) {
        first.clear();
        if !stream.read_until(b'\n', &mut first).is_ok_and(|bytes| bytes > 0) {
            break;
        }
    }
    tail.push(&first);
    tail.push(tail_of(stream).as_bytes());
    (first == b"running 0 tests\n", tail.text())
}

/// Reads a stream to its end and keeps the last of it.
fn tail_of(mut stream: impl Read) -> String {
    let mut tail = Tail::default();
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        tail.push(&buffer[..read]);
    }
    tail.text()
}
