//! The plan of a test's runs, read from the environment.

use std::env;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use labreport::overrides::Overrides;
use labreport::swarm::Swarm;
use labrt::{Limits, PolicyKind, World};

use super::Allowance;
use super::channel::{self, Reports};

/// How a test is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) test: &'static str,
    pub(crate) seeds: Range<u64>,
    /// Which of them is the first: those before it come last.
    pub(crate) first: u64,
    pub(crate) world: World,
    pub(crate) check_determinism: bool,
    pub(crate) swarm: Swarm,
    /// How threads are scheduled, if not as the seed draws.
    pub(crate) scheduler: Option<PolicyKind>,
    /// Whether observers are ignored.
    pub(crate) unwatched: bool,
    pub(crate) reports: Reports,
    pub(crate) keep_going: bool,
    pub(crate) story: bool,
    pub(crate) trace: Option<PathBuf>,
    /// Runs that differ from what their seeds say; if there are any, `seeds` are places among them.
    pub(crate) variants: Arc<Vec<Overrides>>,
    /// Where the scheduling decisions go, for a process that compares them with its own.
    pub(crate) decisions: Option<PathBuf>,
    /// Where pictures go; None for no pictures.
    pub(crate) pictures: Option<PathBuf>,
    /// How wide the lines of a report may be.
    pub(crate) width: usize,
    pub(crate) limits: Limits,
}

/// The width of reports where the terminal's is unknown.
const WIDTH: usize = 100;

/// A narrower terminal, or one that says 0, breaks the lines itself.
const NARROWEST: usize = 20;

impl Plan {
    /// One seed in the simulation, whatever the environment says.
    pub(crate) fn simulated(test: &'static str, seed: u64) -> Plan {
        let Allowance { virtual_time, real_time } = Allowance::default();
        Plan {
            test,
            seeds: seed..seed.saturating_add(1),
            first: seed,
            world: World::Simulated,
            check_determinism: false,
            swarm: Swarm::None,
            scheduler: None,
            unwatched: false,
            reports: Reports::Nobody,
            keep_going: false,
            story: false,
            trace: None,
            variants: Arc::default(),
            decisions: None,
            pictures: None,
            width: WIDTH,
            limits: Limits { virtual_time, real_time, ..Limits::default() },
        }
    }

    /// The seeds in the order in which they are run.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = u64> + use<> {
        (self.first..self.seeds.end).chain(self.seeds.start..self.first)
    }

    /// How the run with this number differs from what its seed says; None if it does not.
    pub(crate) fn overrides_of(&self, number: u64) -> Option<&Overrides> {
        usize::try_from(number).ok().and_then(|place| self.variants.get(place))
    }

    /// What `lab` must be told, besides test and seed, to run this seed again in the same way.
    pub(crate) fn options(&self, seed: u64) -> String {
        let mut options = String::new();
        if self.world == World::Threads {
            options.push_str(" --threads");
        }
        if self.swarm.has(seed) {
            options.push_str(" --swarm");
        }
        match &self.scheduler {
            Some(PolicyKind::Pct { depth, .. }) => options += &format!(" --scheduler pct:{depth}"),
            Some(_) => options.push_str(" --scheduler random"),
            None => {}
        }
        options
    }

    pub(crate) fn from_environment(test: &'static str, allowance: Allowance) -> Result<Plan, String> {
        let reports = Reports::from_text(text("LAB_REPORT")?.as_deref())?;
        let (seeds, first) = seeds()?;
        Ok(Plan {
            test,
            seeds,
            first,
            world: world()?,
            check_determinism: flag("LAB_CHECK_DETERMINISM")?,
            swarm: swarm()?,
            scheduler: scheduler()?,
            unwatched: flag("LAB_UNWATCHED")?,
            reports,
            keep_going: reports != Reports::Nobody || flag("LAB_KEEP_GOING")?,
            story: flag("LAB_STORY")?,
            trace: text("LAB_TRACE")?.map(PathBuf::from),
            variants: Arc::new(variants(text("LAB_VARIANTS")?)?),
            decisions: text("LAB_DECISIONS")?.map(PathBuf::from),
            pictures: Some(super::pictures::folder(text("LAB_PICTURES")?)),
            width: width()?,
            limits: limits(test, allowance)?,
        })
    }
}

/// A variable's value; None if it is not set, or empty.
fn text(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is no text")),
    }
}

/// What the file describes; nothing if there is none.
fn variants(path: Option<String>) -> Result<Vec<Overrides>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(&path).map_err(|error| format!("LAB_VARIANTS, {path}: {error}"))?;
    Overrides::parse_all(&text).map_err(|error| format!("LAB_VARIANTS, {path}, {error}"))
}

fn flag(name: &str) -> Result<bool, String> {
    match text(name)?.as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(format!("{name} must be 0 or 1, not {other:?}")),
    }
}

fn swarm() -> Result<Swarm, String> {
    let value = text("LAB_SWARM")?.unwrap_or_default();
    Swarm::from_text(&value).ok_or_else(|| format!("LAB_SWARM must be 0, 1 or tenth, not {value:?}"))
}

fn number(name: &str) -> Result<Option<u64>, String> {
    let parse = |value: String| {
        value
            .parse()
            .map_err(|_| format!("{name} must be a whole number that is not negative, not {value:?}"))
    };
    text(name)?.map(parse).transpose()
}

