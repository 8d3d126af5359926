//! `cargo lab bench`: the measurements that `labs.toml` names, beside the bounds given there.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use console::style;
use lab_terminal::{count, table, width};
use labreport::Verdict;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::build::{BuildOptions, DEFAULT_PROFILE, build};
use crate::catalogue::{Bench, Catalogue, SuiteRunner};
use crate::cli::{Arguments, BenchOptions};
use crate::process::Supervisor;
use crate::runner::{Job, Runner, World};
use crate::select::{select, select_one};
use crate::style::say_or_json;
use crate::{Failure, Outcome, environment};

/// How often a whole lab is run; the median counts.
const SUITE_RUNS: usize = 7;

/// One measured figure.
struct Figure {
    what: String,
    measured: String,
    bound: String,
    reached: bool,
}

/// Measures every row and prints the table. Failed if a bound is not reached.
pub(crate) fn run(arguments: &Arguments, options: &BenchOptions) -> Result<Outcome, Failure> {
    environment::check_for_bench()?;
    let catalogue = Catalogue::load(arguments.labs.as_deref())?;
    let wanted: Vec<&Bench> =
        catalogue.benches.iter().filter(|bench| is_wanted(&catalogue, bench, options)).collect();
    if wanted.is_empty() {
        return Err(nothing_to_measure(&catalogue, options));
    }
    let runner = Runner { supervisor: Supervisor::start()?, world: World::default() };
    let (mut figures, mut done) = (Vec::new(), 0);
    for bench in &wanted {
        let measured = measure(bench, &catalogue, &runner, arguments.labs.as_deref(), options);
        // What was measured of it, or went wrong with it, says nothing then.
        if runner.supervisor.has_stopped(&measured) {
            break;
        }
        figures.extend(measured?);
        done += 1;
    }
    print_figures(&figures, options.form.json);
    let all_reached = figures.iter().all(|figure| figure.reached);
    if done < wanted.len() {
        let all = wanted.len();
        let words = format!("{} after {done} of {}", style("interrupted").yellow(), count(all, "row"));
        let json = serde_json::json!({"interrupted": {"done": done, "of": all}});
        say_or_json(options.form.json, &words, &json);
    }
    Ok(match (all_reached, done < wanted.len()) {
        (false, _) => Outcome::Failed,
        (true, true) => Outcome::Interrupted,
        (true, false) => Outcome::Passed,
    })
}

/// Measures one row of labs.toml.
fn measure(
    bench: &Bench,
    catalogue: &Catalogue,
    runner: &Runner,
    labs: Option<&Path>,
    options: &BenchOptions,
) -> Result<Vec<Figure>, Failure> {
    Ok(match bench {
        Bench::Rate { test, at_least } => {
            vec![rate(catalogue, runner, test, *at_least, options.seconds)?]
        }
        Bench::Suite { suite, by: SuiteRunner::Lab, graded, wall_s, rss_mb } => {
            let (what, tests) = tests_of(catalogue, suite, *graded)?;
            suite_by_lab(catalogue, labs, (&what, &tests), *wall_s, *rss_mb)?
        }
        Bench::Suite { suite, by: SuiteRunner::Cargo, wall_s, .. } => {
            vec![suite_by_cargo(catalogue, suite, *wall_s)?]
        }
        Bench::Experiments { experiments } => {
            vec![experiments_of(catalogue, experiments, options.form.json)?]
        }
        Bench::Peers { peers, manifest } => vec![beside_peers(peers, &catalogue.root.join(manifest))?],
    })
}

