//! The page: self-contained HTML with a drawing.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use mapreduce::rpc::{TaskId, WorkerId};

use super::{Bar, History, Outcome};

/// The width of the drawing.
const WIDTH: f64 = 1100.0;

/// The left edge of the bars. Workers' names are to the left of it.
const LEFT: f64 = 150.0;

/// The height of a worker's row.
const ROW: usize = 18;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1140px; margin: 1.5em auto; padding: 0 1em;
  color: #1c2430; background: #fff }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 1.6em }
table { border-collapse: collapse }
td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
svg { width: 100%; height: auto } svg text { font: 11px system-ui, sans-serif; fill: currentColor }
.map { fill: #4878a8 } .reduce { fill: #4f9a6a } .lost { fill: #b9bec6 } .bad { fill: #c2473d }
.backup { stroke: #c98a1b; stroke-width: 2 } .line { stroke: #8a93a0; stroke-dasharray: 3 3 }
.key span { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -.1em }
@media (prefers-color-scheme: dark) { body { color: #d6dbe2; background: #14181e } .lost { fill: #525a66 } }
";

/// Displays text with HTML's special characters escaped.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A time in seconds, with fewer decimals if it is long.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

/// A number of bytes with a suitable unit.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// The whole page.
pub(super) fn render(history: &History) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, history);
    page
}

fn write_page(page: &mut String, history: &History) -> fmt::Result {
    let title = Escaped(&history.title);
    writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"
    )?;
    writeln!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>"
    )?;
    writeln!(page, "<h1>{title}</h1>")?;
    let outcome = history.phases.last().map_or("", |(_, phase)| phase);
    let outcome = if matches!(outcome, "finished" | "failed") { outcome } else { "interrupted" };
    write!(page, "<p><b>{outcome}</b> after {}", seconds(history.end))?;
    if history.resumed > 0 {
        write!(page, "; {} tasks were done before, by an earlier coordinator", history.resumed)?;
    }
    writeln!(page, ".</p>")?;
    write_drawing(page, history)?;
    write_phases(page, history)?;
    write_counters(page, history)?;
    write_workers(page, history)?;
    write_stragglers(page, history)?;
    write_failures(page, history)?;
    writeln!(page, "</body></html>")
}

/// The workers with their bars, in the order of their first tasks.
fn by_worker(history: &History) -> Vec<(WorkerId, Vec<&Bar>)> {
    let mut workers: Vec<(WorkerId, Vec<&Bar>)> = Vec::new();
    let mut rows: BTreeMap<WorkerId, usize> = BTreeMap::new();
    for bar in &history.bars {
        let row = *rows.entry(bar.worker).or_insert_with(|| {
            workers.push((bar.worker, Vec::new()));
            workers.len() - 1
        });
        workers[row].1.push(bar);
    }
    workers
}

fn is_map(bar: &Bar) -> bool {
    matches!(bar.id.task, TaskId::Map(_))
}

fn length(bar: &Bar, history: &History) -> Duration {
    bar.end.unwrap_or(history.end).saturating_sub(bar.start)
}

/// How an attempt ended, in words.
fn outcome(bar: &Bar) -> String {
    match &bar.outcome {
        Outcome::Running => "was running at the end".to_owned(),
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Superseded => "another attempt was faster".to_owned(),
        Outcome::TimedOut => "given up: no progress for the time-out".to_owned(),
        Outcome::Failed(reason) => format!("failed: {reason}"),
        Outcome::TakenBack => "taken back".to_owned(),
    }
}

