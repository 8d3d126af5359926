//! Files of a batch's folder: each is there as a whole, or not.

use std::fs;
use std::path::Path;

use lab_terminal::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn cannot(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// Writes a file beside its place and moves it there, so that nobody ever sees a part of it.
pub(crate) fn put(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial =
        path.with_file_name(format!(".{name}.{}-{:?}", std::process::id(), std::thread::current().id()));
    let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        // What is left of it is of no use; that it cannot be removed adds nothing.
        let _ = fs::remove_file(&partial);
        cannot(path, error)
    })
}

pub(crate) fn put_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| cannot(path, error))?;
    text.push(b'\n');
    put(path, &text)
}

pub(crate) fn get_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read(path).map_err(|error| cannot(path, error))?;
    serde_json::from_slice(&text).map_err(|error| cannot(path, error))
}
