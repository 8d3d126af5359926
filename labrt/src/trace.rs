//! Events of a traced run, and the `tracing` facade through which students log.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span;

use crate::context::{Mode, mode};
use crate::outcome::Fields;
use crate::{real, sim};

/// Whether this run records events. Costly texts should be made only then.
#[inline]
pub fn enabled() -> bool {
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.trace),
        Mode::Threads => real::trace_enabled(),
        Mode::Outside => false,
    }
}

/// Records an event of the running task, if this run records events. `kind` is one of those of
/// [`crate::Event`].
#[inline]
pub fn emit(kind: &'static str, target: &'static str, text: impl FnOnce() -> String) {
    emit_fields(kind, target, || (Fields::new(), text()));
}

/// As [`emit`], with names and values for programs.
#[inline]
pub fn emit_fields(kind: &'static str, target: &'static str, event: impl FnOnce() -> (Fields, String)) {
    if enabled() {
        let mut event = Some(event);
        record(kind, target, &mut || event.take().map(|event| event()).unwrap_or_default());
    }
}

#[cold]
#[inline(never)]
fn record(kind: &'static str, target: &'static str, event: &mut dyn FnMut() -> (Fields, String)) {
    // The text is made before the simulation is borrowed, since it may come from any `Display`. That may take
    // locks, at which no other thread may get its turn: a run that is watched goes as it went unwatched.
    let simulated = mode() == Mode::Simulated;
    let stride = simulated.then(|| sim::with(sim::Sim::keep_turn));
    let (fields, text) = event();
    if let Some(stride) = stride {
        sim::with(|sim| sim.give_turn_back(stride));
    }
    match mode() {
        Mode::Simulated => sim::with(|sim| sim.emit_fields(kind, target, fields, text)),
        Mode::Threads => real::emit(kind, target, fields, text),
        Mode::Outside => {}
    }
}

/// Turns `tracing` events into ours. Installed by the first traced run, so that others pay nothing; if the
/// program has set a subscriber of its own, that one stays.
pub(crate) fn install_subscriber() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Recorder);
    });
}

/// Spans are accepted and ignored: an event's time, node and thread say where it belongs.
struct Recorder;

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        enabled()
    }

    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
        // Runs differ in whether they are traced, so each event asks.
        tracing::subscriber::Interest::sometimes()
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        emit("log", event.metadata().target(), || text.line());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message and the fields of an event, as one line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn line(self) -> String {
        match (self.message.is_empty(), self.fields.is_empty()) {
            (false, false) => format!("{} {}", self.message, self.fields),
            (true, _) => self.fields,
            (false, true) => self.message,
        }
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let (text, head) = match field.name() {
            "message" => (&mut self.message, String::new()),
            name if self.fields.is_empty() => (&mut self.fields, format!("{name}=")),
            name => (&mut self.fields, format!(" {name}=")),
        };
        text.push_str(&head);
        let shown = catch_unwind(AssertUnwindSafe(|| {
            let _ = write!(text, "{value:?}");
        }));
        if let Err(payload) = shown {
            // A crash of the server unwinds whatever its threads do.
            if crate::node::current().is_killed() {
                resume_unwind(payload);
            }
            text.push_str("… (its Debug panics)");
        }
    }
}
