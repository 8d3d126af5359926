//! The command `bench`: compares a job with a plain program that does the same, on the same machine in the
//! same minutes.
//!
//! Ratios are the result. Each program is timed as a process, from start to end, and runs several times in
//! turns with the others. A ratio is the median of the ratios of single rounds, since other work of the
//! machine slows down both programs of a round. If other programs use the processors, the ratio of processor
//! times says more.

mod inputs;
mod plain;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::arguments::{Bench, Measured};
use super::{Done, Problem};
use crate::locks::OwnDirectory;

pub(crate) use plain::count_words;

/// Runs the command.
pub(crate) fn bench(arguments: &Bench) -> Done {
    let directory = Directory::create(arguments.directory.as_deref())?;
    match arguments.what {
        Measured::Wc => wc(arguments, &directory.path),
        Measured::Files => files(arguments, &directory.path),
        Measured::Sort => sort(arguments, &directory.path),
        Measured::Grep => grep(arguments, &directory.path),
    }
}

/// The directory of input and output. It is removed afterwards unless the user named it; after an interrupted
/// bench the next one removes it.
struct Directory {
    path: PathBuf,
    _own: Option<OwnDirectory>,
}

impl Directory {
    /// The directory that the user named, or a new one.
    fn create(given: Option<&Path>) -> Result<Directory, Problem> {
        let failed = |path: &Path, error: io::Error| Problem::Failed(format!("{}: {error}", path.display()));
        if let Some(path) = given {
            fs::create_dir_all(path).map_err(|error| failed(path, error))?;
            return Ok(Directory { path: path.to_owned(), _own: None });
        }
        let temporary = std::env::temp_dir();
        let own = OwnDirectory::create(&temporary, "mrjob-bench-", &std::process::id().to_string());
        let own = own.map_err(|error| failed(&temporary, error))?;
        Ok(Directory { path: own.path().to_owned(), _own: Some(own) })
    }
}

/// A program to time.
struct Contender {
    name: String,
    command: Command,
    runs: Vec<Run>,
}

/// The time that a run took.
#[derive(Clone, Copy)]
struct Run {
    /// Wall-clock time.
    seconds: f64,
    /// Processor time of the program and its children.
    processor: f64,
}

impl Contender {
    fn new(name: impl Into<String>, command: Command) -> Contender {
        Contender { name: name.into(), command, runs: Vec::new() }
    }

    /// This job with this many workers.
    fn job(
        app: &[&str],
        workers: usize,
        reduces: usize,
        inputs: &[PathBuf],
        out: &Path,
    ) -> Result<Contender, Problem> {
        let mut command = this_program()?;
        command.args(["run", "--quiet", "--app"]).args(app);
        command.args(["--workers", &workers.to_string(), "--reduces", &reduces.to_string()]);
        command.arg("--out").arg(out.join(format!("{workers}-workers"))).args(inputs);
        let workers = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
        Ok(Contender::new(format!("mrjob {}, {workers}", app[0]), command))
    }

    /// Runs it once.
    fn run(&mut self) -> Done {
        let (start, before) = (Instant::now(), processor_seconds()?);
        let status = self.command.stdout(Stdio::null()).status();
        let status = status.map_err(|error| Problem::Failed(format!("{}: {error}", self.name)))?;
        let seconds = start.elapsed().as_secs_f64();
        self.runs.push(Run { seconds, processor: processor_seconds()? - before });
        if status.success() { Ok(()) } else { Err(Problem::Failed(format!("{}: {status}", self.name))) }
    }

    fn fastest(&self) -> f64 {
        self.runs.iter().map(|run| run.seconds).fold(f64::INFINITY, f64::min)
    }

    /// Its time divided by the other program's: wall-clock time, and processor time.
    fn against(&self, other: &Contender) -> (f64, f64) {
        let ratio = |measure: fn(&Run) -> f64| {
            median(self.runs.iter().zip(&other.runs).map(|(ours, theirs)| measure(ours) / measure(theirs)))
        };
        (ratio(|run| run.seconds), ratio(|run| run.processor))
    }
}

/// The processor time of all children so far, including their children.
fn processor_seconds() -> Result<f64, Problem> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Problem::failed)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The median; of an even count, the larger of the two middle numbers.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn this_program() -> Result<Command, Problem> {
    Ok(Command::new(std::env::current_exe().map_err(Problem::failed)?))
}

/// Runs the programs in turns, and prints their times.
fn race(contenders: &mut [Contender], rounds: u32, bytes: u64) -> Done {
    contenders.iter_mut().for_each(|contender| contender.runs.clear());
    // In turns, so that a busy minute of the machine slows down all of them.
    for _ in 0..rounds {
        contenders.iter_mut().try_for_each(Contender::run)?;
    }
    println!("{:<42} {:>9} {:>9} {:>11} {:>10}", "", "fastest", "median", "processor", "MB/s");
    for contender in contenders {
        let (fastest, name) = (contender.fastest(), &contender.name);
        let seconds = median(contender.runs.iter().map(|run| run.seconds));
        let processor = median(contender.runs.iter().map(|run| run.processor));
        let rate = bytes as f64 / fastest / 1e6;
        println!("{name:<42} {fastest:>7.2} s {seconds:>7.2} s {processor:>9.2} s {rate:>10.0}");
    }
    Ok(())
}

