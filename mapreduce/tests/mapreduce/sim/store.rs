//! The files of a simulated cluster: a store that all machines share, and a disk on each machine. Reading and
//! writing takes time, so that crashes come in the middle; a crash loses what has no final name yet.

use std::collections::BTreeMap;

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::{thread, time::Duration};
use mapreduce::names;
use mapreduce::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};

/// What things cost on a machine of usual speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Opening, creating, renaming a file.
    pub(crate) operation: Duration,
    /// Reading or writing a byte, with all that a task does with it.
    pub(crate) byte: Duration,
    /// Calling the user's function once.
    pub(crate) call: Duration,
}

/// A file.
#[derive(Clone, Default)]
struct File {
    bytes: Arc<Vec<u8>>,
    /// The machine that writes it, while it has no final name.
    unfinished_by: Option<usize>,
    /// Its writer has handed everything over ([`WriteFile::finish`]).
    finished: bool,
    /// Machines that have a replica of it; empty for files that are equally far from all.
    replicas: Vec<usize>,
}

type Files = BTreeMap<String, File>;

/// Sees output files: the number of the machine that writes, and the file's name. Called in the middle of a
/// write, when half of the bytes are there, without any lock; may crash the machine.
pub(crate) type WriteHook = Arc<dyn Fn(usize, &str) + Send + Sync>;

/// Is told of each change of what a final name shows.
pub(crate) type FinalHook = Arc<dyn Fn(&str, &[u8], Change) + Send + Sync>;

/// How the bytes under a final name came to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A finished file was given this name.
    Renamed,
    /// A worker writes under the final name itself.
    Written,
}

/// All files of a cluster.
pub(crate) struct Storage {
    shared: Mutex<Files>,
    disks: Vec<Mutex<Files>>,
    /// How many times slower than usual each machine is.
    slowness: Mutex<Vec<f64>>,
    costs: Costs,
    on_write: Mutex<Option<WriteHook>>,
    on_final: Mutex<Option<FinalHook>>,
    /// Bytes of input that were read by a machine that has a replica, and by one that has none.
    input_bytes: Mutex<(u64, u64)>,
    /// Names of the shared store that a machine began to write while another one did.
    written_by_two: Mutex<Vec<String>>,
}

impl Storage {
    pub(crate) fn new(machines: usize, costs: Costs) -> Arc<Storage> {
        Arc::new(Storage {
            shared: Mutex::default(),
            disks: (0..machines).map(|_| Mutex::default()).collect(),
            slowness: Mutex::new(vec![1.0; machines]),
            costs,
            on_write: Mutex::default(),
            on_final: Mutex::default(),
            input_bytes: Mutex::default(),
            written_by_two: Mutex::default(),
        })
    }

    /// Puts a file into the shared store, at no cost.
    pub(crate) fn put(&self, name: &str, bytes: &[u8], replicas: &[usize]) {
        let (bytes, replicas) = (Arc::new(bytes.to_vec()), replicas.to_vec());
        let file = File { bytes, unfinished_by: None, finished: true, replicas };
        self.shared.lock().insert(name.to_owned(), file);
    }

    /// What a file of the shared store holds, at no cost.
    pub(crate) fn look(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.shared.lock().get(name).map(|file| file.bytes.clone())
    }

    pub(crate) fn set_slowness(&self, machine: usize, factor: f64) {
        self.slowness.lock()[machine] = factor;
    }

    pub(crate) fn on_write(&self, hook: WriteHook) {
        *self.on_write.lock() = Some(hook);
    }

    pub(crate) fn on_final(&self, hook: FinalHook) {
        *self.on_final.lock() = Some(hook);
    }

    /// Lets go of the hooks, which may own the cluster that owns this.
    pub(crate) fn forget_hooks(&self) {
        *self.on_write.lock() = None;
    }

    /// Bytes of input that were read locally, and over the network.
    pub(crate) fn input_bytes(&self) -> (u64, u64) {
        *self.input_bytes.lock()
    }

    /// The names of all files in the shared store.
    pub(crate) fn names(&self) -> Vec<String> {
        self.shared.lock().keys().cloned().collect()
    }

    /// The names of all files on a machine's disk.
    pub(crate) fn names_on_disk(&self, machine: usize) -> Vec<String> {
        self.disks[machine].lock().keys().cloned().collect()
    }

    /// Files of the shared store that a machine began to write while another one did.
    pub(crate) fn written_by_two(&self) -> Vec<String> {
        self.written_by_two.lock().clone()
    }

    /// The machine crashes: what it was writing is lost, on its disk and in the shared store.
    pub(crate) fn crash(&self, machine: usize) {
        self.shared.lock().retain(|_, file| file.unfinished_by != Some(machine));
        self.disks[machine].lock().retain(|_, file| file.unfinished_by.is_none());
    }

    /// The machine's disk is lost for good.
    pub(crate) fn lose_disk(&self, machine: usize) {
        self.disks[machine].lock().clear();
    }

    /// Takes the time that this costs on the machine.
    pub(crate) fn spend(&self, machine: usize, cost: Duration) {
        let slowness = self.slowness.lock()[machine];
        thread::sleep(cost.mul_f64(slowness));
    }

