//! Reading the order of writes from the texts that reads returned.

use std::ops::Range;

use super::blocks::Rows;
use super::slim::{Gathered, INITIAL, Kind, NONE, Slim};
use crate::keys::texts::{Text, Texts};

/// Several operations wrote this text.
const SEVERAL: u32 = u32::MAX - 1;

/// Room for so many parts is made at once.
const FEW_PARTS: usize = 32;

/// Why the texts say nothing that could be.
#[derive(Clone, Debug)]
pub(crate) enum Flaw {
    /// They do not tell which write is meant; another method must decide.
    Ambiguous,
    /// `read` shows, in the bytes `part` of its text, something that was not written there.
    Phantom { read: u32, part: Range<usize> },
    /// `append` shows at two places: in what `read` returned and in what `other` did (which may be the same).
    Twice { append: u32, read: u32, other: u32 },
    /// Neither of the two texts continues the other, and yet they begin with the same put.
    Disagree { read: u32, other: u32 },
}

/// A put and what reads saw behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epoch {
    /// The longest text seen so far, and the read that saw it.
    longest: Stretch,
    pub(crate) longest_by: u32,
    /// For each write in order, where its part of the text ends: first the put itself.
    pub(crate) parts: Vec<(u32, u32)>,
}

/// A place in a buffer: texts of one buffer that begin at one place are prefixes of one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretch {
    buffer: u32,
    start: u32,
    length: u32,
}

/// A growing buffer, as far as it is known to agree with its epoch.
#[derive(Clone, Copy, Debug)]
struct Chain {
    epoch: u32,
    agreed: u32,
}

/// Working memory, kept from key to key.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// By text: the operation of this key that wrote it.
    writer: Vec<u32>,
    /// By buffer: its number among `chains`.
    chain: Vec<u32>,
    chains: Vec<(u32, Chain)>,
    pub(crate) epochs: Vec<Epoch>,
    used: usize,
    /// By put: its epoch.
    epoch_of: Vec<u32>,
    terminator: u8,
}

impl Resolver {
    /// Fills `rows`, or says what is wrong.
    pub(crate) fn resolve(
        &mut self,
        texts: &Texts,
        gathered: &Gathered,
        rows: &mut Rows,
    ) -> Result<(), Flaw> {
        let ops = &gathered.ops;
        self.writer.resize(texts.len(), NONE);
        self.chain.resize(texts.buffers(), NONE);
        self.epoch_of.clear();
        self.epoch_of.resize(ops.len(), NONE);
        self.used = 0;
        rows.reset(gathered);
        self.index_writers(texts, gathered);
        let outcome = self.resolve_reads(texts, gathered, rows);
        self.forget(&ops[..gathered.writes]);
        outcome
    }

    fn index_writers(&mut self, texts: &Texts, gathered: &Gathered) {
        for (op, number) in gathered.ops[..gathered.writes].iter().zip(0..) {
            let writer = &mut self.writer[op.text.index()];
            *writer = if *writer == NONE { number } else { SEVERAL };
        }
        self.terminator = 0;
        if !gathered.has_appends {
            return;
        }
        let written = gathered.ops[1..gathered.writes].iter().filter(|op| op.text != Text::EMPTY);
        let mut terminators = written.map(|op| texts.place(op.text).terminator);
        let first = terminators.next().unwrap_or(0);
        self.terminator = if terminators.all(|other| other == first) { first } else { 0 };
    }

    /// Leaves the two tables empty for the next key.
    fn forget(&mut self, writes: &[Slim]) {
        for op in writes {
            self.writer[op.text.index()] = NONE;
        }
        for (buffer, _) in self.chains.drain(..) {
            self.chain[buffer as usize] = NONE;
        }
    }

    fn resolve_reads(&mut self, texts: &Texts, gathered: &Gathered, rows: &mut Rows) -> Result<(), Flaw> {
        let ops = &gathered.ops;
        if gathered.has_appends && self.terminator == 0 && gathered.writes < ops.len() {
            return Err(Flaw::Ambiguous);
        }
        for (number, op) in ops.iter().enumerate().skip(gathered.writes) {
            let read = number as u32;
            let write = match self.writer[op.text.index()] {
                SEVERAL => return Err(Flaw::Ambiguous),
                writer if writer != NONE && ops[writer as usize].kind == Kind::Put => writer,
                _ if gathered.has_appends => self.last_write(texts, gathered, rows, read)?,
                _ => self.whole_text(texts, ops, read)?,
            };
            rows.note_read(ops, read, write);
        }
        Ok(())
    }

