//! Disks that become full, and files that were cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mapreduce::app::Application;
use mapreduce::apps::wc::WordCount;
use mapreduce::directory_store::DirectoryStore;
use mapreduce::names;
use mapreduce::split::split_inputs;
use mapreduce::store::{ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use mapreduce::tasks::{ReduceTask, Source, Step, TaskError, Tasks};
use mapreduce_engine::Engine;

use super::scratch::Scratch;
use super::{ByBorders, ROOMY, map_task, whole, zipf_file};

/// A disk with room for so many bytes, files deleted or not.
struct SmallDisk {
    store: DirectoryStore,
    left: Arc<AtomicI64>,
}

impl Store for SmallDisk {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.store.open(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        Ok(Box::new(SmallFile { file: self.store.create(name)?, left: self.left.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.store.rename(from, to)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix)
    }
}

struct SmallFile {
    file: Box<dyn WriteFile>,
    left: Arc<AtomicI64>,
}

impl WriteFile for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let left = self.left.fetch_sub(bytes.len() as i64, Ordering::Relaxed);
        let fits = usize::try_from(left).unwrap_or(0).min(bytes.len());
        self.file.write(&bytes[..fits])?;
        if fits == bytes.len() { Ok(()) } else { Err(StoreError::new(StoreErrorKind::Full, "file", "full")) }
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.file.finish()
    }
}

/// Wherever the disk becomes full, a task says so and leaves nothing, under a final name or any other.
#[test]
fn a_disk_that_becomes_full_anywhere() {
    let scratch = Scratch::new();
    zipf_file(&scratch, "text", 60_000);
    let disk = SmallDisk { store: scratch.store(), left: Arc::default() };
    let sort = ByBorders(&["m"]);
    let split = whole(&scratch.store(), "text");
    let mut failures = 0;
    for memory in [ROOMY, 20_000] {
        let map = map_task(&sort, &split, &disk, memory);
        for room in (0..).step_by(7_919) {
            disk.left.store(room, Ordering::Relaxed);
            match Engine.run_map(&map, &mut |_| Step::Continue) {
                Ok(_) => break,
                Err(TaskError::Store(StoreError { kind: StoreErrorKind::Full, .. })) => failures += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(disk.list("mr-").unwrap(), Vec::<String>::new());
        }
        let sources = [Source { store: &disk, name: names::intermediate(0, 1, 1) }];
        let reduce = ReduceTask {
            application: &sort,
            partition: 1,
            attempt: 1,
            sources: &sources,
            local: &disk,
            output: &disk,
            memory,
        };
        for room in (0..).step_by(7_919) {
            disk.left.store(room, Ordering::Relaxed);
            match Engine.run_reduce(&reduce, &mut |_| Step::Continue) {
                Ok(_) => break,
                Err(TaskError::Store(StoreError { kind: StoreErrorKind::Full, .. })) => failures += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(disk.list("mr-out").unwrap(), Vec::<String>::new());
            assert_eq!(disk.list(names::TEMPORARY_PREFIX).unwrap(), Vec::<String>::new());
        }
        disk.delete(&names::output(1)).unwrap();
        Engine.delete_map_output(&disk, 0, 1, 2).unwrap();
    }
    assert!(failures > 20, "only {failures} failures");
}

#[test]
fn an_intermediate_file_that_was_cut_off_is_noticed() {
    let scratch = Scratch::new();
    zipf_file(&scratch, "text", 50_000);
    let store = scratch.store();
    let wc = WordCount;
    let splits = split_inputs(&store, &["text".to_owned()], wc.records(), u64::MAX).unwrap();
    let map = map_task(&wc, &splits[0], &store, ROOMY);
    Engine.run_map(&map, &mut |_| Step::Continue).unwrap();
    let name = names::intermediate(0, 0, 1);
    let whole = std::fs::read(scratch.path().join(&name)).unwrap();
    for length in [whole.len() - 1, whole.len() / 2 + 1, 1] {
        scratch.write(&name, &whole[..length]);
        let sources = [Source { store: &store, name: name.clone() }];
        let task = ReduceTask {
            application: &wc,
            partition: 5,
            attempt: 1,
            sources: &sources,
            local: &store,
            output: &store,
            memory: ROOMY,
        };
        let result = Engine.run_reduce(&task, &mut |_| Step::Continue);
        // A cut between two pairs cannot be seen; it would take a coordinator that tells lengths.
        assert!(
            result.is_err() || is_border(&whole, length),
            "{length} of {} bytes: {result:?}",
            whole.len()
        );
    }
}

/// Whether a pair ends at `length`; word counts have lengths of one byte.
fn is_border(file: &[u8], length: usize) -> bool {
    let mut at = 0;
    while at < length {
        at += 2 + usize::from(file[at]) + usize::from(file[at + 1]);
    }
    at == length
}
