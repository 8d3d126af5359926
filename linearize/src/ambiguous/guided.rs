//! Repeated texts with appends: a search that knows what will be read.
//!
//! Of a text that is no beginning of anything that anybody read, nobody will ever learn anything, so all those are one state,
//! `NOWHERE`. The others are places in a tree of the texts that were read, and a model whose states
//! are those places can tell the operations apart just as well as one whose states are texts. That model is what the
//! general search is run on. What makes the search short is that the tree also says what is to come:
//!
//! - an append that leads out of the part of the tree that somebody can still read is put off until its own return;
//! - a read that no put to come can account for must be read from the current one: if its text does not continue the current
//!   one, or if what it shows more are more (or fewer) appends of a text than there can (or must) be until then, there is no way on;
//! - an append that was under way when the newest put took effect may have happened right before that, without a trace.

use rustc_hash::FxHashMap;

use super::tree::{Counts, NOWHERE, Place, Tree};
use crate::history::Operation;
use crate::limits::{Limits, Progress};
use crate::model::{Effect, Model};
use crate::order::slim::{Gathered, INITIAL, Kind, NONE, Slim};
use crate::search::events::Events;
use crate::search::guide::{Guide, View};
use crate::search::{self, Found};
use crate::texts::{Text, Texts};

/// An operation as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Get(Place),
    Put(Text),
    Append(Text),
}

/// A key whose states are places in the tree of what was read.
struct Places<'a> {
    tree: &'a Tree<'a>,
    texts: &'a Texts,
}

impl Model for Places<'_> {
    type Op = Op;
    type Result = ();
    type State = Place;

    fn initial(&self) -> Place {
        self.tree.root()
    }

    fn step(&self, state: &Place, op: &Op, _result: Option<&()>) -> Option<Place> {
        match *op {
            Op::Get(place) => (place == *state).then_some(place),
            Op::Put(text) => Some(self.tree.follow(self.tree.root(), self.texts.bytes(text))),
            Op::Append(text) => Some(self.tree.follow(*state, self.texts.bytes(text))),
        }
    }

    fn effect(&self, op: &Op, _result: Option<&()>) -> Effect {
        match op {
            Op::Get(_) => Effect::Read,
            Op::Put(_) => Effect::Overwrite,
            Op::Append(_) => Effect::Update,
        }
    }

    fn state_bytes(&self, _state: &Place) -> usize {
        0
    }
}

/// A read. Items of the search are numbered as the operations are, but without the initial put.
struct Read {
    call: u64,
    end: u64,
    place: Place,
    rank: u32,
    item: u32,
    /// Among the texts that were put, those that its text begins with.
    puts: Vec<u32>,
}

/// All puts of one text, by rising call.
#[derive(Default)]
struct Puts {
    /// (call, latest return up to here, return, item)
    puts: Vec<(u64, u64, u64, u32)>,
}

impl Puts {
    /// Whether one of these has not happened and is called by `until`.
    fn any_left(&self, now: u64, until: u64, is_done: impl Fn(u32) -> bool) -> bool {
        let end = self.puts.partition_point(|put| put.0 <= until);
        let called = self.puts[..end].iter().rev().take_while(|put| put.1 >= now);
        called.into_iter().any(|put| put.2 >= now && !is_done(put.3))
    }
}

/// How many appends of each repeated text there are, and when. Empty if texts can be cut in several ways.
#[derive(Default)]
struct Supply {
    labels: usize,
    counts: Counts,
    /// By item: the number of the text that it appends, if it is one of these.
    label_of: Vec<u32>,
    /// By return and label: how many have returned before it.
    returned: Vec<u32>,
    /// By read and label: how many stand in its text, how many must have happened before it, and how many can have.
    shown: Vec<u32>,
    must: Vec<u32>,
    may: Vec<u32>,
}

/// What is known of the future.
struct Foresight<'a> {
    tree: &'a Tree<'a>,
    /// By rising call.
    reads: Vec<Read>,
    /// By read: the latest return up to here.
    latest_end: Vec<u64>,
    puts: Vec<Puts>,
    supply: Supply,
}

/// How many reads ahead are looked at.
const AHEAD: usize = 96;

/// How many different texts are counted.
const LABELS: usize = 32;

impl Guide<Places<'_>> for Foresight<'_> {
    fn leaves_no_trace(&self, op: &Op) -> bool {
        matches!(op, Op::Append(_))
    }

