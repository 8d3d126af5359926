//! What was done to the servers and when, as spans of time for the picture of a history. The verbs note themselves here as they
//! do in the story.

use labrt::runtime;
use linearize::OPEN;
use linearize::picture::Fault;

/// The spans so far.
#[derive(Default)]
pub(crate) struct Faults {
    spans: Vec<Fault>,
    /// Places of those that have not ended. They are few, however many there were.
    open: Vec<usize>,
}

impl Faults {
    /// Something begins: of the sort `group`, told by `label`, and it concerns `target` (nobody in particular, if that is
    /// empty). What of this sort concerned the target until now ends.
    pub(crate) fn begin(&mut self, group: &str, label: impl Into<String>, target: &str) {
        self.end(group, target);
        self.open.push(self.spans.len());
        self.add(group, label.into(), target, OPEN);
    }

    /// What of this sort concerns the target ends, if there is anything.
    pub(crate) fn end(&mut self, group: &str, target: &str) {
        let concerned = |fault: &Fault| {
            fault.group == group && fault.targets.first().map_or("", String::as_str) == target
        };
        if let Some(place) = self.open.iter().position(|&index| concerned(&self.spans[index])) {
            let index = self.open.swap_remove(place);
            self.spans[index].to = runtime::now().as_nanos();
        }
    }

    /// Something happened that took no time.
    pub(crate) fn instant(&mut self, group: &str, label: impl Into<String>, target: &str) {
        self.add(group, label.into(), target, runtime::now().as_nanos());
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