    /// Takes the time of one call of the user's function.
    pub(crate) fn spend_call(&self, machine: usize) {
        if self.costs.call > Duration::ZERO {
            self.spend(machine, self.costs.call);
        }
    }

    fn notify_final(&self, name: &str, bytes: &[u8], change: Change) {
        if name.starts_with(names::OUTPUT_PREFIX) {
            let hook = self.on_final.lock().clone();
            if let Some(hook) = hook {
                hook(name, bytes, change);
            }
        }
    }
}

/// The shared store, or the own disk, as one machine sees it.
#[derive(Clone)]
pub(crate) struct SimStore {
    storage: Arc<Storage>,
    machine: usize,
    local: bool,
}

impl SimStore {
    pub(crate) fn shared(storage: &Arc<Storage>, machine: usize) -> SimStore {
        SimStore { storage: storage.clone(), machine, local: false }
    }

    pub(crate) fn local(storage: &Arc<Storage>, machine: usize) -> SimStore {
        SimStore { storage: storage.clone(), machine, local: true }
    }

    /// Puts a file into the shared store, at no cost.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.storage.put(name, bytes, &[]);
    }

    /// What a file of the shared store holds, at no cost; nothing if there is no such file.
    pub(crate) fn look(&self, name: &str) -> String {
        let bytes = self.storage.look(name).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn with<R>(&self, f: impl FnOnce(&mut Files) -> R) -> R {
        let files = if self.local { &self.storage.disks[self.machine] } else { &self.storage.shared };
        f(&mut files.lock())
    }

    fn spend_operation(&self) {
        self.storage.spend(self.machine, self.storage.costs.operation);
    }

    fn spend_bytes(&self, count: usize) {
        self.storage.spend(self.machine, self.storage.costs.byte * count as u32);
    }

    /// Adds bytes to a file, if it is still there.
    fn append(&self, name: &str, bytes: &[u8]) {
        let now = self.with(|files| {
            let file = files.get_mut(name)?;
            Arc::make_mut(&mut file.bytes).extend_from_slice(bytes);
            Some(file.bytes.clone())
        });
        if let Some(now) = now {
            self.storage.notify_final(name, &now, Change::Written);
        }
    }
}

fn not_found(name: &str) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, name, "there is no such file")
}

impl Store for SimStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.spend_operation();
        let file = self.with(|files| files.get(name).cloned()).ok_or_else(|| not_found(name))?;
        Ok(Box::new(OpenFile { store: self.clone(), file }))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.spend_operation();
        let file = File { unfinished_by: Some(self.machine), ..File::default() };
        let before = self.with(|files| files.insert(name.to_owned(), file));
        let other = before.and_then(|file| file.unfinished_by).filter(|&other| other != self.machine);
        if other.is_some() {
            self.storage.written_by_two.lock().push(name.to_owned());
        }
        Ok(Box::new(OpenWrite { store: self.clone(), name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.spend_operation();
        let is_open = self.with(|files| files.get(from).is_some_and(|file| !file.finished));
        if is_open {
            let reason = "it was renamed before its writer had finished it";
            return Err(StoreError::new(StoreErrorKind::Other, from, reason));
        }
        let renamed = self.with(|files| {
            let file = files.remove(from)?;
            let bytes = file.bytes.clone();
            files.insert(to.to_owned(), File { unfinished_by: None, ..file });
            Some(bytes)
        });
        let bytes = renamed.ok_or_else(|| not_found(from))?;
        if !self.local {
            self.storage.notify_final(to, &bytes, Change::Renamed);
        }
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.with(|files| files.remove(name));
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.with(|files| files.keys().filter(|name| name.starts_with(prefix)).cloned().collect()))
    }
}

/// A file that is being read. It shows what the file held when it was opened, as an open file does after a
/// rename.
struct OpenFile {
    store: SimStore,
    file: File,
}

impl ReadFile for OpenFile {
    fn length(&self) -> u64 {
        self.file.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let bytes = &self.file.bytes;
        let start = (offset as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        self.store.spend_bytes(count);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        if !self.file.replicas.is_empty() {
            let mut sums = self.store.storage.input_bytes.lock();
            let is_near = self.file.replicas.contains(&self.store.machine);
            *(if is_near { &mut sums.0 } else { &mut sums.1 }) += count as u64;
        }
        Ok(count)
    }
}

/// A file that is being written.
struct OpenWrite {
    store: SimStore,
    name: String,
}

impl WriteFile for OpenWrite {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.store.spend_bytes(first.len());
        self.store.append(&self.name, first);
        if !self.store.local && self.name.contains(names::OUTPUT_PREFIX) {
            let hook = self.store.storage.on_write.lock().clone();
            if let Some(hook) = hook {
                hook(self.store.machine, &self.name);
            }
        }
        self.store.spend_bytes(second.len());
        self.store.append(&self.name, second);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.store.spend_operation();
        self.store.with(|files| files.get_mut(&self.name).into_iter().for_each(|file| file.finished = true));
        Ok(())
    }
}
