//! The application as the workers of a simulation get it: each call of the user's functions takes time, is
//! seen by the checker, and may be disturbed by the test.

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use mapreduce::app::{Application, BadRecords, Records, Values};
use mapreduce::rpc::WorkerId;

use super::checker::Checker;
use super::cluster::Cluster;
use super::store::Storage;

/// What a test does in the middle of the user's functions: called with the machine, and the file or the key.
/// May sleep, and may crash the machine.
type Hook = Arc<dyn Fn(usize, &str) + Send + Sync>;

/// The disturbances of one test.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) map: Option<Hook>,
    pub(crate) reduce: Option<Hook>,
}

impl Hooks {
    pub(crate) fn on_map(mut self, hook: impl Fn(usize, &str) + Send + Sync + 'static) -> Hooks {
        self.map = Some(Arc::new(hook));
        self
    }

    pub(crate) fn on_reduce(mut self, hook: impl Fn(usize, &str) + Send + Sync + 'static) -> Hooks {
        self.reduce = Some(Arc::new(hook));
        self
    }
}

/// The cluster, for hooks that are made before it is.
#[derive(Clone, Default)]
pub(crate) struct Late(Arc<Mutex<Option<Cluster>>>);

impl Late {
    pub(crate) fn set(&self, cluster: &Cluster) {
        *self.0.lock() = Some(cluster.clone());
    }

    /// Lets go of the cluster, which otherwise would own itself through its hooks. They do nothing from now
    /// on.
    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn with(&self, f: impl FnOnce(&Cluster)) {
        let cluster = self.0.lock().clone();
        if let Some(cluster) = cluster {
            f(&cluster);
        }
    }
}

/// An application on one worker.
pub(crate) struct Probe {
    pub(crate) inner: Arc<dyn Application>,
    pub(crate) machine: usize,
    pub(crate) worker: WorkerId,
    pub(crate) storage: Arc<Storage>,
    pub(crate) checker: Arc<Checker>,
    pub(crate) hooks: Hooks,
}

impl Application for Probe {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn map(&self, file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        self.storage.spend_call(self.machine);
        if let Some(hook) = &self.hooks.map {
            hook(self.machine, file);
        }
        self.inner.map(file, record, emit);
    }

    fn reduce(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.checker.reduce_called(self.worker);
        self.storage.spend_call(self.machine);
        if let Some(hook) = &self.hooks.reduce {
            hook(self.machine, key);
        }
        self.inner.reduce(key, values, emit);
    }

    fn has_combiner(&self) -> bool {
        self.inner.has_combiner()
    }

    fn combine(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.inner.combine(key, values, emit);
    }

    fn partition(&self, key: &str, reduces: usize) -> usize {
        self.inner.partition(key, reduces)
    }

    fn records(&self) -> Records {
        self.inner.records()
    }

    fn bad_records(&self) -> BadRecords {
        self.inner.bad_records()
    }
}
