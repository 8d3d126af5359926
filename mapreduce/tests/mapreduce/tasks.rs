//! Tasks by themselves: no coordinator, no network.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mapreduce::app::{Application, Records, Values, collect};
use mapreduce::apps::{self, sort};
use mapreduce::store::{DirectoryStore, ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use mapreduce::task::{
    MapTask, ReduceTask, Source, Split, Step, TaskError, delete_map_output, run_map, run_reduce, split_inputs,
};
use mapreduce::zipf::Zipf;
use mapreduce::{names, sequential};

use crate::scratch::Scratch;

/// A budget that no test comes near, and one that spills all the time.
const ROOMY: usize = 32 << 20;
const TIGHT: usize = 64 << 10;

/// Runs a job, task after task, and gives its lines in the order of the partitions.
fn run(
    application: &dyn Application,
    store: &DirectoryStore,
    splits: &[Split],
    reduces: usize,
    memory: usize,
) -> Vec<String> {
    for (map, split) in splits.iter().enumerate() {
        let task = MapTask {
            application,
            map,
            attempt: 1,
            split,
            reduces,
            skip: &[],
            input: store,
            output: store,
            memory,
        };
        run_map(&task, &mut |_| Step::Continue).unwrap();
    }
    let mut lines = Vec::new();
    for partition in 0..reduces {
        let found = (0..splits.len()).map(|map| names::intermediate(map, partition, 1));
        let sources: Vec<Source<'_>> =
            found.filter(|name| store.open(name).is_ok()).map(|name| Source { store, name }).collect();
        let task = ReduceTask {
            application,
            partition,
            attempt: 1,
            sources: &sources,
            local: store,
            output: store,
            memory,
        };
        let output = run_reduce(&task, &mut |_| Step::Continue).unwrap();
        lines.extend(store.read_text(&output.name).lines().map(str::to_owned));
    }
    for map in 0..splits.len() {
        delete_map_output(store, map, 1, reduces).unwrap();
    }
    assert_eq!(
        store.list(names::TEMPORARY_PREFIX).unwrap(),
        Vec::<String>::new(),
        "nothing temporary is left"
    );
    lines
}

/// To look at a whole file.
trait ReadText: Store {
    fn read_text(&self, name: &str) -> String {
        let mut file = self.open(name).unwrap();
        let mut bytes = vec![0; file.length() as usize];
        file.read_at(0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

impl ReadText for DirectoryStore {}

fn zipf_file(scratch: &Scratch, name: &str, length: usize) {
    let mut text = Vec::new();
    Zipf::new(length as u64, 5_000).write(length, &mut text).unwrap();
    scratch.write(name, &text);
}

/// The job's lines, sorted, are those of the sequential run.
#[track_caller]
fn agrees_with_sequential(name: &str, parameters: &[&str], split_size: u64, memory: usize) {
    let scratch = Scratch::new();
    let files = ["a.txt", "b.txt", "empty.txt"].map(str::to_owned);
    zipf_file(&scratch, &files[0], 300_000);
    zipf_file(&scratch, &files[1], 20_001);
    scratch.write(&files[2], b"");
    let store = scratch.store();
    let parameters: Vec<String> = parameters.iter().map(|&text| text.to_owned()).collect();
    let application = apps::by_name(name, &parameters).unwrap();
    let splits = split_inputs(&store, &files, application.records(), split_size).unwrap();
    let mut lines = run(&*application, &store, &splits, 7, memory);
    lines.sort_unstable();
    let expected = sequential::run(&*application, &store, &files).unwrap();
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert!(expected.len() > 100);
    assert_eq!(lines, expected);
}

#[test]
fn word_count_agrees_with_the_sequential_run() {
    agrees_with_sequential("wc", &[], u64::MAX, ROOMY);
    agrees_with_sequential("wc", &[], 10_000, ROOMY);
}

#[test]
fn word_count_that_spills_agrees_with_the_sequential_run() {
    agrees_with_sequential("wc", &[], u64::MAX, TIGHT);
}

#[test]
fn the_index_agrees_with_the_sequential_run() {
    agrees_with_sequential("indexer", &[], 50_000, ROOMY);
    agrees_with_sequential("indexer", &[], u64::MAX, TIGHT);
}

#[test]
fn grep_agrees_with_the_sequential_run() {
    agrees_with_sequential("grep", &["(ba|ke)mi"], 10_000, ROOMY);
}

#[test]
fn a_sort_that_spills_agrees_with_the_sequential_run() {
    agrees_with_sequential("sort", &["kebab", "noéor"], u64::MAX, TIGHT);
}

#[test]
fn more_splits_than_can_be_merged_at_once() {
    agrees_with_sequential("wc", &[], 800, ROOMY);
    agrees_with_sequential("sort", &["kebab", "noéor"], 800, ROOMY);
}

#[test]
fn more_runs_than_can_be_merged_at_once() {
    agrees_with_sequential("sort", &["kebab"], u64::MAX, 1_000);
}

#[test]
fn sampled_partitions_are_in_order_and_about_equal() {
    let scratch = Scratch::new();
    let lines: Vec<String> =
        (0..20_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    scratch.write("numbers", (lines.join("\n") + "\n").as_bytes());
    let store = scratch.store();
    let files = ["numbers".to_owned()];
    let borders = sort::sample(&store, &files, 8).unwrap();
    assert_eq!(borders.len(), 7);
    let application = sort::Sort::new(borders);
    let splits = split_inputs(&store, &files, application.records(), 40_000).unwrap();
    let sorted = run(&application, &store, &splits, 8, ROOMY);
    assert!(sorted.is_sorted(), "the files one behind the other are sorted");
    assert_eq!(BTreeSet::from_iter(sorted), BTreeSet::from_iter(lines));
    for partition in 0..8 {
        let count = store.read_text(&names::output(partition)).lines().count();
        assert!((1_500..3_500).contains(&count), "partition {partition} has {count} of 20,000 lines");
    }
}

/// Emits each record's place in a list, to see how the input is cut.
struct Echo(Records);

impl Application for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn map(&self, _file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(&String::from_utf8_lossy(record), "");
    }

    fn reduce(&self, _record: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&collect(values).len().to_string());
    }

    fn records(&self) -> Records {
        self.0
    }
}

#[test]
fn each_line_belongs_to_one_split_wherever_it_is_cut() {
    let scratch = Scratch::new();
    let text = "one\ntwo\n\nfour is longer\nfive\n\n\nlast";
    scratch.write("text", text.as_bytes());
    let store = scratch.store();
    let files = ["text".to_owned()];
    let expected = sequential::run(&Echo(Records::Lines), &store, &files).unwrap();
    for split_size in 1..40 {
        let splits = split_inputs(&store, &files, Records::Lines, split_size).unwrap();
        assert_eq!(splits.iter().map(|split| split.length).sum::<u64>(), text.len() as u64);
        let lines = run(&Echo(Records::Lines), &store, &splits, 1, ROOMY);
        assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "splits of {split_size} bytes");
    }
}

#[test]
fn a_word_is_never_cut() {
    let scratch = Scratch::new();
    // Longer than the piece of text that a map sees at once, with a long word in the middle.
    let text = "alpha beta ".repeat(9_000) + &"x".repeat(100_000) + "\tgamma\n" + &"delta\n".repeat(9_000);
    scratch.write("text", text.as_bytes());
    let store = scratch.store();
    let files = ["text".to_owned()];
    let wc = apps::by_name("wc", &[]).unwrap();
    for split_size in [u64::MAX, 50_000, 1_003] {
        let splits = split_inputs(&store, &files, wc.records(), split_size).unwrap();
        let lines = run(&*wc, &store, &splits, 1, ROOMY);
        let long = format!("{} 1", "x".repeat(100_000));
        assert_eq!(lines, ["alpha 9000", "beta 9000", "delta 9000", "gamma 1", &long]);
    }
}

#[test]
fn an_empty_file_that_is_one_record_is_mapped_once() {
    let scratch = Scratch::new();
    scratch.write("empty", b"");
    let store = scratch.store();
    let files = ["empty".to_owned()];
    let splits = split_inputs(&store, &files, Records::Whole, 1).unwrap();
    assert_eq!(run(&Echo(Records::Whole), &store, &splits, 1, ROOMY), [" 1"]);
    assert_eq!(run(&Echo(Records::Lines), &store, &splits, 1, ROOMY), Vec::<String>::new());
}

/// Panics on a line that says so, in map, or on a key, in reduce.
struct Picky;

impl Application for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn map(&self, _file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        assert_ne!(record, b"bad", "a bad line");
        emit(&String::from_utf8_lossy(record), "");
    }

    fn reduce(&self, key: &str, _values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        assert_ne!(key, "worse", "a bad key");
        emit("");
    }
}

fn picky_map(store: &DirectoryStore, split: &Split, skip: &[u64]) -> Result<u64, TaskError> {
    let task = MapTask {
        application: &Picky,
        map: 0,
        attempt: 1,
        split,
        reduces: 3,
        skip,
        input: store,
        output: store,
        memory: ROOMY,
    };
    run_map(&task, &mut |_| Step::Continue).map(|output| output.counters.skipped_records)
}

#[test]
fn a_bad_record_is_named_and_can_be_skipped() {
    let scratch = Scratch::new();
    scratch.write("text", b"good\nfine\nbad\nworse\n");
    let store = scratch.store();
    let split = Split { file: "text".to_owned(), offset: 0, length: 20 };
    let error = picky_map(&store, &split, &[]).unwrap_err();
    assert!(
        matches!(&error, TaskError::BadRecord { offset: 10, reason } if reason.contains("a bad line")),
        "{error:?}"
    );
    assert_eq!(store.list("mr-").unwrap(), Vec::<String>::new(), "a failed map leaves nothing");
    assert_eq!(picky_map(&store, &split, &[10]), Ok(1));
    let mut errors = Vec::new();
    for partition in 0..3 {
        let name = names::intermediate(0, partition, 1);
        let sources: Vec<_> = store.open(&name).map(|_| Source { store: &store, name }).into_iter().collect();
        let task = ReduceTask {
            application: &Picky,
            partition,
            attempt: 1,
            sources: &sources,
            local: &store,
            output: &store,
            memory: ROOMY,
        };
        errors.extend(run_reduce(&task, &mut |_| Step::Continue).err());
    }
    assert!(matches!(&errors[..], [TaskError::BadKey { key, .. }] if key == "worse"), "{errors:?}");
}

/// The first attempt of a map with two partitions.
fn map_task<'a>(
    application: &'a dyn Application,
    split: &'a Split,
    store: &'a dyn Store,
    memory: usize,
) -> MapTask<'a> {
    MapTask {
        application,
        map: 0,
        attempt: 1,
        split,
        reduces: 2,
        skip: &[],
        input: store,
        output: store,
        memory,
    }
}