    /// Without appends a text is what one put wrote, though perhaps under another name.
    fn whole_text(&self, texts: &Texts, ops: &[Slim], read: u32) -> Result<u32, Flaw> {
        let bytes = texts.bytes(ops[read as usize].text);
        match texts.find_bytes(bytes).map_or(NONE, |name| self.writer[name.index()]) {
            NONE => Err(Flaw::Phantom { read, part: 0..bytes.len() }),
            SEVERAL => Err(Flaw::Ambiguous),
            put => Ok(put),
        }
    }

    /// The write that `read` saw last.
    fn last_write(
        &mut self,
        texts: &Texts,
        gathered: &Gathered,
        rows: &mut Rows,
        read: u32,
    ) -> Result<u32, Flaw> {
        let ops = &gathered.ops;
        let name = ops[read as usize].text;
        let place = texts.place(name);
        let shared = texts.is_chain(place.buffer);
        let known = if shared { self.chain[place.buffer as usize] } else { NONE };
        let mut chain = match known {
            NONE => Chain { epoch: self.find_epoch(texts, ops, rows, read)?, agreed: 0 },
            known => self.chains[known as usize].1,
        };
        if place.length > chain.agreed {
            self.agree(texts, chain.epoch, chain.agreed, read, name)?;
            self.extend(texts, gathered, rows, chain.epoch, read)?;
            chain.agreed = place.length;
            self.remember(shared, known, place.buffer, chain);
        }
        let parts = &self.epochs[chain.epoch as usize].parts;
        let at = first_from(parts, place.length);
        match parts.get(at) {
            Some(&(end, write)) if end == place.length => Ok(write),
            _ => {
                let from = at.checked_sub(1).map_or(0, |before| parts[before].0 as usize);
                Err(Flaw::Phantom { read, part: from..place.length as usize })
            }
        }
    }

    fn remember(&mut self, shared: bool, known: u32, buffer: u32, chain: Chain) {
        if !shared {
            return;
        }
        if known == NONE {
            self.chain[buffer as usize] = self.chains.len() as u32;
            self.chains.push((buffer, chain));
        } else {
            self.chains[known as usize].1 = chain;
        }
    }

    /// The epoch that a text is of: its first part names the put, or is an append to the initial text.
    fn find_epoch(&mut self, texts: &Texts, ops: &[Slim], rows: &mut Rows, read: u32) -> Result<u32, Flaw> {
        let bytes = texts.bytes(ops[read as usize].text);
        let end = self.end_of_part(bytes, 0).ok_or(Flaw::Phantom { read, part: 0..bytes.len() })?;
        let put = match texts.find_bytes(&bytes[..end]).map_or(NONE, |name| self.writer[name.index()]) {
            NONE => return Err(Flaw::Phantom { read, part: 0..end }),
            SEVERAL => return Err(Flaw::Ambiguous),
            writer if ops[writer as usize].kind == Kind::Put => writer,
            _ if self.writer[Text::EMPTY.index()] != INITIAL => return Err(Flaw::Ambiguous),
            _ => INITIAL,
        };
        let epoch = self.epoch_of[put as usize];
        if epoch != NONE {
            return Ok(epoch);
        }
        let epoch = self.used as u32;
        self.used += 1;
        if self.epochs.len() < self.used {
            self.epochs.push(Epoch::default());
        }
        self.epoch_of[put as usize] = epoch;
        rows.moments[put as usize].head = put;
        let length = if put == INITIAL { 0 } else { end as u32 };
        let place = texts.place(ops[read as usize].text);
        let fresh = &mut self.epochs[epoch as usize];
        fresh.longest = Stretch { buffer: place.buffer, start: place.start, length };
        fresh.longest_by = read;
        fresh.parts.clear();
        fresh.parts.reserve(FEW_PARTS);
        fresh.parts.push((length, put));
        Ok(epoch)
    }

    fn end_of_part(&self, bytes: &[u8], from: usize) -> Option<usize> {
        bytes[from..].iter().position(|&byte| byte == self.terminator).map(|at| from + at + 1)
    }

