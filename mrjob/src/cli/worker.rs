//! The command `worker`.
//!
//! The worker of the lab, with sockets for its network and directories for its stores. It
//! always listens at a socket of its own, since it learns only from the coordinator whether
//! the job keeps intermediate files on local disks, and must have said before where it is.

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

/// How long it waits before it repeats a call.
const RETRY: Duration = Duration::from_millis(10);

/// The command.
pub(crate) fn work(arguments: arguments::Worker, catalogue: Arc<Catalogue>) -> Done {
    if let Some(parent) = arguments.parent
        && !end_with(parent)
    {
        return Err(Problem::Failed("the process that has started this worker is gone".to_owned()));
    }
    on_real_threads(move || {
        let token = token(&arguments)?;
        // At random, so that no two workers have the same, on whatever machines they are.
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
        // Other workers may call as soon as the coordinator has told them the address.
        listener.serve(vec![worker.clone().into_service()], token);
        worker.run().map_err(|error| Problem::Failed(format!("worker at {}: {error}", arguments.connect)))
    })
}

/// From now on this process ends when `parent` does, whatever that dies of. False if it has already ended.
#[cfg(target_os = "linux")]
fn end_with(parent: i32) -> bool {
    use nix::sys::{prctl, signal::Signal};

    prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && is_child_of(parent)
}

/// From now on this process ends soon after `parent` does. False if it has already ended.
///
/// Only Linux sends a signal by itself. Elsewhere a thread asks for the parent: an orphan gets another one.
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

/// Ends this process at SIGINT and SIGTERM, whatever the user's function is doing, and removes its directory.
/// The coordinator gives its task to another worker.
fn end_with_signals(disk: PathBuf) -> Result<(), Problem> {
    let end = move || {
        // What cannot be removed now, the next worker removes.
        let _ = std::fs::remove_dir_all(&disk);
        std::process::exit(INTERRUPTED);
    };
    ctrlc::set_handler(end).map_err(Problem::failed)
}

/// The job's token, as the user has passed it on.
fn token(arguments: &arguments::Worker) -> Result<Token, Problem> {
    match &arguments.token_file {
        Some(path) => {
            Token::read(path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))
        }
        None => Ok(arguments.token.as_deref().map_or_else(Token::none, Token::from_text)),
    }
}

/// The store of the job, and the same as a directory if this machine sees it.
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

/// Called once the worker knows its job.
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

/// Where other workers reach this one: in the same way as it reaches the coordinator.
fn own_socket(disk: &OwnDirectory, coordinator: &Address) -> Address {
    match coordinator {
        Address::Unix(_) => Address::Unix(absolute(disk.path().join("s"))),
        Address::Tcp(_) => Address::Tcp(format!("{}:0", own_address(coordinator))),
    }
}

/// Other workers may run in other directories.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The address of the interface that leads to the coordinator: others find this machine there, too. While
/// there is no coordinator, only this machine can be meant.
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

/// The way to the others.
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
        // One link for each worker that was ever fetched from; connections stay open.
        let mut workers = self.workers.lock();
        let link = || WorkerClient::new(Link::new(address, self.token.clone()).end()).timeout(CALL_LIMIT);
        Some(workers.entry(host.to_owned()).or_insert_with(link).clone())
    }
}
