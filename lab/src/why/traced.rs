//! A run whose events are read: one that is run again, or a file that was kept.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use labreport::overrides::Overrides;
use labtrace::Trace;

use super::cli::Source;
use crate::build::build;
use crate::catalogue::{Catalogue, Test};
use crate::cli::{Arguments, RunOptions};
use crate::process::Supervisor;
use crate::protocol::Report;
use crate::runner::{Job, Runner};
use crate::select::select_one;
use crate::style::replay_command;
use crate::{Failure, environment};

/// A run with its events.
pub(crate) struct Traced {
    pub(crate) trace: Trace,
    /// How it ended; None if it was read from a file.
    pub(crate) ended: Option<Ended>,
}

impl Traced {
    /// Refuses a run that died, and so has no events to show.
    pub(crate) fn check_written(&self) -> Result<(), Failure> {
        match &self.ended {
            Some(Ended { report, replay, .. }) if self.trace.events.is_empty() => Err(Failure::new(format!(
                "this run wrote no trace; it ended so: {}\n`{replay}` has its last words",
                report.reason()
            ))),
            _ => Ok(()),
        }
    }
}

/// How a run ended.
pub(crate) struct Ended {
    /// What ran it, and can run it again.
    pub(crate) bench: Bench,
    pub(crate) report: Report,
    /// What to type to see it again.
    pub(crate) replay: String,
}

