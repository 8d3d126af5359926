//! Tasks by themselves: no coordinator, no network.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "no simulation is needed here")]

mod disks;
#[path = "../scratch.rs"]
mod scratch;

use mapreduce::app::{Application, Records, Values, collect};
use mapreduce::apps::indexer::Indexer;
use mapreduce::apps::wc::WordCount;
use mapreduce::directory_store::DirectoryStore;
use mapreduce::split::{RecordPlace, Split, split_inputs};
use mapreduce::store::{FileVersion, ReadFile, Store, StoreError, WriteFile};
use mapreduce::task::PlainTasks;
use mapreduce::tasks::{MapTask, ReduceTask, Source, Step, TaskError, Tasks};
use mapreduce::{names, sequential};
use mapreduce_engine::Engine;
use mapreduce_engine::zipf::Zipf;
use scratch::Scratch;

/// A budget that no test comes near, and one that spills all the time.
const ROOMY: usize = 32 << 20;
const TIGHT: usize = 64 << 10;

/// Sorts lines into ranges, without a combiner.
struct ByBorders(&'static [&'static str]);

impl Application for ByBorders {
    fn name(&self) -> &str {
        "by-borders"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(&String::from_utf8_lossy(line), "");
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        while let Some(value) = values.next() {
            emit(value);
        }
    }

