//! A student's page.

use std::fmt::Write as _;

use super::files::{replay, said, without_seed};
use super::{escaped, is_hidden, points, shown_name};
use crate::merge::{Graded, GradedTest};
use crate::plan::Plan;
use crate::settings::Show;
use crate::verdict::Class;

/// Colours for both kinds of displays, and no script: a page that holds a student's texts runs nothing.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--good:#18794e;--bad:#c4321c;--odd:#946800}
@media(prefers-color-scheme:dark){:root{--good:#4cc38a;--bad:#ff8f7a;--odd:#f0c000}}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
pre{overflow-x:auto;padding:.8rem;border:1px solid var(--line);border-radius:.4rem;font-size:13px}
.good{color:var(--good)}.bad{color:var(--bad)}.odd{color:var(--odd)}summary{cursor:pointer}
.bar{display:inline-block;height:.7rem;background:currentColor;border-radius:.2rem}";

/// The beginning of a page. The policy forbids everything but the style that stands in it.
pub(super) fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>\n",
        escaped(title)
    )
}

pub(super) fn colour(class: Class) -> &'static str {
    match class {
        Class::Correct => "good",
        Class::NotImplemented | Class::Flaky | Class::TesterError => "odd",
        _ => "bad",
    }
}

/// Everything that the instructor lets the student see.
pub(super) fn page(graded: &Graded, plan: &Plan) -> String {
    let show = &plan.grading.show;
    let mut html = head(&format!("{}: {}", plan.lab, graded.name));
    let _ = writeln!(html, "<h1>{}</h1>", escaped(&graded.name));
    let _ = writeln!(
        html,
        "<p><b class=\"{}\">{}</b>, {} of {} points. Lab {}, {}; of {} runs, {}.</p>",
        colour(graded.class),
        graded.verdict(),
        points(graded.hundredths),
        points(graded.most_hundredths),
        escaped(&plan.lab),
        plan.runs_words(),
        plan.runs,
        plan.swarm_words()
    );
    let sentence = said(graded, show);
    let shown = if sentence.contains('\n') { "pre" } else { "p" };
    let _ = writeln!(html, "<{shown} id=\"sentence\">{}</{shown}>", escaped(&sentence));
    for note in &graded.notes {
        let _ = writeln!(html, "<p>{}</p>", escaped(note));
    }
    first_failure(&mut html, graded, show);
    if !graded.tests.is_empty() {
        html.push_str(
            "<h2>Tests</h2>\n<table><tr><th>part<th>test<th>verdict<th>runs passed<th>points</tr>\n",
        );
        graded.tests.iter().for_each(|test| row(&mut html, test, show));
        html.push_str("</table>\n");
    }
    html.push_str("</body></html>\n");
    html
}

/// The failure that a student should look at first, with its story.
fn first_failure(html: &mut String, graded: &Graded, show: &Show) {
    let shown = |test: &&GradedTest| test.class != Class::Correct && !is_hidden(&test.name, show);
    let Some(test) = graded.tests.iter().filter(shown).find(|test| !test.failures.is_empty()) else { return };
    let _ = writeln!(html, "<h2>The first failure: {}</h2>", escaped(&test.name));
    if let Some(command) = replay(test, show) {
        let _ = writeln!(
            html,
            "<p>In your workspace this shows it again:</p><pre id=\"replay\">{}</pre>",
            escaped(&command)
        );
    }
    if let Some(failing) = test.failures.first().filter(|failing| show.stories && !failing.story.is_empty()) {
        let _ = writeln!(
            html,
            "<pre id=\"story\">{}</pre>",
            escaped(&without_seed(&failing.story, failing, show))
        );
    }
}

fn row(html: &mut String, test: &GradedTest, show: &Show) {
    let _ = writeln!(
        html,
        "<tr><td>{}<td>{}<td class=\"{}\">{}<td class=\"n\">{}/{}<td class=\"n\">{}/{}</tr>",
        escaped(&test.part),
        escaped(&shown_name(&test.name, &test.part, show)),
        colour(test.class),
        test.class.words(),
        test.passed,
        test.runs,
        points(test.hundredths),
        points(test.most_hundredths)
    );
    if test.class == Class::Correct || is_hidden(&test.name, show) {
        return;
    }
    let text = super::files::words(test, show);
    let _ = writeln!(
        html,
        "<tr><td><td colspan=\"4\"><details><summary>what happened</summary><pre>{}</pre></details></tr>",
        escaped(&text)
    );
}