/// Word count: throughput, the gain from a second worker, and the bandwidth of memory for comparison.
fn wc(arguments: &Bench, directory: &Path) -> Done {
    let input = directory.join("text");
    let bytes = inputs::text(&input, arguments.size.unwrap_or(330) * 1_000_000, &arguments.text)?;
    let mut plain = this_program()?;
    plain.arg("count-words").arg(&input);
    let input = [input];
    let mut contenders = [
        Contender::job(&["wc"], 1, 10, &input, directory)?,
        Contender::job(&["wc"], 2, 10, &input, directory)?,
        Contender::new("one thread with a HashMap<String, u64>", plain),
    ];
    warm_up(&mut contenders[..2])?;
    race(&mut contenders, arguments.rounds, bytes)?;
    let [one, two, plain] = &contenders;
    say_faster(two, plain);
    println!("2 workers against 1 worker: {:.2} times as fast", one.against(two).0);
    let read = inputs::memory_bandwidth(bytes);
    let share = 100.0 * bytes as f64 / two.fastest() / read;
    println!("plain read of memory: {:.1} GB/s; 2 workers: {share:.1} % of it", read / 1e9);
    Ok(())
}

/// Word count of the same text in 10,000 files.
fn files(arguments: &Bench, directory: &Path) -> Done {
    let whole = directory.join("text");
    let bytes = inputs::text(&whole, arguments.size.unwrap_or(330) * 1_000_000, &arguments.text)?;
    let pieces = inputs::pieces(&whole, &directory.join("files"), 10_000)?;
    let mut plain = this_program()?;
    plain.arg("count-words").args(&pieces);
    let mut contenders = [
        Contender::job(&["wc"], 2, 10, &pieces, directory)?,
        Contender::new("one thread with a HashMap<String, u64>", plain),
    ];
    warm_up(&mut contenders[..1])?;
    race(&mut contenders, arguments.rounds, bytes)?;
    let [two, plain] = &contenders;
    say_faster(two, plain);
    Ok(())
}

/// Prints how many times as fast two workers are as a program of one thread.
fn say_faster(two: &Contender, plain: &Contender) {
    let (clock, processor) = plain.against(two);
    println!(
        "2 workers against the plain program: {clock:.2} times as fast; by processor time, if both have a \
         processor: {:.2}",
        2.0 * processor
    );
}

/// Grep: against the system's, in a UTF-8 locale and in the C locale, where it is fastest. Checks that both
/// find as many lines.
fn grep(arguments: &Bench, directory: &Path) -> Done {
    let input = directory.join("text");
    let bytes = inputs::text(&input, arguments.size.unwrap_or(330) * 1_000_000, &arguments.text)?;
    let found = directory.join("found");
    // grep writes to a file, like the job: with /dev/null as output it stops at its first match.
    let plain = |locale: &str| {
        let mut plain = Command::new("sh");
        plain.args(["-c", "grep -E -- \"$0\" \"$1\" > \"$2\"", &arguments.pattern]);
        plain.arg(&input).arg(&found).env("LC_ALL", locale);
        plain
    };
    let app = ["grep", "--parameter", &arguments.pattern];
    let mut contenders = [
        Contender::job(&app, 2, 10, std::slice::from_ref(&input), directory)?,
        Contender::new("grep -E, LC_ALL=C.UTF-8", plain("C.UTF-8")),
        Contender::new("grep -E, LC_ALL=C", plain("C")),
    ];
    warm_up(&mut contenders[..1])?;
    race(&mut contenders, arguments.rounds, bytes)?;
    let [ours, plain, fastest] = &contenders;
    let ((clock, processor), (clock_c, processor_c)) = (ours.against(plain), ours.against(fastest));
    println!("2 workers against grep: {clock:.2} times its time; in the C locale {clock_c:.2}");
    println!("in processor time: {processor:.2} times as much; in the C locale {processor_c:.2}");
    inputs::same_number_of_lines(&found, &directory.join("2-workers"), 10)
}

/// Sort: against the system's with the same parallelism. Checks that the outputs are byte for byte the same.
fn sort(arguments: &Bench, directory: &Path) -> Done {
    let input = directory.join("records");
    let bytes = inputs::records(&input, arguments.size.unwrap_or(1000) * 1_000_000)?;
    let sorted = directory.join("sorted");
    let mut plain = Command::new("sort");
    plain.env("LC_ALL", "C").args(["--parallel=2", "-S", "1G", "-T"]).arg(directory);
    plain.arg("-o").arg(&sorted).arg(&input);
    // Partitions of about 30 MB: with fewer partitions the two workers would end at different times.
    let reduces = 32;
    let mut contenders = [
        Contender::job(&["sort"], 2, reduces, &[input], directory)?,
        Contender::new("sort --parallel=2 -S 1G", plain),
    ];
    warm_up(&mut contenders[..1])?;
    race(&mut contenders, arguments.rounds, bytes)?;
    let [ours, plain] = &contenders;
    let (clock, processor) = ours.against(plain);
    println!("2 workers against sort: {clock:.2} times its time, {processor:.2} times its processor time");
    inputs::same_bytes(&sorted, &directory.join("2-workers"), reduces)
}

/// Runs our programs once, so that the input is in the system's memory when the race begins. Prints the peak
/// memory of their largest process, a worker or the coordinator.
fn warm_up(contenders: &mut [Contender]) -> Done {
    contenders.iter_mut().try_for_each(Contender::run)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Problem::failed)?;
    println!("largest process: {} MB", usage.max_rss() / 1000);
    Ok(())
}
