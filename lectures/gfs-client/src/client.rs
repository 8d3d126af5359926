//! The client library (§2.3, §2.7): it finds chunks, remembers where they are, and tries again.
//!
//! Data are never cached, places are (§2.3): files are too large and read once, while a place serves
//! thousands of reads, and a wrong one is noticed, since each request names the chunk's version.
//!
//! What is tried again, and what not:
//!
//! | what went wrong | what the client does |
//! |---|---|
//! | no answer from the master | asks again under the same number, then its shadows |
//! | [`MasterError::Retry`] | asks again: the master waits for a lease, or is busy with the chunk |
//! | a replica is damaged or silent | reads from the next one, and then asks the master anew |
//! | a replica is stale, or the question is | asks the master anew: what was known is old |
//! | the primary says no, or nothing | pushes and asks again; an append may be there twice then |
//! | the name does not exist, or exists already | tells its caller |

// handout: drop classic
mod places;
mod pushes;

use std::collections::BTreeMap;
// handout: end
use std::fmt;

// handout: drop classic
use labrpc::ClientEnd;
use labrt::rand::random;
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::rpc::{
    AppendArgs, ChangeRequest, ChunkError, ChunkPeer, FileChange, FileId, Located, MasterError, MasterPeer,
    OpId, Purpose, ReadArgs, ReadReply, ServerId, WriteArgs,
};
use crate::{Settings, TRIES};
// handout: end
// handout: put classic
// use labrpc::ClientEnd;
//
// use crate::Settings;
// use crate::rpc::{MasterError, ServerId};
// handout: end

// handout: drop classic
/// How many mutations a call to a primary may wait for, its own included, each for as long as one can take.
/// A chunk's primary carries out one after the other, and several clients append to one chunk at once.
const MUTATIONS: u32 = 4;

/// The pause before something is tried again: long enough for a lease to be granted, short beside any limit.
const AGAIN: Duration = Duration::from_millis(20);

// handout: end
/// Why an operation has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The master refuses. [`MasterError::Unavailable`] and [`MasterError::ReadOnly`] are told only when the
    /// client's patience is over.
    Master(MasterError),
    /// A record of more than a quarter of a chunk.
    TooLarge,
    /// No answer came in time. A change may have been made, in part, or may still be: there is no way to know
    /// but to look.
    TimedOut,
}

impl From<MasterError> for Error {
    fn from(error: MasterError) -> Error {
        Error::Master(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Master(error) => error.fmt(f),
            Error::TooLarge => write!(f, "the record is longer than a quarter of a chunk"),
            Error::TimedOut => write!(f, "no answer came in time; it is unknown what happened"),
        }
    }
}

impl std::error::Error for Error {}

// handout: drop classic
/// Where a chunk was, and until when that is used for reads and for writes. For reads the limit bounds how
/// long a reader may go on with a file that was deleted or a replica that is stale (§2.7.1). For writes it is
/// the lease: the primary refuses afterwards anyway.
struct Known {
    located: Located,
    read_until: Instant,
    write_until: Instant,
}

// handout: end
/// A client, for one thread.
pub struct Client {
    // handout: drop classic
    masters: Vec<MasterPeer>,
    servers: Vec<ChunkPeer>,
    settings: Settings,
    /// The nearest server number; None: all are equally far. Distance is the difference of numbers, as the
    /// paper's is that of IP addresses (§3.2).
    place: Option<ServerId>,
    id: u64,
    operations: u64,
    pushes: u64,
    known: BTreeMap<(String, u64), Known>,
    /// The last chunk of files that this client appends to, as far as it has seen. If others have filled it
    /// meanwhile the primary says that it is padded.
    last: BTreeMap<String, u64>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl Client {
    /// A client. `masters` reach the master, and then its shadows; `servers` reach all chunkservers, by
    /// number. `place` is the chunkserver that it is nearest to. It draws a number for itself at random, by
    /// which the master knows its changes when they come twice.
    ///
    /// A client that does not reach the master asks a shadow. It believes what the shadow says, also that
    /// there is no such file; and a change, which goes there, too, ends with [`MasterError::ReadOnly`].
    pub fn new(
        masters: Vec<ClientEnd>,
        servers: Vec<ClientEnd>,
        place: Option<ServerId>,
        settings: Settings,
    ) -> Client {
        Client {
            masters: masters.into_iter().map(MasterPeer::new).collect(),
            servers: servers.into_iter().map(ChunkPeer::new).collect(),
            settings,
            place,
            id: random(),
            operations: 0,
            pushes: 0,
            known: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Another client on the same machine, for another thread: with a number of its own, since a client has
    /// one change under way at a time, and without what this one remembers.
    pub fn another(&self) -> Client {
        Client {
            masters: self.masters.clone(),
            servers: self.servers.clone(),
            settings: self.settings.clone(),
            id: random(),
            known: BTreeMap::new(),
            last: BTreeMap::new(),
            ..*self
        }
    }

    /// The sizes and times of the store.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Creates an empty file. It has no chunk until somebody writes.
    ///
    /// # Errors
    /// [`MasterError::Exists`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn create(&mut self, path: &str) -> Result<(), Error> {
        self.change(FileChange::Create { path: path.to_owned() }).map(|_| ())
    }

    /// Deletes a file. Returns the name under which [`Client::rename`] can restore it for a while (§4.4). Who
    /// has its chunks' places goes on reading until the servers have deleted them.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn delete(&mut self, path: &str) -> Result<String, Error> {
        self.change(FileChange::Delete { path: path.to_owned() })
    }

    /// Gives a file another name, in one step: nobody sees both names, or none.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::Exists`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(FileChange::Rename { from, to, replace: false }).map(|_| ())
    }

