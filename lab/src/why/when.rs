//! `cargo lab when`: when did a failure become certain? The run is forked at many moments: up to there it is
//! the failing run, and from there on another seed decides. The part of these futures that fail in the same
//! way tells how far the failure was decided at that moment.
//!
//! Two moments are looked for. The failure became *likely* where the part rises most and stays high; that is
//! where the stage was set: who led when the fault came. It became *certain* behind the last moment from
//! which some future escaped; between there and the failure nothing that chance decides could help. What
//! chance does not decide, such as an election whose time-outs are drawn already, lies behind it.
//!
//! So the run is forked once more, behind that moment, into futures that also lose half of all requests. It
//! was *settled* behind the last moment from which one of these escaped. That is the nearest to the faulty
//! step that futures can tell.

mod picture;

use console::style;
use lab_terminal::width;
use labreport::overrides::Overrides;

use self::picture::{plot, svg};
use super::cli::WhenOptions;
use super::traced::{Bench, check_writable, write};
use super::variants;
use crate::cli::Arguments;
use crate::style::{say, say_or_json};
use crate::{Failure, Outcome};

/// Futures go on for this much longer than the failing run.
const LONGER: f64 = 1.1;

/// How many of the moments are spread evenly; the others go to where the failure was decided.
const SPREAD: f64 = 0.6;

/// At so many moments the run is forked into futures that lose half of all requests; the first of them are
/// spread evenly.
const ROUGH: u32 = 10;
const ROUGH_SPREAD: u32 = 4;

/// This part of the run is as exactly as it is worth knowing when the failure became certain.
const FINE: u64 = 500;

/// All futures of all moments are listed before they are run, which takes memory.
const MOST: u64 = 1_000_000;

/// The futures of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    /// Nanoseconds since the start.
    at: u64,
    /// How many break the same rule.
    failed: u32,
    /// How many of these end with the very failure of the run that was forked: its servers, terms and
    /// indices, with whatever commands.
    same: u32,
    runs: u32,
}

impl Moment {
    fn share(&self) -> f64 {
        self.part(self.failed)
    }

    fn part(&self, number: u32) -> f64 {
        f64::from(number) / f64::from(self.runs.max(1))
    }
}

/// Between which moments something was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    from: Moment,
    to: Moment,
}

/// What the futures tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Decided {
    /// The failure became likely.
    likely: Option<Jump>,
    /// Nearly every future breaks the rule, and `likely` is where the very failure became likely.
    of_this_failure: bool,
    /// Behind it every future fails.
    certain: Option<Jump>,
    /// Behind it also those fail that lose half of all requests; only if that is later.
    settled: Option<Jump>,
}

impl Decided {
    /// Whatever chance decides, the rule breaks.
    fn none_escapes(self) -> bool {
        self.of_this_failure && self.certain.is_none()
    }

    /// Without repetition, the jumps that the plot shows.
    fn jumps(self) -> impl Iterator<Item = Jump> {
        self.certain.into_iter().chain(self.likely.filter(|_| self.likely != self.certain))
    }
}

