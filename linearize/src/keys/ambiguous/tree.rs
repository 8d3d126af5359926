//! What reads returned, as a tree of texts that begin alike.

use std::ops::Range;

use crate::keys::order::slim::{Kind, NONE, Slim};
use crate::keys::texts::Texts;

/// A place in the tree: the text that leads to it from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The edge on which it lies.
    edge: u32,
    /// How long the text is.
    length: u32,
}

impl Place {
    /// How long its text is.
    pub(crate) fn length(self) -> usize {
        self.length as usize
    }
}

/// The text that no read begins with; whatever is appended to it, that stays so.
pub(crate) const NOWHERE: Place = Place { edge: NONE, length: 0 };

/// A stretch of text between two forks.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// Where the whole text from the root on stands; of it, the stretch is `from..to`.
    buffer: u32,
    start: u32,
    from: u32,
    to: u32,
    above: u32,
    first_child: u32,
    next: u32,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    texts: &'a Texts,
    edges: Vec<Edge>,
    /// The lengths of what was read, by rank: those on an edge by rising length, then those below it.
    lengths: Vec<u32>,
    /// By edge: the ranks of what was read on it, and the end of those below it.
    ranks: Vec<(u32, u32, u32)>,
}

/// The edge of no text at all.
const ROOT: u32 = 0;

impl<'a> Tree<'a> {
    /// The tree of what the reads among `ops` returned, and for each of them (by operation) its place and its
    /// rank.
    pub(crate) fn new(texts: &'a Texts, ops: &[Slim]) -> (Self, Vec<(Place, u32)>) {
        let root = Edge { buffer: 0, start: 0, from: 0, to: 0, above: NONE, first_child: NONE, next: NONE };
        let mut tree = Tree { texts, edges: vec![root], lengths: Vec::new(), ranks: Vec::new() };
        let mut places = vec![(NOWHERE, 0); ops.len()];
        let mut reads: Vec<u32> =
            (0..ops.len() as u32).filter(|&number| ops[number as usize].kind == Kind::Get).collect();
        // The longest text of a growing buffer first: the others lie on the way to it.
        reads.sort_by_key(|&read| {
            let place = texts.place(ops[read as usize].text);
            (place.buffer, place.start, std::cmp::Reverse(place.length))
        });
        let mut last = (NONE, 0, ROOT);
        for &read in &reads {
            let place = texts.place(ops[read as usize].text);
            let same = (place.buffer, place.start) == (last.0, last.1) && texts.is_chain(place.buffer);
            if !same {
                let edge = tree.insert(place.buffer, place.start, place.length);
                last = (place.buffer, place.start, edge);
            }
            places[read as usize].0 = Place { edge: last.2, length: place.length };
        }
        // Only now is it known how the way to the longest text is cut into edges.
        for &read in &reads {
            let place = &mut places[read as usize].0;
            while place.length <= tree.edges[place.edge as usize].from && place.edge != ROOT {
                place.edge = tree.edges[place.edge as usize].above;
            }
        }
        tree.rank(&reads, &mut places);
        (tree, places)
    }

    /// Numbers the reads so that those that begin with a text are neighbours.
    fn rank(&mut self, reads: &[u32], places: &mut [(Place, u32)]) {
        let mut on_edge = vec![Vec::new(); self.edges.len()];
        for &read in reads {
            on_edge[places[read as usize].0.edge as usize].push(read);
        }
        self.ranks = vec![(0, 0, 0); self.edges.len()];
        let mut stack = vec![(ROOT, false)];
        while let Some((edge, left)) = stack.pop() {
            let rank = self.lengths.len() as u32;
            if left {
                self.ranks[edge as usize].2 = rank;
                continue;
            }
            let here = &mut on_edge[edge as usize];
            here.sort_by_key(|&read| places[read as usize].0.length);
            for &read in here.iter() {
                places[read as usize].1 = self.lengths.len() as u32;
                self.lengths.push(places[read as usize].0.length);
            }
            self.ranks[edge as usize] = (rank, self.lengths.len() as u32, 0);
            stack.push((edge, true));
            let mut child = self.edges[edge as usize].first_child;
            while child != NONE {
                stack.push((child, false));
                child = self.edges[child as usize].next;
            }
        }
    }

