//! Sort by lines (paper, §5.3): the output files, concatenated in the order of their numbers, are sorted.
//!
//! The framework sorts within a partition, so the partitions must be ranges of keys. Their borders come from
//! a sample of the input. The paper samples with another MapReduce job (§5.3); here the coordinator reads at
//! a few hundred places before the job starts, and sends the borders to the workers as parameters.

use mapreduce::app::{Application, Records, Values};
use mapreduce::split::Piece;
use mapreduce::store::{ReadFile, Store, StoreError};

/// Sampled lines for each partition. With these the largest of R partitions is rarely more than a fifth
/// larger than the mean.
const SAMPLES_PER_PARTITION: usize = 256;

/// The number of places at which the input is sampled. Each gives the first lines after it.
const PLACES: u64 = 512;

/// How many bytes are read at each place.
const PLACE_SIZE: u64 = 16 << 10;

/// All lines, sorted by their bytes. Bytes that are not UTF-8 become U+FFFD.
pub struct Sort {
    /// The first key of each partition except partition 0, in increasing order, after its
    /// [`prefix`](mapreduce_engine::prefix), which decides almost every comparison.
    borders: Vec<(u64, String)>,
}

impl Sort {
    /// Keys below the first border go to partition 0, and so on. Without borders all keys go to partition 0.
    pub fn new(mut borders: Vec<String>) -> Sort {
        borders.sort_unstable();
        let with_prefix = |border: String| (mapreduce_engine::prefix(border.as_bytes()), border);
        Sort { borders: borders.into_iter().map(with_prefix).collect() }
    }
}

/// The borders of `reduces` partitions of about equal size, from a sample of the files. Fewer than `reduces -
/// 1` if the sample does not have that many different lines. Equal inputs give equal borders.
///
/// # Errors
/// If a file cannot be read.
pub fn sample(store: &dyn Store, files: &[String], reduces: usize) -> Result<Vec<String>, StoreError> {
    let mut lengths = Vec::new();
    for file in files {
        lengths.push(store.open(file)?.length());
    }
    // Places are spread evenly over all files together, so a long file has its share of the sample.
    let stride = (lengths.iter().sum::<u64>() / PLACES).max(PLACE_SIZE);
    let wanted_here = SAMPLES_PER_PARTITION * reduces / PLACES as usize + 1;
    let mut lines = Vec::new();
    // The next place, and the length of the files before this one, in bytes from the start of the first file.
    let (mut next, mut before) = (0, 0);
    for (name, length) in files.iter().zip(lengths) {
        if next < before + length {
            let mut file = store.open(name)?;
            while next < before + length {
                lines.extend(first_lines(&mut *file, name, next - before, wanted_here)?);
                next += stride;
            }
        }
        before += length;
    }
    lines.sort_unstable();
    // The quantiles of the sample. If one line is very frequent, several quantiles are equal; all those lines
    // belong to one partition anyway.
    let mut borders: Vec<String> =
        (1..reduces).filter_map(|border| lines.get(border * lines.len() / reduces).cloned()).collect();
    borders.dedup();
    Ok(borders)
}

/// At most `count` lines, the first ones that begin at `offset` or soon after. Bytes that are not UTF-8
/// become U+FFFD.
fn first_lines(
    file: &mut dyn ReadFile,
    name: &str,
    offset: u64,
    count: usize,
) -> Result<Vec<String>, StoreError> {
    let length = PLACE_SIZE.min(file.length().saturating_sub(offset));
    let piece = Piece { file: name.to_owned(), offset, length, version: file.version()? };
    let bounds = piece.bounds(file, Records::Lines)?;
    let mut bytes = vec![0; (bounds.end - bounds.start) as usize];
    let read = file.read_at(bounds.start, &mut bytes)?;
    let lines = bytes[..read].split_inclusive(|&byte| byte == b'\n').take(count);
    Ok(lines
        .map(|line| String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned())
        .collect())
}

impl Application for Sort {
    fn name(&self) -> &str {
        "sort"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        match str::from_utf8(line) {
            // Checking takes less time than looking for the bytes to replace.
            Ok(line) => emit(line, ""),
            Err(_) => emit(&String::from_utf8_lossy(line), ""),
        }
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        super::copy(values, emit);
    }

    fn partition(&self, key: &str, reduces: usize) -> usize {
        let key = (mapreduce_engine::prefix(key.as_bytes()), key);
        // A border belongs to the partition that it begins.
        self.borders.partition_point(|(prefix, border)| (*prefix, border.as_str()) <= key).min(reduces - 1)
    }

    fn records(&self) -> Records {
        Records::Lines
    }
}
