//! The texts of a picture, each once.

use std::borrow::Cow;
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::bytes::Column;

/// Names for texts, block by block. A text that continues, or is continued by, one met shortly before on the
/// same lane is stored as a prefix of a shared buffer: in a history of appends every read repeats the last
/// one and adds a little.
#[derive(Debug, Default)]
pub(crate) struct Strings<'a> {
    buffers: Vec<Vec<u8>>,
    /// By text: its buffer and its length there.
    texts: Vec<(u32, u32)>,
    /// Where each block begins.
    blocks: Vec<Start>,
    /// Texts of the newest block.
    names: FxHashMap<Box<str>, u32>,
    /// The buffers used last on the lane, newest first.
    recent: Vec<Recent<'a>>,
}

/// The first buffer and the first text of a block.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    buffer: u32,
    text: u32,
}

#[derive(Clone, Copy, Debug)]
struct Recent<'a> {
    buffer: u32,
    /// The newest text in it.
    newest: u32,
    /// That text as the history holds it: one that begins at the very same place in memory need not be
    /// compared.
    shown: Option<&'a str>,
}

/// Shorter texts are not worth sharing.
const SHORT: usize = 24;

/// How many buffers a lane keeps in view.
const RECENT: usize = 4;

impl<'a> Strings<'a> {
    /// From here on names are those of a new block.
    pub(crate) fn begin_block(&mut self) {
        self.names.clear();
        self.blocks.push(Start { buffer: self.buffers.len() as u32, text: self.texts.len() as u32 });
    }

    /// What follows has nothing to do with what was before.
    pub(crate) fn begin_lane(&mut self) {
        self.recent.clear();
    }

    fn start(&self) -> Start {
        self.blocks.last().copied().unwrap_or_default()
    }

    /// The name of `text` in the newest block, by looking for the whole of it.
    pub(crate) fn name_here(&mut self, text: &str) -> u32 {
        if let Some(&name) = self.names.get(text) {
            return name;
        }
        let name = self.add(self.buffers.len() as u32, text.len()) - self.start().text;
        self.buffers.push(text.as_bytes().to_vec());
        self.names.insert(text.into(), name);
        name
    }

