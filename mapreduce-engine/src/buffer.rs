//! The pairs in memory of a map without a combiner. The buffer appends them, and sorts them before they are
//! written.
//!
//! The sort moves entries of 24 bytes, not the pairs. An entry has the partition and the first eight bytes of
//! the key, which decide almost every comparison. So most comparisons read only entries. Only ties read the
//! keys, which are in random places of memory.

use super::pair;

/// The entry of a pair.
#[derive(Clone, Copy)]
struct Item {
    /// The first bytes of the key.
    prefix: u64,
    partition: u32,
    /// The place of the key; the value follows it. 32 bits are enough: a buffer is spilled long before it has
    /// 4 GB.
    start: u32,
    key_length: u32,
    value_length: u32,
}

/// Pairs in memory.
pub(super) struct Buffer {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

impl Buffer {
    /// An empty buffer. It takes no memory yet, since many splits emit almost nothing.
    pub(super) fn new() -> Buffer {
        Buffer { items: Vec::new(), bytes: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes in use.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(&self.items[..])
    }

    /// Adds a pair. The caller keeps the buffer far below 4 GB.
    pub(super) fn add(&mut self, partition: usize, key: &str, value: &str) {
        self.items.push(Item {
            prefix: pair::prefix(key.as_bytes()),
            partition: partition as u32,
            start: self.bytes.len() as u32,
            key_length: key.len() as u32,
            value_length: value.len() as u32,
        });
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// Sorts the pairs by partition, and by key within a partition. Equal keys keep their order.
    pub(super) fn sort(&mut self) {
        let Buffer { items, bytes } = self;
        // An unstable sort needs no extra memory. The last comparison keeps equal keys in order; without it,
        // two attempts of one map could differ.
        items.sort_unstable_by(|a, b| {
            let by_start = (a.partition, a.prefix).cmp(&(b.partition, b.prefix));
            let by_key = || key(bytes, a).cmp(key(bytes, b));
            by_start.then_with(by_key).then_with(|| a.start.cmp(&b.start))
        });
    }

    /// Partition, key and value of each pair.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
        self.items.iter().map(|item| {
            let start = item.start as usize + item.key_length as usize;
            let value = &self.bytes[start..start + item.value_length as usize];
            (item.partition as usize, key(&self.bytes, item), value)
        })
    }

    /// Empties the buffer, which keeps its memory.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }
}

fn key<'a>(bytes: &'a [u8], item: &Item) -> &'a [u8] {
    &bytes[item.start as usize..][..item.key_length as usize]
}
