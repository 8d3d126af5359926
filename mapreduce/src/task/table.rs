//! The pairs of a map whose application has a combiner: a hash table with each key once.
//!
//! Combining pays because texts are skewed: a few keys make up most pairs (paper, §4.3). A pair whose key has been seen
//! costs a hash, a comparison and an increment; it takes no memory when its value is the same as that key's last, since
//! equal values in a row are kept as one with a count. The combiner runs only when the table is written.

use std::hash::Hasher;
use std::ops::Range;

use rustc_hash::FxHasher;

use crate::app::Values;

/// Marks the end of a list, and an empty slot.
const NONE: u32 = u32::MAX;

/// A piece of the table's bytes. 32 bits each, since a table is spilled long before it has 4 GB.
#[derive(Clone, Copy)]
struct Piece {
    start: u32,
    length: u32,
}

impl Piece {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// Equal values in a row.
#[derive(Clone, Copy)]
struct Repeated {
    value: Piece,
    count: u64,
    /// Index of those before them, of the same key.
    before: u32,
}

struct Entry {
    key: Piece,
    last: Repeated,
}

/// A place in the table: part of the hash, so that most strangers are told apart without a look at the entry.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    entry: u32,
}

/// Keys with their values.
pub(super) struct Table {
    slots: Vec<Slot>,
    entries: Vec<Entry>,
    /// Values that are not the last of their key.
    earlier: Vec<Repeated>,
    bytes: Vec<u8>,
}

impl Table {
    pub(super) fn new() -> Table {
        let slots = vec![Slot { tag: 0, entry: NONE }; 1 << 12];
        Table { slots, entries: Vec::new(), earlier: Vec::new(), bytes: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in use.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
            + size_of_val(&self.slots[..])
            + size_of_val(&self.entries[..])
            + size_of_val(&self.earlier[..])
    }

    pub(super) fn add(&mut self, key: &str, value: &str) {
        let hash = hash(key.as_bytes());
        let mask = self.slots.len() - 1;
        let tag = (hash >> 32) as u32;
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot.entry == NONE {
                break;
            }
            if slot.tag == tag && self.bytes[self.entries[slot.entry as usize].key.range()] == *key.as_bytes()
            {
                return self.repeat(slot.entry as usize, value);
            }
            place = (place + 1) & mask;
        }
        self.slots[place] = Slot { tag, entry: self.entries.len() as u32 };
        let key = self.store(key);
        let value = self.store(value);
        self.entries.push(Entry { key, last: Repeated { value, count: 1, before: NONE } });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    /// One more value of a known key.
    #[inline]
    fn repeat(&mut self, entry: usize, value: &str) {
        let last = &mut self.entries[entry].last;
        if self.bytes[last.value.range()] == *value.as_bytes() {
            last.count += 1;
            return;
        }
        let before = self.earlier.len() as u32;
        self.earlier.push(*last);
        let value = self.store(value);
        self.entries[entry].last = Repeated { value, count: 1, before };
    }

    fn store(&mut self, text: &str) -> Piece {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        Piece { start, length: text.len() as u32 }
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let mut slots = vec![Slot { tag: 0, entry: NONE }; size];
        for (number, entry) in self.entries.iter().enumerate() {
            let hash = hash(&self.bytes[entry.key.range()]);
            let mut place = hash as usize & (size - 1);
            while slots[place].entry != NONE {
                place = (place + 1) & (size - 1);
            }
            slots[place] = Slot { tag: (hash >> 32) as u32, entry: number as u32 };
        }
        self.slots = slots;
    }

    /// All entries by partition, and by key within it, with their partitions.
    pub(super) fn sorted(&self, partition: impl Fn(&str) -> usize) -> Vec<(usize, Found<'_>)> {
        let find = |entry| Found { table: self, entry };
        let mut sorted: Vec<_> =
            self.entries.iter().map(|entry| (partition(find(entry).key()), find(entry))).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key_bytes().cmp(b.1.key_bytes())));
        sorted
    }

    /// Empties the table, which keeps its memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot { tag: 0, entry: NONE });
        self.entries.clear();
        self.earlier.clear();
        self.bytes.clear();
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}

/// A key of the table.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    table: &'a Table,
    entry: &'a Entry,
}

impl<'a> Found<'a> {
    fn key_bytes(self) -> &'a [u8] {
        &self.table.bytes[self.entry.key.range()]
    }

    pub(super) fn key(self) -> &'a str {
        as_text(self.key_bytes())
    }

    /// Its only value, if it has but one.
    pub(super) fn only_value(self) -> Option<&'a str> {
        let Repeated { value, count, before } = self.entry.last;
        (count == 1 && before == NONE).then(|| as_text(&self.table.bytes[value.range()]))
    }

    pub(super) fn values(self) -> TableValues<'a> {
        TableValues { table: self.table, current: self.entry.last }
    }
}

/// What came in as text goes out as text; the check costs little, and `unsafe` would cost trust.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes)
        .unwrap_or_else(|_| unreachable!("a table's pieces are strings that were put in"))
}

/// The values of a key, the last ones first.
pub(super) struct TableValues<'a> {
    table: &'a Table,
    current: Repeated,
}

impl Values for TableValues<'_> {
    fn next(&mut self) -> Option<&str> {
        if self.current.count == 0 {
            let before = self.current.before;
            self.current = *self.table.earlier.get(before as usize)?;
        }
        self.current.count -= 1;
        Some(as_text(&self.table.bytes[self.current.value.range()]))
    }
}