#[test]
fn a_cancelled_task_leaves_nothing() {
    let scratch = Scratch::new();
    zipf_file(&scratch, "text", 5_000_000);
    let store = scratch.store();
    let split = Split { file: "text".to_owned(), offset: 0, length: 5_000_000 };
    let sort = sort::Sort::new(vec!["m".to_owned()]);
    let task = map_task(&sort, &split, &store, TIGHT);
    let mut calls = 0;
    let result = run_map(&task, &mut |fraction| {
        calls += 1;
        if fraction > 0.3 { Step::Cancel } else { Step::Continue }
    });
    assert_eq!(result, Err(TaskError::Cancelled));
    assert!(calls > 1);
    assert_eq!(store.list("mr-").unwrap(), Vec::<String>::new());
}

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
    let sort = sort::Sort::new(vec!["m".to_owned()]);
    let split = Split { file: "text".to_owned(), offset: 0, length: 60_000 };
    let mut failures = 0;
    for memory in [ROOMY, 20_000] {
        let map = map_task(&sort, &split, &disk, memory);
        for room in (0..).step_by(7_919) {
            disk.left.store(room, Ordering::Relaxed);
            match run_map(&map, &mut |_| Step::Continue) {
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
            match run_reduce(&reduce, &mut |_| Step::Continue) {
                Ok(_) => break,
                Err(TaskError::Store(StoreError { kind: StoreErrorKind::Full, .. })) => failures += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(disk.list("mr-out").unwrap(), Vec::<String>::new());
            assert_eq!(disk.list(names::TEMPORARY_PREFIX).unwrap(), Vec::<String>::new());
        }
        disk.delete(&names::output(1)).unwrap();
        delete_map_output(&disk, 0, 1, 2).unwrap();
    }
    assert!(failures > 20, "only {failures} failures");
}

#[test]
fn an_intermediate_file_that_was_cut_off_is_noticed() {
    let scratch = Scratch::new();
    zipf_file(&scratch, "text", 50_000);
    let store = scratch.store();
    let wc = apps::by_name("wc", &[]).unwrap();
    let splits = split_inputs(&store, &["text".to_owned()], wc.records(), u64::MAX).unwrap();
    let map = map_task(&*wc, &splits[0], &store, ROOMY);
    run_map(&map, &mut |_| Step::Continue).unwrap();
    let name = names::intermediate(0, 0, 1);
    let whole = std::fs::read(scratch.path().join(&name)).unwrap();
    for length in [whole.len() - 1, whole.len() / 2 + 1, 1] {
        scratch.write(&name, &whole[..length]);
        let sources = [Source { store: &store, name: name.clone() }];
        let task = ReduceTask {
            application: &*wc,
            partition: 5,
            attempt: 1,
            sources: &sources,
            local: &store,
            output: &store,
            memory: ROOMY,
        };
        let result = run_reduce(&task, &mut |_| Step::Continue);
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
