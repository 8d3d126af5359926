//! Both checkers on one history, in turns.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use linearize::generate::RegisterHistory;
use linearize::models::register::Register;
use linearize::{KvHistory, Limits, Verdict, check};

use crate::peer::{Luck, Prepared};

/// What a checker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Good,
    Bad,
    /// It stopped at its limit.
    Undecided,
}

impl Finding {
    const WORDS: [(Finding, &str); 3] =
        [(Finding::Good, "ok"), (Finding::Bad, "bad"), (Finding::Undecided, "?")];

    pub(crate) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|entry| entry.0 == self).expect("every finding has a word").1
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(Self::WORDS.iter().find(|entry| entry.1 == word)?.0)
    }

    pub(crate) fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Linearizable(_) => Finding::Good,
            Verdict::NotLinearizable(_) => Finding::Bad,
            Verdict::Unknown(_) => Finding::Undecided,
        }
    }
}

/// A history of one of the two kinds that the peer has models for.
pub(crate) enum Observed {
    KeyValue(KvHistory),
    Register(RegisterHistory),
}

impl Observed {
    /// Number of operations.
    pub(crate) fn len(&self) -> usize {
        match self {
            Observed::KeyValue(history) => history.history().operations().len(),
            Observed::Register(history) => history.operations().len(),
        }
    }
}

/// A history with a name that tells how to make it again.
pub(crate) struct Case {
    pub(crate) label: String,
    pub(crate) history: Observed,
}

impl Case {
    pub(crate) fn keys(label: impl Into<String>, history: KvHistory) -> Self {
        Case { label: label.into(), history: Observed::KeyValue(history) }
    }

    pub(crate) fn register(label: impl Into<String>, history: RegisterHistory) -> Self {
        Case { label: label.into(), history: Observed::Register(history) }
    }

    pub(crate) fn check(&self) -> Verdict {
        let limits = Limits { explain: is_explained(), ..Limits::default() };
        match &self.history {
            Observed::KeyValue(history) => history.check(&limits),
            Observed::Register(history) => check(&Register::new(), history, &limits),
        }
    }

    pub(crate) fn for_peer(&self) -> Prepared {
        match &self.history {
            Observed::KeyValue(history) => Prepared::keys(history),
            Observed::Register(history) => Prepared::register(history),
        }
    }
}

/// Whether our checker shall say why, which the peer does not: an environment variable for the processes of
/// the rows.
pub(crate) const EXPLAINED: &str = "PEERS_EXPLAINED";

fn is_explained() -> bool {
    std::env::var_os(EXPLAINED).is_some()
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) label: String,
    pub(crate) operations: usize,
    pub(crate) ours: Finding,
    pub(crate) theirs: Finding,
    /// Medians; if the peer is undecided, how long it was let run.
    pub(crate) our_time: Duration,
    pub(crate) their_time: Duration,
    /// The peer's with luck; as long as without where luck does not matter.
    pub(crate) lucky_time: Duration,
}

impl Outcome {
    /// Our share of the peer's time; an upper bound if the peer is undecided.
    pub(crate) fn ratio(&self) -> f64 {
        self.our_time.as_secs_f64() / self.their_time.as_secs_f64()
    }

    /// Our share of what a lucky peer takes.
    pub(crate) fn lucky_ratio(&self) -> f64 {
        self.our_time.as_secs_f64() / self.lucky_time.as_secs_f64()
    }

    pub(crate) fn agrees(&self) -> bool {
        self.ours == self.theirs || self.theirs == Finding::Undecided
    }

    /// One line for the parent process.
    pub(crate) fn line(&self) -> String {
        let mut line = self.label.clone();
        let times = [self.our_time, self.their_time, self.lucky_time].map(|time| time.as_nanos());
        let words = [self.ours, self.theirs].map(Finding::word);
        write!(line, "\t{}\t{}\t{}\t{times:?}", self.operations, words[0], words[1])
            .expect("a string takes everything");
        line
    }

    /// What [`Outcome::line`] wrote.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [label, operations, ours, theirs, times] = fields[..] else { return None };
        let times = times.trim_matches(['[', ']']).split(", ").map(|time| time.parse().ok());
        let times: Vec<Duration> = times.map(|time| time.map(Duration::from_nanos)).collect::<Option<_>>()?;
        let [our_time, their_time, lucky_time] = times[..] else { return None };
        Some(Outcome {
            label: label.to_owned(),
            operations: operations.parse().ok()?,
            ours: Finding::of_word(ours)?,
            theirs: Finding::of_word(theirs)?,
            our_time,
            their_time,
            lucky_time,
        })
    }
}

/// How long the turns on one history may take together, more or less.
const TURNS: Duration = Duration::from_millis(10);

/// What takes longer than this is measured once more and no oftener: there is little chance in it.
const LONG: Duration = Duration::from_millis(100);

/// Up to this time a run is repeated before it is measured: caches are then as they are in a loop, for both.
const SHORT: Duration = Duration::from_millis(2);

/// Lets both check `case`, in turns, the peer for `limit` at most. Of the peer's ways to work the fastest
/// counts.
pub(crate) fn contest(case: &Case, limit: Duration) -> Outcome {
    let prepared = case.for_peer();
    let ours = Finding::of(&case.check());
    let mut theirs = Finding::Undecided;
    let mut ways = Vec::new();
    let mut least = limit;
    for way in prepared.ways() {
        let start = Instant::now();
        let finding = (way.within)(&prepared, limit);
        // Without a limit it might go on for ever where it has just been stopped.
        if finding != Finding::Undecided {
            theirs = finding;
            least = least.min(start.elapsed());
            ways.push((way.run, Vec::new()));
        }
    }
    let rounds = if least > LONG { 1 } else { (TURNS.as_nanos() / least.as_nanos().max(1) / 2).clamp(5, 15) };
    let luck = if theirs == Finding::Bad { Luck::new(&prepared, limit) } else { None };
    let (mut own, mut lucky) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own.push(time(|| case.check()));
        ways.iter_mut().for_each(|(run, times)| times.push(time(|| run(&prepared))));
        lucky.extend(luck.as_ref().map(|luck| time(|| luck.run())));
    }
    own.extend((own.len()..15).map(|_| time(|| case.check())));
    let their_time = ways.iter_mut().filter_map(|(_, times)| median(times)).min().unwrap_or(limit);
    Outcome {
        label: case.label.clone(),
        operations: case.history.len(),
        ours,
        theirs,
        our_time: median(&mut own).expect("it was measured"),
        their_time,
        lucky_time: median(&mut lucky).unwrap_or(their_time).min(their_time),
    }
}

/// How long it takes, with the freeing of what it returns.
fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let mut once = || {
        let start = Instant::now();
        drop(black_box(run()));
        start.elapsed()
    };
    let first = once();
    if first < SHORT { once() } else { first }
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
