//! What a user of MapReduce writes: two pure functions (paper, §2).
//!
//! Both functions see and emit borrowed text, since a word count would otherwise allocate each key and each
//! value.

/// A MapReduce program: [`Application::map`], [`Application::reduce`], and the other choices that a job
/// leaves to its user.
///
/// Both functions keep no state and have no side effects that matter. Each may run several times for the same
/// input because a worker was slow or died, at the same time and on several machines; one of the runs counts
/// (§3.3).
///
/// The shortest example is the paper's word count (§2.1): [`WordCount`](crate::apps::wc::WordCount).
pub trait Application: Send + Sync + 'static {
    /// The name by which the command line and the coordinator know it.
    fn name(&self) -> &str;

    /// Emits a key and a value for each thing that it finds in one record. `file` is the name of the input
    /// file as the job got it; `record` is one of the pieces that [`Application::records`] asks for, without
    /// the line's end.
    fn map(&self, file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str));

    /// Emits the result for one key and all its values. Each emitted value becomes one line `key value` of
    /// the output; an empty value becomes the line `key`. (As in the paper it emits no key, since the output
    /// is in the order of the keys.)
    fn reduce(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str));

    /// Whether the framework may call [`Application::combine`].
    fn has_combiner(&self) -> bool {
        false
    }

    /// A reduction on the mapper's side: emits fewer values that mean the same to [`Application::reduce`]
    /// (§4.3). The framework calls it any number of times, or never, on any subset of a key's values in any
    /// order; so it must be associative and commutative.
    fn combine(&self, key: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let _ = key;
        while let Some(value) = values.next() {
            emit(value);
        }
    }

    /// The reduce task, from 0 to `reduces - 1`, that gets this key. Equal arguments give equal answers;
    /// `reduces` is at least 1.
    fn partition(&self, key: &str, reduces: usize) -> usize {
        hash_partition(key, reduces)
    }

    /// How the framework cuts the input into records.
    fn records(&self) -> Records {
        Records::Lines
    }

    /// What happens when map panics on a record. Who starts a job sets its rules by it (`skip_bad_records`).
    fn bad_records(&self) -> BadRecords {
        BadRecords::Skip
    }
}

/// All values of one key, one after the other, in no particular order. Unlike an iterator it lends each value
/// only until the next call, so that the values of a key need not fit into memory.
pub trait Values {
    /// The next value; `None` after the last.
    fn next(&mut self) -> Option<&str>;

    /// The next value and how many times it comes in a row, at least once; `None` after the last. A reduction
    /// that can use the number asks for it: "1" comes ten thousand times for the word "the".
    fn next_repeated(&mut self) -> Option<(&str, u64)> {
        self.next().map(|value| (value, 1))
    }
}

/// The remaining values as strings, for reductions that need all of them at once.
pub fn collect(values: &mut dyn Values) -> Vec<String> {
    std::iter::from_fn(|| values.next().map(str::to_owned)).collect()
}

/// How an input file is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// The whole file is one record and belongs to one map task, however large it is.
    Whole,
    /// Each line is a record, which must fit into memory. Large files are cut into several map tasks.
    Lines,
    /// A record is any number of whole lines with their ends, for programs that search a block of text faster
    /// than many lines. The longest line must fit into memory. Large files are cut into several map tasks.
    Blocks,
    /// A record is some text of any length that begins and ends at white space or at the file's ends, for
    /// programs that look at words. Only the longest word must fit into memory. Large files are cut into
    /// several map tasks.
    Text,
}

/// What to do with a record on which map panics (§4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecords {
    /// Skip and count the record after two failures on it.
    Skip,
    /// Fail the job, as for any other task failure that repeats itself.
    Fail,
}

/// The default partition, the course's `ihash`: FNV-1a with 32 bits, without its sign bit, modulo the number
/// of reduces.
pub fn hash_partition(key: &str, reduces: usize) -> usize {
    let hash =
        key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash & 0x7fff_ffff) as usize % reduces
}
