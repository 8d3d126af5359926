//! `cargo lab when`: when did a failure become certain? The run is forked at many moments: up to there it is
//! the failing run, and from there on another seed decides. The part of these futures that fail in the same
//! way tells how far the failure was decided at that moment.

use std::fmt::Write as _;

use console::style;
use lab_terminal::width;
use labreport::overrides::Overrides;

use super::cli::WhenOptions;
use super::traced::{Bench, check_writable, write};
use super::variants;
use crate::cli::Arguments;
use crate::statistics::wilson;
use crate::style::{say, say_or_json};
use crate::{Failure, Outcome};

/// Futures go on for this much longer than the failing run.
const LONGER: f64 = 1.1;

/// How many of the moments are spread evenly; the others go to where the probability jumps.
const SPREAD: f64 = 0.6;

/// How wide a bar of the plot is at most, and at least.
const BARS: (usize, usize) = (40, 10);

/// How wide the rest of a bar's line is: the moment, the probability, and its interval.
const BESIDE: usize = 35;

/// The futures of one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Nanoseconds since the start.
    at: u64,
    /// How many break the same rule.
    failed: u32,
    /// How many of these end with the very failure of the run that was forked: its servers, terms and
    /// indices.
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

/// Between which moments a failure was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    from: u64,
    to: u64,
    /// Nearly every future breaks the rule, and this is where the very failure was decided.
    of_this_failure: bool,
}

/// Forks the run and prints the plot.
pub(crate) fn run(arguments: &Arguments, options: &WhenOptions) -> Result<Outcome, Failure> {
    let bench = Bench::new(arguments, &options.test, &options.run)?;
    options.svg.as_deref().map_or(Ok(()), check_writable)?;
    let Some(report) = variants::failing(&bench, options.seed, "when")? else {
        return Ok(Outcome::Interrupted);
    };
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
            options.seed,
            at(report.virtual_ns),
            report.reason()
        ));
        say(&format!("{} futures from each of {} moments…", options.futures, options.moments));
    }
    let moments = fails.moments()?;
    if bench.runner.supervisor.is_stopped() {
        // Futures that were not run say nothing.
        let runs: u32 = moments.iter().map(|moment| moment.runs).sum();
        let words = format!("{} after {runs} futures", style("interrupted").yellow());
        say_or_json(options.form.json, &words, &serde_json::json!({"interrupted": {"futures": runs}}));
        return Ok(Outcome::Interrupted);
    }
    let jump = jump(&moments);
    if let Some(path) = &options.svg {
        write(path, &svg(&moments, jump, report.virtual_ns, &bench.test.name, options.seed))?;
    }
    if options.form.json {
        let row = |moment: &Moment| serde_json::json!({"at": moment.at, "failed": moment.failed, "same": moment.same, "runs": moment.runs});
        let rows: Vec<_> = moments.iter().map(row).collect();
        println!(
            "{}",
            serde_json::json!({"failed_at": report.virtual_ns, "moments": rows, "jump": jump.map(|jump| [jump.from, jump.to])})
        );
        return Ok(Outcome::Passed);
    }
    say(&plot(&moments, jump, width()));
    tell(&bench, options, jump);
    Ok(Outcome::Passed)
}

