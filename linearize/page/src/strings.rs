//! The texts of a picture, each once.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::Serialize;

/// Numbers for texts, block by block. A text that continues, or is continued by, one met shortly before on
/// the same lane is stored as a prefix of a shared buffer: in a history of appends every read repeats the
/// last one and adds a little.
#[derive(Debug, Default)]
pub(crate) struct Strings<'a> {
    buffers: Vec<Buffer>,
    /// By text: its buffer and its length there, in UTF-16 units, which is what scripts count in.
    texts: Vec<(u32, u32)>,
    /// The first buffer and the first text of each block.
    blocks: Vec<(usize, usize)>,
    /// Texts of the newest block.
    names: FxHashMap<Box<str>, u32>,
    /// The buffers used last on the lane, newest first.
    recent: Vec<Recent<'a>>,
    /// The buffers that begin texts of several blocks.
    shared: Vec<u32>,
}

#[derive(Debug)]
struct Buffer {
    text: String,
    /// Its length in UTF-16 units.
    units: u32,
    /// Its place among those that several blocks share, if it is one.
    shared: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Recent<'a> {
    buffer: u32,
    /// The newest text in it, and its length in bytes.
    newest: (u32, usize),
    /// That text as the history holds it: one that begins at the very same place in memory need not be
    /// compared.
    shown: Option<&'a str>,
}

/// The texts of a block.
#[derive(Serialize)]
pub(crate) struct Block<'a> {
    /// The number of the first one.
    first: usize,
    /// The buffers that no other block needs.
    buffers: Vec<&'a str>,
    /// For each text 0 if it is the whole of the next buffer. Otherwise two numbers, of which the second is
    /// its length: one more than how far its buffer lies back; or, as a negative number, one more than the
    /// place of its buffer among the shared ones.
    texts: Vec<i64>,
}

/// Shorter texts are not worth sharing.
const SHORT: usize = 24;

/// How many buffers a lane keeps in view.
const RECENT: usize = 4;

impl<'a> Strings<'a> {
    /// From here on texts are those of a new block; the number of its first one.
    pub(crate) fn begin_block(&mut self) -> u32 {
        self.names.clear();
        self.blocks.push((self.buffers.len(), self.texts.len()));
        self.texts.len() as u32
    }

    /// What follows has nothing to do with what was before.
    pub(crate) fn begin_lane(&mut self) {
        self.recent.clear();
    }

    /// How many texts there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// What begins texts of several blocks.
    pub(crate) fn shared(&self) -> Vec<&str> {
        self.shared.iter().map(|&buffer| &*self.buffers[buffer as usize].text).collect()
    }

    /// The first buffer and the first text of the newest block.
    fn start(&self) -> (usize, usize) {
        self.blocks.last().copied().unwrap_or_default()
    }

    /// The number of `text` in the newest block, by looking for the whole of it.
    pub(crate) fn name_here(&mut self, text: &str) -> u32 {
        if let Some(&name) = self.names.get(text) {
            return name;
        }
        let name = self.add_buffer(text);
        self.names.insert(text.into(), name);
        name
    }

    /// The number in the newest block of `text`, which is likely to continue texts of the same lane.
    pub(crate) fn name_in_lane(&mut self, text: Cow<'a, str>) -> u32 {
        if text.len() < SHORT {
            return self.name_here(&text);
        }
        let shown = match &text {
            Cow::Borrowed(text) => Some(*text),
            Cow::Owned(_) => None,
        };
        let text: &str = &text;
        let found = self.recent.iter().position(|recent| {
            let known = &self.buffers[recent.buffer as usize].text;
            let common = known.len().min(text.len());
            let same =
                recent.shown.is_some_and(|other| other.as_ptr() == text.as_ptr() && other.len() >= common)
                    && shown.is_some();
            same || known.as_bytes()[..common] == text.as_bytes()[..common]
        });
        let Some(place) = found else {
            let buffer = self.buffers.len() as u32;
            let newest = self.add_buffer(text);
            self.recent.truncate(RECENT - 1);
            self.recent.insert(0, Recent { buffer, newest: (newest, text.len()), shown });
            return newest;
        };
        self.recent[..=place].rotate_right(1);
        self.extend(text, shown)
    }

    /// The number of `text`, given that it and the newest buffer of the lane are prefixes of one another.
    fn extend(&mut self, text: &str, shown: Option<&'a str>) -> u32 {
        let (first_buffer, first_text) = self.start();
        let Recent { buffer, newest: (newest, bytes), .. } = self.recent[0];
        if newest as usize >= first_text && bytes == text.len() {
            return newest;
        }
        let known = &mut self.buffers[buffer as usize];
        if (buffer as usize) < first_buffer && known.shared.is_none() {
            known.shared = Some(self.shared.len() as u32);
            self.shared.push(buffer);
        }
        let added = text.get(known.text.len()..).unwrap_or_default();
        known.text.push_str(added);
        known.units += units(added);
        let length = known.units - units(&known.text[text.len()..]);
        let newest = self.add(buffer, length);
        self.recent[0] = Recent { buffer, newest: (newest, text.len()), shown };
        newest
    }

