//! What a user of MapReduce writes: two pure functions (paper, §2).
//!
//! The specification gives both functions owned `String`s. Here they see borrowed text,
//! in both directions: a word count emits a pair for every word of its input, and an
//! allocation for each key and each value would cost several times what everything else
//! about a pair costs.

/// A MapReduce program: [`Application::map`] and [`Application::reduce`], and what else a
/// job may decide.
///
/// Both functions keep no state and have no side effects that matter: each may run
/// several times for the same input (a worker was slow, or died), at the same time and on
/// several machines, and one of the runs wins (§3.3).
///
/// ```
/// use mapreduce::app::{Application, Values};
/// use mapreduce::sequential;
/// use mapreduce::store::DirectoryStore;
///
/// /// The length of the longest line that begins with each letter.
/// struct LongestLine;
///
/// impl Application for LongestLine {
///     fn name(&self) -> &str {
///         "longest-line"
///     }
///
///     fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
///         let line = String::from_utf8_lossy(line);
///         if let Some(first) = line.chars().next() {
///             emit(&first.to_string(), &line.len().to_string());
///         }
///     }
///
///     fn reduce(&self, _letter: &str, lengths: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
///         let mut longest = 0;
///         while let Some(length) = lengths.next() {
///             longest = longest.max(length.parse().unwrap_or(0));
///         }
///         emit(&longest.to_string());
///     }
/// }
///
/// let directory = std::env::temp_dir().join(format!("longest-line-{}", std::process::id()));
/// std::fs::create_dir_all(&directory).unwrap();
/// std::fs::write(directory.join("poem"), "a b c\nbut\nall in all\n").unwrap();
/// let store = DirectoryStore::new(&directory);
/// let lines = sequential::run(&LongestLine, &store, &["poem".to_owned()]).unwrap();
/// assert_eq!(lines, "a 10\nb 3\n");
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
///
/// To be run by workers it also needs a line in [`crate::apps::CATALOGUE`].
pub trait Application: Send + Sync + 'static {
    /// What the command line and the coordinator call it.
    fn name(&self) -> &str;

    /// Emits a key and a value for whatever it finds in one record. `file` is the name of
    /// the input file as it was given to the job, `record` what [`Application::records`]
    /// cuts it into, without the line's end.
    fn map(&self, file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str));

    /// Emits what becomes of all values of one key: each emitted value is one line `key
    /// value` of the output. (As in the paper, it does not emit a key: the output's order
    /// is that of the keys.) An empty value makes the line `key`.
    fn reduce(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str));

    /// Whether [`Application::combine`] may be called.
    fn has_combiner(&self) -> bool {
        false
    }

    /// A reduction on the mapper's side: emits fewer values that mean the same to
    /// [`Application::reduce`] (§4.3). It runs any number of times, none included, on any
    /// subset of a key's values in any order: it must be associative and commutative.
    fn combine(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let _ = key;
        while let Some(value) = values.next() {
            emit(value);
        }
    }

    /// Which of the `reduces` reduce tasks gets this key. Every call with the same
    /// arguments gives the same answer, below `reduces`, which is at least 1.
    fn partition(&self, key: &str, reduces: usize) -> usize {
        hash_partition(key, reduces)
    }

    /// How the input is cut into what map sees.
    fn records(&self) -> Records {
        Records::Lines
    }

    /// What happens when map panics on a record.
    fn bad_records(&self) -> BadRecords {
        BadRecords::Skip
    }
}

/// All values of one key, one after the other, in no particular order. Unlike an iterator
/// it lends each value only until the next one is asked for, so that a key's values need
/// not fit into memory.
pub trait Values {
    /// The next value; `None` after the last.
    fn next(&mut self) -> Option<&str>;
}

/// What is left, as strings, for reductions that need them all at once.
pub fn collect(values: &mut dyn Values) -> Vec<String> {
    let mut collected = Vec::new();
    while let Some(value) = values.next() {
        collected.push(value.to_owned());
    }
    collected
}

/// How an input file is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// The whole file is one record, and one map task, however large.
    Whole,
    /// Each line is a record, which must fit into memory. Large files are cut into
    /// several map tasks.
    Lines,
    /// A record is some text, of any length, that begins and ends at white space or at
    /// the file's ends: for programs that look at words. Nothing needs to fit into memory
    /// but the longest word. Large files are cut into several map tasks.
    Text,
}

/// What to do with a record on which map panics (§4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecords {
    /// After two failures on the same record it is skipped, and counted.
    Skip,
    /// The job fails, as for any other failure of a task that repeats itself.
    Fail,
}

/// The default partition: FNV-1a with 32 bits, without its sign bit, modulo the number of
/// reduces; the course's `ihash`.
pub fn hash_partition(key: &str, reduces: usize) -> usize {
    let hash =
        key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash & 0x7fff_ffff) as usize % reduces
}