    /// The name in the newest block of `text`, which is likely to continue texts of the same lane.
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
            let known = &self.buffers[recent.buffer as usize];
            let common = known.len().min(text.len());
            let same =
                recent.shown.is_some_and(|other| other.as_ptr() == text.as_ptr() && other.len() >= common)
                    && shown.is_some();
            same || known[..common] == text.as_bytes()[..common]
        });
        let Some(place) = found else {
            let buffer = self.buffers.len() as u32;
            let newest = self.add(buffer, text.len());
            self.buffers.push(text.as_bytes().to_vec());
            self.recent.truncate(RECENT - 1);
            self.recent.insert(0, Recent { buffer, newest, shown });
            return newest - self.start().text;
        };
        self.recent[..=place].rotate_right(1);
        self.extend(text, shown) - self.start().text
    }

    /// The place among all texts of `text`, given that it and the newest buffer of the lane are prefixes of
    /// one another.
    fn extend(&mut self, text: &str, shown: Option<&'a str>) -> u32 {
        let Recent { buffer, newest, .. } = self.recent[0];
        if newest >= self.start().text && self.texts[newest as usize].1 as usize == text.len() {
            return newest;
        }
        let known = &mut self.buffers[buffer as usize];
        known.extend_from_slice(text.as_bytes().get(known.len()..).unwrap_or_default());
        let newest = self.add(buffer, text.len());
        self.recent[0] = Recent { buffer, newest, shown };
        newest
    }

    fn add(&mut self, buffer: u32, length: usize) -> u32 {
        self.texts.push((buffer, length as u32));
        self.texts.len() as u32 - 1
    }

    /// The buffers and the texts of a block, as ranges of all of them.
    fn ranges(&self, block: usize) -> (Range<usize>, Range<usize>) {
        let end = Start { buffer: self.buffers.len() as u32, text: self.texts.len() as u32 };
        let (from, to) = (self.blocks[block], self.blocks.get(block + 1).copied().unwrap_or(end));
        (from.buffer as usize..to.buffer as usize, from.text as usize..to.text as usize)
    }

    /// How many buffers and texts a block has, and in which earlier blocks some of its texts are.
    pub(crate) fn contents(&self, block: usize) -> (u64, u64, Vec<usize>) {
        let (buffers, texts) = self.ranges(block);
        let mut needed: Vec<usize> = Vec::new();
        for &(buffer, _) in self.texts[texts.clone()].iter().filter(|text| (text.0 as usize) < buffers.start)
        {
            let home = self.blocks.partition_point(|start| start.buffer <= buffer) - 1;
            if !needed.contains(&home) {
                needed.push(home);
            }
        }
        needed.sort_unstable();
        (buffers.len() as u64, texts.len() as u64, needed)
    }

    /// The lengths of a block's buffers and their bytes; for each text 0 if it is the whole of the next
    /// buffer, or else one more than how far its buffer lies back, and its length.
    pub(crate) fn encode(&self, block: usize) -> Column {
        let (buffers, texts) = self.ranges(block);
        let mut column = Column::default();
        for buffer in &self.buffers[buffers.clone()] {
            column.number(buffer.len() as u64);
        }
        for buffer in &self.buffers[buffers.clone()] {
            column.bytes.extend_from_slice(buffer);
        }
        let mut next = buffers.start as u32;
        for &(buffer, length) in &self.texts[texts] {
            let whole = || self.buffers[buffer as usize].len() == length as usize;
            if buffer == next && whole() {
                column.number(0);
            } else {
                column.number(1 + u64::from(next.saturating_sub(buffer)));
                column.number(u64::from(length));
            }
            next = next.max(buffer + 1);
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_continues_is_stored_once() {
        let whole: String = (0..1000).map(|number| format!("x {number} y")).collect();
        let mut strings = Strings::default();
        let mut names = Vec::new();
        for end in (100..whole.len()).step_by(10) {
            names.push((strings.name_in_lane(Cow::Borrowed(&whole[..end])), end));
            names.push((strings.name_in_lane(Cow::Owned(whole[..end - 7].to_owned())), end - 7));
        }
        let different = strings.name_in_lane(Cow::Owned(format!("{}!", &whole[..200])));
        for (name, end) in names {
            let (buffer, length) = strings.texts[name as usize];
            assert_eq!(strings.buffers[buffer as usize][..length as usize], whole.as_bytes()[..end]);
        }
        let (buffer, length) = strings.texts[different as usize];
        assert_eq!(
            strings.buffers[buffer as usize][..length as usize],
            *format!("{}!", &whole[..200]).as_bytes()
        );
        assert!(strings.buffers.iter().map(Vec::len).sum::<usize>() < whole.len() + 300);
    }

    #[test]
    fn a_borrowed_place_in_memory_is_not_taken_for_another_text() {
        // Two owned texts one after the other are likely to get the same address.
        let mut strings = Strings::default();
        let names: Vec<u32> = (0..100)
            .map(|number| strings.name_in_lane(Cow::Owned(format!("{number:>30} and more"))))
            .collect();
        for (number, name) in names.into_iter().enumerate() {
            let (buffer, length) = strings.texts[name as usize];
            let expected = format!("{number:>30} and more");
            assert_eq!(strings.buffers[buffer as usize][..length as usize], *expected.as_bytes());
        }
    }

    #[test]
    fn a_block_repeats_no_text_of_an_earlier_one() {
        let whole: String = (0..1000).map(|number| format!("x {number} y")).collect();
        let mut strings = Strings::default();
        for block in 0..3 {
            strings.begin_block();
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..100 + block])), 0);
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..100 + block])), 0);
            assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..5000 + block])), 1);
        }
        strings.begin_lane();
        strings.begin_block();
        assert_eq!(strings.name_in_lane(Cow::Borrowed(&whole[..200])), 0);
        assert_eq!([0, 1, 2, 3].map(|block| strings.contents(block).0), [1, 0, 0, 1]);
        assert_eq!([0, 1, 2, 3].map(|block| strings.contents(block).2), [vec![], vec![0], vec![0], vec![]]);
        assert!(strings.encode(1).bytes.len() < 20 && strings.encode(0).bytes.len() > 5000);
    }
}