    fn nowhere(&self) -> Option<Place> {
        Some(NOWHERE)
    }

    fn is_useless(&self, view: &View<'_, Place, impl Fn(u32) -> bool>) -> bool {
        let ranks = self.tree.ranks(*view.state);
        ranks.is_empty()
            || !self.to_come(view).any(|(_, read)| ranks.contains(&read.rank) && !(view.is_done)(read.item))
    }

    fn is_hopeless(&self, view: &View<'_, Place, impl Fn(u32) -> bool>) -> bool {
        let ranks = self.tree.ranks(*view.state);
        let now = view.now();
        let mut tally = None;
        for (number, read) in self.to_come(view).take(AHEAD) {
            if (view.is_done)(read.item) {
                continue;
            }
            let other = |&text: &u32| self.puts[text as usize].any_left(now, read.end, &view.is_done);
            if read.puts.iter().any(other) {
                continue;
            }
            if !ranks.contains(&read.rank) {
                return true;
            }
            let tally = tally.get_or_insert_with(|| self.supply.tally(view));
            if !self.supply.suffices(tally, number) {
                return true;
            }
        }
        false
    }
}

impl Foresight<'_> {
    /// The reads, by number, that may still see the state, done or not.
    fn to_come<D>(&self, view: &View<'_, Place, D>) -> impl Iterator<Item = (usize, &Read)> {
        let (now, until) = (view.now(), view.until());
        let first = self.latest_end.partition_point(|&end| end < now);
        let called = self.reads[first..].iter().take_while(move |read| read.call <= until);
        called.enumerate().map(move |(at, read)| (first + at, read)).filter(move |(_, read)| read.end >= now)
    }
}

/// By label, at one place of the search.
struct Tally {
    /// How many stand in the state.
    shown: Vec<u32>,
    /// How many have happened.
    done: Vec<u32>,
    /// How many have not, and may pass under the newest put.
    old: Vec<u32>,
}

impl Supply {
    fn tally<D: Fn(u32) -> bool>(&self, view: &View<'_, Place, D>) -> Tally {
        let shown = (0..self.labels).map(|label| self.counts.of(*view.state, label)).collect();
        let row = view.event as usize * self.labels;
        let mut tally =
            Tally { shown, done: self.returned[row..row + self.labels].to_vec(), old: vec![0; self.labels] };
        if self.labels == 0 {
            return tally;
        }
        for &item in view.events.under_way(view.event as usize) {
            let label = self.label_of[item as usize];
            if label == NONE {
                continue;
            }
            if (view.is_done)(item) {
                tally.done[label as usize] += 1;
            } else if view.events.items[item as usize].first < view.overwritten {
                tally.old[label as usize] += 1;
            }
        }
        tally
    }

    /// Whether there can be as many appends of each text until a read, which sees the current put, as it shows.
    fn suffices(&self, tally: &Tally, read: usize) -> bool {
        (0..self.labels).all(|label| {
            let cell = read * self.labels + label;
            let wanted = self.shown[cell] - tally.shown[label];
            let (done, old) = (tally.done[label], tally.old[label]);
            done + wanted <= self.may[cell] && self.must[cell] <= done + old + wanted
        })
    }

    fn new(
        texts: &Texts,
        tree: &Tree<'_>,
        ops: &[Slim],
        reads: &[Read],
        events: &Events,
        terminator: u8,
    ) -> Supply {
        let repeated = repeated_appends(ops);
        if terminator == 0 || repeated.is_empty() || repeated.len() > LABELS {
            return Supply::default();
        }
        let labels = repeated.len();
        let label = |part: &[u8]| texts.find_bytes(part).and_then(|text| repeated.get(&text).copied());
        let counts = Counts::new(tree, terminator, labels, label);
        let label_of: Vec<u32> = ops[1..]
            .iter()
            .map(|op| match op.kind {
                Kind::Append => repeated.get(&op.text).map_or(NONE, |&label| label as u32),
                _ => NONE,
            })
            .collect();
        let mut returned = vec![0; (events.returns.len() + 1) * labels];
        for (event, &item) in events.returns.iter().enumerate() {
            let (before, after) = returned.split_at_mut((event + 1) * labels);
            after[..labels].copy_from_slice(&before[event * labels..]);
            if let Some(count) = after.get_mut(label_of[item as usize] as usize) {
                *count += 1;
            }
        }
        let mut supply = Supply {
            labels,
            counts,
            label_of,
            returned,
            shown: Vec::new(),
            must: Vec::new(),
            may: Vec::new(),
        };
        supply.count_for_reads(ops, reads);
        supply
    }

