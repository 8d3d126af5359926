//! Where histories come from, and what they record.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use linearize::models::scalar::Scalar;
use linearize::words::quoted;
use linearize_read::{Loaded, ModelName, Options, Problem, ReadError, Recording};

use super::progress::watched;
use crate::Failure;
use crate::select::nearest;
use crate::style::clean;

/// What messages call standard input.
const INPUT: &str = "standard input";

/// The model that `name` names.
pub(super) fn model(name: &str) -> Result<ModelName, Failure> {
    if let Some(model) = ModelName::named(name) {
        return Ok(model);
    }
    let names = ModelName::ALL.map(|model| model.name().to_owned());
    let mut message = format!("there is no model {}", clean(name));
    if let Some(nearest) = nearest(name, &names).first() {
        message += &format!("; the nearest: {nearest}");
    }
    message += &format!("\nmodels are {}", names.join(", "));
    Err(Failure::new(message))
}

/// The value that `text` is.
pub(super) fn value(text: &str) -> Result<Scalar, Failure> {
    linearize_read::value(text)
        .map_err(|problem| Failure::new(format!("{} is no value of EDN: {problem}", quoted(text))))
}

/// A file, or standard input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input,
    File(PathBuf),
}

/// Why there is no history to check.
pub(super) struct Refusal {
    /// The line at fault, if it is one line.
    pub(super) line: Option<u64>,
    /// The whole message, with file and line.
    pub(super) text: String,
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        Refusal { line: error.line, text: error.to_string() }
    }
}

impl Source {
    /// What the arguments name; `-` is standard input.
    pub(super) fn all(files: &[PathBuf]) -> Result<Vec<Source>, Failure> {
        let source = |path: &PathBuf| match path.as_os_str() == OsStr::new("-") {
            true => Source::Input,
            false => Source::File(path.clone()),
        };
        let sources: Vec<Source> = files.iter().map(source).collect();
        if sources.iter().filter(|source| **source == Source::Input).count() > 1 {
            return Err(Failure::new("standard input can be read only once"));
        }
        Ok(sources)
    }

    /// As the user named it.
    pub(super) fn name(&self) -> String {
        match self {
            Source::Input => INPUT.to_owned(),
            Source::File(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// The name of its page, without an ending.
    pub(super) fn stem(&self) -> String {
        match self {
            Source::Input => "standard-input".to_owned(),
            Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Reads the history.
    pub(super) fn load(&self, options: &Options) -> Result<Recording, Refusal> {
        // A name may hold anything, as values may, and goes into the message as it is.
        let name = clean(&self.name());
        let bytes = AtomicU64::new(0);
        let say = || format!("{name}: {} MB read", bytes.load(Ordering::Relaxed) / 1_000_000);
        let loaded = watched(say, || match self {
            Source::Input => {
                linearize_read::read_as(&name, Counted { input: io::stdin().lock(), bytes: &bytes }, options)
            }
            Source::File(path) => match File::open(path) {
                Ok(file) => linearize_read::read_as(&name, Counted { input: file, bytes: &bytes }, options),
                Err(error) => {
                    let problem = Problem::Io(error.to_string());
                    Err(ReadError { file: name.clone(), line: None, problem })
                }
            },
        });
        Ok(loaded?)
    }
}

/// An input that counts the bytes that were read from it.
struct Counted<'a, R> {
    input: R,
    bytes: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// How many keys the operations of a history touch.
pub(super) fn keys(loaded: &Loaded) -> usize {
    match loaded {
        Loaded::KeyValue(history) => {
            let mut touched = vec![false; history.keys().len()];
            for operation in history.history().operations() {
                touched[operation.op.key().0 as usize] = true;
            }
            touched.into_iter().filter(|touched| *touched).count()
        }
        Loaded::Keyed(model, _) => model.keys().len(),
    }
}
