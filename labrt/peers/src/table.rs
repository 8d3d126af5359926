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

/// How wide the lines may be: as wide as the terminal, which `cargo lab bench` tells.
fn room() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(usize::MAX)
}

/// Prints the tables.
pub(crate) fn print(rows: &[Row]) {
    print_table("Runs until found (median)", rows, |finding| {
        finding.runs.map_or_else(|| "never".to_owned(), |runs| runs.to_string())
    });
    print_table("Thousand schedules a second", rows, |finding| format!("{:.1}", finding.rate / 1e3));
    println!("\n{:24}{:>8}{:>9}{:>10}  verdict", "The default policy", "runs", "at most", "× as fast");
    for row in rows {
        let number = |runs: Option<u64>| runs.map_or_else(|| "never".to_owned(), |runs| runs.to_string());
        println!(
            "{:24}{:>8}{:>9}{:>10.1}  {}",
            row.program,
            number(row.finding("labrt").runs),
            number(row.most_runs()),
            row.times_as_fast(),
            if row.is_within_bounds() { "within" } else { "beyond" }
        );
    }
}

/// A table with a column for each policy; in several pieces where not all columns fit.
fn print_table(title: &str, rows: &[Row], cell: impl Fn(&Finding) -> String) {
    let names: Vec<&str> = rows[0].findings.iter().map(|(name, _)| name.as_str()).collect();
    let columns: Vec<usize> = (0..names.len()).collect();
    for piece in columns.chunks((room().saturating_sub(28) / 16).max(1)) {
        print!("\n{title:28}");
        piece.iter().for_each(|&column| print!("{:>16}", names[column]));
        println!();
        for row in rows {
            print!("{:28}", row.program);
            piece.iter().for_each(|&column| print!("{:>16}", cell(&row.findings[column].1)));
            println!();
        }
    }
}
