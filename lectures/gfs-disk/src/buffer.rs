//! Pushed data that wait for their mutation (§3.2). Those that were not used for longest go first when room
//! is needed.
//!
//! Data and control are apart: bytes travel along a chain of servers while nobody has decided yet in which
//! order they count. So a server holds data of which it does not know whether, where and when they will be
//! written. What is pushed and never used (its client has crashed, or another try has succeeded) must not
//! stay for ever, hence the limit.

// handout: drop classic
use std::collections::VecDeque;

// handout: end
use crate::rpc::DataId;

/// The buffer of a chunkserver.
#[derive(Debug, Default)]
pub struct Buffer {
    // handout: drop classic
    /// The least recently used first.
    data: VecDeque<(DataId, Vec<u8>)>,
    bytes: usize,
    limit: usize,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies GA
impl Buffer {
    /// An empty buffer for `limit` bytes. The newest data are kept, however long they are.
    pub fn new(limit: usize) -> Buffer {
        Buffer { data: VecDeque::new(), bytes: 0, limit }
    }

    /// Keeps data. A repetition replaces what was pushed under the number before, and counts once.
    pub fn put(&mut self, id: DataId, bytes: Vec<u8>) {
        self.take(id);
        self.bytes += bytes.len();
        self.data.push_back((id, bytes));
        // The newest stay whatever their length: otherwise a small buffer could never take a mutation.
        while self.bytes > self.limit && self.data.len() > 1 {
            let oldest = self.data.pop_front();
            self.bytes -= oldest.map_or(0, |(_, bytes)| bytes.len());
        }
    }

    /// Takes data out, wherever they stand in the row.
    fn take(&mut self, id: DataId) -> Option<(DataId, Vec<u8>)> {
        let place = self.data.iter().position(|(known, _)| *known == id)?;
        let taken = self.data.remove(place)?;
        self.bytes -= taken.1.len();
        Some(taken)
    }

    /// Data, one behind the other; None if some of them are not here. They stay: the mutation may be tried
    /// again.
    pub fn get(&mut self, ids: &[DataId]) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for &id in ids {
            // Behind all others again: this is what "recently used" means.
            let (id, bytes) = self.take(id)?;
            all.extend_from_slice(&bytes);
            self.put(id, bytes);
        }
        Some(all)
    }
}
