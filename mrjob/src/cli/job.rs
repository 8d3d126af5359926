//! Turns the command line into a job.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mapreduce::app::BadRecords;
use mapreduce::split::Split;
use mapreduce::state::{Backup, Input, Rules, State};
use mapreduce::{Application, names, rpc};

use super::Problem;
use super::arguments::{Job, Program};
use crate::catalogue::Catalogue;
use crate::directory::{self, JobStore};
use crate::input;
use crate::locks::{self, OwnDirectory};
use crate::log::{self, Plan, Unfinished};
use crate::names::{is_of_one_process, is_same_file, to_text};

/// How long a worker waits before it asks again. Sockets are cheap, and phases end suddenly.
const WAIT: Duration = Duration::from_millis(5);

/// How often a worker reports its progress.
const REPORT_EVERY_MS: u64 = 100;

/// Every job may have this many reduces.
const REDUCES_OF_A_SMALL_JOB: u64 = 1000;

/// A larger job may have one reduce for each so many bytes of input.
const INPUT_PER_REDUCE: u64 = 64 << 10;

/// The most intermediate files of a job.
const MOST_FILES: usize = 10_000_000;

/// A job that is ready to start.
pub(crate) struct Prepared {
    pub(crate) state: State,
    pub(crate) plan: Plan,
    pub(crate) store: Arc<JobStore>,
    pub(crate) log: log::Writer,
    /// The number of tasks that an earlier coordinator finished.
    pub(crate) resumed: usize,
    /// Whether that coordinator was killed while it moved the output to its place.
    pub(crate) publishing: bool,
}

/// The application of a program. Wrong parameters are wrong usage.
pub(crate) fn application(program: &Program, catalogue: &Catalogue) -> Result<Box<dyn Application>, Problem> {
    let found = catalogue.make(&program.app, &program.parameters);
    found.map_err(|error| Problem::Usage(error.to_string()))
}

/// Names of the input files as text. `./` goes before a name that looks like one of the job's own files.
pub(crate) fn files(program: &Program) -> Vec<String> {
    let names = program.files.iter().map(|file| to_text(file));
    names.map(|file| if names::is_own(&file) { format!("./{file}") } else { file }).collect()
}

/// Checks the input, then creates the job's directory, or takes over the directory of a job that was killed.
pub(crate) fn prepare(arguments: &Job, catalogue: &Catalogue) -> Result<Prepared, Problem> {
    let Job { program, .. } = arguments;
    let application = application(program, catalogue)?;
    let files = files(program);
    let store = JobStore::new(&program.out);
    let splits = input::splits(&store, &files, application.records(), arguments.split << 20);
    // Bad input (a missing file, a directory, a pipe) is reported before anything starts.
    let splits = splits.map_err(Problem::failed)?;
    check_names(program)?;
    check_input_survives(program)?;
    check_size(arguments.reduces as usize, &splits)?;
    let plan = plan(arguments, catalogue, &store, &files, splits)?;
    let failed = |error: std::io::Error| Problem::Failed(format!("{}: {error}", program.out.display()));
    let unfinished = if arguments.resume { find_unfinished(&program.out, &plan)? } else { None };
    let Some((directory, unfinished)) = unfinished else {
        store.create_directory(plan.job.id).map_err(failed)?;
        let log = log::Writer::begin(store.entered().map_err(Problem::failed)?.root(), plan.clone());
        let state = state(arguments, &plan, &*application);
        let log = log.map_err(failed)?;
        return Ok(Prepared { state, plan, store: Arc::new(store), log, resumed: 0, publishing: false });
    };
    let log = log::Writer::resume(directory.path(), &unfinished).map_err(failed)?;
    store.take_over(directory, unfinished.plan.job.id);
    let Unfinished { plan, finished, first_attempt, publishing, .. } = unfinished;
    let mut state = state(arguments, &plan, &*application);
    let finished = if arguments.local_disks && !publishing {
        // The outputs of maps were on the workers' disks, and died with the workers.
        finished.into_iter().filter(|task| matches!(task.task, rpc::TaskId::Reduce(_))).collect()
    } else {
        finished
    };
    let resumed = finished.len();
    eprintln!("mrjob: continues a job of which {resumed} tasks are done");
    state.resume(finished, first_attempt, labrt::time::Instant::now());
    Ok(Prepared { state, plan, store: Arc::new(store), log, resumed, publishing })
}

/// Refuses input files that the output would replace or remove.
pub(crate) fn check_input_survives(program: &Program) -> Result<(), Problem> {
    let would_go = |file: &&OsString| {
        let path = Path::new(file);
        // A link may lead to a file of output.
        is_output(path, &program.out)
            || path.canonicalize().is_ok_and(|target| is_output(&target, &program.out))
    };
    let Some(file) = program.files.iter().find(would_go) else { return Ok(()) };
    Err(Problem::Usage(format!(
        "{}: the job's output would replace this input; choose another --out",
        to_text(file)
    )))
}

