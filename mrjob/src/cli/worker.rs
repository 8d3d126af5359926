//! The command `worker`.
//!
//! It runs the lab's worker over sockets and directories. It always listens at a socket of its own: it must
//! register with that address before the coordinator tells it whether intermediate files stay on local disks.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use labrt::quiet::Mutex;
use mapreduce::directory_store::DirectoryStore;
use mapreduce::rpc::{CoordinatorClient, Job, WorkerClient, WorkerRpc};
use mapreduce::store::Store;
use mapreduce::worker::{Network, Setup};
use mapreduce::{Application, Worker};
use mapreduce_engine::Engine;
use rustc_hash::FxHashMap;

use super::arguments;
use super::{Done, INTERRUPTED, Problem, on_real_threads};
use crate::catalogue::Catalogue;
use crate::directory::JobStore;
use crate::locks::OwnDirectory;
use crate::remote::{FilesClient, RemoteStore};
use crate::wire::{Address, Link, Listener, Stream, Token};

/// How long a call may take.
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// How long a call for a piece of a file may take, on a slow network.
const FILE_LIMIT: Duration = Duration::from_secs(20);

/// How long the worker waits before it repeats a call.
const RETRY: Duration = Duration::from_millis(10);

/// Runs the command.
pub(crate) fn work(arguments: arguments::Worker, catalogue: Arc<Catalogue>) -> Done {
    if let Some(parent) = arguments.parent
        && !end_with(parent)
    {
        return Err(Problem::Failed("the process that started this worker has ended".to_owned()));
    }
    on_real_threads(move || {
        let token = token(&arguments)?;
        // Random, so that no two workers share a number, on any machines.
        let id = labrt::random_seed();
        let parent = arguments.local.clone().unwrap_or_else(std::env::temp_dir);
        let disk = OwnDirectory::create(&parent, "mrjob-w-", &format!("{id:016x}"));
        let disk = disk.map_err(|error| Problem::Failed(format!("{}: {error}", parent.display())))?;
        end_with_signals(disk.path().to_owned())?;
        let listener = Listener::bind(&own_socket(&disk, &arguments.connect)).map_err(Problem::failed)?;
        let (shared, job_store) = shared_store(&arguments, &token);
        let worker = Worker::new(Setup {
            worker: id,
            host: listener.address().to_string(),
            network: Box::new(Sockets::new(arguments.connect.clone(), token.clone())),
            shared,
            local: Arc::new(DirectoryStore::new(disk.path())),
            applications: Box::new(move |job| find_application(job, job_store.as_deref(), &catalogue)),
            tasks: Arc::new(Engine),
            memory: (arguments.memory << 20) as usize,
            patience: Duration::from_millis(arguments.patience),
            retry: RETRY,
        });
        // Other workers may call as soon as the coordinator tells them this address.
        listener.serve(vec![worker.clone().into_service()], token);
        worker.run().map_err(|error| Problem::Failed(format!("worker at {}: {error}", arguments.connect)))
    })
}

/// Makes the system kill this process when `parent` ends, for any reason. False if `parent` has ended
/// already.
#[cfg(target_os = "linux")]
fn end_with(parent: i32) -> bool {
    use nix::sys::{prctl, signal::Signal};

    prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && is_child_of(parent)
}

/// Makes this process end soon after `parent`. False if `parent` has ended already.
///
/// Only Linux sends a signal. Elsewhere a thread compares the parent's number: an orphan gets a new parent.
#[cfg(not(target_os = "linux"))]
fn end_with(parent: i32) -> bool {
    std::thread::spawn(move || {
        while is_child_of(parent) {
            std::thread::sleep(Duration::from_millis(200));
        }
        std::process::exit(1);
    });
    is_child_of(parent)
}

fn is_child_of(parent: i32) -> bool {
    nix::unistd::getppid().as_raw() == parent
}

/// At SIGINT and SIGTERM removes the worker's directory and ends this process, even inside a user's function.
/// The coordinator gives the task to another worker.
fn end_with_signals(disk: PathBuf) -> Result<(), Problem> {
    let end = move || {
        // If this fails, the next worker removes the directory.
        let _ = std::fs::remove_dir_all(&disk);
        std::process::exit(INTERRUPTED);
    };
    ctrlc::set_handler(end).map_err(Problem::failed)
}

/// The job's token, from the file or the environment.
fn token(arguments: &arguments::Worker) -> Result<Token, Problem> {
    match &arguments.token_file {
        Some(path) => {
            Token::read(path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))
        }
        None => Ok(arguments.token.as_deref().map_or_else(Token::none, Token::from_text)),
    }
}

/// The job's shared store; also as a directory, if this machine sees that.
fn shared_store(arguments: &arguments::Worker, token: &Token) -> (Arc<dyn Store>, Option<Arc<JobStore>>) {
    if arguments.no_shared_disk {
        let link = Link::new(arguments.connect.clone(), token.clone());
        let client = FilesClient::new(link.end()).timeout(FILE_LIMIT);
        let patience = Duration::from_millis(arguments.patience);
        return (Arc::new(RemoteStore { client, patience, retry: RETRY }), None);
    }
    let store = Arc::new(JobStore::new(&arguments.out));
    (store.clone(), Some(store))
}

/// Makes the application of the job, which the worker knows after registering.
fn find_application(
    job: &Job,
    store: Option<&JobStore>,
    catalogue: &Catalogue,
) -> Result<Arc<dyn Application>, String> {
    if let Some(store) = store {
        store.enter(job.id);
    }
    catalogue.make(&job.application, &job.parameters).map(Arc::from).map_err(|error| error.to_string())
}

/// The address for other workers, of the same kind as the coordinator's: Unix or TCP.
fn own_socket(disk: &OwnDirectory, coordinator: &Address) -> Address {
    match coordinator {
        Address::Unix(_) => Address::Unix(absolute(disk.path().join("s"))),
        Address::Tcp(_) => Address::Tcp(format!("{}:0", own_address(coordinator))),
    }
}

/// Absolute, since other workers may run in other directories.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The address of the interface that leads to the coordinator: other workers can reach it, too. If the
/// coordinator is not running yet, the loopback address.
fn own_address(coordinator: &Address) -> String {
    let address = match coordinator.connect() {
        Ok(Stream::Tcp(stream)) => stream.local_addr().map(|address| address.ip()),
        _ => Ok(IpAddr::from([127, 0, 0, 1])),
    };
    match address {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(address) => address.to_string(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}

/// Connections to the coordinator and to other workers.
struct Sockets {
    coordinator: CoordinatorClient,
    token: Token,
    /// Links to other workers, by address.
    workers: Mutex<FxHashMap<String, WorkerClient>>,
}

impl Sockets {
    fn new(coordinator: Address, token: Token) -> Sockets {
        let link = Link::new(coordinator, token.clone());
        let coordinator = CoordinatorClient::new(link.end()).timeout(CALL_LIMIT);
        Sockets { coordinator, token, workers: Mutex::new(FxHashMap::default()) }
    }
}

impl Network for Sockets {
    fn coordinator(&self) -> CoordinatorClient {
        self.coordinator.clone()
    }

    fn worker(&self, host: &str) -> Option<WorkerClient> {
        let address: Address = host.parse().ok()?;
        // One link for each worker that this one has fetched from; connections stay open.
        let mut workers = self.workers.lock();
        let link = || WorkerClient::new(Link::new(address, self.token.clone()).end()).timeout(CALL_LIMIT);
        Some(workers.entry(host.to_owned()).or_insert_with(link).clone())
    }
}
