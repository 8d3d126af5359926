//! The pairs of a map whose application has a combiner: a hash table with each key once.
//!
//! Combining pays because texts are skewed: a few keys make up most pairs (paper, §4.3). A pair whose key has
//! been seen costs a hash, a comparison and an increment. Equal values in a row are stored as one value with
//! a count, so most pairs take no memory. The combiner runs only when the table is written.
//!
//! All texts are in one vector, and entries refer to it by position. So a new key needs no allocation, and
//! emptying the table costs almost nothing.

use std::hash::Hasher;
use std::ops::Range;

use mapreduce::app::Values;
use rustc_hash::FxHasher;

/// The index that means the end of a list, or an empty slot.
const NONE: u32 = u32::MAX;

/// A piece of the table's bytes. 32 bits are enough: a table is spilled long before it has 4 GB.
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

/// A text with its first bytes. Most words have at most eight bytes. Their first bytes and their length
/// identify them, so a comparison need not read the table's bytes.
#[derive(Clone, Copy)]
struct Text {
    word: u64,
    piece: Piece,
}

/// Equal values in a row.
#[derive(Clone, Copy)]
struct Repeated {
    value: Text,
    /// Index of the key's values before these.
    before: u32,
    count: u64,
}

/// A key with its values: the last ones here, earlier ones in a list.
struct Entry {
    key: Text,
    last: Repeated,
}

/// A place in the table. Part of the hash tells most different keys apart without reading the entry.
#[derive(Clone, Copy)]
struct Slot {
    /// The upper half of the hash. The lower half gives the first place of the search.
    tag: u32,
    /// Index of the entry, or [`NONE`].
    entry: u32,
}

/// Keys with their values.
pub(super) struct Table {
    /// Their number is a power of two.
    slots: Vec<Slot>,
    /// In the order of their keys' first pairs.
    entries: Vec<Entry>,
    /// All values but the last ones of each key.
    earlier: Vec<Repeated>,
    /// All keys and values.
    bytes: Vec<u8>,
}

impl Table {
    /// An empty table. It starts small, for splits with few keys, and doubles when it fills.
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

    /// Adds a pair. Returns whether the table takes more memory now.
    #[inline]
    pub(super) fn add(&mut self, key: &str, value: &str) -> bool {
        let word = word(key.as_bytes());
        let hash = hash(key.as_bytes(), word);
        let mask = self.slots.len() - 1;
        let tag = (hash >> 32) as u32;
        // Linear probing: the next place is usually in the same cache line. At least half of the places are
        // empty, so the search ends soon.
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot.entry == NONE {
                break;
            }
            if slot.tag == tag && self.is(self.entries[slot.entry as usize].key, key, word) {
                return self.repeat(slot.entry as usize, value);
            }
            place = (place + 1) & mask;
        }
        self.slots[place] = Slot { tag, entry: self.entries.len() as u32 };
        let key = self.store(key, word);
        let value = self.store(value, self::word(value.as_bytes()));
        self.entries.push(Entry { key, last: Repeated { value, before: NONE, count: 1 } });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
        true
    }

    /// Whether the table's text equals `other`, whose [`word`] is `word`.
    #[inline]
    fn is(&self, text: Text, other: &str, word: u64) -> bool {
        let length = other.len();
        text.word == word
            && text.piece.length as usize == length
            && (length <= size_of::<u64>() || self.bytes[text.piece.range()] == *other.as_bytes())
    }

    /// Adds a value of a known key.
    #[inline]
    fn repeat(&mut self, entry: usize, value: &str) -> bool {
        let word = word(value.as_bytes());
        let last = self.entries[entry].last;
        if self.is(last.value, value, word) {
            self.entries[entry].last.count += 1;
            return false;
        }
        // The next pair is likely to repeat the new value, so the new value becomes the last one.
        let before = self.earlier.len() as u32;
        self.earlier.push(last);
        let value = self.store(value, word);
        self.entries[entry].last = Repeated { value, before, count: 1 };
        true
    }

    /// Copies a text into the table's bytes.
    fn store(&mut self, text: &str, word: u64) -> Text {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        Text { word, piece: Piece { start, length: text.len() as u32 } }
    }

    /// Doubles the number of places. The entries do not move.
    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let mut slots = vec![Slot { tag: 0, entry: NONE }; size];
        for (number, entry) in self.entries.iter().enumerate() {
            let hash = hash(&self.bytes[entry.key.piece.range()], entry.key.word);
            let mut place = hash as usize & (size - 1);
            while slots[place].entry != NONE {
                place = (place + 1) & (size - 1);
            }
            slots[place] = Slot { tag: (hash >> 32) as u32, entry: number as u32 };
        }
        self.slots = slots;
    }

    /// All entries with their partitions, sorted by partition and key.
    pub(super) fn sorted(&self, partition: impl Fn(&str) -> usize) -> Vec<(usize, Found<'_>)> {
        let find = |entry| Found { table: self, entry };
        // No two keys are equal, so every run of the same map gives the same order.
        let mut sorted: Vec<_> =
            self.entries.iter().map(|entry| (partition(find(entry).key()), find(entry))).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key_bytes().cmp(b.1.key_bytes())));
        sorted
    }

    /// A text of the table.
    fn text(&self, text: Text) -> &str {
        as_text(&self.bytes[text.piece.range()])
    }

    /// Empties the table, which keeps its memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot { tag: 0, entry: NONE });
        self.entries.clear();
        self.earlier.clear();
        self.bytes.clear();
    }
}

