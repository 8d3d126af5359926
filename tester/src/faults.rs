//! The faults of a test as spans of time, for the picture of a history. The verbs note themselves here, as
//! they do in the story.

use labrt::runtime;
use labrt::trace;

/// A fault of a test: what was done to the servers, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpan {
    /// When it began, in nanoseconds of the run's own clock.
    pub from: u64,
    /// When it ended; equal to `from` for something that took no time, None if it never ended.
    pub to: Option<u64>,
    /// What happened, in a few words.
    pub label: String,
    /// What sort of fault it is, for example `crash`.
    pub group: &'static str,
    /// The node that it concerned; empty if it concerned all.
    pub target: String,
}

/// The faults of a test so far.
#[derive(Default)]
pub struct Faults {
    spans: Vec<FaultSpan>,
    /// Places of those that have not ended. They are few, however many there were.
    open: Vec<usize>,
}

impl Faults {
    /// A fault begins: of the sort `group`, described by `label`, at `target` (or everywhere, if that is
    /// empty). An earlier fault of this sort at the target ends.
    pub fn begin(&mut self, group: &'static str, label: impl Into<String>, target: &str) {
        self.end(group, target);
        self.open.push(self.spans.len());
        let label = label.into();
        tell("begin", group, target, &label);
        self.add(group, label, target, None);
    }

    /// The fault of this sort at the target ends, if there is one.
    pub fn end(&mut self, group: &'static str, target: &str) {
        let concerned = |fault: &FaultSpan| fault.group == group && fault.target == target;
        if let Some(place) = self.open.iter().position(|&index| concerned(&self.spans[index])) {
            let index = self.open.swap_remove(place);
            self.spans[index].to = Some(runtime::now().as_nanos());
            tell("end", group, target, "");
        }
    }

    /// An event that took no time.
    pub fn instant(&mut self, group: &'static str, label: impl Into<String>, target: &str) {
        let label = label.into();
        tell("instant", group, target, &label);
        self.add(group, label, target, Some(runtime::now().as_nanos()));
    }

    fn add(&mut self, group: &'static str, label: String, target: &str, to: Option<u64>) {
        self.spans.push(FaultSpan {
            from: runtime::now().as_nanos(),
            to,
            label,
            group,
            target: target.to_owned(),
        });
    }

    /// All spans, in the order in which they began.
    pub fn spans(&self) -> &[FaultSpan] {
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
