//! What a run does otherwise than its seed says: a test's verbs ask here whether they may do anything, and
//! the network and the runtime are told the rest. For `cargo lab shrink` and `when`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use labreport::overrides::Overrides;
use labrpc::Network;
use labrt::quiet::Mutex;
use labrt::time::Instant;
use labrt::{Config, PolicyKind};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The overrides of one run, and how often what they could override came up. Clones are the same.
#[derive(Clone, Default)]
pub struct Choices {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    overrides: Overrides,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Choices {
    /// The run follows these overrides; None for a run as its seed says.
    pub(crate) fn new(overrides: Option<&Overrides>) -> Choices {
        let inner = |overrides: &Overrides| {
            Arc::new(Inner { overrides: overrides.clone(), counts: Mutex::default() })
        };
        Choices { inner: overrides.map(inner) }
    }

    /// Whether the test's verb may do what it does. Each use counts. A verb that may not does nothing.
    pub fn allows(&self, verb: &str) -> bool {
        let Some(inner) = &self.inner else { return true };
        let number = inner.count(verb);
        inner.overrides.skip.get(verb).is_none_or(|skipped| !skipped.contains(number))
    }

    /// How many servers a cluster has that is to have so many. One by one they are counted, so that it is
    /// known how many there were to be.
    pub(crate) fn servers(&self, asked_for: usize) -> usize {
        let Some(inner) = &self.inner else { return asked_for };
        for _ in 0..asked_for {
            inner.count("server");
        }
        let most = inner.overrides.servers.and_then(|servers| usize::try_from(servers).ok());
        most.map_or(asked_for, |most| most.clamp(1, asked_for))
    }

    /// Whether a server never starts.
    pub(crate) fn is_without(&self, server: &str) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.overrides.without.contains(server))
    }

    /// Whether nobody asks servers for their state but the test itself.
    pub(crate) fn is_blind(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.overrides.blind)
    }

    /// Tells the network what concerns it.
    pub(crate) fn apply(&self, network: &Network) {
        let Some(inner) = &self.inner else { return };
        if let Some(micros) = inner.overrides.steady {
            network.steady(Duration::from_micros(micros));
        }
        let inner = Arc::clone(inner);
        let mut coin = inner.overrides.reseed.filter(|_| inner.overrides.lossy).map(Coin::new);
        network.lose(move |from, to, _| {
            let number = inner.count(&format!("{from} {to}"));
            let link = inner.overrides.lose.iter().find(|((one, other), _)| one == from && other == to);
            link.is_some_and(|(_, lost)| lost.contains(number)) || coin.as_mut().is_some_and(Coin::toss)
        });
    }

    /// Tells the runtime what concerns it.
    pub(crate) fn configure(overrides: Option<&Overrides>, config: &mut Config) {
        let Some(overrides) = overrides else { return };
        config.own_streams = overrides.streams;
        config.reseed = overrides.reseed.map(|(at, seed)| (Duration::from_nanos(at), seed));
        if let Some(waits) = overrides.skip.get("wait") {
            config.skipped_sleeps.clone_from(&waits.0);
        }
        if let Some(until) = overrides.until {
            config.limits.virtual_time = config.limits.virtual_time.min(Duration::from_nanos(until));
        }
        if overrides.calm {
            config.policy = PolicyKind::Calm;
            config.jitter = Duration::ZERO;
            config.spurious_wakes = 0;
        }
    }

    /// How often each verb was used, and how many requests went from one node to another.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.inner.as_ref().map_or_else(BTreeMap::new, |inner| inner.counts.lock().clone())
    }
}

/// Decides from a moment on which requests are lost, with random numbers of its own: a run draws the same
/// ones with it and without.
struct Coin {
    from: Instant,
    rng: SmallRng,
}

impl Coin {
    fn new((at, seed): (u64, u64)) -> Coin {
        Coin { from: Instant::from_nanos(at), rng: SmallRng::seed_from_u64(seed) }
    }

    /// Whether the request that comes now is lost.
    fn toss(&mut self) -> bool {
        labrt::runtime::now() >= self.from && self.rng.random()
    }
}

impl Inner {
    fn count(&self, what: &str) -> u64 {
        let counts = &mut *self.counts.lock();
        match counts.get_mut(what) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => {
                counts.insert(what.to_owned(), 1);
                1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_requests_are_lost_from_a_moment_on() {
        let outcome = labrt::run(Config::simulated(1), || {
            let mut coin = Coin::new((1_000_000_000, 7));
            assert!((0..1000).all(|_| !coin.toss()));
            labrt::thread::sleep(Duration::from_secs(1));
            let lost = (0..1000).filter(|_| coin.toss()).count();
            assert!((400..600).contains(&lost), "{lost} of 1000");
        });
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
}
