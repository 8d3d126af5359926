//! Result files that other programs read.

use std::fmt::Write as _;

use labreport::swarm::Swarm;
use serde_json::{Value, json};

use super::{escaped, first_line, is_hidden, points, shown, shown_name};
use crate::merge::{Graded, GradedTest};
use crate::settings::Show;
use crate::verdict::{Class, Failing};

/// Hundredths as a number that JSON can hold exactly enough.
fn number(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

/// A row of `grades.csv`.
pub(super) fn csv_row(graded: &Graded) -> String {
    let cells = [
        graded.name.clone(),
        graded.file.clone(),
        points(graded.hundredths),
        points(graded.most_hundredths),
        graded.class.words().to_owned(),
        first_line(&graded.sentence),
    ];
    // A spreadsheet takes a cell that begins with one of these for a formula.
    let safe = |cell: &String| {
        let cell: String = cell.chars().map(shown).collect();
        let cell = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell };
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    cells.iter().map(safe).collect::<Vec<_>>().join(",") + "\n"
}

/// What a student may read of a test, in a few lines of text.
pub(super) fn words(test: &GradedTest, show: &Show) -> String {
    if is_hidden(&test.name, show) {
        return String::new();
    }
    let mut text = format!("{}: {} of {} runs passed", test.class.words(), test.passed, test.runs);
    if test.class == Class::Flaky {
        let (low, high) = test.interval;
        let _ = write!(text, "; a run passes with a probability of {low:.3} to {high:.3} (95 %)");
    }
    if let Some((_, what)) = &test.unequal {
        let _ = write!(text, "\n{what}");
    }
    if let Some(cut) = &test.cut {
        let _ = write!(text, "\nnot all runs were done: {cut}");
    }
    for failing in &test.failures {
        let swarm = if failing.swarm > 0 { format!(" ({} swarm)", failing.swarm) } else { String::new() };
        let message = without_seed(&failing.message, failing, show);
        let _ = write!(text, "\n{} runs{swarm}: {message}", failing.runs);
    }
    if let Some(command) = replay(test, show) {
        let _ = write!(text, "\nto see the first failure: {command}");
    }
    text
}

/// The command that shows the first failure in the student's own workspace.
pub(super) fn replay(test: &GradedTest, show: &Show) -> Option<String> {
    let seed = test
        .failures
        .first()
        .map(|failing| failing.first_seed)
        .or(test.unequal.as_ref().map(|(seed, _)| *seed))?;
    let is_shown = show.seeds && !is_hidden(&test.name, show);
    let swarm = if Swarm::Tenth.has(seed) { " --swarm" } else { "" };
    is_shown.then(|| format!("cargo lab replay {} --seed {seed}{swarm}", test.name))
}

/// A text about a failure, without its seed if the student does not get to know that.
pub(super) fn without_seed(text: &str, failing: &Failing, show: &Show) -> String {
    if show.seeds { text.to_owned() } else { text.replace(&failing.first_seed.to_string(), "…") }
}

/// Tests as students see them: with points, or with something to say.
fn told(graded: &Graded) -> impl Iterator<Item = &GradedTest> {
    graded.tests.iter().filter(|test| test.most_hundredths > 0)
}

/// Gradescope's `results.json`.
pub(super) fn gradescope(graded: &Graded, show: &Show) -> Value {
    let tests: Vec<Value> = told(graded)
        .map(|test| {
            json!({
                "name": shown_name(&test.name, &test.part, show),
                "number": test.part,
                "score": number(test.hundredths),
                "max_score": number(test.most_hundredths),
                "status": if test.class == Class::Correct { "passed" } else { "failed" },
                "output": words(test, show),
                "output_format": "text",
                "visibility": "visible",
            })
        })
        .collect();
    json!({
        "score": number(graded.hundredths),
        "output": format!("{}: {}", graded.class.words(), said(graded, show)),
        "output_format": "text",
        "test_output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    })
}

/// The result that GitHub's classroom actions and classroom50 read.
pub(super) fn classroom(graded: &Graded, show: &Show) -> Value {
    let tests: Vec<Value> = told(graded)
        .map(|test| {
            json!({
                "name": shown_name(&test.name, &test.part, show),
                "status": if test.class == Class::Correct { "pass" } else { "fail" },
                "score": number(test.hundredths),
                "max_score": number(test.most_hundredths),
                "message": words(test, show),
            })
        })
        .collect();
    let status = match graded.class {
        Class::Correct => "pass",
        Class::TesterError => "error",
        _ => "fail",
    };
    json!({
        "version": 1,
        "status": status,
        "score": number(graded.hundredths),
        "max_score": number(graded.most_hundredths),
        "message": said(graded, show),
        "tests": tests,
    })
}

/// The sentence for the student, unless it is about a hidden test.
pub(super) fn said(graded: &Graded, show: &Show) -> String {
    if show.hidden.iter().any(|hidden| graded.sentence.starts_with(&format!("{hidden}:"))) {
        let costs = if graded.class == Class::Correct { " It has no points." } else { "" };
        format!("A hidden test does not pass.{costs}")
    } else {
        let failures = graded.tests.iter().flat_map(|test| &test.failures);
        failures.fold(graded.sentence.clone(), |sentence, failing| without_seed(&sentence, failing, show))
    }
}

/// `JUnit`'s XML: a suite for the submission, a case for each test.
pub(super) fn junit(graded: &Graded, show: &Show) -> String {
    let failed = graded.tests.iter().filter(|test| test.class != Class::Correct).count();
    let (errors, tests) = if graded.tests.is_empty() { (1, 1) } else { (0, graded.tests.len()) };
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = escaped(&graded.name);
    let _ = writeln!(
        xml,
        "<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" skipped=\"0\">"
    );
    if graded.tests.is_empty() {
        let (class, sentence) = (graded.class.words(), escaped(&said(graded, show)));
        let _ = writeln!(xml, "  <testcase classname=\"submission\" name=\"{class}\">");
        let _ = writeln!(xml, "    <error message=\"{class}\">{sentence}</error>\n  </testcase>");
    }
    for test in &graded.tests {
        let name = escaped(&shown_name(&test.name, &test.part, show));
        let _ = write!(xml, "  <testcase classname=\"{}\" name=\"{name}\"", escaped(&test.part));
        if test.class == Class::Correct {
            xml.push_str("/>\n");
        } else {
            let text = escaped(&words(test, show));
            let _ = writeln!(
                xml,
                ">\n    <failure message=\"{}\">{text}</failure>\n  </testcase>",
                test.class.words()
            );
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}
