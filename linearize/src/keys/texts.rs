//! Texts stored once and named by small numbers.
//!
//! A history of appends shows its texts again and again: every read repeats all that the last one showed, and
//! a little more. Two things keep that linear. A text written is stored once, however often it occurs. A text
//! read is stored as a *prefix of a growing buffer* if it continues, or is continued by, what was read of the
//! same key before; then comparing two reads needs their lengths only.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// The name of a text in a [`Texts`].
///
/// Equal names mean equal texts. Unequal names do *not* mean unequal texts: what was read may be stored as a
/// part of a longer text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(u32);

impl Text {
    /// The empty text, which every [`Texts`] has.
    pub const EMPTY: Text = Text(0);

    /// A number below [`Texts::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_index(index: usize) -> Text {
        Text(index as u32)
    }
}

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which buffer. Texts of one [`Texts::is_chain`] buffer all begin at 0 and so are prefixes of one
    /// another.
    pub(crate) buffer: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
    /// The last byte, if it occurs nowhere else in the text (and is not 0); otherwise 0. Texts that all end
    /// so can be told apart in a row of them.
    pub(crate) terminator: u8,
}

impl Place {
    fn new(buffer: u32, start: usize, text: &str) -> Place {
        let terminator = text.as_bytes().split_last().filter(|(last, rest)| !rest.contains(last));
        Place {
            buffer,
            start: start as u32,
            length: text.len() as u32,
            terminator: terminator.map_or(0, |(&last, _)| last),
        }
    }
}

/// A growing buffer that reads of one key share.
#[derive(Clone, Copy, Debug)]
struct Recent {
    buffer: u32,
    /// The newest name of a prefix of the buffer, so that equal reads in a row share it.
    newest: Text,
}

/// How many growing buffers a key keeps in view. A few: late reads of the last epoch mix with early ones of
/// the next.
const RECENT: usize = 4;

/// Up to this many bytes a text that was read is first looked up whole.
const SHORT: usize = 16;

/// At this length a buffer of written texts is full and the next is begun, so that offsets fit 32 bits.
const FULL: usize = 1 << 30;

/// An interner. See the head of this module.
#[derive(Clone, Debug)]
pub struct Texts {
    buffers: Vec<String>,
    places: Vec<Place>,
    /// Whether a buffer is one that grows (and not one that holds written texts).
    chains: Vec<bool>,
    /// The buffer that takes written texts now.
    writing: usize,
    /// Open addressing over (upper half of the hash, name); a power of two in size, never full.
    slots: Vec<(u32, u32)>,
    used: usize,
    /// By key: the growing buffers read last, newest first.
    recent: Vec<Vec<Recent>>,
}

const VACANT: u32 = u32::MAX;

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

