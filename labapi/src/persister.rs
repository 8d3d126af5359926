//! The simulated disk of a server.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::cache::{Cache, Change, Loss};
use crate::files::Files;
use crate::hook::HookPlace;
use crate::told::{Difference, Replaced, tell_append, tell_read, tell_save};
use crate::wire::WireFormat;

/// A server's disk: a place for the Raft state, one for the service's snapshot, and files
/// ([`Persister::write_file`]) for servers that keep more.
///
/// A clone is another handle to the same disk. After a crash the tester gives the next incarnation a
/// [`Persister::copy`] of what the disk held at that moment. Whatever the old incarnation still writes goes
/// to a disk that is never read again.
///
/// A write is durable when the call returns, and atomic: a crash finds all of it or nothing. A test may ask
/// for a disk as real ones are ([`Persister::lose_unsynced`]): there a write is durable when a later
/// [`Persister::sync`] returns, and a crash before that may lose or tear it.
#[derive(Clone, Default)]
pub struct Persister {
    pub(crate) disk: Arc<Disk>,
    /// Whether a server has this handle, which may not do what only a test may.
    is_of_server: bool,
}

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) content: Mutex<Content>,
    /// Called after each write.
    on_write: HookPlace,
    /// Says what the bytes of the state mean, for traces.
    reader: Mutex<Option<&'static dyn WireFormat>>,
}

impl Disk {
    fn with(content: Content) -> Arc<Disk> {
        Arc::new(Disk { content: Mutex::new(content), ..Disk::default() })
    }
}

#[derive(Clone, Default)]
pub(crate) struct Content {
    state: Vec<u8>,
    snapshot: Bytes,
    pub(crate) files: Files,
    writes: u64,
    /// What a crash may do; None if every write is durable at once.
    pub(crate) cache: Option<Cache>,
}

/// What a write hook ([`Persister::on_write`]) learns of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Number of this write on this disk since its first incarnation; the first has 1.
    pub number: u64,
    /// Whether it was an [`Persister::append`].
    pub appended: bool,
    /// Whether it brought a new snapshot.
    pub snapshot: bool,
    /// The source line that wrote.
    pub place: &'static Location<'static>,
}

impl Persister {
    /// An empty disk.
    pub fn new() -> Self {
        Persister::default()
    }

    /// For tests: a handle to the same disk for the server. What is for tests panics there, so that lab code
    /// takes no hook away by which a test watches the disk.
    pub fn for_server(&self) -> Persister {
        Persister { disk: Arc::clone(&self.disk), is_of_server: true }
    }

    /// Another disk with the same content, independent of this one; what is not synced here is not synced
    /// there. Write hooks stay behind.
    pub fn copy(&self) -> Persister {
        let content = self.disk.content.lock().clone();
        Persister { disk: Disk::with(content), is_of_server: self.is_of_server }
    }

    /// Replaces the Raft state and, in the same atomic step, the snapshot if there is a new one. With None
    /// the snapshot stays as it is.
    #[track_caller]
    pub fn save(&self, state: &[u8], snapshot: Option<&[u8]>) {
        self.save_shared(state, snapshot.map(Bytes::copy_from_slice));
    }

    /// As [`Persister::save`], with a snapshot that the disk shares instead of copying. It costs the same
    /// however large the snapshot, so a server may call it while it holds a lock.
    #[track_caller]
    pub fn save_shared(&self, state: &[u8], snapshot: Option<Bytes>) {
        let is_new = snapshot.is_some();
        let kept = snapshot.as_ref().map(Bytes::len);
        let (number, difference, replaced) = {
            let content = &mut *self.disk.content.lock();
            let difference = labrt::trace::enabled().then(|| content.compare(state, snapshot.as_ref()));
            content.state.clear();
            content.state.extend_from_slice(state);
            if let Some(cache) = &mut content.cache {
                cache.unsynced.push(Change::Save { state: state.to_vec(), snapshot: snapshot.clone() });
            }
            let replaced = snapshot.map(|snapshot| std::mem::replace(&mut content.snapshot, snapshot));
            (content.count_write(), difference, replaced)
        };
        // The memory of a large snapshot is given back without the disk's lock.
        drop(replaced);
        let write = Write { number, appended: false, snapshot: is_new, place: Location::caller() };
        tell_save(&write, (state, kept), difference.as_ref(), self.reader());
        self.call_hook(write);
    }

    /// Adds a record at the end of the Raft state, as to a write-ahead log. The cost depends on the record's
    /// length, not on the length of the state.
    #[track_caller]
    pub fn append(&self, record: &[u8]) {
        let number = {
            let content = &mut *self.disk.content.lock();
            content.state.extend_from_slice(record);
            if let Some(cache) = &mut content.cache {
                cache.unsynced.push(Change::Append(record.to_vec()));
            }
            content.count_write()
        };
        let write = Write { number, appended: true, snapshot: false, place: Location::caller() };
        tell_append(&write, record, self.reader());
        self.call_hook(write);
    }

    /// Makes all writes so far durable, as `fsync` does: when it returns, no crash loses them. Unless a test
    /// has asked for a disk that can lose something, it does nothing.
    #[track_caller]
    pub fn sync(&self) {
        let content = &mut *self.disk.content.lock();
        let Some(cache) = &mut content.cache else { return };
        cache.sync(content.writes);
        let (writes, place) = (content.writes, Location::caller());
        labrt::trace::emit_fields("disk", "sync", || {
            (vec![("number", writes.into())], format!("syncs {writes} writes at {place}"))
        });
    }

