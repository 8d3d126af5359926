//! What a worker starts with, and why it may end before its job does.

use std::fmt;

use labrt::sync::Arc;
use labrt::time::Duration;

use crate::app::Application;
use crate::rpc::{CoordinatorClient, Job, WorkerClient, WorkerId};
use crate::store::Store;
use crate::tasks::Tasks;

/// How a worker reaches the others. Its clients' calls should end after a second or so, whatever happens.
pub trait Network: Send + Sync + 'static {
    /// The coordinator.
    fn coordinator(&self) -> CoordinatorClient;

    /// Part 1B: the worker on this machine, for its local disk; `None` if there is no such machine.
    fn worker(&self, host: &str) -> Option<WorkerClient>;
}

/// Finds the application that a job names. Functions cannot travel in messages: each worker has the program
/// already, as the course's workers have their plugin, and the job tells which one.
pub type Applications = dyn Fn(&Job) -> Result<Arc<dyn Application>, String> + Send + Sync;

/// What a worker starts with.
pub struct Setup {
    /// Its number, which no other process has or has had.
    pub worker: WorkerId,
    /// Its machine.
    pub host: String,
    /// How it reaches the others.
    pub network: Box<dyn Network>,
    /// The store that all machines share: input and output, and in part 1A everything.
    pub shared: Arc<dyn Store>,
    /// The machine's own disk.
    pub local: Arc<dyn Store>,
    /// Finds the application.
    pub applications: Box<Applications>,
    /// Runs the tasks.
    pub tasks: Arc<dyn Tasks>,
    /// How many bytes of pairs a task may keep in memory.
    pub memory: usize,
    /// How long it goes on calling a coordinator that does not answer.
    pub patience: Duration,
    /// How long it waits before it repeats a call.
    pub retry: Duration,
}

/// Why a worker ended before the job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerError {
    /// The coordinator has refused it.
    Refused(String),
    /// The worker does not have the job's application.
    Application(String),
    /// The coordinator was silent for too long.
    CoordinatorLost,
    /// The coordinator has sent what is no message of this protocol.
    Garbled(String),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerError::Refused(reason) => write!(f, "refused by the coordinator: {reason}"),
            WorkerError::Application(reason) => write!(f, "{reason}"),
            WorkerError::CoordinatorLost => write!(f, "the coordinator does not answer"),
            WorkerError::Garbled(what) => write!(f, "the coordinator speaks another language: {what}"),
        }
    }
}

impl std::error::Error for WorkerError {}
