//! What a replica must hold, as the messages tell it.

use std::collections::BTreeMap;
use std::ops::Range;

/// A chunk on a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) version: u64,
    pub(crate) content: Vec<u8>,
    /// Places that may hold something else: a crash came in the middle of a mutation.
    doubts: Vec<Range<usize>>,
    /// Mutations that a primary is busy with. It may have applied what nobody has seen yet.
    pub(crate) begun: BTreeMap<u64, Range<usize>>,
    /// Mutations that have come and are not answered: by the numbers of their messages.
    pending: BTreeMap<u64, (usize, Vec<u8>)>,
    /// What was there or came while a read was under way, and what was refused.
    recent: Vec<(usize, Vec<u8>)>,
    reads: usize,
}

impl Replica {
    /// An empty chunk.
    pub(crate) fn new(version: u64) -> Replica {
        Replica { version, ..Replica::default() }
    }

    /// A copy on the same or another server.
    pub(crate) fn copy(&self, version: u64) -> Replica {
        let (content, doubts) = (self.content.clone(), self.doubts.clone());
        Replica { version, content, doubts, ..Replica::default() }
    }

    /// A mutation has come, and may be seen by reads from now on.
    pub(crate) fn may_apply(&mut self, number: u64, offset: usize, bytes: Vec<u8>) {
        self.pending.insert(number, (offset, bytes));
    }

    /// It is answered.
    pub(crate) fn has_answered(&mut self, number: u64, is_applied: bool) {
        let mutation = self.pending.remove(&number);
        self.recent.extend(mutation.filter(|_| !is_applied));
    }

    /// A mutation was applied where no secondary tells its place in the order. Of several that write to the
    /// same place, any may be the last.
    pub(crate) fn apply_alone(&mut self, offset: usize, bytes: &[u8]) {
        let place = offset..offset + bytes.len();
        // An append goes where nothing is, wherever that may be.
        let mut writes = self.begun.values().filter(|other| other.end != usize::MAX);
        if writes.any(|other| other.start < place.end && place.start < other.end) {
            self.doubt(place);
        }
        self.apply(offset, bytes);
    }

    /// A mutation was applied.
    pub(crate) fn apply(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.reads > 0 {
            let old = self.content.get(offset..end.min(self.content.len())).unwrap_or_default();
            self.recent.push((offset, old.to_vec()));
            self.recent.push((offset, bytes.to_vec()));
        } else if self.begun.is_empty() {
            self.recent.clear();
        }
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
    }

    /// It is unknown whether something was written here.
    pub(crate) fn doubt(&mut self, place: Range<usize>) {
        self.doubts.push(place);
    }

    /// The replica is this one or the other one.
    pub(crate) fn doubt_where_different(&mut self, other: &Replica) {
        let length = self.content.len().max(other.content.len());
        let differs = |at: &usize| self.content.get(*at) != other.content.get(*at) || other.is_in_doubt(*at);
        let places: Vec<usize> = (0..length).filter(differs).collect();
        self.doubts.extend(places.into_iter().map(|at| at..at + 1));
    }

    /// Whether this place may hold something else than the model says.
    pub(crate) fn is_in_doubt(&self, at: usize) -> bool {
        self.doubts.iter().any(|place| place.contains(&at))
    }

    /// The server has crashed: what it was busy with may be done or not.
    pub(crate) fn crash(&mut self) {
        self.doubts.extend(std::mem::take(&mut self.begun).into_values());
        let pending = std::mem::take(&mut self.pending).into_values();
        let recent = pending.chain(std::mem::take(&mut self.recent));
        self.doubts.extend(recent.map(|(offset, bytes)| offset..offset + bytes.len()));
        self.reads = 0;
    }

    /// A read begins. Returns the content at this moment.
    pub(crate) fn begin_read(&mut self) -> Vec<u8> {
        self.reads += 1;
        self.content.clone()
    }

    /// A read ends that began at `before`. Returns what is wrong with its bytes.
    pub(crate) fn end_read(
        &mut self,
        before: &[u8],
        offset: usize,
        wanted: usize,
        read: &[u8],
    ) -> Option<String> {
        self.reads = self.reads.saturating_sub(1);
        if wanted == 0 && read.is_empty() {
            return None;
        }
        let may_be = |at: usize, byte: u8| {
            let was = |content: &[u8]| content.get(at) == Some(&byte);
            let recently = |(from, bytes): &(usize, Vec<u8>)| {
                at.checked_sub(*from).is_some_and(|at| bytes.get(at) == Some(&byte))
            };
            let mut mutations = self.recent.iter().chain(self.pending.values());
            was(before) || was(&self.content) || mutations.any(recently)
        };
        let is_open =
            |at: usize| self.is_in_doubt(at) || self.begun.values().any(|place| place.contains(&at));
        for (at, &byte) in (offset..).zip(read) {
            if !may_be(at, byte) && !is_open(at) {
                let expected = self.content.get(at);
                return Some(format!("byte {at} is {byte}, and should be {expected:?}"));
            }
        }
        let end = (offset + wanted).min(before.len().min(self.content.len()));
        let is_short = offset + read.len() < end;
        if self.reads == 0 && self.begun.is_empty() {
            self.recent.clear();
        }
        is_short.then(|| format!("{} bytes from {offset} on, and there are bytes up to {end}", read.len()))
    }
}
