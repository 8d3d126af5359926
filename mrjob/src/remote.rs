//! Files for machines without a shared disk: the coordinator reads the input and writes the output for its
//! workers.
//!
//! A worker with `--no-shared-disk` uses these calls as its shared store. The coordinator opens only the
//! job's own files and its input, so a worker cannot read any other file of that machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use labrpc::RpcError;
use labrt::thread;
use mapreduce::names;
use mapreduce::store::{FileVersion, ReadFile, Store, StoreError, StoreErrorKind, WriteFile};
use serde::{Deserialize, Serialize};

use crate::directory::JobStore;

/// The most bytes that one call reads.
const LONGEST_READ: u64 = 1 << 20;

/// Reads bytes of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadArgs {
    /// The file.
    pub(crate) name: String,
    /// The first byte.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) length: u64,
}

/// Bytes for a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WriteArgs {
    /// The file.
    pub(crate) name: String,
    /// The place of the first byte. Writing the same bytes twice does no harm.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) bytes: Bytes,
}

/// Two names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RenameArgs {
    /// The name so far.
    pub(crate) from: String,
    /// The new name.
    pub(crate) to: String,
}

labrpc::service! {
    /// The files of a job.
    pub(crate) service FilesRpc, client FilesClient {
        /// The version of a file.
        fn version(name: String) -> Result<FileVersion, StoreError>;
        /// Bytes of a file: fewer than asked for at its end, or if more than a megabyte was asked for.
        fn read(args: ReadArgs) -> Result<Bytes, StoreError>;
        /// Writes bytes at a place of a file, and creates the file if it is missing.
        fn write(args: WriteArgs) -> Result<(), StoreError>;
        /// Renames a file. If only the new name exists, an earlier call has done it, and this one succeeds.
        fn rename(args: RenameArgs) -> Result<(), StoreError>;
        /// Deletes a file.
        fn delete(name: String) -> Result<(), StoreError>;
        /// The names that begin with a prefix.
        fn list(prefix: String) -> Result<Vec<String>, StoreError>;
    }
}

/// The coordinator's side.
pub(crate) struct Files {
    store: Arc<JobStore>,
    inputs: BTreeSet<String>,
}

impl Files {
    /// The files of a job with these input files.
    pub(crate) fn new(store: Arc<JobStore>, inputs: BTreeSet<String>) -> Arc<Files> {
        Arc::new(Files { store, inputs })
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        if names::is_own(name) || self.inputs.contains(name) {
            return self.store.open(name);
        }
        Err(StoreError::new(StoreErrorKind::Denied, name, "is not a file of this job"))
    }

    /// Checks that the job may make or remove a file of this name.
    fn own<'a>(&self, name: &'a str) -> Result<&'a str, StoreError> {
        if names::is_own(name) {
            return Ok(name);
        }
        Err(StoreError::new(StoreErrorKind::Denied, name, "is not a file that this job makes"))
    }
}

impl FilesRpc for Files {
    fn version(&self, name: String) -> Result<FileVersion, StoreError> {
        self.open(&name)?.version()
    }

    fn read(&self, args: ReadArgs) -> Result<Bytes, StoreError> {
        let mut file = self.open(&args.name)?;
        let left = file.length().saturating_sub(args.offset);
        let mut bytes = vec![0; args.length.min(left).min(LONGEST_READ) as usize];
        let count = file.read_at(args.offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes.into())
    }

    fn write(&self, args: WriteArgs) -> Result<(), StoreError> {
        use std::os::unix::fs::FileExt;
        let path = self.store.entered()?.root().join(self.own(&args.name)?);
        let write = || {
            let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            if args.offset == 0 {
                file.set_len(0)?;
            }
            file.write_all_at(&args.bytes, args.offset)
        };
        write().map_err(|error| StoreError::from_io(&args.name, &error))
    }

    fn rename(&self, args: RenameArgs) -> Result<(), StoreError> {
        match self.store.rename(self.own(&args.from)?, self.own(&args.to)?) {
            Err(error) if error.kind == StoreErrorKind::NotFound && self.store.open(&args.to).is_ok() => {
                Ok(())
            }
            result => result,
        }
    }

    fn delete(&self, name: String) -> Result<(), StoreError> {
        self.store.delete(self.own(&name)?)
    }

    fn list(&self, prefix: String) -> Result<Vec<String>, StoreError> {
        self.store.list(&prefix)
    }
}

/// The worker's side: a store that uses the calls. It repeats each call until it is answered, for `patience`
/// at most.
#[derive(Clone)]
pub(crate) struct RemoteStore {
    pub(crate) client: FilesClient,
    pub(crate) patience: Duration,
    pub(crate) retry: Duration,
}

impl RemoteStore {
    fn call<R>(
        &self,
        name: &str,
        call: impl Fn(&FilesClient) -> Result<Result<R, StoreError>, RpcError>,
    ) -> Result<R, StoreError> {
        let begun = Instant::now();
        loop {
            match call(&self.client) {
                Ok(reply) => return reply,
                Err(RpcError::Failed | RpcError::TimedOut) if begun.elapsed() < self.patience => {
                    thread::sleep(self.retry);
                }
                Err(error) => {
                    let detail = format!("the coordinator's files cannot be reached: {error}");
                    return Err(StoreError::new(StoreErrorKind::Gone, name, detail));
                }
            }
        }
    }
}

impl Store for RemoteStore {
    fn open(&self, name: &str) -> Result<Box<dyn ReadFile>, StoreError> {
        let length = self.call(name, |client| client.version(&name.to_owned()))?.length;
        Ok(Box::new(RemoteFile { store: self.clone(), name: name.to_owned(), length }))
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>, StoreError> {
        let mut file = RemoteFile { store: self.clone(), name: name.to_owned(), length: 0 };
        file.write(&[])?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let args = RenameArgs { from: from.to_owned(), to: to.to_owned() };
        self.call(to, |client| client.rename(&args))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.call(name, |client| client.delete(&name.to_owned()))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.call(prefix, |client| client.list(&prefix.to_owned()))
    }
}

/// An open file on the coordinator's machine.
struct RemoteFile {
    store: RemoteStore,
    name: String,
    length: u64,
}

impl ReadFile for RemoteFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let length = (buffer.len() - filled) as u64;
            let args = ReadArgs { name: self.name.clone(), offset: offset + filled as u64, length };
            let bytes = self.store.call(&self.name, |client| client.read(&args))?;
            let Some(target) = buffer.get_mut(filled..filled + bytes.len()).filter(|_| !bytes.is_empty())
            else {
                break;
            };
            target.copy_from_slice(&bytes);
            filled += bytes.len();
        }
        Ok(filled)
    }

    fn version(&self) -> Result<FileVersion, StoreError> {
        self.store.call(&self.name, |client| client.version(&self.name))
    }
}

impl WriteFile for RemoteFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let args =
            WriteArgs { name: self.name.clone(), offset: self.length, bytes: Bytes::copy_from_slice(bytes) };
        self.store.call(&self.name, |client| client.write(&args))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