/// How wide the lines of a report may be; where the environment makes no sense, the usual width.
pub fn report_width() -> usize {
    width().unwrap_or(WIDTH)
}

fn width() -> Result<usize, String> {
    // A shell that exports `COLUMNS` means well; what it says is no reason to fail.
    let columns = || env::var("COLUMNS").ok()?.parse().ok();
    let asked = number("LAB_COLUMNS")?.map(|width| usize::try_from(width).unwrap_or(usize::MAX));
    Ok(asked.or_else(columns).unwrap_or(WIDTH).max(NARROWEST))
}

/// The seeds, and the first of them.
fn seeds() -> Result<(Range<u64>, u64), String> {
    if let Some(asked) = channel::seeds().map(str::to_owned).or(text("LAB_SEEDS")?) {
        return range(&asked)
            .ok_or_else(|| format!("LAB_SEEDS must be a range a..b with a below b, not {asked:?}"));
    }
    // From the system's randomness, never from the clock: two runs that begin together must not be equal.
    let seed = number("LAB_SEED")?.unwrap_or_else(labrt::random_seed);
    match seed.checked_add(1) {
        Some(end) => Ok((seed..end, seed)),
        None => Err("LAB_SEED is too large".to_owned()),
    }
}

/// `3..9`, or `3..9 from 5`: 5 to 8, then 3 and 4.
fn range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, first) =
        text.split_once(" from ").map_or((text, None), |(range, first)| (range, Some(first)));
    let (start, end) = range.split_once("..")?;
    let seeds: Range<u64> = start.parse().ok()?..end.parse().ok()?;
    let first = first.map_or(Some(seeds.start), |first| first.parse().ok())?;
    seeds.contains(&first).then_some((seeds, first))
}

/// `120,slow_2b=900`: the usual limit, and those of single tests, which share a process with others.
fn own_limit(asked: &str, test: &str) -> Result<Option<u64>, String> {
    let own = asked.split(',').filter_map(|item| item.split_once('=')).find(|(name, _)| *name == test);
    let usual = asked.split(',').find(|item| !item.contains('='));
    let parse = |value: &str| {
        let complaint = || format!("LAB_VIRTUAL_LIMIT_S must be a whole number of seconds, not {value:?}");
        value.parse().map_err(|_| complaint())
    };
    own.map(|(_, limit)| limit).or(usual).map(parse).transpose()
}

fn world() -> Result<World, String> {
    match text("LAB_RUNTIME")?.as_deref() {
        None | Some("simulated") => Ok(World::Simulated),
        Some("threads") => Ok(World::Threads),
        Some(other) => Err(format!("LAB_RUNTIME must be `simulated` or `threads`, not {other:?}")),
    }
}

fn scheduler() -> Result<Option<PolicyKind>, String> {
    /// A switch at one in so many points, on average: the middle of what seeds draw.
    const SWITCH_EVERY: u32 = 8;
    let Some(name) = text("LAB_SCHEDULER")? else { return Ok(None) };
    match (name.as_str(), name.strip_prefix("pct:").and_then(|depth| depth.parse().ok())) {
        ("random", _) => Ok(Some(PolicyKind::Random { switch_every: SWITCH_EVERY })),
        (_, Some(depth)) => Ok(Some(PolicyKind::Pct { depth, steps: 0 })),
        _ => Err(format!("LAB_SCHEDULER must be random or pct:D, not {name:?}")),
    }
}

fn limits(test: &str, allowance: Allowance) -> Result<Limits, String> {
    let seconds = |name, usual| Ok::<_, String>(number(name)?.map_or(usual, Duration::from_secs));
    let virtual_s = match text("LAB_VIRTUAL_LIMIT_S")? {
        Some(asked) => own_limit(&asked, test)?,
        None => None,
    };
    Ok(Limits {
        virtual_time: virtual_s.map_or(allowance.virtual_time, Duration::from_secs),
        real_time: seconds("LAB_REAL_LIMIT_S", allowance.real_time)?,
        stuck_after: seconds("LAB_STUCK_LIMIT_S", Limits::default().stuck_after)?,
        memory: number("LAB_MEMORY_LIMIT_MB")?.unwrap_or(0).saturating_mul(1024 * 1024),
        ..Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_may_begin_in_their_middle() {
        assert_eq!(range("3..9"), Some((3..9, 3)));
        assert_eq!(range("3..9 from 5"), Some((3..9, 5)));
        for wrong in ["", "3", "9..3", "3..3", "3..9 from 9", "3..9 from 2", "3..9 from", "3..9 from x"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
        let plan = Plan { seeds: 3..9, first: 5, ..Plan::simulated("x", 3) };
        assert_eq!(plan.in_order().collect::<Vec<_>>(), [5, 6, 7, 8, 3, 4]);
    }

    #[test]
    fn a_test_may_have_a_limit_of_its_own() {
        let asked = "120,slow_2b=900,slow=7";
        assert_eq!(own_limit(asked, "slow_2b"), Ok(Some(900)));
        assert_eq!(own_limit(asked, "quick_2b"), Ok(Some(120)));
        assert_eq!(own_limit("slow=7", "quick_2b"), Ok(None));
        assert!(own_limit("x", "quick_2b").is_err() && own_limit("120,slow=x", "slow").is_err());
    }
}
