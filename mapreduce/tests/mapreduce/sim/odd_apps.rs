//! Applications with unusual keys, values and records.

use mapreduce::app::{Application, BadRecords, Records, Values, collect};

/// Counts equal lines. A line that comes once has an empty value, and empty lines are keys, too.
pub(crate) struct Lines {
    pub(crate) records: Records,
}

impl Application for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn map(&self, _file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        for line in String::from_utf8_lossy(record).lines() {
            emit(line, "");
        }
        // An empty record is an empty line, and an empty block is nothing.
        if record.is_empty() && self.records == Records::Lines {
            emit("", "");
        }
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let count = collect(values).len();
        emit(&if count == 1 { String::new() } else { count.to_string() });
    }

    fn records(&self) -> Records {
        self.records
    }
}

/// Has each file's whole text as a value, and puts out its length and a sum over its bytes.
pub(crate) struct Digest;

impl Application for Digest {
    fn name(&self) -> &str {
        "digest"
    }

    fn map(&self, file: &str, record: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(file, &String::from_utf8_lossy(record));
    }

    fn reduce(&self, _file: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        while let Some(text) = values.next() {
            let sum = text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            emit(&format!("{} {sum}", text.len()));
        }
    }

    fn records(&self) -> Records {
        Records::Whole
    }
}

/// Emits each line, and fails in the combiner on the line "late", when other partitions may be written
/// already.
pub(crate) struct FailsLate;

impl Application for FailsLate {
    fn name(&self) -> &str {
        "fails-late"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        emit(&String::from_utf8_lossy(line), "1");
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&collect(values).len().to_string());
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        assert!(line != "late", "this line comes too late");
        collect(values).iter().for_each(|value| emit(value));
    }

    /// The last partition has the line that fails.
    fn partition(&self, line: &str, reduces: usize) -> usize {
        if line == "late" { reduces - 1 } else { mapreduce::app::hash_partition(line, reduces - 1) }
    }

    fn records(&self) -> Records {
        Records::Lines
    }

    fn bad_records(&self) -> BadRecords {
        BadRecords::Fail
    }
}

/// Emits each line with the name of its file, and fails on "poison". A key's partition is that of its first
/// letter. Its combiner cannot make one value of several.
pub(crate) struct Places;

impl Application for Places {
    fn name(&self) -> &str {
        "places"
    }

    fn map(&self, file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        assert!(line != b"poison", "this line is poison");
        emit(&String::from_utf8_lossy(line), file);
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        let mut files = collect(values);
        files.sort();
        emit(&files.join(","));
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn partition(&self, line: &str, reduces: usize) -> usize {
        line.bytes().next().map_or(0, |first| usize::from(first - b'a') % reduces)
    }

    fn records(&self) -> Records {
        Records::Lines
    }
}
