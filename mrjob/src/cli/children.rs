//! The worker processes of `run`.
//!
//! `run` does the work of a cluster's scheduler: it starts workers, and replaces those that die for any
//! reason. The coordinator has no part in that. It also works with fewer workers, or waits for new ones.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labrt::thread;

use super::Problem;
use super::arguments::Run;
use crate::locks::OwnDirectory;
use crate::wire::Address;

/// `run` gives up after this many deaths per worker without a finished task in between.
const DEATHS_PER_WORKER: usize = 10;

/// How long `run` waits for its workers after the job, before it kills them.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Worker processes, and the directory with their disks and sockets. Dropping it kills the processes and
/// removes the directory.
pub(crate) struct Children {
    /// For the coordinator's socket, and a directory of each worker.
    directory: OwnDirectory,
    /// Arguments for each worker.
    out: PathBuf,
    memory: u64,
    workers: Vec<Child>,
    /// Deaths since the last task was done, and the number of tasks done by then.
    deaths: usize,
    done: usize,
}

impl Children {
    /// Creates the directory. No worker runs yet.
    pub(crate) fn new(arguments: &Run) -> Result<Children, Problem> {
        let name = format!("{:016x}", labrt::random_seed());
        let parent = std::env::temp_dir();
        let directory = OwnDirectory::create(&parent, "mrjob-", &name);
        let directory =
            directory.map_err(|error| Problem::Failed(format!("{}: {error}", parent.display())))?;
        Ok(Children {
            directory,
            out: arguments.job.program.out.clone(),
            memory: arguments.memory,
            workers: Vec::new(),
            deaths: 0,
            done: 0,
        })
    }

    /// The address at which the coordinator listens.
    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.directory.path().join("coordinator"))
    }

    /// Starts one more worker.
    pub(crate) fn start(&mut self) -> Result<(), Problem> {
        // Workers share this process's standard output and error: their messages are for the user.
        let start = || -> io::Result<Child> {
            Command::new(std::env::current_exe()?)
                .arg("worker")
                .arg("--connect")
                .arg(self.address().to_string())
                .arg("--out")
                .arg(&self.out)
                .arg("--local")
                .arg(self.directory.path())
                .arg("--parent")
                .arg(std::process::id().to_string())
                .arg("--memory")
                .arg(self.memory.to_string())
                .stdin(Stdio::null())
                .spawn()
        };
        self.workers.push(start().map_err(|error| Problem::Failed(format!("a worker: {error}")))?);
        Ok(())
    }

    /// Replaces workers that have died. `done` is the number of tasks that are done.
    pub(crate) fn replace_dead(&mut self, done: usize) -> Result<(), Problem> {
        if done != self.done {
            (self.done, self.deaths) = (done, 0);
        }
        // A worker that ended because the job is over may be replaced, too, before this process notices the
        // end. The new worker is told to exit, or finds no coordinator.
        let wanted = self.workers.len();
        self.workers.retain_mut(|worker| matches!(worker.try_wait(), Ok(None)));
        self.deaths += wanted - self.workers.len();
        if self.deaths > DEATHS_PER_WORKER * wanted {
            return Err(Problem::Failed(format!("{} workers have died, and no task got done", self.deaths)));
        }
        while self.workers.len() < wanted {
            self.start()?;
        }
        Ok(())
    }

    /// Waits for the workers to end by themselves, after they hear that the job is over. Dropping this kills
    /// the others.
    pub(crate) fn wait(&mut self) {
        let deadline = Instant::now() + END_WITHIN;
        while !self.workers.is_empty() && Instant::now() < deadline {
            self.workers.retain_mut(|worker| matches!(worker.try_wait(), Ok(None)));
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // The worker may have ended just now.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}
