//! The matrix as a page: a heat map that shows each cell's interval and reason.

use std::fmt::Write;
use std::path::Path;

use super::matrix::{Row, columns};
use crate::Failure;
use crate::catalogue::Test;

const HEAD: &str = "<!doctype html><meta charset=\"utf-8\"><title>The zoo</title><style>\
body{font:14px system-ui,sans-serif;margin:2em}table{border-collapse:collapse}\
th.test{writing-mode:vertical-rl;text-align:left;font-weight:normal;padding:4px}\
td,th{border:1px solid #ddd;padding:2px 4px;text-align:center}th.bug{text-align:left;font-weight:normal}\
.directed{background:#f4f4ff}</style>";

/// Writes the page.
pub(super) fn write(file: &Path, lab: &str, tests: &[Test], rows: &[Row]) -> Result<(), Failure> {
    std::fs::write(file, page(lab, tests, rows))
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

fn page(lab: &str, tests: &[Test], rows: &[Row]) -> String {
    let columns = columns(tests, rows);
    let mut page = format!("{HEAD}<h1>Wrong solutions of {}</h1>", escape(lab));
    page += "<p>The percentage of seeds by which a test kills a wrong solution. † marks assertions of the solution's own, \
             which do not count. Tests on blue are directed. The last columns are the chance that a grading with 50 runs of \
             each test (fewer of directed ones) kills: by the course's tests, by directed ones, by all.</p><table><tr><th>";
    for &column in &columns {
        let class = if tests[column].heading.is_some() { "test directed" } else { "test" };
        let _ = write!(page, "<th class=\"{class}\">{}", escape(&tests[column].name));
    }
    page += "<th class=test>course<th class=test>directed<th class=test>all";
    for row in rows {
        let _ = write!(page, "<tr><th class=bug>{} {}", escape(&row.name()), escape(&row.patch.title));
        for &column in &columns {
            page += &cell(row, column);
        }
        for chance in row.in_a_grading() {
            let _ = write!(page, "<td style=\"{}\">{:.0}", colour(chance), chance * 100.0);
        }
    }
    page + "</table>\n"
}

fn cell(row: &Row, column: usize) -> String {
    let cell = row.cell(column);
    if cell.rate.runs == 0 {
        return "<td>".to_owned();
    }
    let ((low, high), rate) = (cell.rate.interval(), cell.rate);
    let reason = row.reason(column).unwrap_or_default();
    let title = format!(
        "{} of {} seeds, {:.0} to {:.0} %. {reason}",
        rate.kills,
        rate.runs,
        low * 100.0,
        high * 100.0
    );
    format!("<td style=\"{}\" title=\"{}\">{}", colour(rate.estimate()), escape(&title), escape(&cell.show()))
}

/// From white to red.
fn colour(rate: f64) -> String {
    if rate == 0.0 {
        return String::new();
    }
    // Rates differ by orders of magnitude, and the root shows the small ones too.
    let light = 95.0 - 45.0 * rate.sqrt();
    format!("background:hsl(10,80%,{light:.0}%)")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
