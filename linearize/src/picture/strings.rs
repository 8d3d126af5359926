//! The texts of a picture, each once.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::bytes::Column;

/// Names for texts. A text that continues, or is continued by, one met shortly before on the same lane is stored as a
/// prefix of a shared buffer: in a history of appends every read repeats the last one and adds a little.
#[derive(Debug, Default)]
pub(super) struct Strings<'a> {
    buffers: Vec<Vec<u8>>,
    /// By text: its buffer and its length there.
    texts: Vec<(u32, u32)>,
    names: FxHashMap<String, u32>,
    /// By lane: the buffers used last, newest first.
    recent: Vec<Vec<Recent<'a>>>,
}

#[derive(Clone, Copy, Debug)]
struct Recent<'a> {
    buffer: u32,
    /// The newest text in it.
    newest: u32,
    /// That text as the history holds it: one that begins at the very same place in memory need not be compared.
    shown: Option<&'a str>,
}

/// Shorter texts are not worth sharing.
const SHORT: usize = 24;

/// How many buffers a lane keeps in view.
const RECENT: usize = 4;

impl<'a> Strings<'a> {
    /// The name of `text`, by looking for the whole of it.
    pub(super) fn name(&mut self, text: &str) -> u32 {
        if let Some(&name) = self.names.get(text) {
            return name;
        }
        let name = self.add(self.buffers.len() as u32, text.len());
        self.buffers.push(text.as_bytes().to_vec());
        self.names.insert(text.to_owned(), name);
        name
    }

    /// The name of `text`, which is likely to continue texts of the same `lane`.
    pub(super) fn name_in_lane(&mut self, lane: usize, text: Cow<'a, str>) -> u32 {
        if text.len() < SHORT {
            return self.name(&text);
        }
        let shown = match &text {
            Cow::Borrowed(text) => Some(*text),
            Cow::Owned(_) => None,
        };
        let text: &str = &text;
        if self.recent.len() <= lane {
            self.recent.resize(lane + 1, Vec::new());
        }
        let found = self.recent[lane].iter().position(|recent| {
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
            let lane = &mut self.recent[lane];
            lane.truncate(RECENT - 1);
            lane.insert(0, Recent { buffer, newest, shown });
            return newest;
        };
        self.recent[lane][..=place].rotate_right(1);
        self.extend(lane, text, shown)
    }

    /// The name of `text`, given that it and the newest buffer of `lane` are prefixes of one another.
    fn extend(&mut self, lane: usize, text: &str, shown: Option<&'a str>) -> u32 {
        let Recent { buffer, newest, .. } = self.recent[lane][0];
        if self.texts[newest as usize].1 as usize == text.len() {
            return newest;
        }
        let known = &mut self.buffers[buffer as usize];
        known.extend_from_slice(text.as_bytes().get(known.len()..).unwrap_or_default());
        let newest = self.add(buffer, text.len());
        self.recent[lane][0] = Recent { buffer, newest, shown };
        newest
    }

    fn add(&mut self, buffer: u32, length: usize) -> u32 {
        self.texts.push((buffer, length as u32));
        self.texts.len() as u32 - 1
    }

    /// Number of buffers, their lengths, their bytes; number of texts, and for each 0 if it is the whole of the next
    /// buffer, or else one more than how far its buffer lies back, and its length.
    pub(super) fn encode(self) -> Column {
        let mut column = Column::default();
        column.number(self.buffers.len() as u64);
        for buffer in &self.buffers {
            column.number(buffer.len() as u64);
        }
        for buffer in &self.buffers {
            column.bytes.extend_from_slice(buffer);
        }
        column.number(self.texts.len() as u64);
        let mut next = 0;
        for &(buffer, length) in &self.texts {
            if buffer == next && self.buffers[buffer as usize].len() == length as usize {
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
            names.push((strings.name_in_lane(0, Cow::Borrowed(&whole[..end])), end));
            names.push((strings.name_in_lane(0, Cow::Owned(whole[..end - 7].to_owned())), end - 7));
        }
        let different = strings.name_in_lane(0, Cow::Owned(format!("{}!", &whole[..200])));
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
            .map(|number| strings.name_in_lane(0, Cow::Owned(format!("{number:>30} and more"))))
            .collect();
        for (number, name) in names.into_iter().enumerate() {
            let (buffer, length) = strings.texts[name as usize];
            let expected = format!("{number:>30} and more");
            assert_eq!(strings.buffers[buffer as usize][..length as usize], *expected.as_bytes());
        }
    }
}
