// handout: file apart
//! The store as a [`Store`] of MapReduce: its jobs read their input here, and write what they make.
//!
//! MapReduce asks for two promises (`mapreduce::store`). A finished file stays: it is on as many servers as
//! the settings say. A rename is atomic: it is one record of the master's log.

use labrt::sync::Arc;
use mapreduce::store::{FileVersion, ReadFile, Store, StoreError, StoreErrorKind, WriteFile};

use crate::client::{Client, Error};
use crate::rpc::MasterError;

/// A directory of the store.
#[derive(Clone)]
pub struct GfsStore {
    client: Arc<Client>,
    directory: String,
}

impl GfsStore {
    /// The files below `directory`, whose path ends with a slash, through clients like this one.
    pub fn new(client: Client, directory: &str) -> GfsStore {
        GfsStore { client: Arc::new(client), directory: directory.to_owned() }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.directory)
    }
}

fn explain(name: &str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let kind = match error {
            Error::Master(MasterError::NoFile) => StoreErrorKind::NotFound,
            Error::Master(MasterError::BadPath) => StoreErrorKind::NotAFile,
            Error::Master(MasterError::ReadOnly) => StoreErrorKind::Denied,
            _ => StoreErrorKind::Other,
        };
        StoreError::new(kind, name, error.to_string())
    }
}

/// What a delete of a file that is not there may answer: somebody else may have deleted it first.
fn unless_missing<T>(answer: Result<T, Error>) -> Result<(), Error> {
    match answer {
        Ok(_) | Err(Error::Master(MasterError::NoFile)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Store for GfsStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        let (mut client, path) = (self.client.another(), self.path(name));
        let length = client.length(&path).map_err(explain(name))?;
        Ok(Box::new(Open { client, path, name: name.to_owned(), length }))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        let (mut client, path) = (self.client.another(), self.path(name));
        let mut create = || match client.create(&path) {
            Err(Error::Master(MasterError::Exists)) => {
                unless_missing(client.delete(&path))?;
                client.create(&path)
            }
            answer => answer,
        };
        create().map_err(explain(name))?;
        Ok(Box::new(Open { client, path, name: name.to_owned(), length: 0 }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.client.another().publish(&self.path(from), &self.path(to)).map_err(explain(to))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        unless_missing(self.client.another().delete(&self.path(name))).map_err(explain(name))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let paths = self.client.another().list(&self.path(prefix)).map_err(explain(prefix))?;
        Ok(paths.iter().filter_map(|path| path.strip_prefix(&self.directory)).map(str::to_owned).collect())
    }
}

/// An open file. Reading and writing have no lock and no session at the master: each call finds its chunk.
struct Open {
    client: Client,
    path: String,
    name: String,
    length: u64,
}

impl ReadFile for Open {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let bytes = self.client.read(&self.path, offset, buffer.len()).map_err(explain(&self.name))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn version(&self) -> Result<FileVersion, StoreError> {
        let length = self.client.another().length(&self.path).map_err(explain(&self.name))?;
        Ok(FileVersion { length, ..FileVersion::default() })
    }
}

impl WriteFile for Open {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.client.write(&self.path, self.length, bytes).map_err(explain(&self.name))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        // Each write is on all replicas when it returns.
        Ok(())
    }
}