    fn add_buffer(&mut self, text: &str) -> u32 {
        self.buffers.push(Buffer { text: text.to_owned(), units: units(text), shared: None });
        self.add(self.buffers.len() as u32 - 1, units(text))
    }

    fn add(&mut self, buffer: u32, length: u32) -> u32 {
        self.texts.push((buffer, length));
        self.texts.len() as u32 - 1
    }

    /// The texts of a block. No text may be named any more, since buffers may grow until then.
    pub(crate) fn block(&self, block: usize) -> Block<'_> {
        let (buffer, first) = self.blocks[block];
        let end = self.blocks.get(block + 1).copied().unwrap_or((self.buffers.len(), self.texts.len()));
        let own: Vec<usize> = (buffer..end.0).filter(|&own| self.buffers[own].shared.is_none()).collect();
        let mut texts = Vec::with_capacity(end.1 - first);
        let mut next = 0;
        for &(buffer, length) in &self.texts[first..end.1] {
            let Buffer { units, shared, .. } = self.buffers[buffer as usize];
            if let Some(shared) = shared {
                texts.extend([-1 - i64::from(shared), i64::from(length)]);
                continue;
            }
            let is_next = own.get(next) == Some(&(buffer as usize));
            let place = if is_next { next } else { own.partition_point(|&own| own < buffer as usize) };
            if is_next && length == units {
                texts.push(0);
            } else {
                texts.extend([1 + next as i64 - place as i64, i64::from(length)]);
            }
            next = next.max(place + 1);
        }
        Block { first, buffers: own.iter().map(|&own| &*self.buffers[own].text).collect(), texts }
    }
}

fn units(text: &str) -> u32 {
    text.encode_utf16().count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Strings<'_> {
        /// What a text says.
        fn text(&self, name: u32) -> String {
            let (buffer, length) = self.texts[name as usize];
            let units = self.buffers[buffer as usize].text.encode_utf16().take(length as usize);
            char::decode_utf16(units).map(|character| character.expect("whole characters")).collect()
        }
    }

    #[test]
    fn what_continues_is_stored_once() {
        let whole: String = (0..1000).map(|number| format!("x {number}👍 y")).collect();
        let ends: Vec<usize> = (100..whole.len()).filter(|&end| whole.is_char_boundary(end)).collect();
        let mut strings = Strings::default();
        let mut names = Vec::new();
        for pair in ends.windows(7).step_by(10) {
            let (early, late) = (&whole[..pair[0]], &whole[..pair[6]]);
            names.push((strings.name_in_lane(Cow::Borrowed(late)), late));
            names.push((strings.name_in_lane(Cow::Owned(early.to_owned())), early));
        }
        let other = format!("{}!", &whole[..ends[100]]);
        names.push((strings.name_in_lane(Cow::Owned(other.clone())), &other));
        for (name, text) in names {
            assert_eq!(strings.text(name), text);
        }
        assert!(strings.buffers.iter().map(|buffer| buffer.text.len()).sum::<usize>() < whole.len() + 300);
    }

    #[test]
    fn a_borrowed_place_in_memory_is_not_taken_for_another_text() {
        // Two owned texts one after the other are likely to get the same address.
        let mut strings = Strings::default();
        let text = |number: u32| format!("{number:>30} and more");
        let names: Vec<u32> = (0..100).map(|number| strings.name_in_lane(Cow::Owned(text(number)))).collect();
        for (number, name) in (0..).zip(names) {
            assert_eq!(strings.text(name), text(number));
        }
    }

    #[test]
    fn a_block_repeats_no_text_of_an_earlier_one() {
        let whole: String = (0..1000).map(|number| format!("x {number} y")).collect();
        let mut strings = Strings::default();
        for block in 0..3 {
            let first = strings.begin_block();
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..100 + block])), first);
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..100 + block])), first);
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..5000 + block])), first + 1);
        }
        strings.begin_lane();
        let first = strings.begin_block();
        assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..200])), first);
        assert_eq!(strings.shared(), [&whole[..5002]]);
        let [one, two, _, four] = [0, 1, 2, 3].map(|block| strings.block(block));
        assert_eq!((one.first, one.texts), (0, vec![-1, 100, -1, 5000]));
        assert_eq!((two.first, two.texts), (2, vec![-1, 101, -1, 5001]));
        assert!(one.buffers.is_empty() && two.buffers.is_empty());
        assert_eq!((four.first, four.buffers, four.texts), (6, vec![&whole[..200]], vec![0]));
    }

    #[test]
    fn buffers_are_referred_to_from_the_newest() {
        let mut strings = Strings::default();
        strings.begin_block();
        let long = "a text that is long enough to be shared";
        for text in [long, "b", &long[..30], &format!("{long} and more"), "b"] {
            strings.name_in_lane(Cow::Owned(text.to_owned()));
        }
        let block = strings.block(0);
        assert_eq!(block.buffers, [&format!("{long} and more"), "b"]);
        assert_eq!(block.texts, [1, 39, 0, 3, 30, 3, 48]);
    }
}
