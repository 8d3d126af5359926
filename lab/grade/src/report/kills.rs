//! The page of `--tests`: who kills what.

use std::fmt::Write as _;

use super::escaped;
use super::page::head;
use crate::kills::{Killer, words};

pub(crate) fn kills_page(lab: &str, wrong: &[&str], correct: &[&str], rows: &[Killer]) -> String {
    let mut html = head(&format!("{lab}: tests by students"));
    let _ = writeln!(html, "<h1>{}: tests by students</h1>", escaped(lab));
    let _ = writeln!(
        html,
        "<p>{} wrong solutions, of which as many as possible should be killed; {} correct ones, of which none should fail.</p>",
        wrong.len(),
        correct.len()
    );
    html.push_str("<table id=\"class\"><tr><th>name<th>score<th>verdict<th>survivors</tr>\n");
    for row in rows {
        let _ = writeln!(
            html,
            "<tr><td>{}<td class=\"n\">{}<td>{}<td>{}</tr>",
            escaped(&row.name),
            row.score,
            escaped(&words(row)),
            escaped(&row.survived.join(", "))
        );
    }
    html.push_str(
        "</table>\n<h2>Wrong solutions</h2>\n<table id=\"wrong\"><tr><th>solution<th>killed by</tr>\n",
    );
    for solution in wrong {
        let killers = rows.iter().filter(|row| row.killed.iter().any(|killed| killed == solution)).count();
        let _ = writeln!(html, "<tr><td>{}<td class=\"n\">{killers}/{}</tr>", escaped(solution), rows.len());
    }
    html.push_str("</table>\n</body></html>\n");
    html
}
