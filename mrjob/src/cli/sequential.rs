//! The command `sequential`.

use std::fs;

use mapreduce::app::Records;
use mapreduce::directory_store::DirectoryStore;
use mapreduce::split::split_inputs;
use mapreduce::store::{Store, StoreError};
use mapreduce::{names, sequential};

use super::arguments::Sequential;
use super::{Done, Problem, job};
use crate::catalogue::Catalogue;
use crate::directory::JobStore;

/// Leaves `mr-out-0`, complete or not at all.
pub(crate) fn run(arguments: &Sequential, catalogue: &Catalogue) -> Done {
    let program = &arguments.program;
    let application = job::application(program, catalogue)?;
    let input = JobStore::new(&program.out);
    let files = job::files(program);
    job::check_input_survives(program)?;
    // For its checks: pipes, devices, files without a length.
    split_inputs(&input, &files, Records::Whole, u64::MAX).map_err(Problem::failed)?;
    let output = sequential::run(&*application, &input, &files).map_err(Problem::failed)?;
    let created = fs::create_dir_all(&program.out);
    created.map_err(|error| Problem::Failed(format!("{}: {error}", program.out.display())))?;
    let store = DirectoryStore::new(&program.out);
    let name = names::output(0);
    let temporary = names::temporary(&name, std::process::id());
    let written = write(&store, &temporary, &name, &output);
    written.map_err(|error| {
        // The error that counts is the other one.
        let _ = store.delete(&temporary);
        Problem::failed(error)
    })
}

/// As a reduce does: written under another name, and renamed when it is complete.
fn write(store: &DirectoryStore, temporary: &str, name: &str, output: &str) -> Result<(), StoreError> {
    let mut file = store.create(temporary)?;
    file.write(output.as_bytes())?;
    file.finish()?;
    store.rename(temporary, name)
}