    /// The Raft state: what was saved last, and the records appended since; empty on a new disk.
    #[track_caller]
    pub fn state(&self) -> Vec<u8> {
        let state = self.disk.content.lock().state.clone();
        tell_read("of state", &state, self.reader(), Location::caller());
        state
    }

    /// Length of the Raft state in bytes. The tests of log sizes and `maxraftstate` compare it with their
    /// bounds.
    pub fn state_size(&self) -> usize {
        self.disk.content.lock().state.len()
    }

    /// The snapshot that was saved last; empty if there was none.
    #[track_caller]
    pub fn snapshot(&self) -> Vec<u8> {
        self.snapshot_shared().to_vec()
    }

    /// As [`Persister::snapshot`], without a copy: it costs the same however large the snapshot.
    #[track_caller]
    pub fn snapshot_shared(&self) -> Bytes {
        let snapshot = self.disk.content.lock().snapshot.clone();
        tell_read("of snapshot", &snapshot, None, Location::caller());
        snapshot
    }

    /// Length of the snapshot in bytes.
    pub fn snapshot_size(&self) -> usize {
        self.disk.content.lock().snapshot.len()
    }

    /// Number of writes so far, also by earlier incarnations.
    pub fn writes(&self) -> u64 {
        self.disk.content.lock().writes
    }

    /// Number of writes that no crash can lose: all of them, unless a test has called
    /// [`Persister::lose_unsynced`].
    pub fn durable_writes(&self) -> u64 {
        let content = self.disk.content.lock();
        content.cache.as_ref().map_or(content.writes, |cache| cache.writes)
    }

    /// For tests: from now on a write to this disk, and to what [`Persister::after_crash`] makes of it, is
    /// durable only after [`Persister::sync`]. What is on the disk already is durable.
    ///
    /// # Panics
    /// On a server's handle ([`Persister::for_server`]).
    #[track_caller]
    pub fn lose_unsynced(&self) {
        self.check_is_of_test("lose_unsynced");
        let content = &mut *self.disk.content.lock();
        if content.cache.is_none() {
            content.cache = Some(Cache {
                state: content.state.clone(),
                snapshot: content.snapshot.clone(),
                files: content.files.clone(),
                writes: content.writes,
                unsynced: Vec::new(),
            });
        }
    }

    /// For tests: another disk with what a crash at this moment leaves of this one, and what it lost. Of the
    /// writes since the last [`Persister::sync`] the first ones are there, in their order, and the others are
    /// lost. `draw(n)` decides by numbers from 0 to n - 1.
    ///
    /// - A save is there or not, for it replaces both places by new ones, as a renamed file does.
    /// - An append may be torn: its beginning is there, and the rest is missing, or zeros. A file's write
    ///   may be torn, too: its beginning is there.
    ///
    /// # Panics
    /// On a server's handle ([`Persister::for_server`]).
    #[track_caller]
    pub fn after_crash(&self, draw: impl FnMut(u64) -> u64) -> (Persister, Loss) {
        self.check_is_of_test("after_crash");
        let content = self.disk.content.lock().clone();
        let Some(cache) = content.cache else { return (self.copy(), Loss::default()) };
        let (cache, loss) = cache.crash(draw);
        let content = Content {
            state: cache.state.clone(),
            snapshot: cache.snapshot.clone(),
            files: cache.files.clone(),
            writes: cache.writes,
            cache: Some(cache),
        };
        (Persister { disk: Disk::with(content), is_of_server: false }, loss)
    }

    /// For tests: calls `hook` after each write from now on, on the thread that wrote and before the write
    /// returns to it. A hook that crashes the server leaves it between persisting and whatever it meant to do
    /// next. The hook is not called for a write that it makes itself; a thread that writes while it runs for
    /// another one waits for its turn.
    ///
    /// # Panics
    /// On a server's handle ([`Persister::for_server`]).
    #[track_caller]
    pub fn on_write(&self, hook: impl FnMut(&Write) + Send + 'static) {
        self.check_is_of_test("on_write");
        self.disk.on_write.set(Box::new(hook));
    }

    /// For tests: what `reader` says of the bytes ([`WireFormat::disk`]) stands beside each write in a trace.
    ///
    /// # Panics
    /// On a server's handle ([`Persister::for_server`]).
    #[track_caller]
    pub fn read_by(&self, reader: Option<&'static dyn WireFormat>) {
        self.check_is_of_test("read_by");
        *self.disk.reader.lock() = reader;
    }

    #[track_caller]
    pub(crate) fn check_is_of_test(&self, method: &str) {
        assert!(!self.is_of_server, "Persister::{method} is for tests; a server may read, write and sync");
    }

    fn reader(&self) -> Option<&'static dyn WireFormat> {
        // Untraced runs pay no lock.
        if labrt::trace::enabled() { *self.disk.reader.lock() } else { None }
    }

    #[track_caller]
    pub(crate) fn call_hook(&self, write: Write) {
        self.disk.on_write.call(&write);
    }
}

impl Content {
    fn compare(&self, state: &[u8], snapshot: Option<&Bytes>) -> Replaced {
        Replaced {
            state: Difference::between(&self.state, state),
            snapshot: snapshot.map(|snapshot| Difference::between(&self.snapshot, snapshot)),
        }
    }

    pub(crate) fn count_write(&mut self) -> u64 {
        self.writes += 1;
        self.writes
    }
}

impl fmt::Debug for Persister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.disk.content.lock();
        let (state, snapshot) = (content.state.len(), content.snapshot.len());
        write!(f, "Persister({state} bytes of state, {snapshot} of snapshot, {} writes)", content.writes)
    }
}
