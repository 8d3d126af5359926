//! Real threads that outlive their run.

use crate::stack_trace;

/// A real thread that does not end although it was asked to.
pub(crate) struct Stubborn {
    /// Thread and node, as reports name them.
    pub(crate) title: String,
    /// The system's number of the thread; None if it is not known.
    pub(crate) number: Option<i32>,
}

impl Stubborn {
    /// The titles of these threads.
    pub(crate) fn titles(threads: &[Stubborn]) -> String {
        threads.iter().map(|thread| thread.title.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Where these threads are, as far as they say so; of many, the first.
    pub(crate) fn traces(threads: &[Stubborn]) -> Option<String> {
        /// Threads that are asked. Their traces have to be read by somebody.
        const ASKED: usize = 4;
        let trace = |thread: &Stubborn| {
            stack_trace::of(thread.number).map(|trace| format!("{}:\n{trace}", thread.title))
        };
        let traces: Vec<String> = threads.iter().take(ASKED).filter_map(trace).collect();
        (!traces.is_empty()).then(|| traces.join("\n"))
    }
}
