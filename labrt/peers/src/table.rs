//! The tables: a row for each program, a column for each scheduler.

use crate::{Finding, ours, with_loom, with_shuttle};

/// The deepest of the programs has a bound of its own: no random walk finds it soon.
const DEEP: (&str, u64) = ("depth three", 300);

/// What every scheduler did with one program.
pub(crate) struct Row {
    program: &'static str,
    findings: Vec<(String, Finding)>,
}

impl Row {
    fn finding(&self, scheduler: &str) -> Finding {
        let found = self.findings.iter().find(|(name, _)| name == scheduler);
        found.map(|(_, finding)| *finding).expect("every row has every scheduler")
    }

    /// The most runs that labrt's default policy may need: twice as many as shuttle's random walk.
    fn most_runs(&self) -> Option<u64> {
        if self.program == DEEP.0 {
            Some(DEEP.1)
        } else {
            self.finding("shuttle random").runs.map(|runs| 2 * runs)
        }
    }

    fn times_as_fast(&self) -> f64 {
        self.finding("labrt").rate / self.finding("shuttle random").rate
    }

    /// Whether the default policy finds the bug soon enough, at five times shuttle's speed.
    pub(crate) fn is_within_bounds(&self) -> bool {
        let soon = match (self.finding("labrt").runs, self.most_runs()) {
            (Some(runs), Some(most)) => runs <= most,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        };
        soon && self.times_as_fast() >= 5.0
    }
}

/// One search, for what does not depend on a seed.
pub(crate) fn once(search: impl Fn(u64) -> Result<u64, u64>) -> Finding {
    let started = std::time::Instant::now();
    let result = search(0);
    let runs = result.unwrap_or_else(|all| all);
    Finding { runs: result.ok(), rate: runs as f64 / started.elapsed().as_secs_f64().max(1e-6) }
}

/// Plays the programs whose names contain `wanted`.
pub(crate) fn rows(wanted: &str) -> Vec<Row> {
    let chosen = (0..ours::ALL.len()).filter(|&i| ours::ALL[i].0.contains(wanted));
    chosen.map(row).collect()
}

fn row(index: usize) -> Row {
    let (program, ours_program) = ours::ALL[index];
    eprintln!("{program} …");
    let mut findings: Vec<(String, Finding)> = Vec::new();
    for (name, policy) in ours::policies() {
        findings.push((name.to_owned(), ours::with_policy(ours_program, &policy)));
    }
    findings.push(("exhaustive".to_owned(), ours::exhaustive(ours_program)));
    findings.push(("shuttle random".to_owned(), with_shuttle::random(with_shuttle::ALL[index].1)));
    findings.push(("shuttle PCT 3".to_owned(), with_shuttle::pct(with_shuttle::ALL[index].1)));
    findings.push(("loom".to_owned(), with_loom::exhaustive(index)));
    Row { program, findings }
}

/// Prints the tables, as wide as the terminal may be, which `cargo lab bench` tells.
pub(crate) fn print(rows: &[Row]) {
    let room = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    print!("{}", tables(rows, room.unwrap_or(usize::MAX)));
}

/// The tables, in lines of at most `room` characters.
fn tables(rows: &[Row], room: usize) -> String {
    let mut text = table("Runs until found (median)", rows, room, |finding| {
        finding.runs.map_or_else(|| "never".to_owned(), |runs| runs.to_string())
    });
    text += &table("Thousand schedules a second", rows, room, |finding| format!("{:.1}", finding.rate / 1e3));
    let number = |runs: Option<u64>| runs.map_or_else(|| "never".to_owned(), |runs| runs.to_string());
    text +=
        &format!("\n{:24}{:>8}{:>9}{:>10}  verdict\n", "The default policy", "runs", "at most", "× as fast");
    for row in rows {
        let verdict = if row.is_within_bounds() { "within" } else { "beyond" };
        let (runs, most) = (number(row.finding("labrt").runs), number(row.most_runs()));
        text += &format!("{:24}{runs:>8}{most:>9}{:>10.1}  {verdict}\n", row.program, row.times_as_fast());
    }
    text
}

/// A table with a column for each policy; in several pieces where not all columns fit.
fn table(title: &str, rows: &[Row], room: usize, cell: impl Fn(&Finding) -> String) -> String {
    let names: Vec<&str> = rows[0].findings.iter().map(|(name, _)| name.as_str()).collect();
    let columns: Vec<usize> = (0..names.len()).collect();
    let mut text = String::new();
    for piece in columns.chunks((room.saturating_sub(28) / 16).max(1)) {
        let line = |first: &str, cells: &dyn Fn(usize) -> String| {
            let cells: String = piece.iter().map(|&column| format!("{:>16}", cells(column))).collect();
            format!("{first:28}{cells}\n")
        };
        text += &format!("\n{}", line(title, &|column| names[column].to_owned()));
        for row in rows {
            text += &line(row.program, &|column| cell(&row.findings[column].1));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_no_wider_than_the_terminal() {
        let names = ["labrt", "random", "pct:3", "exhaustive", "shuttle random", "shuttle PCT 3", "loom"];
        let findings = names.map(|name| (name.to_owned(), Finding { runs: Some(12345), rate: 1_234_567.8 }));
        let rows = [Row { program: "lost wake-up of two waiters", findings: findings.to_vec() }];
        for room in [60, 80, 100, 160] {
            let text = tables(&rows, room);
            assert!(text.lines().all(|line| line.chars().count() <= room), "{room}:\n{text}");
            assert!(names.iter().all(|name| text.contains(name)), "{room}:\n{text}");
        }
    }
}