    /// Compares what `read` returned, from `agreed` on, with the longest text of its epoch.
    fn agree(&self, texts: &Texts, epoch: u32, agreed: u32, read: u32, name: Text) -> Result<(), Flaw> {
        let epoch = &self.epochs[epoch as usize];
        let place = texts.place(name);
        let longest = epoch.longest;
        if (place.buffer, place.start) == (longest.buffer, longest.start) {
            return Ok(());
        }
        let common = place.length.min(longest.length) as usize;
        let from = (agreed as usize).min(common);
        let known = texts.bytes_at(longest.buffer, longest.start, common as u32);
        if texts.bytes(name)[from..common] == known[from..] {
            return Ok(());
        }
        Err(Flaw::Disagree { read, other: epoch.longest_by })
    }

    /// Cuts what `read` shows beyond the longest text of its epoch into parts.
    fn extend(
        &mut self,
        texts: &Texts,
        gathered: &Gathered,
        rows: &mut Rows,
        epoch: u32,
        read: u32,
    ) -> Result<(), Flaw> {
        let ops = &gathered.ops;
        let place = texts.place(ops[read as usize].text);
        let bytes = texts.bytes(ops[read as usize].text);
        let mut from = self.epochs[epoch as usize].longest.length as usize;
        if bytes.len() <= from {
            return Ok(());
        }
        let head = self.epochs[epoch as usize].parts[0].1;
        while from < bytes.len() {
            let parts = &self.epochs[epoch as usize].parts;
            let before = parts[parts.len() - 1].1;
            let rest = &bytes[from..];
            let (append, length) = match self.writer_near(texts, gathered, rows, before, rest) {
                Some(found) => found,
                None => {
                    self.writer_of_part(texts, rest).ok_or(Flaw::Phantom { read, part: from..bytes.len() })?
                }
            };
            let end = from + length;
            if append == SEVERAL {
                return Err(Flaw::Ambiguous);
            }
            if append == NONE || ops[append as usize].kind != Kind::Append {
                return Err(Flaw::Phantom { read, part: from..end });
            }
            let moment = &mut rows.moments[append as usize];
            if moment.head != NONE {
                let other = self.epochs[self.epoch_of[moment.head as usize] as usize].longest_by;
                let same = moment.head == head;
                return Err(Flaw::Twice { append, read, other: if same { read } else { other } });
            }
            moment.head = head;
            self.epochs[epoch as usize].parts.push((end as u32, append));
            rows.moments[before as usize].follower = append;
            from = end;
        }
        let epoch = &mut self.epochs[epoch as usize];
        epoch.longest = Stretch { buffer: place.buffer, start: place.start, length: place.length };
        epoch.longest_by = read;
        Ok(())
    }

    /// The write of what `rest` begins with, behind what `before` wrote, and how long that is. Most often it
    /// is one of the next appends by call, and to look there is cheaper than to look for the end of the text
    /// and then for the text in a large table.
    fn writer_near(
        &self,
        texts: &Texts,
        gathered: &Gathered,
        rows: &Rows,
        before: u32,
        rest: &[u8],
    ) -> Option<(u32, usize)> {
        const NEAR: usize = 4;
        let next = (before as usize + 1).min(gathered.writes);
        let near = gathered.ops[next..gathered.writes].iter().zip(next..).take(NEAR);
        for (op, number) in near {
            if op.kind == Kind::Append && rows.moments[number].head == NONE {
                let text = texts.bytes(op.text);
                if rest.starts_with(text) {
                    return Some((self.writer[op.text.index()], text.len()));
                }
            }
        }
        None
    }

    /// The write of the first part of `rest`, and how long that is; `None` if it has no end.
    fn writer_of_part(&self, texts: &Texts, rest: &[u8]) -> Option<(u32, usize)> {
        let length = self.end_of_part(rest, 0)?;
        let writer = texts.find_bytes(&rest[..length]).map_or(NONE, |name| self.writer[name.index()]);
        Some((writer, length))
    }

    /// The epoch that `put` heads, if a read was found to be of it.
    pub(crate) fn epoch(&self, put: u32) -> Option<&Epoch> {
        self.epochs.get(*self.epoch_of.get(put as usize)? as usize)
    }
}

/// The first of `parts` that ends at `length` or behind it. Reads are late by a few parts at most, as a rule.
fn first_from(parts: &[(u32, u32)], length: u32) -> usize {
    const LATE: usize = 8;
    let recent = parts.len().saturating_sub(LATE);
    if recent > 0 && parts[recent].0 >= length {
        return parts[..recent].partition_point(|part| part.0 < length);
    }
    recent + parts[recent..].iter().take_while(|part| part.0 < length).count()
}
