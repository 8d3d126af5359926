//! The master's log on its disk: a checkpoint, and the records since (§2.6.3).
//!
//! It is the only durable thing that the master has. A change that a client was told of and that the log
//! lacks would be undone by the next crash, with all data that were written below the new name.

use labapi::Persister;

use crate::namespace::{Namespace, Record};

// handout: drop classic
/// Bytes before each record: its length and its checksum.
const HEAD: usize = 8;

// handout: end
/// The durable state together with its log.
pub struct Oplog {
    // handout: drop classic
    disk: Persister,
    namespace: Namespace,
    /// The records since the last checkpoint, encoded, for shadows. A shadow that lacks earlier ones gets the
    /// whole state instead.
    records: Vec<Vec<u8>>,
    /// Bytes of the log beyond which a checkpoint replaces it.
    checkpoint: usize,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl Oplog {
    /// Reads what the disk holds. A record at the end that a crash has torn was never answered for, and is
    /// dropped. `checkpoint` is in bytes: the shorter the log, the sooner a master is back after a crash.
    ///
    /// # Panics
    /// If the checkpoint is damaged.
    pub fn open(disk: Persister, checkpoint: usize) -> Oplog {
        let snapshot = disk.snapshot();
        let namespace = match snapshot.as_slice() {
            [] => Namespace::default(),
            bytes => labgob::decode(bytes)
                .unwrap_or_else(|error| panic!("the checkpoint on the disk is damaged: {error}")),
        };
        let mut log = Oplog { disk, namespace, records: Vec::new(), checkpoint };
        let bytes = log.disk.state();
        let mut at = 0;
        while let Some((record, length)) = read_record(&bytes[at..]) {
            log.namespace.apply(&record);
            log.records.push(labgob::encode(&record));
            at += length;
        }
        if at < bytes.len() {
            // What is appended later must not stand behind a torn record.
            log.disk.save(&bytes[..at], None);
            log.disk.sync();
        }
        log
    }

    /// The state.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes a step, durable on this disk when the call returns. Returns what a change answers.
    ///
    /// First the disk, then the state: a state that was ahead of the disk could be seen by a client, and be
    /// gone after a crash.
    pub fn append(&mut self, record: &Record) -> String {
        let encoded = labgob::encode(record);
        let mut framed = (encoded.len() as u32).to_le_bytes().to_vec();
        framed.extend(crc32fast::hash(&encoded).to_le_bytes());
        framed.extend(&encoded);
        self.disk.append(&framed);
        self.disk.sync();
        let answer = self.namespace.apply(record);
        self.records.push(encoded);
        if self.disk.state_size() > self.checkpoint {
            self.install(self.namespace.clone());
        }
        answer
    }

    // handout: body GC
    /// Replaces everything by a state. The empty log and the checkpoint are one write: with two, a crash in
    /// between would apply the old records once more, or lose them.
    pub fn install(&mut self, namespace: Namespace) {
        self.disk.save(&[], Some(&labgob::encode(&namespace)));
        self.disk.sync();
        self.namespace = namespace;
        self.records.clear();
    }

    // handout: body GC
    /// The records from `position` on, for a shadow. None: a checkpoint has replaced some of them, or the log
    /// ends before `position`.
    pub fn records_from(&self, position: u64) -> Option<Vec<Vec<u8>>> {
        let behind = usize::try_from(self.namespace.position().checked_sub(position)?).ok()?;
        let first = self.records.len().checked_sub(behind)?;
        Some(self.records[first..].to_vec())
    }
}

/// The record at the beginning of these bytes, and how many of them it takes.
fn read_record(bytes: &[u8]) -> Option<(Record, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (length, checksum) = (number(0)? as usize, number(4)?);
    let encoded = bytes.get(HEAD..HEAD + length)?;
    let is_whole = length > 0 && crc32fast::hash(encoded) == checksum;
    Some((labgob::decode(encoded).ok().filter(|_| is_whole)?, HEAD + length))
}