    fn count_for_reads(&mut self, ops: &[Slim], reads: &[Read]) {
        let mut calls = vec![Vec::new(); self.labels];
        let mut ends = vec![Vec::new(); self.labels];
        for (op, &label) in ops[1..].iter().zip(&self.label_of) {
            if label != NONE {
                calls[label as usize].push(op.call);
                ends[label as usize].push(op.end);
            }
        }
        ends.iter_mut().for_each(|ends| ends.sort_unstable());
        for read in reads {
            for label in 0..self.labels {
                self.shown.push(self.counts.of(read.place, label));
                self.must.push(ends[label].partition_point(|&end| end < read.call) as u32);
                self.may.push(calls[label].partition_point(|&call| call <= read.end) as u32);
            }
        }
    }
}

/// The texts that several appends wrote, numbered.
fn repeated_appends(ops: &[Slim]) -> FxHashMap<Text, usize> {
    let mut times: FxHashMap<Text, u32> = FxHashMap::default();
    for op in ops.iter().filter(|op| op.kind == Kind::Append) {
        *times.entry(op.text).or_default() += 1;
    }
    let mut repeated: Vec<Text> =
        times.into_iter().filter(|&(_, times)| times > 1).map(|(text, _)| text).collect();
    repeated.sort_unstable();
    repeated.into_iter().enumerate().map(|(label, text)| (text, label)).collect()
}

/// The byte that ends every text written and occurs nowhere else in any; 0 if there is none.
fn terminator(texts: &Texts, ops: &[Slim]) -> u8 {
    let written = ops.iter().filter(|op| op.kind != Kind::Get && op.text != Text::EMPTY);
    let mut ends = written.map(|op| texts.place(op.text).terminator);
    let first = ends.next().unwrap_or(0);
    if ends.all(|end| end == first) { first } else { 0 }
}

/// Decides a key. What is found is named by its number in [`Gathered::ops`].
pub(crate) fn solve(texts: &Texts, gathered: &Gathered, limits: &Limits, progress: &Progress) -> Found {
    let ops = &gathered.ops;
    let (tree, places) = Tree::new(texts, ops);
    let operations: Vec<Operation<Op, ()>> = ops
        .iter()
        .zip(&places)
        .skip(INITIAL as usize + 1)
        .map(|(op, place)| operation(op, place.0))
        .collect();
    let (put_texts, puts) = puts_by_text(ops);
    let reads = reads(texts, &tree, ops, &places, &put_texts);
    let latest_end = reads.iter().scan(0, |latest, read| {
        *latest = read.end.max(*latest);
        Some(*latest)
    });
    let latest_end = latest_end.collect();
    let terminator = terminator(texts, ops);
    let foresight = |events: &Events| Foresight {
        supply: Supply::new(texts, &tree, ops, &reads, events, terminator),
        tree: &tree,
        reads,
        latest_end,
        puts,
    };
    let model = Places { tree: &tree, texts };
    let indices: Vec<u32> = (0..operations.len() as u32).collect();
    // Found are items; asked for are operations, which have the initial put before them.
    match search::search_guided(&model, foresight, &operations, &indices, limits, progress) {
        Found::Order(order) => Found::Order(order.into_iter().map(|item| item + 1).collect()),
        Found::Nothing { stuck } => Found::Nothing { stuck: stuck + 1 },
        Found::Limited { limit, states, reached } => Found::Limited { limit, states, reached: reached + 1 },
    }
}

fn operation(op: &Slim, place: Place) -> Operation<Op, ()> {
    let what = match op.kind {
        Kind::Get => Op::Get(place),
        Kind::Put => Op::Put(op.text),
        Kind::Append => Op::Append(op.text),
    };
    match op.end {
        u64::MAX => Operation::open(0, what, op.call),
        end => Operation::new(0, what, (), op.call, end),
    }
}

