//! Reports of a batch, for people and for programs. Each is made from the results alone.
//!
//! `grades.csv` and `index.html` (the class) lie in the batch's folder; `students/NAME/` has the student's
//! page, and the result files that Gradescope, readers of `JUnit`'s format and GitHub's classroom actions
//! read.

mod dashboard;
mod files;
mod kills;
mod page;
mod similarity;

use std::fs;
use std::path::{Path, PathBuf};

use lab_terminal::Failure;

use crate::merge::{Graded, Summary};
use crate::plan::Plan;
use crate::settings::Show;
use crate::store;

use self::dashboard::Dashboard;
pub(crate) use self::kills::kills_page;

/// Takes results one after the other, and writes what belongs to each at once.
pub(crate) struct Reports<'a> {
    plan: &'a Plan,
    out: &'a Path,
    grades: String,
    dashboard: Dashboard,
}

impl<'a> Reports<'a> {
    pub(crate) fn new(plan: &'a Plan, out: &'a Path) -> Reports<'a> {
        let grades = String::from("name,file,points,of,verdict,sentence\n");
        Reports { plan, out, grades, dashboard: Dashboard::default() }
    }

    /// A student's result.
    pub(crate) fn add(&mut self, graded: &Graded) -> Result<(), Failure> {
        self.grades += &files::csv_row(graded);
        self.dashboard.add(graded);
        let folder = folder(self.out, &graded.name);
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        let show = &self.plan.grading.show;
        store::put_json(&folder.join("gradescope.json"), &files::gradescope(graded, show))?;
        store::put_json(&folder.join("classroom.json"), &files::classroom(graded, show))?;
        store::put(&folder.join("junit.xml"), files::junit(graded, show).as_bytes())?;
        store::put(&folder.join("index.html"), page::page(graded, self.plan).as_bytes())
    }

    /// What belongs to the whole class.
    pub(crate) fn finish(self, summary: &Summary) -> Result<(), Failure> {
        store::put(&self.out.join("grades.csv"), self.grades.as_bytes())?;
        similarity::export(self.plan, self.out)?;
        store::put(&self.out.join("index.html"), self.dashboard.page(self.plan, summary).as_bytes())
    }
}

/// Where a student's files lie.
fn folder(out: &Path, name: &str) -> PathBuf {
    // Names are plain already ([`crate::plan`]); a folder must not be `.` or `..`.
    let name = if name.starts_with('.') { format!("_{name}") } else { name.to_owned() };
    out.join("students").join(name)
}

/// Hundredths of a point as points.
pub(crate) fn points(hundredths: u64) -> String {
    if hundredths.is_multiple_of(100) {
        return (hundredths / 100).to_string();
    }
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A test's name as a student may see it.
fn shown_name(name: &str, part: &str, show: &Show) -> String {
    if is_hidden(name, show) { format!("a hidden test of part {part}") } else { name.to_owned() }
}

fn is_hidden(name: &str, show: &Show) -> bool {
    show.hidden.iter().any(|hidden| hidden == name)
}

/// What fits in a cell of a table: a panic may have a line of any length.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() { short + "…" } else { short }
}

/// Text for HTML and XML, without characters that these may not have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            letter => out.push(shown(letter)),
        }
    }
    out
}

/// The letter, if it may stand where people read. XML 1.0 has no other control characters than blanks, and no
/// two last of the plane; a terminal and a spreadsheet obey or refuse some; those that turn the direction of
/// writing can make a page say what it does not.
fn shown(letter: char) -> char {
    let turns = matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_last = matches!(letter, '\u{fffe}' | '\u{ffff}');
    if letter.is_control() || turns || is_last { '\u{fffd}' } else { letter }
}

#[cfg(test)]
mod tests;
