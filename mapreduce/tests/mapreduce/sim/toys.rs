//! Applications and disturbances that only tests want.

use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicUsize, Ordering};
use labrt::thread;
use labrt::time::Duration;
use mapreduce::app::{Application, Records, Values};
use mapreduce::apps::wc::WordCount;

/// Emits the name of each file, and some facts about it, like the course's applications for tests: one call
/// of map for a file, and a few keys.
pub(crate) struct Names;

impl Application for Names {
    fn name(&self) -> &str {
        "names"
    }

    fn map(&self, file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(file, "1");
        emit("a", file);
        emit("b", &file.len().to_string());
        emit("c", &record.len().to_string());
        emit("d", "xyzzy");
    }

    fn reduce(&self, _key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let mut all = mapreduce::app::collect(values);
        all.sort();
        emit(&all.join(" "));
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}

/// Counts words, and adds a random number to each line: no two attempts of a reduce have the same output. No
/// application should do that; it shows whose output is in the store.
pub(crate) struct Dice;

impl Application for Dice {
    fn name(&self) -> &str {
        "dice"
    }

    fn map(&self, file: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        WordCount.map(file, text, emit);
    }

    fn reduce(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        WordCount.reduce(word, counts, emit);
        emit(&labrt::rand::random::<u64>().to_string());
    }
}

/// Word count, with or without its combiner.
pub(crate) struct Combining {
    pub(crate) combine: bool,
}

impl Application for Combining {
    fn name(&self) -> &str {
        "wc"
    }

    fn map(&self, file: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        WordCount.map(file, text, emit);
    }

    fn reduce(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        WordCount.reduce(word, counts, emit);
    }

    fn has_combiner(&self) -> bool {
        self.combine
    }

    fn combine(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        WordCount.combine(word, counts, emit);
    }

    fn records(&self) -> Records {
        WordCount.records()
    }
}

/// Whether [`Squeamish`] cannot stand this record.
pub(crate) fn is_poison(record: &[u8]) -> bool {
    record.windows(6).any(|window| window == b"poison")
}

/// Counts words, line by line, and fails on some lines.
pub(crate) struct Squeamish;

impl Application for Squeamish {
    fn name(&self) -> &str {
        "squeamish"
    }

    fn map(&self, file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        assert!(!is_poison(line), "this line is poison");
        WordCount.map(file, line, emit);
    }

    fn reduce(&self, word: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        WordCount.reduce(word, counts, emit);
    }

    fn records(&self) -> Records {
        Records::Lines
    }
}

/// Finds out how many calls of a function run at once.
#[derive(Clone, Default)]
pub(crate) struct Overlap {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// A call that runs, until it is dropped.
pub(crate) struct AtOnce(Arc<AtomicUsize>);

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Overlap {
    /// A hook that counts itself in for this long.
    pub(crate) fn hook(&self, lasts: Duration) -> impl Fn(usize, &str) + Send + Sync + 'static {
        let Overlap { now, most } = self.clone();
        move |_, _| {
            let running = now.fetch_add(1, Ordering::SeqCst) + 1;
            let _counted = AtOnce(now.clone());
            most.fetch_max(running, Ordering::SeqCst);
            thread::sleep(lasts);
        }
    }

    /// The most calls that ran at once so far.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}
