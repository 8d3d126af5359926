//! What a job's output must be: the application's functions, called one after the other, with nothing else
//! around.

use std::collections::BTreeMap;

use mapreduce::app::{Application, Records, Values};

/// The output of a sequential run.
pub(crate) struct Expected {
    /// The lines of each partition, sorted; None if the application's output depends on more than its input.
    partitions: Option<Vec<Vec<String>>>,
    pairs: u64,
    keys: u64,
}

/// Values that are in memory.
struct Listed<'a>(std::slice::Iter<'a, String>);

impl Values for Listed<'_> {
    fn next(&mut self) -> Option<&str> {
        self.0.next().map(String::as_str)
    }
}

impl Expected {
    /// Nothing is known of the output.
    pub(crate) fn unknown() -> Expected {
        Expected { partitions: None, pairs: 0, keys: 0 }
    }

    /// Runs the application over the files. `skip` says which records (of which file) map does not see.
    pub(crate) fn of(
        application: &dyn Application,
        files: &[(String, Vec<u8>)],
        reduces: usize,
        skip: impl Fn(&str, &[u8]) -> bool,
    ) -> Expected {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut pairs = 0;
        let mut emit = |key: &str, value: &str| {
            pairs += 1;
            groups.entry(key.to_owned()).or_default().push(value.to_owned());
        };
        for (file, bytes) in files {
            let records = records_of(application.records(), bytes).into_iter();
            for record in records.filter(|record| !skip(file, record)) {
                application.map(file, record, &mut emit);
            }
        }
        let mut partitions = vec![Vec::new(); reduces];
        for (key, values) in &groups {
            let lines: &mut Vec<String> = &mut partitions[application.partition(key, reduces)];
            application.reduce(key, &mut Listed(values.iter()), &mut |value| {
                lines.push(if value.is_empty() { key.clone() } else { format!("{key} {value}") });
            });
        }
        partitions.iter_mut().for_each(|lines| lines.sort());
        Expected { partitions: Some(partitions), pairs, keys: groups.len() as u64 }
    }

    /// The pairs that map emits for the whole input, and their different keys.
    pub(crate) fn counted(&self) -> Option<(u64, u64)> {
        self.partitions.as_ref().map(|_| (self.pairs, self.keys))
    }

    /// Compares one output file.
    pub(crate) fn compare(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let Some(partitions) = &self.partitions else { return Ok(()) };
        let expected =
            partitions.iter().enumerate().find(|(number, _)| mapreduce::names::output(*number) == name);
        let Some((_, expected)) = expected else { return Err("there is no such partition".to_owned()) };
        differ(expected, &sorted_lines(bytes))
    }

    /// Compares all output files, as one.
    pub(crate) fn compare_all(&self, outputs: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let Some(partitions) = &self.partitions else { return Ok(()) };
        let mut expected: Vec<String> = partitions.iter().flatten().cloned().collect();
        expected.sort();
        let mut lines: Vec<String> = outputs.values().flat_map(|bytes| sorted_lines(bytes)).collect();
        lines.sort();
        differ(&expected, &lines)
    }
}

/// The first difference between two sorted lists of lines.
fn differ(expected: &[String], lines: &[String]) -> Result<(), String> {
    if expected == lines {
        return Ok(());
    }
    let first =
        expected.iter().zip(lines).position(|(a, b)| a != b).unwrap_or(expected.len().min(lines.len()));
    Err(format!(
        "line {first} of {} must be {:?}, and is {:?} of {}",
        expected.len(),
        expected.get(first),
        lines.get(first),
        lines.len()
    ))
}

fn sorted_lines(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn records_of(records: Records, bytes: &[u8]) -> Vec<&[u8]> {
    match records {
        // A text may be cut at any white space, and so not at all.
        Records::Whole | Records::Blocks | Records::Text => vec![bytes],
        Records::Lines => {
            let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
            // What follows the last line's end is no line.
            if lines.last().is_some_and(|last| last.is_empty()) {
                lines.pop();
            }
            lines
        }
    }
}
