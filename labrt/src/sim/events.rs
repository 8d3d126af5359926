//! What a traced run records. Most events are of a few sorts that come again and again, so their words are
//! made once: a run that is traced should not take much longer than one that is not.

use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Sim;
use super::policy::Slot;
use crate::node::Node;
use crate::outcome::{Event, Fields};

/// Words that were made already.
#[derive(Default)]
pub(crate) struct Words {
    /// By task.
    titles: Vec<Option<Title>>,
    /// By the addresses of what is said and of the line that it is said of, both of which never go.
    at: FxHashMap<(usize, usize), String>,
}

/// What a task is called.
#[derive(Clone)]
struct Title {
    task: Arc<str>,
    /// With its node.
    whole: String,
}

impl Words {
    pub(super) fn clear(&mut self) {
        self.titles.clear();
        self.at.clear();
    }
}

impl Sim {
    pub(crate) fn emit(&mut self, kind: &'static str, target: &'static str, text: String) {
        self.emit_fields(kind, target, Fields::new(), text);
    }

    /// Records that the running task does what it does at this line. `target` is part of the words.
    pub(super) fn emit_at(
        &mut self,
        kind: &'static str,
        target: &'static str,
        place: &'static Location<'static>,
        words: impl FnOnce() -> String,
    ) {
        let key = (target.as_ptr().addr(), std::ptr::from_ref(place).addr());
        let text = self.words.at.entry(key).or_insert_with(words).clone();
        self.emit(kind, target, text);
    }

    /// Records what befalls another task.
    pub(super) fn emit_of(&mut self, kind: &'static str, target: &'static str, slot: Slot) {
        let text = self.title_of(slot).map(|title| title.whole.clone()).unwrap_or_default();
        self.emit(kind, target, text);
    }

    pub(crate) fn emit_fields(
        &mut self,
        kind: &'static str,
        target: &'static str,
        fields: Fields,
        text: String,
    ) {
        let event = self.event(kind, target, fields, text);
        self.record(event);
    }

    fn record(&mut self, event: Event) {
        match &self.sink {
            Some(sink) => sink.take(&event),
            None => self.events.push(event),
        }
    }

    fn event(&mut self, kind: &'static str, target: &'static str, fields: Fields, text: String) -> Event {
        let task = self.title_of(self.current).map_or_else(|| "scheduler".into(), |title| title.task.clone());
        let running = self.tasks.get(self.current as usize);
        let node = self.nodes.get(running.map_or(0, |task| task.node as usize));
        Event {
            t: self.now,
            node: node.map_or_else(|| "".into(), Node::shared_name),
            task,
            // The scheduler has the first number, the main closure the second.
            thread: running.map_or(0, |task| task.serial + 1),
            kind,
            target,
            fields,
            text,
        }
    }

    /// What a task is called; None if there is none.
    fn title_of(&mut self, slot: Slot) -> Option<&Title> {
        let (place, task) = (slot as usize, self.tasks.get(slot as usize)?);
        if self.words.titles.len() <= place {
            self.words.titles.resize(place + 1, None);
        }
        let (node, name) = (self.nodes[task.node as usize].name(), &task.name);
        let title = || Title { task: name.to_string().into(), whole: format!("{node} / {name}") };
        Some(self.words.titles[place].get_or_insert_with(title))
    }

    /// The slot has got another task.
    #[inline]
    pub(super) fn forget_title(&mut self, slot: Slot) {
        if let Some(title) = self.words.titles.get_mut(slot as usize) {
            *title = None;
        }
    }

    /// The running task has printed a line.
    pub(crate) fn note_printed(&mut self, target: &'static str, text: String) {
        let event = self.event("print", target, Fields::new(), text);
        if self.trace {
            self.record(event.clone());
        }
        self.pulse.printed.push(event);
    }
}
