//! Directed: single tasks, as a worker runs them, with nothing around but the files.

use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, Ordering};
use labrt::time::Duration;
use mapreduce::app::{Application, Records};
use mapreduce::apps::wc::WordCount;
use mapreduce::names;
use mapreduce::split::{Piece, RecordPlace, Split};
use mapreduce::store::{FileVersion, ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use mapreduce::tasks::{MapOutput, MapTask, ReduceTask, Source, Step, TaskError};
use tester::{Test, run};

use crate::sim::odd_apps::{FailsLate, Lines, Places};
use crate::sim::store::{Costs, SimStore, Storage};

/// A store at no cost.
fn store() -> SimStore {
    let costs = Costs { operation: Duration::ZERO, byte: Duration::ZERO, call: Duration::ZERO };
    SimStore::shared(&Storage::new(2, costs), 1)
}

/// Puts files into the store, and gives the split that has all of them, whole.
fn split_of(store: &SimStore, files: &[(&str, &str)]) -> Split {
    let piece = |&(name, text): &(&str, &str)| {
        store.put(name, text.as_bytes());
        let length = text.len() as u64;
        let version = FileVersion { length, ..FileVersion::default() };
        Piece { file: name.to_owned(), offset: 0, length, version }
    };
    Split { pieces: files.iter().map(piece).collect() }
}

/// Runs the first attempt of map 0 for four reduces.
fn map(
    application: &dyn Application,
    split: &Split,
    skip: &[RecordPlace],
    store: &dyn Store,
) -> Result<MapOutput, TaskError> {
    let task = MapTask {
        application,
        map: 0,
        attempt: 0,
        split,
        reduces: 4,
        skip,
        input: store,
        output: store,
        memory: 1 << 20,
    };
    crate::under_test::tasks().run_map(&task, &mut |_| Step::Continue)
}

/// Runs the first attempt of a reduce over the first attempt of map 0.
fn reduce(
    application: &dyn Application,
    partition: usize,
    files: &dyn Store,
    output: &dyn Store,
) -> Result<(), TaskError> {
    reduce_of(application, partition, &[names::intermediate(0, partition, 0)], files, output)
}

/// Runs the first attempt of a reduce over files of these names.
fn reduce_of(
    application: &dyn Application,
    partition: usize,
    names: &[String],
    files: &dyn Store,
    output: &dyn Store,
) -> Result<(), TaskError> {
    let source = |name: &String| Source { store: files, name: name.clone() };
    let sources: Vec<Source<'_>> = names.iter().map(source).collect();
    let task = ReduceTask {
        application,
        partition,
        attempt: 0,
        sources: &sources,
        local: files,
        output,
        memory: 1 << 20,
    };
    crate::under_test::tasks().run_reduce(&task, &mut |_| Step::Continue).map(|_| ())
}

/// What files a job has in the store.
fn own_files(store: &dyn Store) -> Vec<String> {
    store.list("mr-").unwrap_or_default()
}

/// A place of a record names the file, too: the records at the same byte of other files are not skipped.
#[test]
fn mr_skips_in_one_file() {
    run("mr_skips_in_one_file", |t| {
        t.scene("A map over two files is to skip the first line of the second one.");
        let store = store();
        let split = split_of(&store, &[("text-a", "one\ntwo\n"), ("text-b", "three\nfour\n")]);
        let skip = [RecordPlace { piece: 1, offset: 0 }];
        let lines = Lines { records: Records::Lines };
        let counters = match map(&lines, &split, &skip, &store) {
            Ok(output) => output.counters,
            Err(error) => t.fail(format!("the map fails: {error}")),
        };
        t.expect((counters.pairs, counters.skipped_records) == (3, 1), || {
            format!("of four lines one is skipped, and the map counts {counters:?}")
        });
        let mut found = Vec::new();
        for partition in 0..4 {
            if store.open(&names::intermediate(0, partition, 0)).is_ok() {
                let reduced = reduce(&lines, partition, &store, &store);
                t.expect(reduced == Ok(()), || format!("reduce {partition} fails: {reduced:?}"));
                found.extend(store.look(&names::output(partition)).lines().map(str::to_owned));
            }
        }
        found.sort();
        t.expect(found == ["four", "one", "two"], || format!("the output is {found:?}"));
    });
}

/// The application says which partition gets a key, and the lines of each partition come in the order of
/// their keys. All that a combiner emits goes to reduce.
#[test]
fn mr_partitions_in_order() {
    run("mr_partitions_in_order", |t| {
        t.scene("An application has a partition for each of four first letters.");
        let store = store();
        let text = "dove\nape\nbear\nduck\ncow\nbat\nant\ndog\ncat\nbee\nass\nauk\ncoot\ndeer\nboar\nant\n";
        let mapped = map(&Places, &split_of(&store, &[("zoo", text)]), &[], &store);
        t.expect(mapped.is_ok(), || format!("the map fails: {mapped:?}"));
        let expected = [
            "ant zoo,zoo\nape zoo\nass zoo\nauk zoo\n",
            "bat zoo\nbear zoo\nbee zoo\nboar zoo\n",
            "cat zoo\ncoot zoo\ncow zoo\n",
            "deer zoo\ndog zoo\ndove zoo\nduck zoo\n",
        ];
        expect_outputs(t, &store, &expected);
    });
}

/// Reduces what the first map of `Places` has written, and compares each partition's lines, in order.
fn expect_outputs(t: &Test, store: &SimStore, expected: &[&str]) {
    for (partition, expected) in expected.iter().enumerate() {
        let reduced = reduce(&Places, partition, store, store);
        t.expect(reduced == Ok(()), || format!("reduce {partition} fails: {reduced:?}"));
        let found = store.look(&names::output(partition));
        t.expect(found == *expected, || {
            format!(
                "the lines of partition {partition}, in order, are {expected:?}, and its output has {found:?}"
            )
        });
    }
}

/// A map hears of each record from which file it is, and says of a bad one in which file it is, and where.
#[test]
fn mr_pieces_of_two_files() {
    run("mr_pieces_of_two_files", |t| {
        t.scene("A map has one file, and the second half of another one, in which a line is bad.");
        let store = store();
        let mut split = split_of(&store, &[("text-a", "a1\na2\n"), ("text-b", "b1\nb2\npoison\nb3\n")]);
        (split.pieces[1].offset, split.pieces[1].length) = (3, 13);
        let failed = map(&Places, &split, &[], &store);
        let place = RecordPlace { piece: 1, offset: 6 };
        let said = match &failed {
            Err(TaskError::BadRecord { place, file, .. }) => Some((*place, file.as_str())),
            _ => None,
        };
        t.expect(said == Some((place, "text-b")), || {
            format!("the bad record is at {place:?}, in text-b, and the map's result is {failed:?}")
        });
        t.scene("It is skipped.");
        let mapped = map(&Places, &split, &[place], &store);
        t.expect(mapped.is_ok(), || format!("the map fails: {mapped:?}"));
        let expected = ["a1 text-a\na2 text-a\n", "b2 text-b\nb3 text-b\n"];
        expect_outputs(t, &store, &expected);
    });
}

/// A reduce that cannot read one of its sources has no output, and says so.
#[test]
fn mr_missing_source() {
    run("mr_missing_source", |t| {
        t.scene("One of the files that a reduce is to read is gone.");
        let store = store();
        let mapped = map(&Places, &split_of(&store, &[("text", "apple\n")]), &[], &store);
        t.expect(mapped.is_ok(), || format!("the map fails: {mapped:?}"));
        let there = names::intermediate(0, 0, 0);
        for sources in [[there.clone(), "mr-1-0.0".to_owned()], ["mr-1-0.0".to_owned(), there]] {
            let reduced = reduce_of(&Places, 0, &sources, &store, &store);
            t.expect(matches!(reduced, Err(TaskError::Store(_))), || {
                format!("of {sources:?} one is gone, and the reduce's result is {reduced:?}")
            });
            let found = store.look(&names::output(0));
            t.expect(found.is_empty(), || {
                format!("of {sources:?} one is gone, and the output has {found:?}")
            });
        }
    });
}

/// A file may change while a map reads it, and what the map has read is then of no version of the file.
#[test]
fn mr_input_changes_while_read() {
    run("mr_input_changes_while_read", |t| {
        for records in [Records::Whole, Records::Lines, Records::Blocks, Records::Text] {
            t.scene(format!("Someone writes to a file while a map reads it. The records are {records:?}."));
            let store = store();
            let split = split_of(&store, &[("text", "one\ntwo\nthree\n")]);
            let changing = Changing { store: store.clone(), changed: Arc::default() };
            let mapped = map(&Lines { records }, &split, &[], &changing);
            t.expect(changing.changed.load(Ordering::SeqCst), || {
                format!("the map has read nothing, and its result is {mapped:?}")
            });
            t.expect(matches!(mapped, Err(TaskError::InputChanged { .. })), || {
                format!("the file has changed while the map read it, and the map's result is {mapped:?}")
            });
        }
    });
}

/// A task that fails leaves no file behind, whenever it fails.
#[test]
fn mr_failed_tasks_leave_nothing() {
    run("mr_failed_tasks_leave_nothing", |t| {
        t.scene("A combiner fails in the last partition of a map.");
        let store = store();
        let split = split_of(&store, &[("text", "late\none\ntwo\nthree\nfour\nfive\nsix\n")]);
        let combined = map(&FailsLate, &split, &[], &store);
        t.exercised(combined.is_err(), "the map did not call the combiner");
        if combined.is_err() {
            let left = own_files(&store);
            t.expect(left.is_empty(), || format!("the map has failed, and left {left:?}"));
        }

        t.scene("The store takes no final name of a map.");
        let split = split_of(&store, &[("text", "one two three four five six\n")]);
        let refusing = Refusing(store.clone());
        let refused = map(&WordCount, &split, &[], &refusing);
        t.expect(refused.is_err(), || "a map is done whose files have no names".to_owned());
        let left: Vec<String> =
            own_files(&store).into_iter().filter(|name| name.starts_with(names::TEMPORARY_PREFIX)).collect();
        t.expect(left.is_empty(), || format!("the map has failed, and left {left:?}"));

        t.scene("The store takes no final name of a reduce.");
        let mapped = map(&WordCount, &split, &[], &store);
        t.expect(mapped.is_ok(), || format!("the map fails: {mapped:?}"));
        let inputs = own_files(&store);
        let first = (0..4).find(|&partition| store.open(&names::intermediate(0, partition, 0)).is_ok());
        let Some(partition) = first else { t.fail("the map has written nothing") };
        let refused = reduce(&WordCount, partition, &store, &refusing);
        t.expect(refused.is_err(), || "a reduce is done whose output has no name".to_owned());
        let left = own_files(&store);
        t.expect(left == inputs, || format!("the reduce has failed; of {inputs:?} it has made {left:?}"));
    });
}

/// A store that gives no file its final name.
struct Refusing(SimStore);

impl Store for Refusing {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        self.0.open(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.0.create(name)
    }

    fn rename(&self, _from: &str, to: &str) -> Result<(), StoreError> {
        Err(StoreError::new(StoreErrorKind::Full, to, "the disk is full"))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.0.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.list(prefix)
    }
}

/// A store whose input files change when their first bytes are read.
struct Changing {
    store: SimStore,
    changed: Arc<AtomicBool>,
}

impl Store for Changing {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        let file = self.store.open(name)?;
        Ok(Box::new(ChangingFile { file, changed: self.changed.clone() }))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.store.create(name)
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

/// A file of a [`Changing`] store. Its length stays.
struct ChangingFile {
    file: Box<dyn ReadFile>,
    changed: Arc<AtomicBool>,
}

impl ReadFile for ChangingFile {
    fn length(&self) -> u64 {
        self.file.length()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let count = self.file.read_at(offset, buffer)?;
        if offset == 0 && count > 0 {
            self.changed.store(true, Ordering::SeqCst);
        }
        Ok(count)
    }

    fn version(&self) -> Result<FileVersion, StoreError> {
        let modified_ns = self.changed.load(Ordering::SeqCst).into();
        Ok(FileVersion { modified_ns, ..self.file.version()? })
    }
}
