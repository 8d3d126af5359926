//! `cargo lab when`: when did a failure become certain? The run is forked at many moments: up to there it is
//! the failing run, and from there on another seed decides. The part of these futures that fail in the same
//! way tells how far the failure was decided at that moment.

use std::fmt::Write as _;

use console::style;
use labreport::overrides::Overrides;

use super::cli::WhenOptions;
use super::traced::{Bench, check_writable, write};
use super::variants;
use crate::cli::Arguments;
use crate::statistics::wilson;
use crate::style::say;
use crate::{Failure, Outcome};

/// Futures go on for this much longer than the failing run.
const LONGER: f64 = 1.1;

/// How many of the moments are spread evenly; the others go to where the probability jumps.
const SPREAD: f64 = 0.6;

/// How wide a bar of the plot is.
const BAR: usize = 40;

/// The futures of one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Nanoseconds since the start.
    at: u64,
    failed: u32,
    runs: u32,
}

impl Moment {
    fn share(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.runs.max(1))
    }
}

/// Forks the run and prints the plot.
pub(crate) fn run(arguments: &Arguments, options: &WhenOptions) -> Result<Outcome, Failure> {
    let bench = Bench::new(arguments, &options.test, &options.run)?;
    options.svg.as_deref().map_or(Ok(()), check_writable)?;
    let report = variants::failing(&bench, options.seed, "when")?;
    let fails =
        Fork { bench: &bench, options, rule: variants::broken(&report), failed_at: report.virtual_ns };
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
    let jump = jump(&moments);
    if let Some(path) = &options.svg {
        write(path, &svg(&moments, jump, report.virtual_ns, &bench.test.name, options.seed))?;
    }
    if options.form.json {
        let row = |moment: &Moment| serde_json::json!({"at": moment.at, "failed": moment.failed, "runs": moment.runs});
        let rows: Vec<_> = moments.iter().map(row).collect();
        println!(
            "{}",
            serde_json::json!({"failed_at": report.virtual_ns, "moments": rows, "jump": jump.map(|(from, to)| [from, to])})
        );
        return Ok(Outcome::Passed);
    }
    println!("{}", plot(&moments, jump));
    match jump {
        Some((from, to)) => {
            say(&format!(
                "the failure was decided between {} and {}",
                style(at(from)).bold(),
                style(at(to)).bold()
            ));
            let look = format!(
                "cargo lab logs {} --seed {} --from {:.6} --to {:.6}",
                bench.test.name,
                options.seed,
                seconds(from),
                seconds(to)
            );
            say(&format!("    what happened there: {look}{}", bench.runner.world.flags(options.seed)));
        }
        None => {
            say(
                "the probability does not jump: nearly every future of this run fails, from its beginning on",
            );
        }
    }
    Ok(Outcome::Passed)
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
    failed_at: u64,
}

impl Fork<'_> {
    /// Most of the moments evenly over the run, the others where the probability rises most.
    fn moments(&self) -> Result<Vec<Moment>, Failure> {
        let all = self.options.moments.max(2);
        let spread = ((f64::from(all) * SPREAD) as u32).max(2);
        let place = |number: u32| (self.failed_at as f64 * f64::from(number) / f64::from(spread - 1)) as u64;
        let mut moments = self.futures(&(0..spread).map(place).collect::<Vec<_>>())?;
        if let Some((from, to)) = jump(&moments).filter(|_| all > spread) {
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
            Moment { at: *at, failed, runs }
        };
        Ok(moments.iter().zip(reports.chunks(number as usize)).map(count).collect())
    }
}

/// The two neighbouring moments between which the probability rises most, if it rises by a quarter at least.
fn jump(moments: &[Moment]) -> Option<(u64, u64)> {
    let rise = |pair: &[Moment]| pair[1].share() - pair[0].share();
    let most = moments.windows(2).max_by(|one, other| rise(one).total_cmp(&rise(other)))?;
    (rise(most) >= 0.25).then(|| (most[0].at, most[1].at))
}

/// A line for each moment, with a bar as long as the probability, and the interval that holds it with a
/// confidence of 95 %.
fn plot(moments: &[Moment], jump: Option<(u64, u64)>) -> String {
    let mut text = format!("{:>14}  {:<BAR$}  fails\n", "forked at", "");
    for moment in moments {
        let length = (moment.share() * BAR as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(length), "·".repeat(BAR - length));
        let (low, high) = wilson(u64::from(moment.failed), u64::from(moment.runs));
        let bar = if jump.is_some_and(|(_, to)| moment.at == to) { style(bar).red() } else { style(bar) };
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
    text
}

/// The same as a picture.
fn svg(moments: &[Moment], jump: Option<(u64, u64)>, end: u64, test: &str, seed: u64) -> String {
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
    if let Some((from, to)) = jump {
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

    fn moments(shares: &[u32]) -> Vec<Moment> {
        (0..).zip(shares).map(|(at, &failed)| Moment { at: at * 1_000_000_000, failed, runs: 50 }).collect()
    }

    #[test]
    fn the_jump_is_where_the_probability_rises_most() {
        assert_eq!(jump(&moments(&[2, 5, 3, 48, 50])), Some((2_000_000_000, 3_000_000_000)));
        assert_eq!(jump(&moments(&[48, 50, 47, 50])), None, "it fails whatever comes");
        assert_eq!(jump(&[]), None);
    }

    #[test]
    fn the_plot_has_a_line_for_each_moment() {
        let text = plot(&moments(&[0, 50]), None);
        assert!(text.contains("1.000000 s") && text.contains("100 % (93–100 %)"), "{text}");
        let picture = svg(&moments(&[0, 50]), Some((0, 1_000_000_000)), 1_000_000_000, "t", 7);
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    }
}
