//! What a seed draws besides random numbers when `LAB_SWARM` is set: another network, another scheduler,
//! other clocks.
//!
//! Swarm testing (Groce et al., ISSTA 2012): a set of runs finds more when each has its own mixture of
//! features than when all have the same. Every mixture is mild enough that a correct solution passes every
//! test.

use std::time::Duration;

use labrpc::{DelayModel, Network};
use labrt::PolicyKind;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The knobs of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Knobs {
    /// Shortest and longest one-way delay of a message, in microseconds; None for the network's default.
    delay_us: Option<(u64, u64)>,
    /// A slow link between two servers of the Raft lab: two numbers that choose them, and the one-way delay
    /// in microseconds. Its round trips are longer than those of the network at its slowest.
    slow_link: Option<(usize, usize, u64)>,
    /// Probability that a request is delivered twice.
    duplication: f64,
    /// The scheduling policy; None for the default.
    policy: Option<PolicyKind>,
    /// How much the clocks of servers may run fast or slow, as a fraction.
    skew: f64,
    /// The longest time that a thread seems to compute at once, in microseconds.
    jitter_us: u64,
    /// One in so many waits for a condition variable ends without a notification; 0 for none.
    pub(crate) spurious_wakes: u32,
    /// Mean time between two pauses of some server, and the longest pause, in milliseconds.
    pub(crate) pauses_ms: Option<(u64, u64)>,
}