    /// As [`Client::rename`], in place of the file that may have the new name. Readers see the old file or
    /// the whole new one.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn publish(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(FileChange::Rename { from, to, replace: true }).map(|_| ())
    }

    // handout: body GD
    /// Makes a file that has the contents of another one at this moment.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::Exists`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn snapshot(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(FileChange::Snapshot { from, to }).map(|_| ())
    }

    /// The names that begin with `prefix`, in order. A shadow may answer: then a name that was made just now
    /// can be missing.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub fn list(&mut self, prefix: &str) -> Result<Vec<String>, Error> {
        self.ask(|master| master.list(&prefix.to_owned()).map(Ok))
    }

    /// Has the master change the names, once, however often it is asked: the number stays the same in all
    /// attempts, also if the master crashes in between.
    fn change(&mut self, change: FileChange) -> Result<String, Error> {
        self.operations += 1;
        let request = ChangeRequest { op: OpId { client: self.id, number: self.operations }, change };
        let answer = self.ask(|master| master.change(&request));
        // What the names stand for may have changed.
        self.known.clear();
        self.last.clear();
        answer
    }

    /// Reads up to `length` bytes from `offset` on: fewer where the file ends. Bytes that were never written
    /// are zeros. A region that a failed write has left inconsistent may read differently each time.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn read(&mut self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            let (index, within) = self.split(at);
            let wanted = (length - bytes.len()).min(self.settings.chunk - within);
            let (located, reply) = match self.read_chunk(path, index, within, wanted) {
                Err(Error::Master(MasterError::NoChunk)) => break,
                answer => answer?,
            };
            let read = reply.bytes.len();
            bytes.extend(reply.bytes);
            if read < wanted {
                // The file ends here, unless it has another chunk: then this one has a gap at its end.
                if located.index + 1 >= located.chunks && !self.has_chunk(path, index + 1)? {
                    break;
                }
                bytes.resize(bytes.len() + wanted - read, 0);
            }
        }
        Ok(bytes)
    }

    /// Reads a whole file, from one file: if another one gets the name meanwhile, that one. What is known of
    /// its places is forgotten first, so the master says anew which file has the name. The answers say which
    /// file each chunk belongs to; a reader that did not compare them could join two halves of two files.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn read_all(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        loop {
            self.known.retain(|(known, _), _| known != path);
            let mut files: Vec<FileId> = Vec::new();
            let mut bytes = Vec::new();
            for index in 0.. {
                let chunk = self.settings.chunk;
                match self.read_chunk(path, index, 0, chunk) {
                    Ok((located, reply)) => {
                        bytes.resize(index as usize * chunk, 0);
                        bytes.extend(reply.bytes);
                        files.push(located.file);
                    }
                    Err(Error::Master(MasterError::NoChunk)) => break,
                    Err(error) => return Err(error),
                }
            }
            if files.windows(2).all(|pair| pair[0] == pair[1]) {
                return Ok(bytes);
            }
        }
    }

    /// The length of a file, in bytes, as one replica of its last chunk has it: another may be longer while
    /// an append is under way, or since one has failed.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn length(&mut self, path: &str) -> Result<u64, Error> {
        let last = match self.find(path, None, Purpose::Read) {
            Err(Error::Master(MasterError::NoChunk)) => return Ok(0),
            answer => answer?.index,
        };
        let (_, reply) = self.read_chunk(path, last, 0, 0)?;
        Ok(last * self.settings.chunk as u64 + reply.chunk_length as u64)
    }

    /// The chunk that an offset is in, and the place there.
    fn split(&self, offset: u64) -> (u64, usize) {
        let chunk = self.settings.chunk as u64;
        (offset / chunk, (offset % chunk) as usize)
    }

    fn has_chunk(&mut self, path: &str, index: u64) -> Result<bool, Error> {
        match self.locate(path, index, Purpose::Read) {
            Ok(_) => Ok(true),
            Err(Error::Master(MasterError::NoChunk)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads from the nearest replica that answers. A damaged one is no reason to ask the master: the next
    /// one is good, and the damaged one's server has told the master itself.
    fn read_chunk(
        &mut self,
        path: &str,
        index: u64,
        offset: usize,
        length: usize,
    ) -> Result<(Located, ReadReply), Error> {
        let deadline = Instant::now() + self.settings.patience;
        loop {
            let located = self.locate(path, index, Purpose::Read)?;
            let args = ReadArgs { handle: located.handle, version: located.version, offset, length };
            for server in self.by_distance(&located.replicas) {
                match self.servers[server].timeout(self.settings.call * 2).read(&args) {
                    Ok(Ok(reply)) => return Ok((located, reply)),
                    // What is known is old.
                    Ok(Err(ChunkError::Stale)) => break,
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            self.forget(path, index);
            if Instant::now() >= deadline {
                return Err(Error::TimedOut);
            }
            thread::sleep(AGAIN);
        }
    }

    /// Writes bytes at an offset of a file, which grows as needed. A write is not atomic: if several clients
    /// write to one region at once, their bytes may be mingled, and if it fails, some replicas may have it.
    ///
    /// # Errors
    /// [`MasterError::NoFile`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn write(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes.len() {
            let (index, within) = self.split(offset + done as u64);
            let length = self.settings.longest_mutation().min(self.settings.chunk - within);
            let piece = &bytes[done..bytes.len().min(done + length)];
            self.write_chunk(path, index, within, piece)?;
            done += piece.len();
        }
        Ok(())
    }

    /// One piece of a write. The bytes of a try that failed are pushed anew: what became of them nobody
    /// knows.
    fn write_chunk(&mut self, path: &str, index: u64, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.patience;
        loop {
            let located = match self.locate(path, index, Purpose::Write) {
                Err(Error::Master(MasterError::NoChunk)) => self.extend_to(path, index)?,
                answer => answer?,
            };
            if let (Some(data), Some(primary)) = (self.push(&located, bytes), located.primary) {
                let args = WriteArgs { handle: located.handle, version: located.version, offset, data };
                if self.primary(primary).write(&args) == Ok(Ok(())) {
                    return Ok(());
                }
            }
            self.try_again(path, index, deadline)?;
        }
    }

    // handout: body GB
    /// Appends a record at least once: it is in the file as a whole, at the offset that is returned. If the
    /// first try failed somewhere it may be there once more, or in part (§3.3). There is no order among
    /// clients; the records of one client stand in the order of its calls.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`MasterError::NoFile`], [`MasterError::BadPath`], and as [`Error`] says.
    pub fn append(&mut self, path: &str, record: &[u8]) -> Result<u64, Error> {
        if record.len() > self.settings.longest_mutation() {
            return Err(Error::TooLarge);
        }
        let deadline = Instant::now() + self.settings.patience;
        loop {
            let located = self.locate_last(path)?;
            let index = located.index;
            let answer = match (self.push(&located, record), located.primary) {
                (Some(data), Some(primary)) => {
                    let (handle, version) = (located.handle, located.version);
                    let args = AppendArgs { handle, version, data, length: record.len() };
                    self.primary(primary).append(&args).ok()
                }
                _ => None,
            };
            match answer {
                Some(Ok(offset)) => return Ok(index * self.settings.chunk as u64 + offset as u64),
                Some(Err(ChunkError::Padded)) => {
                    let next = self.add(path, Some(index))?;
                    self.last.insert(path.to_owned(), next.index);
                }
                _ => self.try_again(path, index, deadline)?,
            }
        }
    }

    // handout: body GB
    /// Where the next record of this client goes, as far as it knows: the last chunk that it has seen. Once a
    /// client appends to a file it need not ask the master which chunk is the last one.
    fn locate_last(&mut self, path: &str) -> Result<Located, Error> {
        let located = match self.last.get(path) {
            Some(&index) => self.locate(path, index, Purpose::Write)?,
            None => match self.find(path, None, Purpose::Write) {
                Err(Error::Master(MasterError::NoChunk)) => self.add(path, None)?,
                answer => answer?,
            },
        };
        self.last.insert(path.to_owned(), located.index);
        Ok(located)
    }

    /// Adds the chunks up to this one: a write far behind the end leaves chunks without bytes, read as zeros.
    fn extend_to(&mut self, path: &str, index: u64) -> Result<Located, Error> {
        let mut next = match self.find(path, None, Purpose::Read) {
            Ok(last) => last.chunks,
            Err(Error::Master(MasterError::NoChunk)) => 0,
            Err(error) => return Err(error),
        };
        loop {
            let located = self.add(path, next.checked_sub(1))?;
            if located.index >= index {
                return Ok(located);
            }
            next = located.index + 1;
        }
    }

    /// A call that takes as long as the primary may have to wait for its secondaries, for this mutation and
    /// for those of other clients that come first. A client that gives up too soon appends its record twice.
    fn primary(&self, primary: ServerId) -> ChunkPeer {
        self.servers[primary].timeout(self.settings.call * (TRIES as u32 + 1) * MUTATIONS)
    }

    /// Forgets what was known of the chunk, which has not helped, and pauses.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when the caller's patience is over.
    fn try_again(&mut self, path: &str, index: u64, deadline: Instant) -> Result<(), Error> {
        self.forget(path, index);
        if Instant::now() >= deadline {
            return Err(Error::TimedOut);
        }
        thread::sleep(AGAIN);
        Ok(())
    }
}
