//! The command `bench`: a job against a plain program that does the same, on the same
//! machine and in the same minutes.
//!
//! Ratios are what counts. Everything is timed as a process, from its start to its end;
//! each program runs several times, in turns with the others, and its fastest run counts,
//! since whatever else the machine does can only slow it down.

mod inputs;
mod plain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use super::arguments::{Bench, Measured};
use super::{Done, Problem};

pub(crate) use plain::count_words;

/// Does what the command says.
pub(crate) fn bench(arguments: &Bench) -> Done {
    let directory = Directory::create(arguments.directory.as_deref())?;
    match arguments.what {
        Measured::Wc => wc(arguments, &directory.path),
        Measured::Files => files(arguments, &directory.path),
        Measured::Sort => sort(arguments, &directory.path),
        Measured::Grep => grep(arguments, &directory.path),
    }
}

/// Where input and output are. It is deleted afterwards unless the user has named it.
struct Directory {
    path: PathBuf,
    own: bool,
}

impl Directory {
    /// The directory that was named, or a new one.
    fn create(given: Option<&Path>) -> Result<Directory, Problem> {
        let new = || std::env::temp_dir().join(format!("mrjob-bench-{}", std::process::id()));
        let path = given.map_or_else(new, Path::to_owned);
        fs::create_dir_all(&path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))?;
        Ok(Directory { path, own: given.is_none() })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.own {
            // The system clears its temporary files in any case.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A program to be timed.
struct Contender {
    name: String,
    command: Command,
    /// Its fastest run so far.
    seconds: f64,
}

impl Contender {
    fn new(name: impl Into<String>, command: Command) -> Contender {
        Contender { name: name.into(), command, seconds: f64::INFINITY }
    }

    /// This job, with so many workers.
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
        let start = Instant::now();
        let status = self.command.stdout(Stdio::null()).status();
        let status = status.map_err(|error| Problem::Failed(format!("{}: {error}", self.name)))?;
        self.seconds = self.seconds.min(start.elapsed().as_secs_f64());
        if status.success() { Ok(()) } else { Err(Problem::Failed(format!("{}: {status}", self.name))) }
    }
}

fn this_program() -> Result<Command, Problem> {
    Ok(Command::new(std::env::current_exe().map_err(Problem::failed)?))
}

/// Runs them in turns, and prints the fastest run of each.
fn race(contenders: &mut [Contender], rounds: u32, bytes: u64) -> Done {
    // In turns, so that a minute in which the machine is busy hits all of them.
    for _ in 0..rounds {
        contenders.iter_mut().try_for_each(Contender::run)?;
    }
    for Contender { name, seconds, .. } in contenders {
        println!("{name:<46} {seconds:>8.2} s {:>8.0} MB/s", bytes as f64 / *seconds / 1e6);
    }
    Ok(())
}

/// Word count: throughput, how it grows with a second worker, and what the memory could do.
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
    let [one, two, plain] = contenders.map(|contender| contender.seconds);
    println!("2 workers against the plain program: {:.2} times as fast", plain / two);
    println!("2 workers against 1 worker: {:.2} times as fast", one / two);
    let read = inputs::memory_bandwidth(bytes);
    let share = 100.0 * bytes as f64 / two / read;
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
    let [two, plain] = contenders.map(|contender| contender.seconds);
    println!("2 workers against the plain program: {:.2} times as fast", plain / two);
    Ok(())
}

/// Grep: against the system's, in the same locale and in the C locale, where it is fastest. The same lines.
fn grep(arguments: &Bench, directory: &Path) -> Done {
    let input = directory.join("text");
    let bytes = inputs::text(&input, arguments.size.unwrap_or(330) * 1_000_000, &arguments.text)?;
    let found = directory.join("found");
    // Through a file, as a job's output is: grep that writes to /dev/null stops at its first match.
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
    let [ours, plain, fastest] = contenders.map(|contender| contender.seconds);
    println!(
        "2 workers against grep: {:.2} times its time; in the C locale {:.2}",
        ours / plain,
        ours / fastest
    );
    inputs::same_number_of_lines(&found, &directory.join("2-workers"), 10)
}

/// Sort: against the system's, with as much parallelism, and byte for byte the same output.
fn sort(arguments: &Bench, directory: &Path) -> Done {
    let input = directory.join("records");
    let bytes = inputs::records(&input, arguments.size.unwrap_or(1000) * 1_000_000)?;
    let sorted = directory.join("sorted");
    let mut plain = Command::new("sort");
    plain.env("LC_ALL", "C").args(["--parallel=2", "-S", "1G", "-T"]).arg(directory);
    plain.arg("-o").arg(&sorted).arg(&input);
    // Partitions of about 30 MB: with fewer, the two workers would end at different times.
    let reduces = 32;
    let mut contenders = [
        Contender::job(&["sort"], 2, reduces, &[input], directory)?,
        Contender::new("sort --parallel=2 -S 1G", plain),
    ];
    warm_up(&mut contenders[..1])?;
    race(&mut contenders, arguments.rounds, bytes)?;
    let [ours, plain] = contenders.map(|contender| contender.seconds);
    println!("2 workers against sort: {:.2} times its time", ours / plain);
    inputs::same_bytes(&sorted, &directory.join("2-workers"), reduces)
}

/// Runs our own programs once, so that the input is in the system's memory when the race
/// begins, and tells how large their largest process was: worker or coordinator.
fn warm_up(contenders: &mut [Contender]) -> Done {
    contenders.iter_mut().try_for_each(Contender::run)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Problem::failed)?;
    println!("largest process: {} MB", usage.max_rss() / 1000);
    Ok(())
}
