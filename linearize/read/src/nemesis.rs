//! What a nemesis did, as faults of a picture.
//!
//! A nemesis reports twice, when it begins and when it has done it, and both times with `:info`. What starts
//! something lasts until something stops it; all else is a moment.

use linearize::words::unquoted;
use linearize::{Fault, OPEN};

use super::edn::Form;

/// So many characters of what a nemesis says are shown.
const LABEL: usize = 80;

/// What was seen of nemeses so far.
#[derive(Debug, Default)]
pub(super) struct Nemeses {
    faults: Vec<Fault>,
    /// Which of them last until something ends them.
    lasting: Vec<usize>,
    /// The name and the function of the last event, if it may be told once more.
    begun: Option<(String, String)>,
}

impl Nemeses {
    /// Notes that `process` reported `function` at `now`.
    pub(super) fn report(&mut self, process: &str, function: &str, value: Option<&Form<'_>>, now: u64) {
        let again = (process.to_owned(), function.to_owned());
        let done = self.begun.take().is_some_and(|begun| begun == again);
        if !done {
            self.begun = Some(again);
        }
        if let Some(what) = ended_by(function) {
            self.lasting.retain(|&place| {
                let fault = &mut self.faults[place];
                let ends = fault.group == process && what.iter().any(|what| fault.label.starts_with(what));
                if ends {
                    fault.to = now;
                }
                !ends
            });
            return;
        }
        let lasts = LASTING.iter().any(|what| function.starts_with(what));
        if let Some(fault) = self.faults.last_mut().filter(|fault| done && fault.group == process) {
            // The second report knows whom it concerned, or how it ended.
            fault.targets = targets(value).unwrap_or(std::mem::take(&mut fault.targets));
            if !lasts {
                fault.to = now;
            }
            return;
        }
        if lasts {
            self.lasting.push(self.faults.len());
        }
        self.faults.push(Fault {
            from: now,
            to: if lasts { OPEN } else { now },
            label: unquoted(function),
            group: process.to_owned(),
            targets: targets(value).unwrap_or_default(),
        });
    }

    /// All that was reported, with each time replaced by `time` of it.
    pub(super) fn finish(mut self, time: impl Fn(u64) -> u64) -> Vec<Fault> {
        for fault in &mut self.faults {
            fault.from = time(fault.from);
            fault.to = if fault.to == OPEN { OPEN } else { time(fault.to) };
        }
        self.faults
    }
}

/// What lasts until it is ended.
const LASTING: &[&str] = &["start", "kill", "pause", "partition", "crash"];

/// The beginnings of what `function` ends.
fn ended_by(function: &str) -> Option<Vec<String>> {
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    match function {
        "stop" => names(&["start"]),
        "restart" | "recover" => names(&["kill", "crash"]),
        "resume" => names(&["pause"]),
        "heal" => names(&["partition", "start-partition"]),
        _ => function.strip_prefix("stop-").map(|rest| vec![format!("start-{rest}")]),
    }
}

/// What a nemesis says that it did, and to whom.
fn targets(value: Option<&Form<'_>>) -> Option<Vec<String>> {
    let text = match value? {
        Form::Nil => return None,
        Form::Word(word) if word == "nil" => return None,
        form => written(form),
    };
    let short: String = text.chars().take(LABEL).collect();
    Some(vec![if short.len() < text.len() { format!("{short}…") } else { short }])
}

/// A form as EDN writes it.
pub(super) fn written(form: &Form<'_>) -> String {
    let row = |forms: &[Form<'_>]| forms.iter().map(written).collect::<Vec<_>>().join(" ");
    match form {
        Form::Nil => "nil".to_owned(),
        Form::Number(number) => number.to_string(),
        Form::Text(text) => format!("\"{}\"", unquoted(text)),
        Form::Keyword(name) => format!(":{}", unquoted(name)),
        Form::Word(word) => unquoted(word),
        Form::Row(forms) => format!("[{}]", row(forms)),
        Form::Set(forms) => format!("#{{{}}}", row(forms)),
        Form::Map(pairs) => {
            let pair = |(key, value): &(Form<'_>, Form<'_>)| format!("{} {}", written(key), written(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
    }
}