/// Forks the run and prints the plot.
pub(crate) fn run(arguments: &Arguments, options: &WhenOptions) -> Result<Outcome, Failure> {
    let runs = u64::from(options.moments) * u64::from(options.futures);
    if runs > MOST {
        return Err(Failure::new(format!(
            "--moments and --futures ask for {runs} runs; {MOST} are the most"
        )));
    }
    let bench = Bench::new(arguments, &options.failing.test, &options.failing.run)?;
    options.svg.as_deref().map_or(Ok(()), check_writable)?;
    let Some(report) = variants::failing(&bench, options.failing.seed, "when")? else {
        return Ok(Outcome::Interrupted);
    };
    if report.virtual_ns == 0 {
        // It failed before its clock had moved, or died and tells no time.
        return Err(Failure::new(format!(
            "there is no moment at which to fork this run: {}",
            report.reason()
        )));
    }
    let fails = Fork {
        bench: &bench,
        options,
        rule: variants::broken(&report),
        reason: report.reason(),
        failed_at: report.virtual_ns,
    };
    if !options.form.json {
        say(&format!(
            "{} fails with seed {} at {}: {}",
            bench.test.name,
            options.failing.seed,
            at(report.virtual_ns),
            report.reason()
        ));
        say(&format!("{} futures from each of {} moments…", options.futures, options.moments));
    }
    let moments = fails.moments()?;
    let settled = fails.settled(certain(&moments))?;
    if bench.runner.supervisor.is_stopped() {
        // Futures that were not run say nothing.
        let runs: u32 = moments.iter().map(|moment| moment.runs).sum();
        let words = format!("{} after {runs} futures", style("interrupted").yellow());
        say_or_json(options.form.json, &words, &serde_json::json!({"interrupted": {"futures": runs}}));
        return Ok(Outcome::Interrupted);
    }
    let decided = Decided { settled, ..decided(&moments) };
    if let Some(path) = &options.svg {
        write(path, &svg(&moments, decided, report.virtual_ns, &bench.test.name, options.failing.seed))?;
    }
    if options.form.json {
        let row = |moment: &Moment| serde_json::json!({"at": moment.at, "failed": moment.failed, "same": moment.same, "runs": moment.runs});
        let rows: Vec<_> = moments.iter().map(row).collect();
        let places = |jump: Option<Jump>| jump.map(|jump| [jump.from.at, jump.to.at]);
        println!(
            "{}",
            serde_json::json!({"failed_at": report.virtual_ns, "moments": rows,
                "likely": places(decided.likely), "certain": places(decided.certain),
                "settled": places(decided.settled)})
        );
        return Ok(Outcome::Passed);
    }
    say(&plot(&moments, decided, width()));
    tell(&bench, options, decided);
    Ok(Outcome::Passed)
}

