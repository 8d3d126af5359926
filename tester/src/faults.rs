//! The faults of a test as spans of time, for the picture of a history. The verbs note themselves here, as
//! they do in the story.

use labrt::runtime;
use labrt::trace;
use linearize::{Fault, OPEN};

/// The spans so far.
#[derive(Default)]
pub(crate) struct Faults {
    spans: Vec<Fault>,
    /// Places of those that have not ended. They are few, however many there were.
    open: Vec<usize>,
}

impl Faults {
    /// A fault begins: of the sort `group`, described by `label`, at `target` (or everywhere, if that is
    /// empty). An earlier fault of this sort at the target ends.
    pub(crate) fn begin(&mut self, group: &'static str, label: impl Into<String>, target: &str) {
        self.end(group, target);
        self.open.push(self.spans.len());
        let label = label.into();
        tell("begin", group, target, &label);
        self.add(group, label, target, OPEN);
    }

    /// The fault of this sort at the target ends, if there is one.
    pub(crate) fn end(&mut self, group: &'static str, target: &str) {
        let concerned = |fault: &Fault| {
            fault.group == group && fault.targets.first().map_or("", String::as_str) == target
        };
        if let Some(place) = self.open.iter().position(|&index| concerned(&self.spans[index])) {
            let index = self.open.swap_remove(place);
            self.spans[index].to = runtime::now().as_nanos();
            tell("end", group, target, "");
        }
    }

    /// An event that took no time.
    pub(crate) fn instant(&mut self, group: &'static str, label: impl Into<String>, target: &str) {
        let label = label.into();
        tell("instant", group, target, &label);
        self.add(group, label, target, runtime::now().as_nanos());
    }

    fn add(&mut self, group: &str, label: String, target: &str, to: u64) {
        let targets = if target.is_empty() { Vec::new() } else { vec![target.to_owned()] };
        let from = runtime::now().as_nanos();
        self.spans.push(Fault { from, to, label, group: group.to_owned(), targets });
    }

    /// All spans, in the order in which they began.
    pub(crate) fn spans(&self) -> &[Fault] {
        &self.spans
    }
}

/// Tells a traced run of a fault.
fn tell(leg: &'static str, group: &'static str, target: &str, label: &str) {
    trace::emit_fields("span", group, || {
        let fields = vec![("leg", leg.to_owned().into()), ("at", target.to_owned().into())];
        (fields, label.to_owned())
    });
}