fn write_drawing(page: &mut String, history: &History) -> fmt::Result {
    let workers = by_worker(history);
    let height = workers.len() * ROW + 40;
    let scale = (WIDTH - LEFT) / history.end.as_secs_f64().max(1e-6);
    let x = |time: Duration| LEFT + time.as_secs_f64() * scale;
    writeln!(page, "<h2>Tasks by worker</h2><p class=\"key\"><span style=\"background:#4878a8\"></span>map")?;
    writeln!(page, "<span style=\"background:#4f9a6a\"></span>reduce")?;
    writeln!(page, "<span style=\"background:#fff0;border:2px solid #c98a1b\"></span>backup")?;
    writeln!(page, "<span style=\"background:#b9bec6\"></span>in vain")?;
    writeln!(page, "<span style=\"background:#c2473d\"></span>failed or given up</p>")?;
    writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"tasks by worker over time\">"
    )?;
    for (row, (worker, bars)) in workers.iter().enumerate() {
        let y = row * ROW;
        writeln!(page, "<text x=\"0\" y=\"{}\">worker {:.8}</text>", y + 13, format!("{worker:016x}"))?;
        for bar in bars {
            let class = match bar.outcome {
                Outcome::Accepted | Outcome::Running if is_map(bar) => "map",
                Outcome::Accepted | Outcome::Running => "reduce",
                Outcome::Superseded | Outcome::TakenBack => "lost",
                Outcome::TimedOut | Outcome::Failed(_) => "bad",
            };
            let backup = if bar.backup { " backup" } else { "" };
            let (start, width) = (x(bar.start), length(bar, history).as_secs_f64() * scale);
            let words = format!(
                "{}, {}, {}: {}, {} in, {} out",
                bar.id,
                bar.host,
                seconds(length(bar, history)),
                outcome(bar),
                bytes(bar.counters.bytes_in),
                bytes(bar.counters.bytes_out)
            );
            writeln!(
                page,
                "<rect class=\"{class}{backup}\" x=\"{start:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\">\
                 <title>{}</title></rect>",
                y + 2,
                (width - 0.5).max(0.7),
                ROW - 4,
                Escaped(words)
            )?;
        }
    }
    let bottom = workers.len() * ROW + 6;
    for (at, phase) in &history.phases {
        let x = x(*at);
        writeln!(page, "<line class=\"line\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom}\"/>")?;
        writeln!(page, "<text x=\"{:.1}\" y=\"{}\">{phase}</text>", x.min(WIDTH - 50.0), bottom + 12)?;
    }
    let end = seconds(history.end);
    writeln!(page, "<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{end}</text></svg>", bottom + 28)
}

fn write_phases(page: &mut String, history: &History) -> fmt::Result {
    writeln!(page, "<h2>Phases</h2><table><tr><th>phase<th class=\"n\">from<th class=\"n\">for</tr>")?;
    for (number, (at, phase)) in history.phases.iter().enumerate() {
        if matches!(*phase, "map" | "reduce") {
            let end = history.phases.get(number + 1).map_or(history.end, |(next, _)| *next);
            let (from, length) = (seconds(*at), seconds(end.saturating_sub(*at)));
            writeln!(page, "<tr><td>{phase}<td class=\"n\">{from}<td class=\"n\">{length}</tr>")?;
        }
    }
    writeln!(page, "</table>")
}

fn write_counters(page: &mut String, history: &History) -> fmt::Result {
    let (maps, reduces) = &history.counters;
    writeln!(page, "<h2>Counters</h2><table>")?;
    for (name, value) in [
        ("records read", maps.records.to_string()),
        ("bad records skipped", maps.skipped_records.to_string()),
        ("pairs emitted", maps.pairs.to_string()),
        ("different keys", reduces.keys.to_string()),
        ("bytes read by maps", bytes(maps.bytes_in)),
        ("bytes of intermediate files", bytes(maps.bytes_out)),
        ("bytes spilled", bytes(maps.bytes_spilled + reduces.bytes_spilled)),
        ("bytes fetched from other machines", bytes(reduces.bytes_fetched)),
        ("bytes of output", bytes(reduces.bytes_out)),
    ] {
        writeln!(page, "<tr><td>{name}<td class=\"n\">{value}</tr>")?;
    }
    writeln!(page, "</table>")
}