/// The table, or a line of JSON for each figure.
fn print_figures(figures: &[Figure], is_json: bool) {
    if is_json {
        for Figure { what, measured, bound, reached } in figures {
            println!(
                "{}",
                serde_json::json!({"what": what, "measured": measured, "bound": bound, "reached": reached})
            );
        }
        return;
    }
    let head = ["what", "measured", "bound", ""].map(str::to_owned).to_vec();
    let rows = figures.iter().map(|figure| {
        let verdict = if figure.reached { style("reached").green() } else { style("MISSED").red().bold() };
        vec![figure.what.clone(), figure.measured.clone(), figure.bound.clone(), verdict.to_string()]
    });
    if !figures.is_empty() {
        print!("{}", table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    }
}

/// The failure of a name that no bench has.
fn nothing_to_measure(catalogue: &Catalogue, options: &BenchOptions) -> Failure {
    let name = |bench: &Bench| match bench {
        Bench::Rate { test: name, .. }
        | Bench::Suite { suite: name, .. }
        | Bench::Experiments { experiments: name }
        | Bench::Peers { peers: name, .. } => name.clone(),
    };
    let mut names: Vec<String> = catalogue.benches.iter().map(name).collect();
    // A lab may be measured in two ways.
    names.sort();
    names.dedup();
    let Some(pattern) = options.pattern.as_ref().filter(|_| !names.is_empty()) else {
        return Failure::new("labs.toml names no bench");
    };
    let there = names.join(", ");
    Failure::new(format!("no bench of labs.toml has {pattern:?} in its name; there are: {there}"))
}

/// Whether the user asked for this bench: by a piece of its name, or by the name of the group of its lab.
fn is_wanted(catalogue: &Catalogue, bench: &Bench, options: &BenchOptions) -> bool {
    match (bench, &options.pattern) {
        (Bench::Peers { peers, .. }, pattern) => pattern.as_ref() == Some(peers),
        (_, None) => true,
        (Bench::Experiments { experiments: lab }, Some(pattern)) => {
            let group = catalogue.lab(lab).and_then(|lab| lab.group.as_ref());
            lab.contains(pattern.as_str()) || group.is_some_and(|group| group.eq_ignore_ascii_case(pattern))
        }
        (Bench::Rate { test: name, .. } | Bench::Suite { suite: name, .. }, Some(pattern)) => {
            name.contains(pattern.as_str())
        }
    }
}

/// Plays a lab's experiments, and prints their tables. In virtual time, so the profile of the tests will do.
fn experiments_of(catalogue: &Catalogue, name: &str, is_json: bool) -> Result<Figure, Failure> {
    let lab = catalogue.lab(name).ok_or_else(|| Failure::new(format!("there is no lab {name}")))?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["bench", "--quiet", "--profile", DEFAULT_PROFILE, "--package", &lab.package]);
        cargo.args(["--bench", "experiments"]).args(arguments).current_dir(&catalogue.root);
        tell_width(&mut cargo);
        let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        output.map_err(|error| Failure::new(format!("cannot run cargo: {error}")))
    };
    // First alone, since cargo's status does not tell a program that fails from one that cannot be built.
    if !cargo(&["--no-run"])?.status.success() {
        return Err(Failure::new(format!("the experiments of {name} cannot be built")));
    }
    let output = cargo(&[])?;
    let tables = String::from_utf8_lossy(&output.stdout);
    if !is_json {
        print!("{tables}");
    }
    let holding = tables.lines().filter(|line| line.starts_with("holds: ")).count();
    let failing = tables.lines().filter(|line| line.starts_with("FAILS: ")).count();
    Ok(Figure {
        what: format!("experiments of {name}, in virtual time"),
        measured: format!("{holding} of {} criteria", holding + failing),
        bound: "all hold".to_owned(),
        // A program that tells of no criterion has compared nothing.
        reached: output.status.success() && holding > 0 && failing == 0,
    })
}

/// Tells a program that prints its own tables how wide they may be.
fn tell_width(command: &mut Command) {
    if let Some(width) = width() {
        command.env("COLUMNS", width.to_string());
    }
}

/// Runs a crate that measures beside others' programs, and prints its own tables.
fn beside_peers(peers: &str, manifest: &Path) -> Result<Figure, Failure> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--release", "--manifest-path"]).arg(manifest);
    tell_width(&mut cargo);
    let status = cargo.status().map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
    match status.code() {
        Some(code @ (0 | 1)) => Ok(Figure {
            what: format!("{peers} beside their peers"),
            measured: "see its tables".to_owned(),
            bound: "its own".to_owned(),
            reached: code == 0,
        }),
        _ => Err(Failure::new(format!("{} could not be run: {status}", manifest.display()))),
    }
}