/// The first bytes of a text as a number. Two texts of the same length of at most eight bytes have the same
/// number only if they are equal.
#[inline]
fn word(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_le_bytes(*first);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match *text {
        [] => 0,
        [one] => u64::from(one),
        [one, .., last] => u64::from(one) | u64::from(text[text.len() / 2]) << 8 | u64::from(last) << 16,
    }
}

/// A hash of a key and its [`word`]. Almost all keys are short, and need only one multiplication.
#[inline]
fn hash(key: &[u8], word: u64) -> u64 {
    let last = match key.len() {
        0..=8 => key.len() as u64,
        9..=16 => key.last_chunk().map_or(0, |last| u64::from_le_bytes(*last)),
        _ => long_hash(key),
    };
    // Odd numbers with irregular bits, from the golden ratio and from pi.
    let product = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * u128::from(last ^ 0x243f_6a88_85a3_08d3);
    product as u64 ^ (product >> 64) as u64
}

/// For keys of more than 16 bytes, which are rare among words and common among URLs.
fn long_hash(key: &[u8]) -> u64 {
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
    /// The key, for comparisons.
    fn key_bytes(self) -> &'a [u8] {
        &self.table.bytes[self.entry.key.piece.range()]
    }

    /// The key.
    pub(super) fn key(self) -> &'a str {
        as_text(self.key_bytes())
    }

    /// Its value, if it has exactly one.
    pub(super) fn only_value(self) -> Option<&'a str> {
        let Repeated { value, before, count } = self.entry.last;
        (count == 1 && before == NONE).then(|| self.table.text(value))
    }

    /// All of its values.
    pub(super) fn values(self) -> TableValues<'a> {
        let last = self.entry.last;
        TableValues {
            table: self.table,
            text: self.table.text(last.value),
            left: last.count,
            before: last.before,
        }
    }
}

/// The text of these bytes. The check costs little and avoids `unsafe`.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes)
        .unwrap_or_else(|_| unreachable!("a table's pieces are strings that were put in"))
}

/// The values of a key, last ones first.
pub(super) struct TableValues<'a> {
    table: &'a Table,
    /// The current value, and how many times it still comes.
    text: &'a str,
    left: u64,
    before: u32,
}

impl TableValues<'_> {
    /// Takes as many of the current value as `wanted`, or as there are in a row.
    fn take(&mut self, wanted: u64) -> Option<(&str, u64)> {
        if self.left == 0 {
            let before = self.table.earlier.get(self.before as usize)?;
            (self.text, self.left, self.before) =
                (self.table.text(before.value), before.count, before.before);
        }
        let taken = self.left.min(wanted);
        self.left -= taken;
        Some((self.text, taken))
    }
}

impl Values for TableValues<'_> {
    fn next(&mut self) -> Option<&str> {
        self.take(1).map(|(value, _)| value)
    }

    fn next_repeated(&mut self) -> Option<(&str, u64)> {
        self.take(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_is_a_map_of_lists() {
        let mut table = Table::new();
        let mut expected: HashMap<String, Vec<String>> = HashMap::new();
        // Keys of all lengths that differ in one byte only, and values with and without repetition.
        for number in 0..40_000_usize {
            let length = number % 23;
            let mut key = vec![b'k'; length];
            if length > 0 {
                key[number / 23 % length] = b'a' + (number / 7 % 9) as u8;
            }
            let key = String::from_utf8(key).unwrap();
            let value = if number % 3 == 0 { "1".to_owned() } else { format!("value {}", number % 50) };
            table.add(&key, &value);
            expected.entry(key).or_default().push(value);
        }
        let sorted = table.sorted(|key| key.len() % 2);
        assert!(sorted.is_sorted_by_key(|(partition, found)| (*partition, found.key())));
        assert_eq!(sorted.len(), expected.len());
        for (_, found) in sorted {
            let mut values = mapreduce::app::collect(&mut found.values());
            values.reverse();
            assert_eq!(values, expected[found.key()], "{}", found.key());
            let (mut repeated, mut values) = (Vec::new(), found.values());
            while let Some((value, times)) = values.next_repeated() {
                assert_ne!(repeated.last().map(String::as_str), Some(value), "all in a row come at once");
                repeated.extend((0..times).map(|_| value.to_owned()));
            }
            repeated.reverse();
            assert_eq!(repeated, expected[found.key()], "{}", found.key());
        }
    }
}