impl Knobs {
    /// The mixture of this seed.
    pub(crate) fn draw(seed: u64) -> Knobs {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x5EED_5A47_2D1C_0B0E);
        let mut knobs = Knobs::default();
        if rng.random_bool(0.5) {
            let longest = rng.random_range(50..=50_000);
            knobs.delay_us = Some((rng.random_range(50..=longest), longest));
        }
        if rng.random_bool(0.3) {
            knobs.duplication = rng.random_range(0.0..0.2);
        }
        knobs.policy = match rng.random_range(0..4) {
            0 => Some(PolicyKind::Pct { depth: rng.random_range(1..=5), steps: 0 }),
            1 => Some(PolicyKind::Random { switch_every: 1 << rng.random_range(0..8) }),
            2 => Some(PolicyKind::RoundRobin),
            _ => None,
        };
        if rng.random_bool(0.5) {
            knobs.skew = rng.random_range(0.0..0.05);
        }
        if rng.random_bool(0.3) {
            knobs.pauses_ms = Some((rng.random_range(500..5_000), rng.random_range(5..60)));
        }
        if rng.random_bool(0.3) {
            knobs.jitter_us = rng.random_range(1..=300);
        }
        if rng.random_bool(0.3) {
            let (one, other) = (rng.random_range(0..64), rng.random_range(0..64));
            knobs.slow_link = Some((one, other, rng.random_range(50_000..=100_000)));
        }
        if rng.random_bool(0.3) {
            knobs.spurious_wakes = 1 << rng.random_range(2..=7);
        }
        knobs
    }

    pub(crate) fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter_us)
    }

    pub(crate) fn policy(&self) -> PolicyKind {
        self.policy.clone().unwrap_or_default()
    }

    /// Sets the network's knobs.
    pub(crate) fn apply(&self, network: &Network) {
        if let Some((shortest, longest)) = self.delay_us {
            let (shortest, longest) = (Duration::from_micros(shortest), Duration::from_micros(longest));
            network.set_delay(DelayModel::uniform(shortest, longest));
        }
        if self.duplication > 0.0 {
            network.set_duplication(self.duplication);
        }
    }

    /// The delay of the link between two of `servers` servers, if it is the slow one.
    pub(crate) fn slow_link(&self, servers: usize, one: usize, other: usize) -> Option<DelayModel> {
        let (from, to, delay) = self.slow_link?;
        let (from, to) = (from % servers, to % servers);
        let is_slow = from != to && ([one, other] == [from, to] || [other, one] == [from, to]);
        is_slow.then_some(DelayModel::fixed(Duration::from_micros(delay)))
    }

    /// How many times as long a leader may fail to come. Two servers that reach each other over the slow link
    /// alone split their votes in half of all elections, and in nine of ten if their time-outs differ by 150
    /// ms at most: a correct solution needs up to a minute then, and ten elections in a row are not rare
    /// enough.
    pub(crate) fn patience(&self) -> u32 {
        if self.slow_link.is_some() { 12 } else { 1 }
    }

    /// The speed of a new server's clock.
    pub(crate) fn clock_rate(&self) -> f64 {
        if self.skew > 0.0 { 1.0 + labrt::rand::random_range(-self.skew..=self.skew) } else { 1.0 }
    }

    /// What was drawn, in words.
    pub(crate) fn words(&self) -> String {
        let ms = |us: u64| us as f64 / 1000.0;
        let delay = |(shortest, longest)| {
            format!("messages take {:.1} to {:.1} ms each way", ms(shortest), ms(longest))
        };
        let policy = |policy: &PolicyKind| match policy {
            PolicyKind::Pct { depth, .. } => format!("PCT of depth {depth} schedules"),
            PolicyKind::Random { switch_every } => {
                format!("at 1 of {switch_every} points another thread gets the turn")
            }
            PolicyKind::RoundRobin => "threads get their turns in a circle".to_owned(),
            other => format!("{other:?} schedules"),
        };
        let share = |share: f64, words: &str| {
            (share > 0.0).then(|| words.replace("{}", &format!("{:.1} %", 100.0 * share)))
        };
        let pauses = |(mean, longest)| format!("each {mean} ms or so a server pauses for up to {longest} ms");
        let words = [
            self.delay_us.map(delay),
            self.slow_link.map(|(.., us)| format!("one link between two servers takes {:.1} ms", ms(us))),
            share(self.duplication, "{} of requests arrive twice"),
            share(self.skew, "clocks are wrong by up to {}"),
            self.pauses_ms.map(pauses),
            (self.jitter_us > 0).then(|| format!("a thread computes for up to {} µs", self.jitter_us)),
            (self.spurious_wakes > 0)
                .then(|| format!("one in {} waits ends without a notification", self.spurious_wakes)),
            self.policy.as_ref().map(policy),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// Whether the run is one with defaults only.
    pub(crate) fn is_default(&self) -> bool {
        *self == Knobs::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_told() {
        assert_eq!(Knobs::default().words(), "");
        let knobs = Knobs {
            delay_us: Some((38_500, 46_600)),
            slow_link: Some((1, 2, 75_000)),
            duplication: 0.125,
            spurious_wakes: 4,
            policy: Some(PolicyKind::Random { switch_every: 8 }),
            ..Knobs::default()
        };
        let words = "messages take 38.5 to 46.6 ms each way; one link between two servers takes 75.0 ms; 12.5 % of \
                     requests arrive twice; one in 4 waits ends without a notification; at 1 of 8 points another \
                     thread gets the turn";
        assert_eq!(knobs.words(), words);
    }

    /// Two servers whose time-outs differ by 150 ms at most, over the slowest link that is drawn: a vote is
    /// split if the second stands before the first one's request has come.
    #[test]
    fn a_correct_solution_is_elected_over_a_slow_link() {
        let slowest = (0..10_000).filter_map(|seed| Knobs::draw(seed).slow_link).map(|(_, _, delay)| delay);
        let delay = slowest.max().expect("some seeds draw a slow link") as f64;
        let is_split = 1.0 - (1.0 - delay / 150_000.0).powi(2);
        let knobs = Knobs { slow_link: Some((0, 1, delay as u64)), ..Knobs::default() };
        let elections = |knobs: &Knobs| i32::try_from(5 * knobs.patience()).expect("it is small") * 2;
        assert!(is_split.powi(elections(&knobs)) < 1e-6, "{is_split} of all votes are split");
        assert!(is_split.powi(elections(&Knobs::default())) > 0.01, "it needs no patience");
    }
}