/// Seeds a second of one test, in one process, as in stress. The start of the process is left out.
fn rate(
    catalogue: &Catalogue,
    runner: &Runner,
    name: &str,
    at_least: f64,
    seconds: f64,
) -> Result<Figure, Failure> {
    let test = select_one(catalogue, name)?;
    let options = BuildOptions::new("release");
    let binaries = build(&catalogue.root, std::slice::from_ref(&test), &options)?;
    let binary = &binaries[&(test.package.clone(), test.binary.clone())];
    let job = Job { binary, test: &test, seeds: 0..1_000_000_000 };
    let (mut begun, mut last, mut seeds, mut failed) = (None, Instant::now(), 0_u64, 0_u64);
    let processor_before = processor_time()?;
    runner.run(&job, &mut |report| {
        last = Instant::now();
        failed += u64::from(report.verdict() == Verdict::Failed);
        // The first report ends the start and begins the measurement.
        let elapsed = last.duration_since(*begun.get_or_insert(last));
        seeds += u64::from(!elapsed.is_zero());
        if elapsed.as_secs_f64() < seconds { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let elapsed = begun.map_or(Duration::ZERO, |begun| last.duration_since(begun)).as_secs_f64();
    let rate = seeds as f64 / elapsed.max(f64::MIN_POSITIVE);
    let failures = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    let processor = (processor_time()? - processor_before).max(f64::MIN_POSITIVE);
    // What this rate would be on an idle core.
    let by_processor = seeds as f64 / processor;
    Ok(Figure {
        what: format!("{name} in stress, one job"),
        measured: format!("{rate:.0} seeds/s ({by_processor:.0} a processor second{failures})"),
        bound: format!("≥ {at_least:.0} seeds/s"),
        reached: rate >= at_least && failed == 0,
    })
}

/// The seconds of processor time that all ended children of this process have used.
fn processor_time() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| Failure::new(format!("the system does not tell the children's times: {error}")))?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// What is measured of labs by `cargo lab test`, and how it is asked for.
fn tests_of(catalogue: &Catalogue, suite: &str, graded: bool) -> Result<(String, Vec<String>), Failure> {
    let labs: Vec<String> = suite.split_whitespace().map(str::to_owned).collect();
    if !graded {
        return Ok((format!("cargo lab test {suite}"), labs));
    }
    let tests = select(catalogue, &labs)?.into_iter().filter(|test| test.points > 0);
    let names: Vec<String> = tests.map(|test| test.name).collect();
    Ok((format!("cargo lab test, {suite}: the {} tests that earn points", names.len()), names))
}

/// Tests by `cargo lab test`, with cargo's two looks at what is built.
fn suite_by_lab(
    catalogue: &Catalogue,
    labs: Option<&Path>,
    (what, tests): (&str, &[String]),
    wall_s: f64,
    rss_mb: Option<u64>,
) -> Result<Vec<Figure>, Failure> {
    let command = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg("lab");
        if let Some(labs) = labs {
            command.arg("--labs").arg(labs);
        }
        command.arg("test").args(tests).arg("--resources").current_dir(&catalogue.root);
        command
    };
    let (wall, output) = median(command)?;
    let mut figures = vec![wall_figure(what.to_owned(), wall, wall_s)];
    if let Some(bound) = rss_mb {
        let held = output
            .lines()
            .find_map(|line| line.strip_prefix(crate::test::RESOURCES)?.trim().strip_suffix(" MiB"));
        let held: u64 = held
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| Failure::new("cargo lab test did not tell its memory"))?;
        figures.push(Figure {
            what: format!("{what}, largest process"),
            measured: format!("{held} MiB"),
            bound: format!("≤ {bound} MiB"),
            reached: held <= bound,
        });
    }
    Ok(figures)
}

/// A whole lab by plain `cargo test`, as students run it.
fn suite_by_cargo(catalogue: &Catalogue, suite: &str, wall_s: f64) -> Result<Figure, Failure> {
    let lab = catalogue.lab(suite).ok_or_else(|| Failure::new(format!("there is no lab {suite}")))?;
    let command = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["test", "--quiet", "--package", &lab.package, "--test", &lab.binary])
            .current_dir(&catalogue.root);
        command
    };
    let (wall, _) = median(command)?;
    Ok(wall_figure(format!("cargo test -p {}", lab.package), wall, wall_s))
}

fn wall_figure(what: String, wall: Duration, bound: f64) -> Figure {
    let measured = wall.as_secs_f64();
    Figure {
        what,
        measured: format!("{measured:.2} s"),
        bound: format!("≤ {bound} s"),
        reached: measured <= bound,
    }
}

/// The median wall time of several runs, and the last one's output. One more run before them builds what is
/// to be built.
fn median(command: impl Fn() -> Command) -> Result<(Duration, String), Failure> {
    let mut walls = Vec::new();
    let mut text = String::new();
    for number in 0..=SUITE_RUNS {
        let mut command = command();
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let wall = begun.elapsed();
        let output = output.map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
        text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            print!("{text}");
            return Err(Failure::new("what is to be measured fails"));
        }
        if number > 0 {
            walls.push(wall);
        }
    }
    walls.sort();
    Ok((walls[walls.len() / 2], text))
}
