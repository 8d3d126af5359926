//! From what the command line says to a job.

use std::sync::Arc;
use std::time::Duration;

use crate::directory::JobStore;
use mapreduce::split::split_inputs;
use mapreduce::state::{Backup, Input, Rules};
use mapreduce::{Application, names, rpc};

use crate::catalogue::Catalogue;

use super::Problem;
use super::arguments::{Job, Program};

/// How long a worker waits until it asks again. Sockets are cheap, and phases end
/// suddenly.
const WAIT: Duration = Duration::from_millis(5);

/// How often a worker says how far it is.
const REPORT_EVERY_MS: u64 = 100;

/// A job that can be started.
pub(crate) struct Prepared {
    pub(crate) job: rpc::Job,
    pub(crate) inputs: Vec<Input>,
    pub(crate) rules: Rules,
    pub(crate) store: Arc<JobStore>,
}

/// The application of a program, whose parameters must suit it.
pub(crate) fn application(program: &Program, catalogue: &Catalogue) -> Result<Box<dyn Application>, Problem> {
    let found = catalogue.make(&program.app, &program.parameters);
    found.map_err(|error| Problem::Usage(error.to_string()))
}

/// Names of the input files: none may look like a file of the job's own.
pub(crate) fn files(program: &Program) -> Vec<String> {
    let clear = |file: &String| if names::is_own(file) { format!("./{file}") } else { file.clone() };
    program.files.iter().map(clear).collect()
}

/// Looks at the input and makes the job's directory.
pub(crate) fn prepare(arguments: &Job, catalogue: &Catalogue) -> Result<Prepared, Problem> {
    let Job { program, .. } = arguments;
    let application = application(program, catalogue)?;
    let files = files(program);
    let reduces = arguments.reduces as usize;
    let store = JobStore::new(&program.out);
    let splits = split_inputs(&store, &files, application.records(), arguments.split << 20);
    // A missing file, a directory: said before anything is started.
    let splits = splits.map_err(Problem::failed)?;
    let mut parameters = program.parameters.clone();
    if parameters.is_empty()
        && let Some(prepared) = catalogue.prepare(&program.app, &store, &files, reduces)
    {
        parameters = prepared.map_err(Problem::failed)?;
    }
    // Two jobs of the same second, or of two machines, must not share a directory.
    let id = labrt::random_seed();
    store.enter(id);
    let created = store.create_directory();
    created.map_err(|error| Problem::Failed(format!("{}: {error}", program.out.display())))?;
    let job = rpc::Job {
        id,
        application: program.app.clone(),
        parameters,
        reduces,
        local_disks: arguments.local_disks,
        // Several reports fit into the time-out, so that one may be late.
        report_every_ms: REPORT_EVERY_MS.min(arguments.timeout / 4 + 1),
    };
    let rules = Rules {
        timeout: Duration::from_millis(arguments.timeout),
        wait: WAIT,
        backup: Backup::LongestRunning,
        ..Rules::default()
    };
    let inputs = splits.into_iter().map(|split| Input { split, hosts: Vec::new() }).collect();
    Ok(Prepared { job, inputs, rules, store: Arc::new(store) })
}

/// Deletes what only the job needed. What cannot be deleted is worth a word, but no
/// failure: the output is there.
pub(crate) fn clear_up(store: &JobStore) {
    // A worker that had been given up may be writing a file at this moment.
    let removed = (0..5).map(|_| store.remove_directory()).find(Result::is_ok);
    if removed.is_none() {
        eprintln!("mrjob: the directory with the job's temporary files could not be removed");
    }
}