/// Says when the failure was decided, and how to see what happened there.
fn tell(bench: &Bench, options: &WhenOptions, jump: Option<Jump>) {
    let Some(Jump { from, to, of_this_failure }) = jump else {
        return say(
            "the probability does not jump: nearly every future of this run fails, from its beginning on",
        );
    };
    let what = if of_this_failure {
        "most futures of this run break the rule somewhere; this very failure"
    } else {
        "the failure"
    };
    say(&format!("{what} was decided between {} and {}", style(at(from)).bold(), style(at(to)).bold()));
    let look = format!(
        "cargo lab logs {} --seed {} --from {:.6} --to {:.6}",
        bench.test.name,
        options.seed,
        seconds(from),
        seconds(to)
    );
    say(&format!("    what happened there: {look}{}", bench.runner.world.flags(options.seed)));
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
    /// Most of the moments evenly over the run, the others where the probability rises most.
    fn moments(&self) -> Result<Vec<Moment>, Failure> {
        let all = self.options.moments.max(2);
        let spread = ((f64::from(all) * SPREAD) as u32).max(2);
        let place = |number: u32| (self.failed_at as f64 * f64::from(number) / f64::from(spread - 1)) as u64;
        let mut moments = self.futures(&(0..spread).map(place).collect::<Vec<_>>())?;
        if let Some(Jump { from, to, .. }) = jump(&moments).filter(|_| all > spread) {
            let between = all - spread;
            let place = |number: u32| from + (to - from) / u64::from(between + 1) * u64::from(number);
            moments.extend(self.futures(&(1..=between).map(place).collect::<Vec<_>>())?);
            moments.sort_by_key(|moment| moment.at);
        }
        Ok(moments)
    }

    fn futures(&self, moments: &[u64]) -> Result<Vec<Moment>, Failure> {
        let number = self.options.futures;
        let until = Some((self.failed_at as f64 * LONGER) as u64 + 1);
        let future = |at: u64, number: u32| Overrides {
            test: self.options.test.clone(),
            seed: self.options.seed,
            reseed: Some((at, u64::from(number) + 1)),
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
            let is_same = |report: &&crate::protocol::Report| fails(report) && report.reason() == self.reason;
            let same = reports.iter().flatten().filter(is_same).count() as u32;
            Moment { at: *at, failed, same, runs }
        };
        Ok(moments.iter().zip(reports.chunks(number as usize)).map(count).collect())
    }
}

/// Where the failure was decided: where the rule's probability rises, or, if it is high from the beginning,
/// that of the very failure.
fn jump(moments: &[Moment]) -> Option<Jump> {
    let between = |place: usize, of_this_failure| Jump {
        from: moments[place].at,
        to: moments[place + 1].at,
        of_this_failure,
    };
    let rule: Vec<u32> = moments.iter().map(|moment| moment.failed).collect();
    let very: Vec<u32> = moments.iter().map(|moment| moment.same).collect();
    let of_rule = rise(moments, &rule).or_else(|| last_certain_rise(moments));
    of_rule
        .map(|place| between(place, false))
        .or_else(|| rise(moments, &very).map(|place| between(place, true)))
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

/// The last place where the probability rises by more than chance explains: the intervals of both moments are
/// apart.
fn last_certain_rise(moments: &[Moment]) -> Option<usize> {
    let interval = |moment: &Moment| wilson(u64::from(moment.failed), u64::from(moment.runs));
    moments.windows(2).rposition(|pair| interval(&pair[0]).1 < interval(&pair[1]).0)
}

/// A line for each moment, with a bar as long as the probability, and the interval that holds it with a
/// confidence of 95 %.
fn plot(moments: &[Moment], jump: Option<Jump>, room: Option<usize>) -> String {
    let wide = room.map_or(BARS.0, |room| room.saturating_sub(BESIDE).clamp(BARS.1, BARS.0));
    let mut text = format!("{:>14}  {:<wide$}  fails\n", "forked at", "");
    for moment in moments {
        let length = (moment.share() * wide as f64).round() as usize;
        let same = ((moment.part(moment.same) * wide as f64).round() as usize).min(length);
        let bar = format!("{}{}{}", "█".repeat(same), "▒".repeat(length - same), "·".repeat(wide - length));
        let (low, high) = wilson(u64::from(moment.failed), u64::from(moment.runs));
        let bar = if jump.is_some_and(|jump| moment.at == jump.to) { style(bar).red() } else { style(bar) };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:>14}  {bar}  {:3.0} % ({:.0}–{:.0} %)",
            at(moment.at),
            100.0 * moment.share(),
            100.0 * low,
            100.0 * high
        );
    }
    text + "    █ ends with this very failure, ▒ breaks the same rule\n"
}

