//! The book of a cluster: who leads, and which commands are agreed on. It stands outside of all servers.

use bytes::Bytes;

/// Where a log begins: behind a snapshot that replaces everything up to `index`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) snapshot: Bytes,
}

/// A command and the term in which a leader took it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) command: Bytes,
}

/// A life of a server: each start begins another one.
pub(crate) type Life = (usize, u64);

/// What a cluster has agreed on.
#[derive(Debug, Default)]
pub(crate) struct Book {
    term: u64,
    /// Who leads the term, unless its life is over.
    leader: Option<Life>,
    base: Base,
    /// The entries behind the base.
    entries: Vec<Entry>,
    commit_index: u64,
    /// How often each server has started, and the latest term that it has heard of.
    servers: Vec<(u64, u64)>,
}

impl Book {
    /// The book of a cluster of so many servers, at its beginning.
    pub(crate) fn new(servers: usize) -> Book {
        Book { servers: vec![(0, 0); servers], ..Book::default() }
    }

    /// Server `me` starts. If it led, it leads no more. Returns its life, and the latest term that it knew.
    pub(crate) fn begin_life(&mut self, me: usize) -> (Life, u64) {
        let (lives, term) = &mut self.servers[me];
        *lives += 1;
        let (life, term) = ((me, *lives), *term);
        if self.leader.is_some_and(|(leader, _)| leader == me) {
            self.leader = None;
        }
        (life, term)
    }

    /// A server has heard of a term, and remembers it over crashes.
    pub(crate) fn note_term(&mut self, me: usize, term: u64) {
        let (_, known) = &mut self.servers[me];
        *known = term.max(*known);
    }

    /// The latest term that has begun.
    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// Whether this life leads that term, and no later one has begun.
    pub(crate) fn leads(&self, life: Life, term: u64) -> bool {
        self.leader == Some(life) && self.term == term
    }

    /// Index of the last entry.
    pub(crate) fn last_index(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    /// The next term begins, with this leader. Of the entries that are not committed the first `kept` stay,
    /// and the others vanish. Returns the term.
    pub(crate) fn elect(&mut self, life: Life, kept: u64) -> u64 {
        debug_assert!(self.leader != Some(life), "a leader stands for election");
        self.term += 1;
        self.leader = Some(life);
        self.note_term(life.0, self.term);
        let last = self.last_index().min(self.commit_index + kept);
        assert!(last >= self.commit_index, "a committed entry would vanish");
        self.entries.truncate((last - self.base.index) as usize);
        self.term
    }

    /// A leader gives up. Its term has no other.
    pub(crate) fn resign(&mut self, life: Life) {
        if self.leader == Some(life) {
            self.leader = None;
        }
    }

    /// Up to where entries are committed.
    pub(crate) fn commit_index(&self) -> u64 {
        self.commit_index
    }

    /// Adds an entry of the present leader, and returns its index.
    pub(crate) fn append(&mut self, command: Bytes) -> u64 {
        self.entries.push(Entry { term: self.term, command });
        self.last_index()
    }

    /// Everything up to `index` is committed, if this life still leads that term.
    pub(crate) fn commit(&mut self, life: Life, term: u64, index: u64) -> bool {
        let leads = self.leads(life, term);
        if leads {
            assert!(index <= self.last_index(), "commits {index}, beyond the end {}", self.last_index());
            self.commit_index = self.commit_index.max(index);
        }
        leads
    }

    /// What a server whose service has applied everything up to `applied` is to apply next, up to `index`: a
    /// snapshot, if the entries are gone, or entries.
    pub(crate) fn behind(&self, applied: u64, index: u64) -> Result<Vec<Entry>, Base> {
        if applied < self.base.index {
            return Err(self.base.clone());
        }
        // A server that has heard of entries which have vanished may be ahead of the book.
        let place = |index: u64| ((index - self.base.index) as usize).min(self.entries.len());
        Ok(self.entries[place(applied)..place(index.max(applied))].to_vec())
    }

    /// The term of the entry at a committed index that is still there.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let place = index.checked_sub(self.base.index + 1)?;
        self.entries.get(place as usize).map(|entry| entry.term)
    }

    /// The leader's service has made a snapshot, which replaces the entries up to `index`.
    pub(crate) fn compact(&mut self, index: u64, snapshot: Bytes) {
        assert!(index <= self.commit_index, "a snapshot up to {index} of what is not committed");
        if index <= self.base.index {
            return;
        }
        let Some(term) = self.term_at(index) else {
            unreachable!("entry {index} is committed and not replaced")
        };
        self.entries.drain(..(index - self.base.index) as usize);
        self.base = Base { index, term, snapshot };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_stays_and_the_rest_may_vanish() {
        let mut book = Book::new(3);
        let ((first, _), (second, _)) = (book.begin_life(0), book.begin_life(1));
        let term = book.elect(first, 0);
        for command in ["a", "b", "c"] {
            book.append(Bytes::from(command));
        }
        assert!(book.commit(first, term, 1));
        assert_eq!(book.elect(second, 1), 2);
        assert_eq!(book.last_index(), 2);
        assert!(!book.commit(first, term, 2), "a deposed leader commits nothing");
        assert!(book.commit(second, 2, 2));
        book.compact(2, Bytes::from("ab"));
        assert!(matches!(book.behind(0, 2), Err(base) if base.index == 2 && base.term == 1));
        assert!(book.behind(2, 2).is_ok_and(|entries| entries.is_empty()));
    }

    #[test]
    fn a_restarted_leader_leads_no_more() {
        let mut book = Book::new(1);
        let (life, _) = book.begin_life(0);
        let term = book.elect(life, 0);
        let (next, known) = book.begin_life(0);
        assert_eq!((known, book.leads(life, term), book.leads(next, term)), (1, false, false));
    }
}
