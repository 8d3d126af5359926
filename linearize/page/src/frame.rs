//! What can be read of a page without its scripts: the verdict and a table of the operations that it names.

use std::fmt::Write;

use linearize::{Explanation, History, Model, Unit, Verdict, words};

use crate::escape::html;

const PAGE: &str = include_str!("page/page.html");

/// The page with each `{{marker}}` replaced. What is put in is not looked at again, so that a text may
/// contain a marker.
pub(crate) fn fill(mut content: impl FnMut(&str) -> String) -> String {
    let mut pieces = PAGE.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (marker, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        page.push_str(&content(marker));
        page.push_str(rest);
    }
    page
}

pub(crate) fn title<O, R>(name: &str, history: &History<O, R>, verdict: &Verdict) -> String {
    let file = if name.is_empty() { String::new() } else { format!("{}: ", words::unquoted(name)) };
    let verdict = match verdict {
        Verdict::Linearizable(_) if !history.is_observed() => "Nothing was observed".to_owned(),
        Verdict::Linearizable(_) => "Linearizable".to_owned(),
        Verdict::NotLinearizable(explanation) => {
            format!("Not linearizable{}: {}", key(&explanation.key), explanation.kind.name())
        }
        Verdict::Unknown(_) => "Unknown whether linearizable".to_owned(),
    };
    file + &verdict
}

fn key(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" – key {}", words::quoted(name)) }
}

/// The banner.
pub(crate) fn verdict<M: Model>(model: &M, history: &History<M::Op, M::Result>, verdict: &Verdict) -> String {
    let (class, mark, head, sentence) = match verdict {
        Verdict::Linearizable(_) if !history.is_observed() => {
            let sentence = format!("{}. This is not a pass.", linearize::text::unobserved(history.len()));
            ("unknown", "?", "Nothing was observed".to_owned(), html(&sentence))
        }
        Verdict::Linearizable(witness) => {
            let parts = witness.orders.len();
            let sentence = match parts {
                0 | 1 if history.len() == 1 => "The one operation fits.".to_owned(),
                0 | 1 => format!("An order of the {} operations fits.", grouped(history.len())),
                _ => {
                    format!("{} operations; for each of {parts} keys an order fits.", grouped(history.len()))
                }
            };
            ("good", "✓", "Linearizable".to_owned(), html(&sentence))
        }
        Verdict::NotLinearizable(explanation) => {
            let head = format!("Not linearizable{} – {}", key(&explanation.key), explanation.kind.name());
            ("bad", "✗", head, linked(model, history, explanation))
        }
        Verdict::Unknown(undecided) => {
            let head = format!("Unknown{}", key(&undecided.key));
            let link = format!(
                " The search came as far as <a href=\"#op={0}\" data-op=\"{0}\">operation #{0}</a>; everything that \
                 returned before it can be put in order. This is not a pass.",
                undecided.reached
            );
            let mut sentence = format!("{undecided}.");
            sentence[..1].make_ascii_uppercase();
            ("unknown", "?", head, html(&sentence) + &link)
        }
    };
    format!(
        "<h1 class=\"{class}\"><span class=\"mark\" aria-hidden=\"true\">{mark}</span> {}</h1>\n<p id=\"sentence\">{sentence}</p>",
        html(&head)
    )
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The sentence, with a link wherever it names one of the operations.
fn linked<M: Model>(model: &M, history: &History<M::Op, M::Result>, explanation: &Explanation) -> String {
    let sentence = &explanation.sentence;
    let mut links: Vec<(usize, usize, usize)> = Vec::new();
    for &index in &explanation.operations {
        let operation = &history[index];
        let name = format!("{} by client {}", model.describe_op(&operation.op), operation.client);
        let result = operation.result.as_ref().map(|result| model.describe_result(&operation.op, result));
        let result = result.unwrap_or_default();
        // A client may have called the same twice, so first look for a mention that tells the result.
        let mentions =
            [format!("{name} returned {result}"), format!("{name} that saw {result}"), name.clone()];
        let places = mentions.iter().flat_map(|mention| sentence.match_indices(mention));
        for (at, _) in places {
            let end = at + name.len();
            let longer = sentence[end..].starts_with(|next: char| next.is_ascii_digit());
            let free = links.iter().all(|&(from, to, other)| (end <= from || to <= at) && other != index);
            if free && !longer {
                links.push((at, end, index));
            }
        }
    }
    links.sort_unstable();
    let mut out = String::new();
    let mut last = 0;
    for (from, to, index) in links {
        out.push_str(&html(&sentence[last..from]));
        out.push_str(&link(index, &sentence[from..to]));
        last = to;
    }
    out + &html(&sentence[last..])
}

fn link(index: usize, text: &str) -> String {
    format!("<a href=\"#op={index}\" data-op=\"{index}\">{}</a>", html(text))
}

/// A table of the operations that the verdict names, with times since `origin`; empty if it names none.
pub(crate) fn witness<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    verdict: &Verdict,
    origin: u64,
) -> String {
    let Verdict::NotLinearizable(explanation) = verdict else { return String::new() };
    let mut table = String::from(
        "<table aria-label=\"Operations that cannot be ordered\"><thead><tr><th scope=\"col\">#</th>\
         <th scope=\"col\">client</th><th scope=\"col\">operation</th><th scope=\"col\">result</th>\
         <th scope=\"col\">called</th><th scope=\"col\">took</th></tr></thead><tbody>",
    );
    for &index in &explanation.operations {
        row(model, history, index, origin, &mut table);
    }
    table.push_str("</tbody></table>");
    if !explanation.context.is_empty() {
        let count = explanation.context.len();
        let others = words::count(count as u64, "operation");
        let _ = write!(table, "<p>Needed too, at whatever time: {others} whose effect they saw.</p>");
    }
    table
}

fn row<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    index: usize,
    origin: u64,
    table: &mut String,
) {
    let operation = &history[index];
    let result = operation.result.as_ref().map(|result| model.describe_result(&operation.op, result));
    let took = operation.returned().map(|end| history.span(end - operation.call));
    // Writing into a String cannot fail.
    let _ = write!(
        table,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        link(index, &format!("#{index}")),
        operation.client,
        html(&model.describe_op(&operation.op)),
        html(&result.unwrap_or_default()),
        moment(history, operation.call - origin),
        took.unwrap_or_else(|| "never returned".to_owned()),
    );
}

/// A moment in milliseconds, as precise as the clock; or the number of an event.
fn moment<O, R>(history: &History<O, R>, time: u64) -> String {
    match history.unit() {
        Unit::Nanoseconds => {
            let exact = format!("{}.{:06}", time / 1_000_000, time % 1_000_000);
            // Most clocks of tests are no finer than microseconds.
            format!("{} ms", exact.strip_suffix("000").unwrap_or(&exact))
        }
        Unit::Events => format!("event {time}"),
    }
}
