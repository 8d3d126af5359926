//! The search for a smaller run.

use std::collections::BTreeMap;
use std::time::Instant;

use lab_terminal::{Waiting, cut, error_width, is_lively};
use labreport::Kind;
use labreport::overrides::{Overrides, Ranges};

use super::super::traced::Bench;
use super::super::variants;
use crate::Failure;
use crate::protocol::Report;

/// How many streams of random numbers are tried for a beginning.
const BEGINNINGS: u64 = 48;

/// How many streams are tried together when many are.
const BATCH: u64 = 96;

/// After so many batches in vain no shorter run is looked for.
const PATIENCE: u32 = 12;

/// After so many descents in vain the search ends.
const DESCENTS: u32 = 8;

/// With how many other streams a candidate is tried that does not fail with its own.
const OTHER_STREAMS: u64 = 3;

/// The same for a run without a server, in which all elections go another way.
const STREAMS_WITHOUT: u64 = 24;

/// Faults, in the order in which they are left out.
const FAULTS: [&str; 9] = [
    "crash",
    "restart",
    "partition",
    "heal",
    "disconnect",
    "connect",
    "open_link",
    "hold_link",
    "release_link",
];

/// Those of them that end a fault. What waits in vain for something would wait as long without these.
const HELP: [&str; 5] = ["restart", "heal", "connect", "open_link", "release_link"];

/// After so many batches in vain no more large pieces are left out.
const PIECES: u32 = 6;

/// Operations of clients.
const OPERATIONS: [&str; 4] = ["start", "get", "put", "append"];

/// Messages take so many microseconds in the simplest run.
const STEADY: u64 = 5_000;

pub(super) struct Search<'a> {
    bench: &'a Bench,
    rule: Option<String>,
    /// It is one that holds in a cluster of any size.
    is_of_rule: bool,
    /// It failed because something had not come about.
    is_overdue: bool,
    best: Overrides,
    /// Of the best run.
    report: Report,
    deadline: Instant,
    /// Until when a run is looked for that fails and can be changed: without one, little can be left out.
    begun_by: Instant,
    /// The first stream of the next beginning.
    beginning: u64,
    /// The next stream that no run had.
    next_stream: u64,
    /// How many runs there were.
    pub(super) tries: usize,
    waiting: Waiting,
}

impl<'a> Search<'a> {
    /// Begins with the run as it is.
    pub(super) fn new(bench: &'a Bench, original: Overrides, report: &Report, deadline: Instant) -> Self {
        let rule = variants::broken(report);
        Search {
            bench,
            rule,
            is_of_rule: report.kind == Some(Kind::Invariant),
            is_overdue: variants::is_overdue(report),
            best: original,
            report: report.clone(),
            deadline,
            begun_by: Instant::now() + deadline.saturating_duration_since(Instant::now()) * 3 / 4,
            beginning: 1,
            next_stream: 10_000,
            tries: 0,
            waiting: Waiting::begin(),
        }
    }