    /// The ranks of the reads whose texts begin with that of `place`.
    pub(crate) fn ranks(&self, place: Place) -> Range<u32> {
        if place == NOWHERE {
            return 0..0;
        }
        let (first, end, below) = self.ranks[place.edge as usize];
        let here = &self.lengths[first as usize..end as usize];
        first + here.partition_point(|&length| length < place.length) as u32..below
    }

    fn text(&self, edge: u32, from: u32, to: u32) -> &'a [u8] {
        let edge = self.edges[edge as usize];
        self.texts.bytes_at(edge.buffer, edge.start + from, to - from)
    }

    fn child(&self, edge: u32, first: u8) -> Option<u32> {
        let mut child = self.edges[edge as usize].first_child;
        while child != NONE {
            let from = self.edges[child as usize].from;
            if self.text(child, from, from + 1)[0] == first {
                return Some(child);
            }
            child = self.edges[child as usize].next;
        }
        None
    }

    /// Adds a text, and says at the end of which edge it is. That edge may be cut later, but then its lower
    /// end keeps the number.
    fn insert(&mut self, buffer: u32, start: u32, length: u32) -> u32 {
        let bytes = self.texts.bytes_at(buffer, start, length);
        let mut edge = ROOT;
        let mut at = 0u32;
        loop {
            if at == length {
                return edge;
            }
            let Some(child) = self.child(edge, bytes[at as usize]) else {
                return self.add(edge, buffer, start, at, length);
            };
            let Edge { from, to, .. } = self.edges[child as usize];
            let known = self.text(child, from, to);
            let common = common(known, &bytes[at as usize..]) as u32;
            at += common;
            edge = if from + common < to { self.cut(edge, child, from + common) } else { child };
        }
    }

    fn add(&mut self, above: u32, buffer: u32, start: u32, from: u32, to: u32) -> u32 {
        let number = self.edges.len() as u32;
        let next = std::mem::replace(&mut self.edges[above as usize].first_child, number);
        self.edges.push(Edge { buffer, start, from, to, above, first_child: NONE, next });
        number
    }

    /// Cuts the edge `lower`, which hangs on `above`, at `at`. Returns the upper part.
    fn cut(&mut self, above: u32, lower: u32, at: u32) -> u32 {
        let upper = self.edges.len() as u32;
        let old = self.edges[lower as usize];
        self.edges.push(Edge { to: at, first_child: lower, ..old });
        self.edges[lower as usize] = Edge { from: at, above: upper, next: NONE, ..old };
        if self.edges[above as usize].first_child == lower {
            self.edges[above as usize].first_child = upper;
        } else {
            let mut before = self.edges[above as usize].first_child;
            while self.edges[before as usize].next != lower {
                before = self.edges[before as usize].next;
            }
            self.edges[before as usize].next = upper;
        }
        upper
    }

    /// Where `more` leads from `place`.
    pub(crate) fn follow(&self, place: Place, more: &[u8]) -> Place {
        if place == NOWHERE {
            return NOWHERE;
        }
        let Place { mut edge, mut length } = place;
        let mut rest = more;
        while !rest.is_empty() {
            let to = self.edges[edge as usize].to;
            if length == to {
                match self.child(edge, rest[0]) {
                    Some(child) => edge = child,
                    None => return NOWHERE,
                }
                continue;
            }
            let step = ((to - length) as usize).min(rest.len());
            if self.text(edge, length, length + step as u32) != &rest[..step] {
                return NOWHERE;
            }
            length += step as u32;
            rest = &rest[step..];
        }
        Place { edge, length }
    }

    /// The text of a place, which must not be [`NOWHERE`].
    pub(crate) fn bytes(&self, place: Place) -> &'a [u8] {
        self.text(place.edge, 0, place.length)
    }

    /// The place of the empty text.
    pub(crate) fn root(&self) -> Place {
        Place { edge: ROOT, length: 0 }
    }
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