/// Says when the failure was decided, and how to see what happened there.
fn tell(bench: &Bench, options: &WhenOptions, decided: Decided) {
    let between = |what: &str, Jump { from, to }: Jump, and: &str| {
        say(&format!("{what} between {} and {}{and}", style(at(from.at)).bold(), style(at(to.at)).bold()));
        let look = format!(
            "{}cargo lab logs {} --seed {} --from {:.6} --to {:.6}",
            bench.runner.world.prefix(),
            bench.test.name,
            options.failing.seed,
            seconds(from.at),
            seconds(to.at)
        );
        say(&format!("    what happened there: {look}{}", bench.runner.world.flags(options.failing.seed)));
    };
    let world = &bench.runner.world;
    let shrink = format!("cargo lab shrink {} --seed {}", bench.test.name, options.failing.seed);
    let smaller =
        format!("    make it smaller: {}{shrink}{}", world.prefix(), world.flags(options.failing.seed));
    if decided == Decided::default() {
        say("the probability does not jump: nearly every future of this run fails, from its beginning on");
        return say(&smaller);
    }
    if decided.none_escapes() {
        // No moment of chance tells then where the faulty step is.
        say("every future of this run breaks the rule: chance decides only whom it hits");
        say(&smaller);
    }
    if let Some(jump) = decided.likely.filter(|_| decided.likely != decided.certain) {
        let what = match decided.of_this_failure {
            true if decided.none_escapes() => "servers, terms and indices of this failure were decided",
            true => "most futures of this run break the rule somewhere; this very failure became likely",
            false => "the failure became likely",
        };
        between(what, jump, "");
    }
    if let Some(jump) = decided.certain {
        let and = format!(": of those forked before, {:.0} % fail, and later all", 100.0 * jump.from.share());
        between("the failure became certain", jump, &and);
    }
    if let Some(jump) = decided.settled {
        let part = 100.0 * jump.from.share();
        let and =
            format!(": of futures that lose half of all requests, {part:.0} % fail before, and later all");
        between("it was settled", jump, &and);
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn at(nanos: u64) -> String {
    format!("{:.6} s", seconds(nanos))
}

/// What is forked.
struct Fork<'a> {
    bench: &'a Bench,
    options: &'a WhenOptions,
    rule: Option<String>,
    reason: String,
    failed_at: u64,
}

impl Fork<'_> {
    /// Most of the moments evenly over the run, the others where the failure becomes likely, and where it
    /// becomes certain.
    fn moments(&self) -> Result<Vec<Moment>, Failure> {
        let all = self.options.moments.max(2);
        let spread = ((f64::from(all) * SPREAD) as u32).max(2);
        let place = |number: u32| (self.failed_at as f64 * f64::from(number) / f64::from(spread - 1)) as u64;
        let mut moments = self.futures(&(0..spread).map(place).collect::<Vec<_>>(), false)?;
        let decided = decided(&moments);
        let mut left = all.saturating_sub(spread);
        if let Some(Jump { from, to }) = decided.likely.filter(|_| decided.likely != decided.certain) {
            let between = left / 2;
            left -= between;
            let step = (to.at - from.at) / u64::from(between + 1);
            let places: Vec<u64> = (1..=between).map(|number| from.at + step * u64::from(number)).collect();
            self.add(&mut moments, &places)?;
        }
        for _ in 0..left {
            let Some(Jump { from, to }) = certain(&moments) else { break };
            if to.at - from.at < self.failed_at / FINE {
                break;
            }
            self.add(&mut moments, &[from.at + (to.at - from.at) / 2])?;
        }
        Ok(moments)
    }

    fn add(&self, moments: &mut Vec<Moment>, places: &[u64]) -> Result<(), Failure> {
        moments.extend(self.futures(places, false)?);
        moments.sort_by_key(|moment| moment.at);
        Ok(())
    }

    /// Where the last future escaped that loses half of all requests, if it lies behind where all others
    /// fail.
    fn settled(&self, certain: Option<Jump>) -> Result<Option<Jump>, Failure> {
        let begin = certain.map_or(0, |jump| jump.from.at);
        let step = (self.failed_at - begin) / u64::from(ROUGH_SPREAD);
        let place = |number: u32| begin + step * u64::from(number);
        let places: Vec<u64> = (0..=ROUGH_SPREAD).map(place).collect();
        let mut moments = self.futures(&places, true)?;
        for _ in ROUGH_SPREAD..ROUGH {
            // Behind the end of the run nothing escapes.
            let Some(Jump { from, to }) = self::certain(&moments) else { break };
            if to.at - from.at < self.failed_at / FINE {
                break;
            }
            moments.extend(self.futures(&[from.at + (to.at - from.at) / 2], true)?);
            moments.sort_by_key(|moment| moment.at);
        }
        let settled = self::certain(&moments);
        Ok(settled.filter(|jump| certain.is_none_or(|certain| jump.to.at > certain.to.at)))
    }

    /// Forks the run at these moments; `lossy`: into futures that lose half of all requests.
    fn futures(&self, moments: &[u64], lossy: bool) -> Result<Vec<Moment>, Failure> {
        let number = self.options.futures;
        let until = Some((self.failed_at as f64 * LONGER) as u64 + 1);
        let future = |at: u64, number: u32| Overrides {
            test: self.bench.test.name.clone(),
            seed: self.options.failing.seed,
            reseed: Some((at, u64::from(number) + 1)),
            lossy,
            until,
            ..Overrides::default()
        };
        let variants: Vec<Overrides> =
            moments.iter().flat_map(|&at| (0..number).map(move |number| future(at, number))).collect();
        let reports = variants::run_shown(self.bench, &variants)?;
        let count = |(at, reports): (&u64, &[Option<crate::protocol::Report>])| {
            let runs = reports.iter().flatten().count() as u32;
            let fails = |report: &&crate::protocol::Report| variants::broken(report) == self.rule;
            let failed = reports.iter().flatten().filter(fails).count() as u32;
            let is_same = |report: &&crate::protocol::Report| {
                fails(report)
                    && variants::without_drawn(&report.reason()) == variants::without_drawn(&self.reason)
            };
            let same = reports.iter().flatten().filter(is_same).count() as u32;
            Moment { at: *at, failed, same, runs }
        };
        Ok(moments.iter().zip(reports.chunks(number as usize)).map(count).collect())
    }
}