    /// Makes the run smaller until nothing helps or the time is over. Where a search ends depends on where it
    /// began, so it begins again with other random numbers until that has not helped for a while.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let original = (self.best.clone(), self.report.clone());
        self.descend()?;
        let mut in_vain = 0;
        while in_vain < DESCENTS && !self.is_over() && self.best.streams.is_some() {
            let before = (self.best.clone(), self.report.clone());
            (self.best, self.report) = original.clone();
            self.beginning += BEGINNINGS;
            self.descend()?;
            in_vain += 1;
            if self.report.steps < before.1.steps && self.best.streams.is_some() {
                in_vain = 0;
            } else {
                (self.best, self.report) = before;
            }
        }
        Ok(())
    }

    /// From a beginning to where no single step makes the run smaller.
    fn descend(&mut self) -> Result<(), Failure> {
        self.begin()?;
        self.go_blind()?;
        self.cut_off()?;
        loop {
            let before = self.report.steps;
            for verb in FAULTS.into_iter().chain(OPERATIONS) {
                if self.may_skip(verb) {
                    self.leave_out(verb)?;
                }
            }
            if !self.is_overdue {
                self.leave_out_servers()?;
            }
            self.leave_out_waits()?;
            if !self.is_overdue {
                self.lose_messages()?;
            }
            self.other_streams()?;
            if self.report.steps >= before || self.is_over() {
                return Ok(());
            }
        }
    }

    /// What is left, without what says nothing.
    pub(super) fn finish(self) -> Overrides {
        let counts = &self.report.choices;
        let mut best = self.best.clone();
        // What the shrunk run never comes to needs no mention.
        for (verb, which) in &mut best.skip {
            if let Some(&count) = counts.get(verb) {
                which.0.retain(|&(first, _)| first <= count);
                which.0.iter_mut().for_each(|(_, last)| *last = (*last).min(count));
            }
        }
        best.until = None;
        best
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.bench.runner.supervisor.is_stopped()
    }

    fn say(&mut self, what: &str) {
        let line = format!("{} steps, {} runs: {what}", self.report.steps, self.tries);
        if is_lively() {
            // One row, whatever the name of a link.
            let line = error_width().map_or(line.clone(), |width| cut(&line, width - 1));
            eprint!("\r\x1b[K{line}");
            if what.is_empty() {
                eprintln!();
            }
        } else if let Some(line) = self.waiting.due(|| line) {
            eprintln!("{line}");
        }
    }

    /// The simplest run that fails, and the shortest of those.
    fn begin(&mut self) -> Result<(), Failure> {
        let first = self.beginning;
        // The first try of everything ends where the original failed; what fails sooner bounds the next.
        let variants = |calm: bool, steady: Option<u64>, base: &Overrides, until: u64| -> Vec<Overrides> {
            let with = |number| Overrides {
                streams: Some(number),
                calm,
                steady,
                until: Some(until),
                ..base.clone()
            };
            (first..first + BEGINNINGS).map(with).collect()
        };
        let original = self.best.clone();
        let until = self.report.virtual_ns.saturating_mul(2).max(1);
        for (calm, steady) in [(true, Some(STEADY)), (true, None), (false, None)] {
            self.say("simpler runs");
            let mut candidates = variants(calm, steady, &original, until);
            let found = self.try_all(&mut candidates, true)?;
            if found || self.is_over() {
                return Ok(());
            }
        }
        // A failure that is rare: without streams a run cannot be changed and stay similar.
        while !self.is_over() && Instant::now() < self.begun_by {
            self.say("rare failure: other random numbers");
            // Most with delays that vary: what is rare may be impossible without them.
            let steady = self.next_stream.is_multiple_of(4).then_some(STEADY);
            let candidates = self.fresh_streams().map(|streams| Overrides {
                streams: Some(streams),
                steady,
                until: Some(self.report.virtual_ns.saturating_add(1)),
                ..original.clone()
            });
            let mut candidates: Vec<Overrides> = candidates.collect();
            self.next_stream += BATCH + 1;
            if self.try_all(&mut candidates, true)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Streams that no run had.
    fn fresh_streams(&self) -> std::ops::Range<u64> {
        self.next_stream..self.next_stream + BATCH
    }

    /// Runs the candidates; the one that fails in the same way with the fewest steps becomes the best.
    /// `any`: even if it has more steps than the best so far.
    fn try_all(&mut self, candidates: &mut [Overrides], any: bool) -> Result<bool, Failure> {
        let bound = self.best.until.unwrap_or(u64::MAX).min(self.report.virtual_ns.saturating_mul(3) / 2 + 1);
        if !any {
            candidates.iter_mut().for_each(|candidate| candidate.until = Some(bound));
        }
        let reports = variants::run(self.bench, candidates)?;
        self.tries += reports.iter().flatten().count();
        let mut found = false;
        for (candidate, report) in candidates.iter().zip(reports) {
            let Some(report) = report else { continue };
            let fails = variants::broken(&report) == self.rule;
            let is_smaller = report.steps < self.report.steps || any && !found;
            if fails && is_smaller && report.steps > 0 {
                (self.best, self.report, found) = (candidate.clone(), report, true);
            }
        }
        Ok(found)
    }

    /// The candidate with its own stream and with so many others.
    fn with_streams(candidate: Overrides, others: u64) -> impl Iterator<Item = Overrides> + use<> {
        let own = candidate.streams;
        let others = (1..=others).map(move |more| own.map(|own| own + 1000 * more));
        let streams = std::iter::once(own).chain(others.filter(move |_| own.is_some()));
        streams.map(move |streams| Overrides { streams, ..candidate.clone() })
    }

    /// Leaves out uses of a verb: all, halves, quarters, … single ones.
    fn leave_out(&mut self, verb: &str) -> Result<(), Failure> {
        self.say(verb);
        let number = |search: &Self| search.report.choices.get(verb).copied().unwrap_or(0);
        let skipped = |search: &Self| search.best.skip.get(verb).cloned().unwrap_or_default();
        let with = |search: &Self, which: Ranges| {
            let mut candidate = search.best.clone();
            candidate.skip.insert(verb.to_owned(), which);
            candidate
        };
        self.halve(&number, &skipped, &with)
    }

    /// Sleeps of the test that take no time.
    fn leave_out_waits(&mut self) -> Result<(), Failure> {
        self.say("waits");
        // Nobody counts them; a test that sleeps more often than it does anything else is rare.
        let number = |search: &Self| 2 * search.report.choices.values().copied().max().unwrap_or(0) + 8;
        let skipped = |search: &Self| search.best.skip.get("wait").cloned().unwrap_or_default();
        let with = |search: &Self, which: Ranges| {
            let mut candidate = search.best.clone();
            candidate.skip.insert("wait".to_owned(), which);
            candidate
        };
        self.halve(&number, &skipped, &with)
    }

    /// Requests from one node to another that are lost, link by link.
    fn lose_messages(&mut self) -> Result<(), Failure> {
        let links: Vec<String> =
            self.report.choices.keys().filter(|name| name.contains(' ')).cloned().collect();
        for link in links {
            if self.is_over() {
                return Ok(());
            }
            self.say(&link);
            let Some((from, to)) = link.split_once(' ') else { continue };
            let key = (from.to_owned(), to.to_owned());
            let number = |search: &Self| search.report.choices.get(&link).copied().unwrap_or(0);
            let lost = |search: &Self| search.best.lose.get(&key).cloned().unwrap_or_default();
            let with = |search: &Self, which: Ranges| {
                let mut candidate = search.best.clone();
                candidate.lose.insert(key.clone(), which);
                candidate
            };
            self.halve(&number, &lost, &with)?;
        }
        Ok(())
    }

    /// Delta debugging over the numbers 1 to `number`, of which some are left out already.
    fn halve(
        &mut self,
        number: &dyn Fn(&Self) -> u64,
        left_out: &dyn Fn(&Self) -> Ranges,
        with: &dyn Fn(&Self, Ranges) -> Overrides,
    ) -> Result<(), Failure> {
        let mut pieces = 1_usize;
        while !self.is_over() {
            let gone = left_out(self);
            let kept: Vec<u64> = (1..=number(self)).filter(|&one| !gone.contains(one)).collect();
            if kept.is_empty() {
                return Ok(());
            }
            let size = kept.len().div_ceil(pieces);
            let mut candidates = Vec::new();
            for piece in kept.chunks(size) {
                let all = (1..=number(self)).filter(|one| gone.contains(*one) || piece.contains(one));
                candidates.extend(Self::with_streams(with(self, Ranges::of(all)), OTHER_STREAMS));
            }
            let found = self.try_all(&mut candidates, false)?;
            if size == 1 && !found {
                return Ok(());
            }
            pieces = if found { pieces.saturating_sub(1).max(2) } else { pieces * 2 };
            // More candidates than this cost more time than they save events.
            if pieces > 64 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Large pieces at once, before anything else: all uses of some verbs behind a place, in clusters that
    /// are smaller from their beginning on, each with other random numbers. Step by step a search never
    /// comes there: a cluster of three is another run from its first moment, and fails only if what came
    /// behind the failure's cause is left out as well.
    fn cut_off(&mut self) -> Result<(), Failure> {
        let mut in_vain = 0;
        while in_vain < PIECES && !self.is_over() && self.best.streams.is_some() {
            self.say("large pieces");
            let counts = self.report.choices.clone();
            let mut candidates: Vec<Overrides> =
                self.fresh_streams().map(|streams| self.piece(streams, &counts)).collect();
            self.next_stream += BATCH;
            in_vain = if self.try_all(&mut candidates, false)? { 0 } else { in_vain + 1 };
        }
        Ok(())
    }

    /// One of them. The number draws everything about it.
    fn piece(&self, streams: u64, counts: &BTreeMap<String, u64>) -> Overrides {
        let mut drawn = streams;
        let mut draw = |below: u64| {
            // SplitMix64.
            drawn = drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = drawn;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % below.max(1)
        };
        let mut piece = Overrides { streams: Some(streams), ..self.best.clone() };
        piece.skip.clear();
        piece.lose.clear();
        piece.without.clear();
        piece.steady = (draw(2) == 0).then_some(STEADY);
        if self.is_of_rule {
            let servers = counts.get("server").copied().unwrap_or(0);
            let fewer = if draw(2) == 0 { 1 } else { draw(servers) };
            piece.servers = (fewer > 0 && servers > fewer).then(|| servers - fewer);
        }
        if !self.is_overdue && draw(2) == 0 {
            // What reached only some.
            let links: Vec<_> = counts.keys().filter_map(|name| name.split_once(' ')).collect();
            for _ in 0..draw(4).min(links.len() as u64) {
                let (from, to) = links[draw(links.len() as u64) as usize];
                let first = 1 + draw(6);
                let lost = Ranges(vec![(first, first + draw(3))]);
                piece.lose.insert((from.to_owned(), to.to_owned()), lost);
            }
        }
        for verb in FAULTS.iter().chain(&OPERATIONS).filter(|verb| self.may_skip(verb)) {
            let count = counts.get(*verb).copied().unwrap_or(0);
            let from = match draw(4) {
                _ if count == 0 => continue,
                0 => continue,
                1 => 1 + draw(4),
                _ => 1 + draw(count),
            };
            piece.skip.insert((*verb).to_owned(), Ranges(vec![(from, u64::MAX)]));
        }
        piece
    }

    /// What waits in vain for something would wait as long if nobody did anything.
    fn may_skip(&self, verb: &str) -> bool {
        !(self.is_overdue && (HELP.contains(&verb) || OPERATIONS.contains(&verb)))
    }

    /// Servers that never start.
    fn leave_out_servers(&mut self) -> Result<(), Failure> {
        self.say("servers");
        while !self.is_over() {
            let mut servers: Vec<&str> = self
                .report
                .choices
                .keys()
                .filter_map(|name| name.split_once(' '))
                .flat_map(|(from, to)| [from, to])
                .filter(|name| !self.best.without.contains(*name) && name.starts_with("server"))
                .collect();
            servers.sort_unstable();
            servers.dedup();
            let mut candidates = Vec::new();
            for server in servers {
                let mut candidate = self.best.clone();
                candidate.without.insert(server.to_owned());
                candidates.extend(Self::with_streams(candidate, STREAMS_WITHOUT));
            }
            if !self.try_all(&mut candidates, false)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Nobody but the test asks servers for their state.
    fn go_blind(&mut self) -> Result<(), Failure> {
        self.say("looks of the tester");
        let candidate = Overrides { blind: true, ..self.best.clone() };
        let mut candidates: Vec<Overrides> = Self::with_streams(candidate, STREAMS_WITHOUT).collect();
        self.try_all(&mut candidates, false).map(drop)
    }

    /// The same run with other random numbers, some of which fail sooner; most with things that were left
    /// out, since another run needs other things.
    fn other_streams(&mut self) -> Result<(), Failure> {
        for _ in 0..PATIENCE {
            if self.is_over() || self.best.streams.is_none() {
                return Ok(());
            }
            self.say("other random numbers");
            let counts = self.report.choices.clone();
            let with = |streams: u64| {
                let mut other = Overrides { streams: Some(streams), ..self.best.clone() };
                match streams % 4 {
                    0 => other.skip.clear(),
                    1 => {
                        other.skip.clear();
                        other.lose.clear();
                    }
                    2 => return self.piece(streams, &counts),
                    _ => {}
                }
                if streams % 8 > 3 {
                    other.steady = Some(STEADY);
                }
                other
            };
            let mut candidates: Vec<Overrides> = self.fresh_streams().map(with).collect();
            self.next_stream += BATCH;
            if self.try_all(&mut candidates, false)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.say("");
    }
}