/// A file that goes with its owner.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    /// A name that no other has.
    pub(crate) fn new(what: &str) -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Scratch(std::env::temp_dir().join(format!("lab-{what}-{}-{number}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is not there if the test died before it could write it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What runs one test, again and again.
pub(crate) struct Bench {
    pub(crate) test: Test,
    pub(crate) binary: PathBuf,
    pub(crate) runner: Runner,
}

impl Bench {
    /// Finds and builds the test.
    pub(crate) fn new(arguments: &Arguments, test: &str, run: &RunOptions) -> Result<Bench, Failure> {
        environment::check()?;
        let catalogue = Catalogue::load(arguments.labs.as_deref())?;
        let test = select_one(&catalogue, test)?;
        let binaries = build(&catalogue.root, std::slice::from_ref(&test), &run.build(false))?;
        let binary = binaries[&(test.package.clone(), test.binary.clone())].clone();
        let runner = Runner { supervisor: Supervisor::start()?, world: run.world()? };
        Ok(Bench { test, binary, runner })
    }

    /// The runner with one variable more.
    pub(crate) fn with(&self, variables: Vec<(&'static str, String)>) -> Runner {
        let mut world = self.runner.world.clone();
        world.variables.extend(variables);
        Runner { supervisor: std::sync::Arc::clone(&self.runner.supervisor), world }
    }

    /// Runs one seed, or the run that differs from it in this way, and writes its events to a file. None if
    /// everything is stopped.
    pub(crate) fn trace(
        &self,
        seed: u64,
        overrides: Option<&Overrides>,
        file: &Path,
    ) -> Result<Option<Report>, Failure> {
        let variants = Scratch::new("variant");
        let mut variables = vec![("LAB_TRACE", file.display().to_string())];
        let mut number = seed;
        if let Some(overrides) = overrides {
            write(&variants.0, &overrides.to_string())?;
            variables.push(("LAB_VARIANTS", variants.0.display().to_string()));
            number = 0;
        }
        let job = Job { binary: &self.binary, test: &self.test, seeds: number..number + 1 };
        let mut last = None;
        self.with(variables).run(&job, &mut |report| {
            last = Some(report);
            ControlFlow::Continue(())
        })?;
        if let Some(report) = &mut last {
            report.seed = seed;
        }
        Ok(last)
    }
}

/// Refuses a file that cannot be written, before a run is made for it.
pub(crate) fn check_writable(path: &Path) -> Result<(), Failure> {
    let is_new = !path.exists();
    let opened = std::fs::File::options().append(true).create(true).open(path);
    opened.map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))?;
    if is_new {
        // Nothing is lost if it stays.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Reads the trace of a run that ended like this; a run that died has written none.
pub(crate) fn read_of(path: &Path, report: &Report) -> Result<Trace, Failure> {
    if !path.exists() {
        let reason = report.reason();
        return Err(Failure::new(format!("this run wrote no trace, and cannot be made smaller: {reason}")));
    }
    read(path)
}

/// Writes a file, or says why not.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
}

/// Reads a trace; a damaged one as far as it goes, with a warning.
pub(crate) fn read(path: &Path) -> Result<Trace, Failure> {
    let trace = labtrace::read_file(path).map_err(|error| {
        Failure::new(format!("{}: {error}", labtrace::clean(&path.display().to_string(), 200)))
    })?;
    if let Some(damage) = &trace.damage {
        eprintln!("{} {damage}", console::style("warning:").for_stderr().yellow());
    }
    Ok(trace)
}

/// The overrides in a file of `cargo lab shrink`.
pub(crate) fn read_shrunk(path: &Path) -> Result<Overrides, Failure> {
    let bad = |what: String| Failure::new(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| bad(format!("it cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("it is no text".to_owned()))?;
    let overrides = Overrides::parse(&text).map_err(|line| bad(labtrace::clean(&line.to_string(), 300)))?;
    if overrides.test.is_empty() {
        return Err(bad("it names no test, so it is no file of `cargo lab shrink`".to_owned()));
    }
    Ok(overrides)
}

impl Source {
    /// Runs or reads what the user has named; None if everything is stopped. A trace that is made is kept in
    /// `keep`, if that is given.
    pub(crate) fn open(
        &self,
        arguments: &Arguments,
        run: &RunOptions,
        keep: Option<&Path>,
    ) -> Result<Option<Traced>, Failure> {
        if let Some(option) = run.asked_for().filter(|_| self.file.is_some() || self.shrunk.is_some()) {
            return Err(Failure::new(format!("{option} would be ignored: the file says which run it is")));
        }
        if let Some(file) = &self.file {
            if keep.is_some() {
                return Err(Failure::new(
                    "--trace would be ignored: --file names a trace that is kept already",
                ));
            }
            let trace = read(file)?;
            if trace.events.is_empty() {
                let empty =
                    format!("{}: there is no event in it, so there is nothing to see", file.display());
                return Err(Failure::new(labtrace::clean(&empty, 300)));
            }
            return Ok(Some(Traced { trace, ended: None }));
        }
        let overrides = self.shrunk.as_deref().map(read_shrunk).transpose()?;
        let test = overrides.as_ref().map_or(self.test.as_deref(), |overrides| Some(&overrides.test));
        let seed = overrides.as_ref().map_or(self.seed, |overrides| Some(overrides.seed));
        let kept = match (&overrides, &self.shrunk) {
            (Some(Overrides { options, .. }), Some(file)) if !options.is_empty() => {
                let odd = format!("{}: options {options}: no run has these", file.display());
                Some(run.kept(options).ok_or_else(|| Failure::new(labtrace::clean(&odd, 300)))?)
            }
            _ => None,
        };
        let run = kept.as_ref().unwrap_or(run);
        let bench =
            Bench::new(arguments, test.unwrap_or_default(), run).map_err(|failure| match &self.shrunk {
                Some(file) => {
                    Failure::new(format!("{} is of a test that is not here: {failure}", file.display()))
                }
                None => failure,
            })?;
        self.run(bench, seed.unwrap_or_default(), overrides.as_ref(), keep)
    }

    fn run(
        &self,
        bench: Bench,
        seed: u64,
        overrides: Option<&Overrides>,
        keep: Option<&Path>,
    ) -> Result<Option<Traced>, Failure> {
        let scratch = Scratch::new("trace");
        let file = keep.unwrap_or(&scratch.0);
        check_writable(file)?;
        if file.is_file() {
            // If the run dies, an old trace must not be taken for its own.
            let _ = std::fs::remove_file(file);
        }
        let Some(report) = bench.trace(seed, overrides, file)? else { return Ok(None) };
        // A test that dies writes no trace.
        let written = if file.exists() { read(file) } else { Ok(Trace::default()) };
        let trace = written.map_err(|error| match keep {
            Some(kept) => Failure::new(format!("the trace was not written to {}: {error}", kept.display())),
            None => error,
        })?;
        let replay = match &self.shrunk {
            Some(file) => format!("cargo lab replay --shrunk {}", file.display()),
            None => replay_command(&bench.test, seed, &bench.runner.world),
        };
        Ok(Some(Traced { trace, ended: Some(Ended { bench, report, replay }) }))
    }
}