/// What the moments, in their order, tell.
fn decided(moments: &[Moment]) -> Decided {
    let between = |place: usize| Jump { from: moments[place], to: moments[place + 1] };
    let rule: Vec<u32> = moments.iter().map(|moment| moment.failed).collect();
    let very: Vec<u32> = moments.iter().map(|moment| moment.same).collect();
    let of_rule = rise(moments, &rule);
    let likely = of_rule.or_else(|| rise(moments, &very)).map(between);
    let of_this_failure = of_rule.is_none() && likely.is_some();
    Decided { likely, of_this_failure, certain: certain(moments), settled: None }
}

/// The last moment from which a future escaped, and the next one.
fn certain(moments: &[Moment]) -> Option<Jump> {
    let escaped = moments.iter().rposition(|moment| moment.failed < moment.runs)?;
    Some(Jump { from: moments[escaped], to: *moments.get(escaped + 1)? })
}

/// The place behind which the probability is higher, and stays so, by most, if by a quarter at least.
fn rise(moments: &[Moment], failed: &[u32]) -> Option<usize> {
    let shares: Vec<f64> = moments.iter().zip(failed).map(|(moment, &number)| moment.part(number)).collect();
    let mut lowest = f64::INFINITY;
    let mut most = None;
    for (place, &share) in shares.iter().enumerate().rev() {
        if lowest.is_finite() && lowest - share > most.map_or(0.0, |(_, rise)| rise) {
            most = Some((place, lowest - share));
        }
        lowest = lowest.min(share);
    }
    most.filter(|&(_, rise)| rise >= 0.25).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments a second apart: how many of 50 futures break the rule, and how many end with the very failure.
    pub(super) fn moments(counts: &[(u32, u32)]) -> Vec<Moment> {
        let moment = |(at, &(failed, same)): (u64, &(u32, u32))| Moment {
            at: at * 1_000_000_000,
            failed,
            same,
            runs: 50,
        };
        (0..).zip(counts).map(moment).collect()
    }

    /// Where the failure became likely and where certain, in seconds; and whether it is the very failure that
    /// became likely.
    fn decided_at(counts: &[(u32, u32)]) -> (Option<u64>, Option<u64>, bool) {
        let Decided { likely, certain, of_this_failure, .. } = decided(&moments(counts));
        let second = |jump: Jump| {
            assert_eq!(jump.to.at - jump.from.at, 1_000_000_000);
            jump.to.at / 1_000_000_000
        };
        (likely.map(second), certain.map(second), of_this_failure)
    }

    #[test]
    fn a_rule_that_every_future_breaks_is_no_matter_of_chance() {
        let always = [(50, 15), (50, 17), (50, 50), (50, 50)];
        assert!(decided(&moments(&always)).none_escapes());
        let mostly = [(47, 15), (48, 17), (50, 50), (50, 50)];
        assert!(!decided(&moments(&mostly)).none_escapes());
    }

    #[test]
    fn it_became_likely_where_the_probability_rises_most_and_certain_where_no_future_escapes() {
        let counts = [(2, 0), (5, 0), (3, 0), (44, 3), (41, 3), (50, 50), (50, 50)];
        assert_eq!(decided_at(&counts), (Some(3), Some(5), false));
        assert_eq!(decided_at(&[]), (None, None, false));
        assert_eq!(decided_at(&[(50, 50), (50, 50)]), (None, None, false));
    }

    /// A rise that does not last decided nothing.
    #[test]
    fn a_rise_that_falls_again_is_no_jump() {
        let counts = [(10, 0), (44, 0), (20, 0), (21, 0), (50, 50)];
        assert_eq!(decided_at(&counts), (Some(4), Some(4), false));
    }

    /// A rule that nearly every future breaks.
    #[test]
    fn where_all_futures_fail_the_very_failure_counts() {
        let counts = [(50, 0), (50, 2), (49, 1), (50, 47), (50, 50)];
        assert_eq!(decided_at(&counts), (Some(3), Some(3), true));
        assert_eq!(decided_at(&[(48, 0), (50, 3), (47, 5), (49, 9)]), (None, None, false));
    }
}