impl Texts {
    /// Holds the empty text alone.
    pub fn new() -> Self {
        let mut texts = Texts {
            buffers: vec![String::new()],
            places: Vec::new(),
            chains: vec![false],
            writing: 0,
            slots: vec![(0, VACANT); 64],
            used: 0,
            recent: Vec::new(),
        };
        texts.intern("");
        texts
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Never: the empty text is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The text itself.
    ///
    /// # Panics
    ///
    /// If `text` is of another [`Texts`] that has more.
    pub fn get(&self, text: Text) -> &str {
        let place = self.places[text.index()];
        let start = place.start as usize;
        &self.buffers[place.buffer as usize][start..start + place.length as usize]
    }

    pub(crate) fn bytes(&self, text: Text) -> &[u8] {
        let place = self.places[text.index()];
        let start = place.start as usize;
        &self.buffers[place.buffer as usize].as_bytes()[start..start + place.length as usize]
    }

    pub(crate) fn bytes_at(&self, buffer: u32, start: u32, length: u32) -> &[u8] {
        &self.buffers[buffer as usize].as_bytes()[start as usize..(start + length) as usize]
    }

    pub(crate) fn place(&self, text: Text) -> Place {
        self.places[text.index()]
    }

    /// Whether all texts in this buffer begin at its beginning.
    pub(crate) fn is_chain(&self, buffer: u32) -> bool {
        self.chains[buffer as usize]
    }

    pub(crate) fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// The name of a text that was written; the same text always gets the same name.
    ///
    /// # Panics
    ///
    /// If the text is longer than a gigabyte, or there are four thousand million texts.
    pub fn intern(&mut self, text: &str) -> Text {
        let hash = hash_of(text.as_bytes());
        if let Some(found) = self.find_hashed(text.as_bytes(), hash) {
            return found;
        }
        assert!(text.len() <= FULL, "a text of {} bytes is longer than a history can hold", text.len());
        if self.buffers[self.writing].len() + text.len() > FULL {
            self.writing = self.buffers.len();
            self.buffers.push(String::new());
            self.chains.push(false);
        }
        let start = self.buffers[self.writing].len();
        self.buffers[self.writing].push_str(text);
        self.add_hashed(Place::new(self.writing as u32, start, text), hash)
    }

    /// The name of a text, if it was interned (or was the first of its key to be read).
    pub fn find(&self, text: &str) -> Option<Text> {
        self.find_bytes(text.as_bytes())
    }

    pub(crate) fn find_bytes(&self, text: &[u8]) -> Option<Text> {
        self.find_hashed(text, hash_of(text))
    }

    /// The name of a text that was read. `lane` numbers the key, densely from 0: reads of one key are likely
    /// to continue one another.
    ///
    /// # Panics
    ///
    /// As [`Texts::intern`].
    pub fn intern_read(&mut self, lane: usize, text: &str) -> Text {
        if text.is_empty() {
            return Text::EMPTY;
        }
        // Short texts are often exactly what one put wrote, and then that name tells more.
        if text.len() > SHORT
            && let Some(found) = self.continue_recent(lane, text)
        {
            return found;
        }
        let hash = hash_of(text.as_bytes());
        if let Some(found) = self.find_hashed(text.as_bytes(), hash) {
            return found;
        }
        if text.len() <= SHORT
            && let Some(found) = self.continue_recent(lane, text)
        {
            return found;
        }
        assert!(text.len() <= FULL, "a text of {} bytes is longer than a history can hold", text.len());
        let buffer = self.buffers.len() as u32;
        self.buffers.push(text.to_owned());
        self.chains.push(true);
        let newest = self.add_hashed(Place::new(buffer, 0, text), hash);
        if self.recent.len() <= lane {
            self.recent.resize(lane + 1, Vec::new());
        }
        let recent = &mut self.recent[lane];
        recent.truncate(RECENT - 1);
        recent.insert(0, Recent { buffer, newest });
        newest
    }

    /// Tries the growing buffers of `lane`.
    fn continue_recent(&mut self, lane: usize, text: &str) -> Option<Text> {
        let recent = self.recent.get_mut(lane)?;
        let position = recent.iter().position(|candidate| {
            let known = self.buffers[candidate.buffer as usize].as_bytes();
            let common = known.len().min(text.len());
            known[..common] == text.as_bytes()[..common]
        })?;
        recent[..=position].rotate_right(1);
        let Recent { buffer, newest } = recent[0];
        if self.places[newest.index()].length as usize == text.len() {
            return Some(newest);
        }
        let known = &mut self.buffers[buffer as usize];
        if text.len() > known.len() {
            assert!(text.len() <= FULL, "a text of {} bytes is longer than a history can hold", text.len());
            // The common part ends at the end of `known`, which is text, so this is no middle of a character.
            let common = known.len();
            known.push_str(&text[common..]);
        }
        let name = Text::from_index(self.places.len());
        recent[0].newest = name;
        // Never the name of a written text, so its end is never asked for.
        self.places.push(Place { buffer, start: 0, length: text.len() as u32, terminator: 0 });
        Some(name)
    }

    fn find_hashed(&self, text: &[u8], hash: u64) -> Option<Text> {
        let mask = self.slots.len() - 1;
        let tag = (hash >> 32) as u32;
        let mut slot = hash as usize & mask;
        loop {
            let (stored, name) = self.slots[slot];
            if name == VACANT {
                return None;
            }
            if stored == tag && self.bytes(Text(name)) == text {
                return Some(Text(name));
            }
            slot = (slot + 1) & mask;
        }
    }

    fn add_hashed(&mut self, place: Place, hash: u64) -> Text {
        assert!(self.places.len() < VACANT as usize, "too many texts for 32 bit names");
        let name = self.places.len() as u32;
        self.places.push(place);
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            self.grow();
        }
        insert(&mut self.slots, hash, name);
        Text(name)
    }

    fn grow(&mut self) {
        let mut slots = vec![(0, VACANT); self.slots.len() * 2];
        for &(_, name) in self.slots.iter().filter(|slot| slot.1 != VACANT) {
            insert(&mut slots, hash_of(self.bytes(Text(name))), name);
        }
        self.slots = slots;
    }
}

fn insert(slots: &mut [(u32, u32)], hash: u64, name: u32) {
    let mask = slots.len() - 1;
    let mut slot = hash as usize & mask;
    while slots[slot].1 != VACANT {
        slot = (slot + 1) & mask;
    }
    slots[slot] = ((hash >> 32) as u32, name);
}

/// Fx leaves the low bits of short inputs weak; they choose the slot, so the high half is folded in.
fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    let hash = hasher.finish();
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_writes_share_a_name() {
        let mut texts = Texts::new();
        let names: Vec<Text> = (0..1000).map(|number| texts.intern(&format!("x {number} y"))).collect();
        for (number, &name) in names.iter().enumerate() {
            assert_eq!(texts.intern(&format!("x {number} y")), name);
            assert_eq!(texts.get(name), format!("x {number} y"));
        }
        assert_eq!(texts.intern(""), Text::EMPTY);
    }

    #[test]
    fn reads_that_continue_one_another_share_a_buffer() {
        let mut texts = Texts::new();
        let short = texts.intern_read(0, "ab");
        assert_eq!(texts.get(short), "ab");
        let long = texts.intern_read(0, "abc");
        let other = texts.intern_read(0, "aX");
        let middle = texts.intern_read(0, "abc");
        let elsewhere = texts.intern_read(1, "abcd");
        assert_eq!(texts.place(short).buffer, texts.place(long).buffer);
        assert_ne!(texts.place(short).buffer, texts.place(other).buffer);
        assert_eq!(texts.place(middle).buffer, texts.place(long).buffer);
        assert_eq!(texts.get(elsewhere), "abcd");
        assert_eq!([short, long, other, middle].map(|text| texts.get(text)), ["ab", "abc", "aX", "abc"]);
    }

    #[test]
    fn a_text_read_before_it_was_written_has_one_name() {
        let mut texts = Texts::new();
        let read = texts.intern_read(0, "v1");
        assert_eq!(texts.intern("v1"), read);
    }
}
