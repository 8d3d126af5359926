//! The histories of the first table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use linearize::KvHistory;
use linearize::generate::{Spoil, Values, Workload, compare_and_swap, spoil};
use linearize_read::{Loaded, read_file};

use crate::contest::{Case, Observed};

/// A line of the table: one history, or many of a kind.
pub(crate) struct Row {
    pub(crate) name: String,
    /// How long the peer may work on each history.
    pub(crate) limit: Duration,
    pub(crate) bound: Bound,
    make: Box<dyn Fn() -> Vec<Case>>,
}

/// What the times are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A tenth of the peer's time, for each history.
    Tenth,
    /// 20 µs in the median, 10 ms at most, and never slower than the peer.
    CompareAndSwap,
}

impl Row {
    fn new(name: impl Into<String>, limit: u64, make: impl Fn() -> Vec<Case> + 'static) -> Self {
        let limit = Duration::from_millis(limit);
        Row { name: name.into(), limit, bound: Bound::Tenth, make: Box::new(make) }
    }

    pub(crate) fn cases(&self) -> Vec<Case> {
        (self.make)()
    }
}

/// All of them, in the order of the table.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = small();
    rows.extend(registers());
    rows.extend(large());
    rows.extend(hard());
    rows.extend(shared());
    rows
}

const SPOILS: [(&str, Option<Spoil>); 3] =
    [("good", None), ("stale", Some(Spoil::Stale)), ("phantom", Some(Spoil::Phantom))];

fn spoilt(history: KvHistory, how: Option<Spoil>) -> KvHistory {
    match how {
        Some(how) => spoil(&history, how),
        None => history,
    }
}

/// The shape of the labs, under 500 operations: a row for each number of clients and each way to spoil.
fn small() -> Vec<Row> {
    let shapes = SPOILS.into_iter().flat_map(|spoil| [1, 3, 5, 10, 15].map(|clients| (spoil, clients)));
    let row = |((kind, how), clients)| {
        let name = format!("small, clients: {clients}, {kind}");
        Row::new(name, 30, move || small_cases(clients, kind, how))
    };
    shapes.map(row).collect()
}

fn small_cases(clients: u32, kind: &str, how: Option<Spoil>) -> Vec<Case> {
    let mut cases = Vec::new();
    for keys in [1, 3, 10] {
        for operations in [50, 100, 200, 350, 499] {
            for seed in 1..=4 {
                let history = Workload { seed, ..Workload::lab(keys, clients, operations) }.generate();
                let label = format!("lab({keys}, {clients}, {operations}) seed {seed} {kind}");
                cases.push(Case::keys(label, spoilt(history, how)));
            }
        }
    }
    cases
}

/// 100 registers with compare-and-swap of each kind. Of the spoilt ones most are still linearizable, since
/// some operation whose outcome is unknown explains the wrong read; so there is a row of the bad
/// ones alone.
fn registers() -> Vec<Row> {
    let row = |(kind, spoilt): (&'static str, bool), keep: fn(&Case) -> bool| {
        let make = move || {
            let case = |seed| Case::register(format!("seed {seed} {kind}"), compare_and_swap(seed, spoilt));
            (0..).map(case).filter(keep).take(100).collect()
        };
        let row = Row::new(format!("compare and swap, {kind}"), 1_000, make);
        Row { bound: Bound::CompareAndSwap, ..row }
    };
    let bad: fn(&Case) -> bool = |case| case.check().is_not_linearizable();
    vec![row(("good", false), |_| true), row(("spoilt", true), |_| true), row(("spoilt and bad", true), bad)]
}

/// A row for each way to spoil what `workload` generates.
fn each_way(name: &str, limit: u64, kinds: &[&str], workload: &Workload) -> Vec<Row> {
    let wanted = SPOILS.into_iter().filter(|spoil| kinds.contains(&spoil.0));
    let row = |(kind, how): (&str, Option<Spoil>)| {
        let (name, workload) = (format!("{name}, {kind}"), workload.clone());
        let label = name.clone();
        Row::new(name, limit, move || vec![Case::keys(label.clone(), spoilt(workload.generate(), how))])
    };
    wanted.map(row).collect()
}

/// What the peer can do in its limit, by and large.
fn large() -> Vec<Row> {
    let all = ["good", "stale", "phantom"];
    let register = |keys, operations| Workload { keys, ..Workload::register(10, operations, Values::Unique) };
    let crashes = Workload { crashes: 100, ..register(1, 1_000) };
    [
        each_way("lab, 10 keys, 10 clients, 10,000", 3_000, &all, &Workload::lab(10, 10, 10_000)),
        each_way("lab, 10 keys, 10 clients, 100,000", 3_000, &all, &Workload::lab(10, 10, 100_000)),
        each_way("register, 10 keys, 10 clients, 100,000", 3_000, &all, &register(10, 100_000)),
        each_way("register, 1 key, 10 clients, 10,000", 3_000, &all, &register(1, 10_000)),
        each_way("register, 1 key, 10 clients, 1,000, 1 % open", 1_000, &all, &crashes),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is hard for the peer.
fn hard() -> Vec<Row> {
    let mut rows = Vec::new();
    for clients in [10, 50] {
        let workload = Workload::register(clients, 10_000, Values::Few(5));
        let name = format!("5 texts, 1 key, {clients} clients, 10,000");
        rows.extend(each_way(&name, 700, &["good", "stale"], &workload));
    }
    for clients in [10, 50, 100] {
        for (operations, name) in [(1_000, "1,000"), (10_000, "10,000")] {
            let name = format!("appends, 1 key, {clients} clients, {name}");
            rows.extend(each_way(&name, 700, &["good", "stale"], &Workload::appends(clients, operations)));
        }
    }
    rows
}

/// The shared histories, where they exist: `LAB_SHARED` names their folder if it is not beside the
/// repository.
fn shared() -> Vec<Row> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("LAB_SHARED").map_or_else(beside, PathBuf::from).join("data/histories");
    let Ok(verdicts) = std::fs::read_to_string(folder.join("VERDICTS.tsv")) else { return Vec::new() };
    let files =
        verdicts.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next());
    let row = |file: &str| {
        let path = folder.join(file);
        let name = file.to_owned();
        let make = move || {
            let Ok(Loaded::KeyValue(history)) = read_file(&path) else {
                panic!("{} should be a history of keys with texts", path.display())
            };
            vec![Case { label: name.clone(), history: Observed::KeyValue(history) }]
        };
        Row::new(file, 1_000, make)
    };
    files.map(row).collect()
}
