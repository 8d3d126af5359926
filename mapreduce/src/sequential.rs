// handout: bodies kept
//! The whole of MapReduce on a page: map everything, sort, reduce. A job with any number of workers must
//! agree with it.
//!
//! It shares nothing with the tasks but the user's functions, so that a mistake there cannot hide here. All
//! pairs are in memory at once.

use std::collections::BTreeMap;

use crate::app::{Application, Records, Values};
use crate::store::{Store, StoreError, StoreErrorKind};

/// The output lines of a job over these files, sorted by key.
///
/// # Errors
/// If a file cannot be read, or changes while it is read.
pub fn run(application: &dyn Application, store: &dyn Store, files: &[String]) -> Result<String, StoreError> {
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in files {
        let mut file = store.open(name)?;
        let version = file.version()?;
        let mut contents = vec![0; usize::try_from(file.length()).unwrap_or(usize::MAX)];
        if file.read_at(0, &mut contents)? < contents.len() || file.version()? != version {
            return Err(StoreError::new(
                StoreErrorKind::Other,
                name,
                "the file has changed while it was read",
            ));
        }
        let mut emit =
            |key: &str, value: &str| pairs.entry(key.to_owned()).or_default().push(value.to_owned());
        // Splits do not matter to pure functions: here each file is one.
        for record in records(application.records(), &contents) {
            application.map(name, record, &mut emit);
        }
    }
    let mut output = String::new();
    for (key, values) in &pairs {
        application.reduce(key, &mut Listed(values.iter()), &mut |value| {
            let blank = if value.is_empty() { "" } else { " " };
            output.extend([key.as_str(), blank, value, "\n"]);
        });
    }
    Ok(output)
}

/// Any text may be one record.
fn records(records: Records, contents: &[u8]) -> Vec<&[u8]> {
    match records {
        Records::Whole | Records::Blocks | Records::Text => vec![contents],
        Records::Lines => {
            let lines = contents.split_inclusive(|&byte| byte == b'\n');
            lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
        }
    }
}

/// Values that are in memory.
struct Listed<'a>(std::slice::Iter<'a, String>);

impl Values for Listed<'_> {
    fn next(&mut self) -> Option<&str> {
        self.0.next().map(String::as_str)
    }
}