fn write_workers(page: &mut String, history: &History) -> fmt::Result {
    writeln!(
        page,
        "<h2>Workers</h2><table><tr><th>worker<th>machine<th class=\"n\">maps<th class=\"n\">reduces"
    )?;
    writeln!(page, "<th class=\"n\">not accepted<th class=\"n\">busy<th class=\"n\">read</tr>")?;
    for (worker, bars) in by_worker(history) {
        let accepted = |bar: &&&Bar| bar.outcome == Outcome::Accepted;
        let maps = bars.iter().filter(|bar| is_map(bar)).filter(accepted).count();
        let reduces = bars.iter().filter(|bar| !is_map(bar)).filter(accepted).count();
        let busy: Duration = bars.iter().map(|bar| length(bar, history)).sum();
        let share = 100.0 * busy.as_secs_f64() / history.end.as_secs_f64().max(1e-6);
        let read = bytes(bars.iter().map(|bar| bar.counters.bytes_in).sum());
        let host = Escaped(&bars[0].host);
        write!(page, "<tr><td>{:.8}<td>{host}<td class=\"n\">{maps}", format!("{worker:016x}"))?;
        write!(page, "<td class=\"n\">{reduces}<td class=\"n\">{}", bars.len() - maps - reduces)?;
        writeln!(page, "<td class=\"n\">{share:.0} %<td class=\"n\">{read}</tr>")?;
    }
    writeln!(page, "</table>")
}

/// Accepted attempts that took more than twice as long as the median of their phase, and all backups.
fn write_stragglers(page: &mut String, history: &History) -> fmt::Result {
    let median = |maps: bool| {
        let of_phase =
            history.bars.iter().filter(|bar| is_map(bar) == maps && bar.outcome == Outcome::Accepted);
        let mut lengths: Vec<Duration> = of_phase.map(|bar| length(bar, history)).collect();
        lengths.sort_unstable();
        lengths.get(lengths.len() / 2).copied().unwrap_or_default()
    };
    let (of_maps, of_reduces) = (median(true), median(false));
    let is_slow = |bar: &Bar| length(bar, history) > 2 * if is_map(bar) { of_maps } else { of_reduces };
    writeln!(page, "<h2>Stragglers and backups</h2>")?;
    writeln!(
        page,
        "<p>The median map took {}, the median reduce {}.</p><table>",
        seconds(of_maps),
        seconds(of_reduces)
    )?;
    let mut slow: Vec<&Bar> = history.bars.iter().filter(|bar| bar.backup || is_slow(bar)).collect();
    slow.sort_by_key(|bar| std::cmp::Reverse(length(bar, history)));
    for bar in slow.iter().take(50) {
        let backup = if bar.backup { "backup" } else { "" };
        write!(page, "<tr><td>{}<td class=\"n\">{}<td>{backup}", bar.id, seconds(length(bar, history)))?;
        writeln!(page, "<td>{}<td>{}</tr>", Escaped(&bar.host), Escaped(outcome(bar)))?;
    }
    writeln!(page, "</table>")?;
    if slow.is_empty() { writeln!(page, "<p>None.</p>") } else { Ok(()) }
}

fn write_failures(page: &mut String, history: &History) -> fmt::Result {
    writeln!(page, "<h2>Failures</h2><table>")?;
    let mut lines: Vec<(Duration, String)> =
        history.incidents.iter().map(|incident| (incident.at, incident.what.clone())).collect();
    for bar in &history.bars {
        if matches!(bar.outcome, Outcome::TimedOut | Outcome::Failed(_) | Outcome::TakenBack) {
            let words = format!("{} on {}: {}", bar.id, bar.host, outcome(bar));
            lines.push((bar.end.unwrap_or(history.end), words));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    for (at, words) in &lines {
        writeln!(page, "<tr><td class=\"n\">{}<td>{}</tr>", seconds(*at), Escaped(words))?;
    }
    writeln!(page, "</table>")?;
    if lines.is_empty() { writeln!(page, "<p>None.</p>") } else { Ok(()) }
}
