//! The class on one page: who fails what, grouped by how it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::page::{colour, head};
use super::{escaped, first_line, points};
use crate::merge::{Graded, Summary};
use crate::plan::Plan;
use crate::verdict::Class;

/// What the page needs of each submission: little, so that a thousand of them take little memory.
#[derive(Default)]
pub(super) struct Dashboard {
    rows: Vec<Row>,
    /// By test: how many passed it, and how many were run.
    tests: BTreeMap<String, (usize, usize)>,
    /// Who fails so: by test and signature.
    signatures: BTreeMap<(String, String), BTreeSet<String>>,
}

struct Row {
    name: String,
    class: Class,
    hundredths: u64,
    most_hundredths: u64,
    verdict: String,
    sentence: String,
}

impl Dashboard {
    pub(super) fn add(&mut self, graded: &Graded) {
        self.rows.push(Row {
            name: graded.name.clone(),
            class: graded.class,
            hundredths: graded.hundredths,
            most_hundredths: graded.most_hundredths,
            verdict: graded.verdict(),
            sentence: first_line(&graded.sentence),
        });
        if let Some(fault) = &graded.fault {
            let key = ("(submission)".to_owned(), fault.clone());
            self.signatures.entry(key).or_default().insert(graded.name.clone());
        }
        for test in &graded.tests {
            let (passed, run) = self.tests.entry(test.name.clone()).or_default();
            *run += 1;
            *passed += usize::from(test.class == Class::Correct);
            for failing in &test.failures {
                let key = (test.name.clone(), failing.signature.clone());
                self.signatures.entry(key).or_default().insert(graded.name.clone());
            }
        }
    }

    pub(super) fn page(&self, plan: &Plan, summary: &Summary) -> String {
        let mut html = head(&format!("{}: the class", plan.lab));
        let _ = writeln!(
            html,
            "<h1>{}: {} submissions, {}</h1>",
            escaped(&plan.lab),
            self.rows.len(),
            plan.runs_words()
        );
        let _ =
            writeln!(html, "<p id=\"swarm\">Of {} runs of a test, {}.</p>", plan.runs, plan.swarm_words());
        for fault in &summary.faults {
            let _ = writeln!(html, "<p class=\"bad fault\">Not to be trusted: {}</p>", escaped(fault));
        }
        if !summary.missing.is_empty() {
            let _ = writeln!(html, "<p class=\"odd\">{} shards are missing.</p>", summary.missing.len());
        }
        html.push_str(
            "<h2>Submissions</h2>\n<table id=\"class\"><tr><th>name<th>verdict<th>points<th>first</tr>\n",
        );
        for row in &self.rows {
            let link = super::folder(std::path::Path::new(""), &row.name).join("index.html");
            let _ = writeln!(
                html,
                "<tr><td><a href=\"{}\">{}</a><td class=\"{}\">{}<td class=\"n\">{}/{}<td>{}</tr>",
                escaped(
                    &link.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
                ),
                escaped(&row.name),
                colour(row.class),
                row.verdict,
                points(row.hundredths),
                points(row.most_hundredths),
                escaped(&row.sentence)
            );
        }
        html.push_str("</table>\n");
        for same in super::similarity::twins(plan) {
            let _ = writeln!(html, "<p class=\"odd\">The same sources: {}</p>", escaped(&same.join(", ")));
        }
        self.test_table(&mut html, plan);
        self.signature_table(&mut html);
        html.push_str("</body></html>\n");
        html
    }

    fn test_table(&self, html: &mut String, plan: &Plan) {
        let nobody: Vec<&str> = self
            .tests
            .iter()
            .filter(|(_, (passed, run))| *passed == 0 && *run > 0)
            .map(|(name, _)| name.as_str())
            .collect();
        if !nobody.is_empty() {
            let _ = writeln!(
                html,
                "<p class=\"odd\" id=\"nobody\">Nobody passes: {}</p>",
                escaped(&nobody.join(", "))
            );
        }
        html.push_str("<h2>Tests</h2>\n<table id=\"tests\"><tr><th>test<th>passed by<th></tr>\n");
        for test in &plan.tests {
            let (passed, run) = self.tests.get(&test.name).copied().unwrap_or_default();
            let width = (100 * passed).checked_div(run).unwrap_or(0);
            let _ = writeln!(
                html,
                "<tr><td>{}<td class=\"n\">{passed}/{run}<td class=\"good\"><span class=\"bar\" style=\"width:{width}%\"></span></tr>",
                escaped(&test.name)
            );
        }
        html.push_str("</table>\n");
    }

    fn signature_table(&self, html: &mut String) {
        html.push_str(
            "<h2>Failures that look alike</h2>\n<table id=\"alike\"><tr><th>test<th>failure<th>who</tr>\n",
        );
        let mut all: Vec<_> = self.signatures.iter().collect();
        all.sort_by_key(|(key, who)| (std::cmp::Reverse(who.len()), *key));
        for ((test, signature), who) in all {
            let names: Vec<&str> = who.iter().map(String::as_str).collect();
            let _ = writeln!(
                html,
                "<tr><td>{}<td>{}<td>{}: {}</tr>",
                escaped(test),
                escaped(signature),
                who.len(),
                escaped(&names.join(", "))
            );
        }
        html.push_str("</table>\n");
    }
}