    fn partition(&self, key: &str, reduces: usize) -> usize {
        self.0.partition_point(|border| *border <= key).min(reduces - 1)
    }
}

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
        Engine.run_map(&task, &mut |_| Step::Continue).unwrap();
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
        Engine.run_reduce(&task, &mut |_| Step::Continue).unwrap();
        lines.extend(store.read_text(&names::output(partition)).lines().map(str::to_owned));
    }
    for map in 0..splits.len() {
        Engine.delete_map_output(store, map, 1, reduces).unwrap();
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

/// A split that is the whole of one file.
fn whole(store: &dyn Store, name: &str) -> Split {
    split_inputs(store, &[name.to_owned()], Records::Lines, u64::MAX).unwrap().remove(0)
}

fn zipf_file(scratch: &Scratch, name: &str, length: usize) {
    let mut text = Vec::new();
    Zipf::new(length as u64, 5_000).write(length, &mut text).unwrap();
    scratch.write(name, &text);
}

/// The job's lines, sorted, are those of the sequential run.
#[track_caller]
fn agrees_with_sequential(application: &dyn Application, split_size: u64, memory: usize) {
    let scratch = Scratch::new();
    let files = ["a.txt", "b.txt", "empty.txt"].map(str::to_owned);
    zipf_file(&scratch, &files[0], 300_000);
    zipf_file(&scratch, &files[1], 20_001);
    scratch.write(&files[2], b"");
    let store = scratch.store();
    let splits = split_inputs(&store, &files, application.records(), split_size).unwrap();
    let mut lines = run(application, &store, &splits, 7, memory);
    lines.sort_unstable();
    let expected = sequential::run(application, &store, &files).unwrap();
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert!(expected.len() > 100);
    assert_eq!(lines, expected);
}

#[test]
fn word_count_agrees_with_the_sequential_run() {
    agrees_with_sequential(&WordCount, u64::MAX, ROOMY);
    agrees_with_sequential(&WordCount, 10_000, ROOMY);
}

#[test]
fn word_count_that_spills_agrees_with_the_sequential_run() {
    agrees_with_sequential(&WordCount, u64::MAX, TIGHT);
}

#[test]
fn the_index_agrees_with_the_sequential_run() {
    agrees_with_sequential(&Indexer, 50_000, ROOMY);
    agrees_with_sequential(&Indexer, u64::MAX, TIGHT);
}

#[test]
fn a_sort_that_spills_agrees_with_the_sequential_run() {
    agrees_with_sequential(&ByBorders(&["kebab", "noéor"]), u64::MAX, TIGHT);
}

#[test]
fn more_splits_than_can_be_merged_at_once() {
    agrees_with_sequential(&WordCount, 800, ROOMY);
    agrees_with_sequential(&ByBorders(&["kebab", "noéor"]), 800, ROOMY);
}

#[test]
fn more_runs_than_can_be_merged_at_once() {
    agrees_with_sequential(&ByBorders(&["kebab"]), u64::MAX, 1_000);
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

/// Counts words, in records of any kind.
struct Words(Records);

impl Application for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn map(&self, _file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        String::from_utf8_lossy(record).split_whitespace().for_each(|word| emit(word, "1"));
    }

    fn reduce(&self, _word: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
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
        assert_eq!(splits.iter().map(Split::length).sum::<u64>(), text.len() as u64);
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
    let wc = WordCount;
    for split_size in [u64::MAX, 50_000, 1_003] {
        let splits = split_inputs(&store, &files, wc.records(), split_size).unwrap();
        let lines = run(&wc, &store, &splits, 1, ROOMY);
        let long = format!("{} 1", "x".repeat(100_000));
        assert_eq!(lines, ["alpha 9000", "beta 9000", "delta 9000", "gamma 1", &long]);
    }
}

/// All pieces of all splits in one split.
fn joined(splits: Vec<Split>) -> Split {
    Split { pieces: splits.into_iter().flat_map(|split| split.pieces).collect() }
}

/// Small files share a split, with either kind of tasks.
#[test]
fn the_pieces_of_a_split_are_mapped_one_after_the_other() {
    let scratch = Scratch::new();
    let files: Vec<String> = (0..40).map(|number| format!("small-{number}")).collect();
    for (number, file) in files.iter().enumerate() {
        // Some are empty, and some do not end with a line's end.
        scratch.write(file, "line of text\nbad\n".repeat(number % 3).trim_end().as_bytes());
    }
    let store = scratch.store();
    // How many records a piece is cut into is the framework's choice for the last two, so their words are
    // counted.
    let applications: [&dyn Application; 4] =
        [&Echo(Records::Lines), &Echo(Records::Whole), &Words(Records::Blocks), &Words(Records::Text)];
    for application in applications {
        let expected = sequential::run(application, &store, &files).unwrap();
        let split = joined(split_inputs(&store, &files, application.records(), 10).unwrap());
        let lines = run(application, &store, &[split], 1, ROOMY);
        assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "{:?}", application.records());
    }
    // The place of a bad record names its piece.
    let split = joined(split_inputs(&store, &files, Records::Lines, u64::MAX).unwrap());
    let first = RecordPlace { piece: 1, offset: 13 };
    for tasks in [&Engine as &dyn Tasks, &PlainTasks] {
        let mut task = map_task(&Picky, &split, &store, ROOMY);
        let error = tasks.run_map(&task, &mut |_| Step::Continue).unwrap_err();
        assert!(
            matches!(&error, TaskError::BadRecord { place, file, .. } if *place == first && file == "small-1"),
            "{error:?}"
        );
        let skip = [first];
        task.skip = &skip;
        let error = tasks.run_map(&task, &mut |_| Step::Continue).unwrap_err();
        assert!(matches!(&error, TaskError::BadRecord { place, .. } if place.piece == 2), "{error:?}");
    }
}

/// A file that is shorter, longer, younger or another one than the one that was cut fails the map with its
/// name.
#[test]
fn a_file_that_has_changed_since_it_was_cut() {
    let scratch = Scratch::new();
    let changes: [&dyn Fn(&Scratch); 4] = [
        &|scratch| scratch.write("text", b"one\n"),
        &|scratch| scratch.write("text", b"one two\nthree four\n"),
        &|scratch| scratch.write("text", b""),
        &|scratch| {
            scratch.write("other", b"one two\nthree\n");
            std::fs::rename(scratch.path().join("other"), scratch.path().join("text")).unwrap();
        },
    ];
    for change in changes {
        scratch.write("text", b"one two\nthree\n");
        let store = scratch.store();
        let split = whole(&store, "text");
        change(&scratch);
        for tasks in [&Engine as &dyn Tasks, &PlainTasks] {
            let task = map_task(&WordCount, &split, &store, ROOMY);
            let error = tasks.run_map(&task, &mut |_| Step::Continue).unwrap_err();
            assert_eq!(error, TaskError::InputChanged { name: "text".to_owned() });
        }
    }
}

/// A file that changes while a map reads it, however short the change.
struct Unsteady(DirectoryStore, std::path::PathBuf);

impl Store for Unsteady {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        Ok(Box::new(UnsteadyFile(self.0.open(name)?, self.1.clone())))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.0.rename(from, to)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.0.delete(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.list(prefix)
    }
}

/// The file is cut off after the first read.
struct UnsteadyFile(Box<dyn ReadFile>, std::path::PathBuf);

impl ReadFile for UnsteadyFile {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let count = self.0.read_at(offset, buffer)?;
        std::fs::OpenOptions::new().write(true).open(&self.1).unwrap().set_len(5).unwrap();
        Ok(count)
    }

    fn version(&self) -> Result<FileVersion, StoreError> {
        self.0.version()
    }
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read() {
    let scratch = Scratch::new();
    for length in [100, 5_000_000] {
        for tasks in [&Engine as &dyn Tasks, &PlainTasks] {
            zipf_file(&scratch, "text", length);
            let store = Unsteady(scratch.store(), scratch.path().join("text"));
            let split = whole(&store.0, "text");
            let task = map_task(&WordCount, &split, &store, ROOMY);
            let error = tasks.run_map(&task, &mut |_| Step::Continue).unwrap_err();
            assert_eq!(error, TaskError::InputChanged { name: "text".to_owned() }, "of {length} bytes");
            assert_eq!(store.list("mr-").unwrap(), Vec::<String>::new());
        }
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

fn picky_map(store: &DirectoryStore, split: &Split, skip: &[RecordPlace]) -> Result<u64, TaskError> {
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
    Engine.run_map(&task, &mut |_| Step::Continue).map(|output| output.counters.skipped_records)
}

#[test]
fn a_bad_record_is_named_and_can_be_skipped() {
    let scratch = Scratch::new();
    scratch.write("text", b"good\nfine\nbad\nworse\n");
    let store = scratch.store();
    let split = whole(&scratch.store(), "text");
    let error = picky_map(&store, &split, &[]).unwrap_err();
    assert!(
        matches!(&error, TaskError::BadRecord { place: RecordPlace { piece: 0, offset: 10 }, file, reason } if file == "text" && reason.contains("a bad line")),
        "{error:?}"
    );
    assert_eq!(store.list("mr-").unwrap(), Vec::<String>::new(), "a failed map leaves nothing");
    assert_eq!(picky_map(&store, &split, &[RecordPlace { piece: 0, offset: 10 }]), Ok(1));
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
        errors.extend(Engine.run_reduce(&task, &mut |_| Step::Continue).err());
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
    let split = whole(&scratch.store(), "text");
    let sort = ByBorders(&["m"]);
    let task = map_task(&sort, &split, &store, TIGHT);
    let mut calls = 0;
    let result = Engine.run_map(&task, &mut |fraction| {
        calls += 1;
        if fraction > 0.3 { Step::Cancel } else { Step::Continue }
    });
    assert_eq!(result, Err(TaskError::Cancelled));
    assert!(calls > 1);
    assert_eq!(store.list("mr-").unwrap(), Vec::<String>::new());
}