/// The same as a picture.
fn svg(moments: &[Moment], jump: Option<Jump>, end: u64, test: &str, seed: u64) -> String {
    let (width, height, left, top) = (720.0, 300.0, 60.0, 40.0);
    let x = |at: u64| left + (width - left - 20.0) * at as f64 / end.max(1) as f64;
    let y = |share: f64| top + (height - top - 50.0) * (1.0 - share);
    let points: Vec<String> =
        moments.iter().map(|moment| format!("{:.1},{:.1}", x(moment.at), y(moment.share()))).collect();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{left}\" y=\"20\" font-size=\"14\">{test}, seed {seed}: how many futures fail, by the moment of the fork</text>\n"
    );
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y(share);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"20\" y=\"{:.1}\">{:.0} %</text>",
            width - 20.0,
            at + 4.0,
            share * 100.0
        );
    }
    if let Some(Jump { from, to, .. }) = jump {
        let (from, to) = (x(from), x(to));
        let _ = writeln!(
            text,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#ffe0cc\"/>",
            (to - from).max(2.0),
            height - top - 50.0
        );
    }
    for moment in moments {
        let (low, high) = wilson(u64::from(moment.failed), u64::from(moment.runs));
        let _ = writeln!(
            text,
            "<path d=\"M{0:.1} {1:.1}V{2:.1}\" stroke=\"#0072b2\" opacity=\".5\"/>",
            x(moment.at),
            y(low),
            y(high)
        );
    }
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0072b2\" stroke-width=\"2\"/>",
        points.join(" ")
    );
    let very: Vec<String> = moments
        .iter()
        .map(|moment| format!("{:.1},{:.1}", x(moment.at), y(moment.part(moment.same))))
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#d55e00\" stroke-dasharray=\"5 3\"/>\n\
         <text x=\"{left}\" y=\"{:.1}\">solid: the rule breaks; dashed: with this very failure</text>",
        very.join(" "),
        height - 8.0
    );
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let moment = (end as f64 * part) as u64;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.2} s</text>",
            x(moment),
            height - 25.0,
            seconds(moment)
        );
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments a second apart: how many of 50 futures break the rule, and how many end with the very failure.
    fn moments(counts: &[(u32, u32)]) -> Vec<Moment> {
        let moment = |(at, &(failed, same)): (u64, &(u32, u32))| Moment {
            at: at * 1_000_000_000,
            failed,
            same,
            runs: 50,
        };
        (0..).zip(counts).map(moment).collect()
    }

    fn jump_of(counts: &[(u32, u32)]) -> Option<(u64, bool)> {
        jump(&moments(counts)).map(|jump| {
            assert_eq!(jump.to - jump.from, 1_000_000_000);
            (jump.to / 1_000_000_000, jump.of_this_failure)
        })
    }

    #[test]
    fn the_jump_is_where_the_probability_rises_most() {
        assert_eq!(jump_of(&[(2, 0), (5, 0), (3, 0), (48, 3), (50, 50)]), Some((3, false)));
        assert_eq!(jump_of(&[]), None);
    }

    /// A rise that does not last decided nothing.
    #[test]
    fn a_rise_that_falls_again_is_no_jump() {
        assert_eq!(jump_of(&[(10, 0), (44, 0), (20, 0), (21, 0), (50, 50)]), Some((4, false)));
    }

    /// A rule that nearly every future breaks: its probability falls while it is not broken, and rises again.
    #[test]
    fn where_all_futures_fail_a_small_rise_counts_and_then_the_very_failure() {
        assert_eq!(jump_of(&[(50, 0), (48, 0), (40, 0), (41, 0), (50, 50)]), Some((4, false)));
        assert_eq!(jump_of(&[(50, 0), (50, 2), (49, 1), (50, 47), (50, 50)]), Some((3, true)));
        assert_eq!(jump_of(&[(48, 0), (50, 3), (47, 5), (50, 9)]), None);
    }

    #[test]
    fn the_plot_has_a_line_for_each_moment() {
        let text = plot(&moments(&[(0, 0), (50, 25)]), None, None);
        assert!(text.contains("1.000000 s") && text.contains("100 % (93–100 %)"), "{text}");
        assert!(text.contains(&format!("{}{}  ", "█".repeat(20), "▒".repeat(20))), "{text}");
        for room in [50, 60, 80, 160] {
            let text = plot(&moments(&[(0, 0), (50, 25), (50, 50)]), None, Some(room));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(room.max(57)), "{widest:?} at {room}:\n{text}");
        }
        let jump = Jump { from: 0, to: 1_000_000_000, of_this_failure: false };
        let picture = svg(&moments(&[(0, 0), (50, 50)]), Some(jump), 1_000_000_000, "t", 7);
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    }
}
