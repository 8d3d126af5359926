//! Files on the simulated disk, for servers that keep more than a log and a snapshot.

use std::collections::BTreeMap;
use std::panic::Location;

use crate::cache::Change;
use crate::persister::{Persister, Write};

/// No file is larger. The bytes before an offset are there, as zeros, so a wrong one would take all memory.
const LARGEST: usize = 1 << 30;

/// The files of a disk, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Writes bytes of a file. It grows as needed; a gap before the bytes is filled with zeros.
pub(crate) fn write(files: &mut Files, name: &str, offset: usize, bytes: &[u8]) {
    if !files.contains_key(name) {
        files.insert(name.to_owned(), Vec::new());
    }
    let Some(file) = files.get_mut(name) else { return };
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// Files. They stand beside the Raft state and the snapshot, and a write to one is as durable and as atomic
/// as a write to those: at once, unless a test has called [`Persister::lose_unsynced`].
impl Persister {
    /// Writes bytes of a file from `offset` on. The file is made if there is none, and grows as needed; a gap
    /// before the bytes is filled with zeros.
    ///
    /// # Panics
    /// If the file would have more than a gibibyte, which no test's disk has.
    #[track_caller]
    pub fn write_file(&self, name: &str, offset: usize, bytes: &[u8]) {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= LARGEST);
        assert!(fits, "{name} would end behind {LARGEST} bytes: {} are written at {offset}", bytes.len());
        let number = self.change(
            |files| write(files, name, offset, bytes),
            || Change::Write { name: name.to_owned(), offset, bytes: bytes.to_vec() },
        );
        let write = Write { number, appended: false, snapshot: false, place: Location::caller() };
        tell(&write, "write_file", bytes.len(), name);
        self.call_hook(write);
    }

    /// Deletes a file, if there is one.
    #[track_caller]
    pub fn delete_file(&self, name: &str) {
        let forget = |files: &mut Files| drop(files.remove(name));
        let number = self.change(forget, || Change::Delete(name.to_owned()));
        let write = Write { number, appended: false, snapshot: false, place: Location::caller() };
        tell(&write, "delete_file", 0, name);
        self.call_hook(write);
    }

    /// Up to `length` bytes of a file from `offset` on: fewer where it ends; None if there is no such file.
    pub fn read_file(&self, name: &str, offset: usize, length: usize) -> Option<Vec<u8>> {
        let content = self.disk.content.lock();
        let file = content.files.get(name)?;
        let start = offset.min(file.len());
        let end = offset.saturating_add(length).min(file.len());
        Some(file[start..end].to_vec())
    }

    /// The length of a file in bytes; None if there is no such file.
    pub fn file_size(&self, name: &str) -> Option<usize> {
        Some(self.disk.content.lock().files.get(name)?.len())
    }

    /// The names of all files, in order.
    pub fn file_names(&self) -> Vec<String> {
        self.disk.content.lock().files.keys().cloned().collect()
    }

    /// For tests: the disk changes a byte of a file behind its owner's back. Those bits of it flip that are
    /// set in `mask`. No hook hears of it, and no crash undoes it. False if the file has no such byte.
    ///
    /// # Panics
    /// On a server's handle ([`Persister::for_server`]).
    #[track_caller]
    pub fn flip(&self, name: &str, offset: usize, mask: u8) -> bool {
        self.check_is_of_test("flip");
        let content = &mut *self.disk.content.lock();
        let flip = |files: &mut Files| {
            let byte = files.get_mut(name).and_then(|file| file.get_mut(offset));
            byte.map(|byte| *byte ^= mask).is_some()
        };
        if let Some(cache) = &mut content.cache {
            flip(&mut cache.files);
        }
        labrt::trace::emit("fault", "flip", || format!("byte {offset} of {name} changes on the disk"));
        flip(&mut content.files)
    }

    fn change(&self, apply: impl FnOnce(&mut Files), record: impl FnOnce() -> Change) -> u64 {
        let content = &mut *self.disk.content.lock();
        apply(&mut content.files);
        if let Some(cache) = &mut content.cache {
            cache.unsynced.push(record());
        }
        content.count_write()
    }
}

/// Tells a traced run of a change of a file.
fn tell(write: &Write, what: &'static str, bytes: usize, name: &str) {
    labrt::trace::emit_fields("disk", what, || {
        let fields = vec![("number", write.number.into()), ("bytes", (bytes as u64).into())];
        (fields, format!("{what} {name}, {bytes} bytes, at {}", write.place))
    });
}