/// The texts that were put, and the puts of each; without the initial one, which has happened.
fn puts_by_text(ops: &[Slim]) -> (Vec<Text>, Vec<Puts>) {
    let mut numbers: FxHashMap<Text, usize> = FxHashMap::default();
    let (mut texts, mut all) = (Vec::new(), Vec::<Puts>::new());
    for (item, op) in ops[INITIAL as usize + 1..].iter().enumerate().filter(|(_, op)| op.kind == Kind::Put) {
        let number = *numbers.entry(op.text).or_insert(all.len());
        if number == all.len() {
            texts.push(op.text);
            all.push(Puts::default());
        }
        let puts = &mut all[number].puts;
        let latest = puts.last().map_or(0, |put| put.1).max(op.end);
        puts.push((op.call, latest, op.end, item as u32));
    }
    (texts, all)
}

fn reads(
    texts: &Texts,
    tree: &Tree<'_>,
    ops: &[Slim],
    places: &[(Place, u32)],
    put_texts: &[Text],
) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    for (number, op) in ops.iter().enumerate().filter(|(_, op)| op.kind == Kind::Get) {
        let (place, rank) = places[number];
        let item = number as u32 - 1;
        reads.push(Read { call: op.call, end: op.end, place, rank, item, puts: Vec::new() });
    }
    let mut by_rank: Vec<u32> = (0..reads.len() as u32).collect();
    by_rank.sort_by_key(|&read| reads[read as usize].rank);
    for (number, &text) in put_texts.iter().enumerate() {
        let ranks = tree.ranks(tree.follow(tree.root(), texts.bytes(text)));
        for &read in &by_rank[ranks.start as usize..ranks.end as usize] {
            reads[read as usize].puts.push(number as u32);
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_by_search;
    use crate::generate::{Random, Spoil, Values, Workload, spoil};
    use crate::models::key_value::KvHistory;
    use crate::verdict::{Order, Verdict, Witness};

    fn solve_alone(history: &KvHistory) -> Option<Vec<u32>> {
        let operations = history.history().operations();
        let mut gathered = Gathered::default();
        gathered.gather(operations, &(0..operations.len() as u32).collect::<Vec<u32>>());
        match solve(history.texts(), &gathered, &Limits::default(), &Progress::default()) {
            Found::Order(order) => {
                Some(order.into_iter().map(|op| gathered.ops[op as usize].index).collect())
            }
            Found::Nothing { .. } => None,
            Found::Limited { .. } => panic!("undecided: {operations:#?}"),
        }
    }

    fn has_order(history: &KvHistory) -> bool {
        let Some(operations) = solve_alone(history) else { return false };
        let partition = history.model().partition(&history.history()[0].op);
        let witness = Witness { orders: vec![Order { partition, operations }] };
        witness.replay(&history.model(), history.history()).expect("the order proves it");
        true
    }

    fn workload(random: &mut Random, operations: usize) -> Workload {
        Workload {
            puts: 50 * random.below(6),
            appends: 500,
            values: Values::Few(1 + random.below(4)),
            crashes: 500 * random.below(3),
            seed: random.bits(),
            ..Workload::lab(1, 2 + random.below(9) as u32, operations)
        }
    }

    #[test]
    fn alone_it_finds_what_the_general_search_finds() {
        let mut random = Random::new(1);
        let (mut good, mut compared) = (0, 0);
        for _ in 0..20_000 {
            let operations = 5 + random.below(20) as usize;
            let history = spoil(&workload(&mut random, operations).generate(), Spoil::Stale);
            let found = has_order(&history);
            // Without knowing what will be read, a few of these are beyond the general search.
            let limits = Limits::default().with_states(20_000);
            let verdict = check_by_search(&history.model(), history.history(), &limits, &Progress::default());
            if matches!(verdict, Verdict::Unknown(_)) {
                continue;
            }
            compared += 1;
            assert_eq!(found, verdict.is_linearizable(), "{:#?}", history.history());
            good += u32::from(found);
        }
        assert!(compared > 19_000, "only {compared} of 20000 were compared");
        assert!((4_000..16_000).contains(&good), "{good} of {compared} are linearizable");
    }

    #[test]
    fn long_histories_that_are_linearizable_are_found_to_be() {
        let mut random = Random::new(2);
        let drawn = (0..400).map(|_| workload(&mut random, 200));
        // Two of these need an append to wait until its twin has passed under a put.
        let seeds = (40..56).map(|seed| Workload {
            puts: 50,
            values: Values::Few(5),
            seed,
            ..Workload::appends(10, 400)
        });
        for workload in drawn.collect::<Vec<_>>().into_iter().chain(seeds) {
            let history = workload.generate();
            assert!(has_order(&history), "{:#?}", history.history());
        }
    }
}
