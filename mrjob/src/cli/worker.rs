//! The command `worker`.
//!
//! The worker of the lab, with sockets for its network and directories for its stores. It
//! always listens at a socket of its own, since it learns only from the coordinator whether
//! the job keeps intermediate files on local disks, and must have said before where it is.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::directory::JobStore;
use crate::wire::{Address, Link, Listener, Stream};
use labrt::quiet::Mutex;
use mapreduce::directory_store::DirectoryStore;
use mapreduce::rpc::{CoordinatorClient, Job, WorkerClient, WorkerRpc};
use mapreduce::worker::{Network, Setup};
use mapreduce::{Application, Worker};
use mapreduce_engine::Engine;
use rustc_hash::FxHashMap;

use crate::catalogue::Catalogue;

use super::arguments;
use super::{Done, Problem, on_real_threads};

/// How long a call may take.
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// How long it waits until it repeats a call.
const RETRY: Duration = Duration::from_millis(10);

/// The command.
pub(crate) fn work(arguments: arguments::Worker, catalogue: Arc<Catalogue>) -> Done {
    on_real_threads(move || {
        // At random, so that no two workers have the same, on whatever machines they are.
        let id = labrt::random_seed();
        let disk = Disk::create(arguments.local.as_deref(), id).map_err(Problem::failed)?;
        let listener = Listener::bind(&disk.address(&arguments.connect)).map_err(Problem::failed)?;
        let store = Arc::new(JobStore::new(&arguments.out));
        let worker = Worker::new(Setup {
            worker: id,
            host: listener.address().to_string(),
            network: Box::new(Sockets::new(arguments.connect.clone())),
            shared: store.clone(),
            local: Arc::new(DirectoryStore::new(&disk.path)),
            applications: Box::new(move |job| find_application(job, &store, &catalogue)),
            tasks: Arc::new(Engine),
            memory: (arguments.memory << 20) as usize,
            patience: Duration::from_millis(arguments.patience),
            retry: RETRY,
        });
        // Other workers may call as soon as the coordinator has told them the address.
        listener.serve(vec![worker.clone().into_service()]);
        worker.run().map_err(|error| Problem::Failed(format!("worker at {}: {error}", arguments.connect)))
    })
}

/// Called once the worker knows its job.
fn find_application(
    job: &Job,
    store: &JobStore,
    catalogue: &Catalogue,
) -> Result<Arc<dyn Application>, String> {
    store.enter(job.id);
    catalogue.make(&job.application, &job.parameters).map(Arc::from).map_err(|error| error.to_string())
}

/// The worker's own directory, its local disk. It goes when the worker does.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Makes the directory.
    fn create(given: Option<&Path>, id: u64) -> io::Result<Disk> {
        let new = || std::env::temp_dir().join(format!("mapreduce-worker-{id:016x}"));
        let path = given.map_or_else(new, Path::to_owned);
        fs::create_dir_all(&path)?;
        Ok(Disk { path })
    }

    /// Where other workers reach it: in the same way as the worker reaches the
    /// coordinator.
    fn address(&self, coordinator: &Address) -> Address {
        match coordinator {
            Address::Unix(_) => Address::Unix(self.path.join("socket")),
            Address::Tcp(_) => Address::Tcp(format!("{}:0", own_address(coordinator))),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Of no use to anybody, now that nobody serves it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The address of the interface that leads to the coordinator: others find this machine
/// there, too. While the coordinator is not there, this machine alone can be meant.
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
    /// Links to other workers, by address.
    workers: Mutex<FxHashMap<String, WorkerClient>>,
}

impl Sockets {
    /// Nobody is called so far.
    fn new(coordinator: Address) -> Sockets {
        let coordinator = CoordinatorClient::new(Link::new(coordinator).end()).timeout(CALL_LIMIT);
        Sockets { coordinator, workers: Mutex::new(FxHashMap::default()) }
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
        let link = || WorkerClient::new(Link::new(address).end()).timeout(CALL_LIMIT);
        Some(workers.entry(host.to_owned()).or_insert_with(link).clone())
    }
}
