//! Experiments: a paper's figures beside ours, in virtual time, with criteria that can fail.
//!
//! A lab's bench target `experiments` is a list of functions, each of which plays one [`Experiment`]:
//!
//! ```
//! use std::process::ExitCode;
//! use tester::{Experiment, play};
//!
//! fn replies() -> Experiment {
//!     let mut table = Experiment::new("E02", "replies under loss", &["loss", "expected", "ours"]);
//!     let ours = 0.9;
//!     table.row([format!("{:.1}", 0.1), format!("{:.2}", 0.9), format!("{ours:.2}")]);
//!     table.within("share of replies at a loss of 0.1", ours, 0.9, 0.02);
//!     table
//! }
//!
//! fn main() -> ExitCode {
//!     play(&[replies])
//! }
//! ```
//!
//! `cargo lab bench` counts the lines that begin with `holds: ` and `FAILS: `.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use labrt::{Config, run};

use crate::run::wrap;

/// One experiment: a table, and the criteria that decide whether it reproduces the paper's figure.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: &'static str,
    title: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    criteria: Vec<(bool, String)>,
}

impl Experiment {
    /// An empty table. `name` is also the name of its CSV file.
    pub fn new(name: &'static str, title: &'static str, columns: &[&str]) -> Experiment {
        let head = columns.iter().map(|column| (*column).to_owned()).collect();
        Experiment { name, title, head, rows: Vec::new(), criteria: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not one cell for each column.
    pub fn row<const CELLS: usize>(&mut self, cells: [String; CELLS]) {
        assert_eq!(CELLS, self.head.len(), "{} has {} columns", self.name, self.head.len());
        self.rows.push(cells.to_vec());
    }

    /// Adds a criterion, and whether it holds.
    pub fn accept(&mut self, holds: bool, criterion: impl Into<String>) {
        self.criteria.push((holds, criterion.into()));
    }

    /// Adds the criterion that `ours` differs from `expected` by at most the fraction `tolerance` of it.
    pub fn within(&mut self, what: &str, ours: f64, expected: f64, tolerance: f64) {
        let holds = (ours - expected).abs() <= expected.abs() * tolerance;
        let percent = tolerance * 100.0;
        self.accept(holds, format!("{what}: {ours:.4}, expected {expected:.4} ± {percent} %"));
    }

    /// Whether there are criteria, and all of them hold.
    pub fn holds(&self) -> bool {
        !self.criteria.is_empty() && self.criteria.iter().all(|(holds, _)| *holds)
    }

    /// The table as comma-separated values (RFC 4180).
    pub fn csv(&self) -> String {
        let cell = |cell: &String| {
            let is_plain = !cell.contains([',', '"', '\n', '\r']);
            if is_plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
        };
        let line = |cells: &Vec<String>| cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&self.head).chain(&self.rows).map(line).collect()
    }

    fn write_csv(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.csv", self.name));
        fs::write(&path, self.csv())?;
        Ok(path)
    }
}

/// The table with aligned columns, then a line for each criterion.
impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(usize::MAX))
    }
}

impl Experiment {
    /// As [`Experiment`] is displayed, in lines of at most `room` characters, as far as single cells fit: a
    /// table that is wider stands in several pieces, each with the first column.
    fn text(&self, room: usize) -> String {
        let mut text = wrap(&format!("{}  {}", self.name, self.title), room);
        let lines: Vec<&Vec<String>> = std::iter::once(&self.head).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        for columns in self.pieces(room, width) {
            for line in &lines {
                let cells = columns.iter().map(|&column| aligned(column, &line[column], width(column)));
                text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
            }
        }
        for (holds, criterion) in &self.criteria {
            let line = format!("{}: {criterion}", if *holds { "holds" } else { "FAILS" });
            text += &wrap(&line, room);
        }
        text
    }

    /// The columns of each piece of the table.
    fn pieces(&self, room: usize, width: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
        let mut pieces = vec![vec![0]];
        let mut used = 2 + width(0);
        for column in 1..self.head.len() {
            let more = 2 + width(column);
            if used.saturating_add(more) > room && pieces.last().is_some_and(|piece| piece.len() > 1) {
                pieces.push(vec![0]);
                used = 2 + width(0);
            }
            used += more;
            pieces.last_mut().into_iter().for_each(|piece| piece.push(column));
        }
        pieces
    }
}

/// A cell of the first column stands to the left, one of another to the right.
fn aligned(column: usize, cell: &str, width: usize) -> String {
    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
}

/// Plays the experiments, prints them, and writes each table into the folder `experiments` of cargo's target
/// folder. With names on the command line only those experiments are told. Fails if a criterion does not
/// hold.
pub fn play(experiments: &[fn() -> Experiment]) -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let folder = crate::run::target_folder().join("experiments");
    // `cargo lab bench` tells how wide its terminal is.
    let room = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(usize::MAX);
    let mut holds = true;
    for experiment in experiments {
        let experiment = experiment();
        if !wanted.is_empty() && !wanted.iter().any(|name| experiment.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        println!("{}", experiment.text(room));
        holds &= experiment.holds();
        if let Err(error) = experiment.write_csv(&folder) {
            eprintln!("{}: its CSV cannot be written: {error}", experiment.name);
            holds = false;
        }
    }
    print!("{}", wrap(&format!("The tables as CSV: {}", folder.display()), room));
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one trial of an experiment in the simulation.
///
/// # Panics
/// If the run fails, with its report.
pub fn trial<T: Send + 'static>(seed: u64, main: impl FnOnce() -> T + Send + 'static) -> T {
    match run(Config::simulated(seed), main).result {
        Ok(value) => value,
        Err(failure) => panic!("the trial with seed {seed} failed: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(ours: f64) -> Experiment {
        let mut table = Experiment::new("E00", "a test", &["what", "paper, as printed", "ours"]);
        table.row(["a \"share\"".to_owned(), "0.81".to_owned(), format!("{ours:.2}")]);
        table.within("share", ours, 0.81, 0.01);
        table
    }

    #[test]
    fn a_criterion_decides() {
        assert!(experiment(0.815).holds());
        assert!(!experiment(0.82).holds());
        assert!(!Experiment::new("E00", "nothing is compared", &["what"]).holds());
        assert!(experiment(0.82).to_string().contains("\nFAILS: share: 0.8200, expected 0.8100 ± 1 %\n"));
        assert!(!experiment(f64::NAN).holds());
    }

    #[test]
    fn a_table_that_is_too_wide_stands_in_pieces() {
        let text = experiment(0.81).text(34);
        assert!(text.lines().all(|line| line.chars().count() <= 34), "{text}");
        assert_eq!(text.matches("a \"share\"").count(), 2, "{text}");
        assert!(text.contains("\nholds: share: 0.8100, expected"), "{text}");
        // The name and one column stay together, however narrow the terminal is.
        assert!(experiment(0.81).text(5).contains("a \"share\"               0.81\n"));
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let expected = "what,\"paper, as printed\",ours\n\"a \"\"share\"\"\",0.81,0.81\n";
        assert_eq!(experiment(0.81).csv(), expected);
    }

    #[test]
    fn a_trial_depends_on_its_seed_alone() {
        let draw = |seed| trial(seed, labrt::rand::random::<u64>);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