/// Refuses to write what the option names over the job's input or output.
pub(crate) fn check_is_no_data(option: &str, path: &Path, program: &Program) -> Result<(), Problem> {
    let what = if is_output(path, &program.out) {
        "output"
    } else if program.files.iter().any(|file| is_same_file(Path::new(file), path)) {
        "input"
    } else {
        return Ok(());
    };
    Err(Problem::Usage(format!("{option} {}: this is a file of the job's {what}", path.display())))
}

/// Whether a job into the folder `out` may write or remove this file as its output.
fn is_output(path: &Path, out: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_there = || Some(folder.canonicalize().ok()? == out.canonicalize().ok()?);
    names::partition_of_output(name).is_some() && is_there() == Some(true)
}

/// Refuses names that mean another file in each process.
fn check_names(program: &Program) -> Result<(), Problem> {
    let Some(file) = program.files.iter().find(|file| is_of_one_process(file)) else { return Ok(()) };
    Err(Problem::Failed(format!(
        "{}: this name means another file in each process; use the file's name on the disk",
        to_text(file)
    )))
}

/// Refuses numbers of tasks that this input cannot use.
fn check_size(reduces: usize, splits: &[Split]) -> Result<(), Problem> {
    let bytes: u64 = splits.iter().map(Split::length).sum();
    let most = REDUCES_OF_A_SMALL_JOB.max(bytes / INPUT_PER_REDUCE);
    if reduces as u64 > most {
        return Err(Problem::Usage(format!(
            "--reduces {reduces} is too many for {bytes} bytes of input: at most {REDUCES_OF_A_SMALL_JOB}, or one for \
             each {} KiB",
            INPUT_PER_REDUCE >> 10
        )));
    }
    let maps = splits.len();
    if maps.saturating_mul(reduces) > MOST_FILES {
        return Err(Problem::Usage(format!(
            "{maps} maps and --reduces {reduces} could make {} intermediate files, and at most {MOST_FILES} are \
             allowed: use fewer reduces, or a larger --split",
            maps * reduces
        )));
    }
    Ok(())
}

/// The description of this job and its input.
fn plan(
    arguments: &Job,
    catalogue: &Catalogue,
    store: &JobStore,
    files: &[String],
    splits: Vec<Split>,
) -> Result<Plan, Problem> {
    let program = &arguments.program;
    let reduces = arguments.reduces as usize;
    let mut parameters = program.parameters.clone();
    if parameters.is_empty()
        && let Some(prepared) = catalogue.prepare(&program.app, store, files, reduces)
    {
        parameters = prepared.map_err(Problem::failed)?;
    }
    let job = rpc::Job {
        // Random, so that two jobs never share a directory, not even on two machines or in the same second.
        id: labrt::random_seed(),
        application: program.app.clone(),
        parameters,
        reduces,
        local_disks: arguments.local_disks,
        // Several reports fit into the time-out, so one may be lost.
        report_every_ms: REPORT_EVERY_MS.min(arguments.timeout / 4 + 1),
    };
    Ok(Plan { job, parameters: program.parameters.clone(), splits })
}

/// The state of a job before its first task.
fn state(arguments: &Job, plan: &Plan, application: &dyn Application) -> State {
    let rules = Rules {
        timeout: Duration::from_millis(arguments.timeout),
        wait: WAIT,
        backup: Backup::LongestRunning,
        skip_bad_records: application.bad_records() == BadRecords::Skip,
        ..Rules::default()
    };
    let inputs = plan.splits.iter().map(|split| Input { split: split.clone(), hosts: Vec::new() });
    State::new(plan.job.clone(), inputs.collect(), rules)
}

/// Finds a job of this plan in this directory whose coordinator was killed.
fn find_unfinished(out: &Path, plan: &Plan) -> Result<Option<(OwnDirectory, Unfinished)>, Problem> {
    let mut other = None;
    for path in locks::directories(out, directory::PREFIX) {
        let Some(directory) = OwnDirectory::take_over_of_killed(&path) else {
            other.get_or_insert(format!("{} belongs to a job that is running", path.display()));
            continue;
        };
        // A job that was killed before its log began has done nothing. Dropping `directory` removes it.
        let Ok(Some(unfinished)) = log::read(&path) else { continue };
        match plan.difference(&unfinished.plan) {
            None => return Ok(Some((directory, unfinished))),
            Some(difference) => {
                directory.keep();
                other = Some(format!("{} is another job: {difference}", path.display()));
            }
        }
    }
    match other {
        Some(other) => Err(Problem::Failed(format!(
            "nothing to resume: {other} (without --resume a new job starts, and removes what the killed one left)"
        ))),
        None => {
            eprintln!("mrjob: there is nothing to resume; a new job starts");
            Ok(None)
        }
    }
}
