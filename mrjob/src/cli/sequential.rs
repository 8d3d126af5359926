//! The command `sequential`.

use mapreduce::app::Records;
use mapreduce::split::split_inputs;
use mapreduce::store::{Store, StoreError};
use mapreduce::{names, sequential};

use super::arguments::Sequential;
use super::{Done, Problem, job};
use crate::catalogue::Catalogue;
use crate::directory::JobStore;

/// Writes `mr-out-0`, complete or not at all.
pub(crate) fn run(arguments: &Sequential, catalogue: &Catalogue) -> Done {
    let program = &arguments.program;
    let application = job::application(program, catalogue)?;
    let store = JobStore::new(&program.out);
    let files = job::files(program);
    job::check_input_survives(program)?;
    // Called for its checks of the files: pipes, devices, files without a length.
    split_inputs(&store, &files, Records::Whole, u64::MAX).map_err(Problem::failed)?;
    let output = sequential::run(&*application, &store, &files).map_err(Problem::failed)?;
    // A directory of its own, as for every other job: another one removes it after a kill.
    let created = store.create_directory(labrt::random_seed());
    created.map_err(|error| Problem::Failed(format!("{}: {error}", program.out.display())))?;
    let written = write(&store, &output).and_then(|()| store.publish(1, false));
    store.remove_directory();
    written.map_err(Problem::failed)
}

fn write(store: &JobStore, output: &str) -> Result<(), StoreError> {
    let mut file = store.create(&names::output(0))?;
    file.write(output.as_bytes())?;
    file.finish()
}
