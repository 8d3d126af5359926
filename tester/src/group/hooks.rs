//! Where others come in between a test's verbs and what they do: overrides of a run, hooks of a test.

use std::sync::{Arc, Weak};

use labapi::Write;

use super::Group;

impl<S: Send + Sync + 'static> Group<S> {
    /// Whether a verb may do what it does; see `choices`.
    pub(super) fn allows(&self, verb: &str) -> bool {
        self.test().choices().allows(verb)
    }

    /// Whether the server never starts; see `choices`.
    pub(super) fn is_without(&self, server: usize) -> bool {
        !self.has(server) || self.test().choices().is_without(self.title(server))
    }

    /// Whether there is such a server. A run may have fewer than its test names; see `choices`.
    pub(super) fn has(&self, server: usize) -> bool {
        server < self.len()
    }

    /// Calls `hook` after each write of the server's present incarnation to its disk, on the server's thread;
    /// the hook may crash the server, which then stops right there.
    pub fn on_write(&self, server: usize, hook: impl FnMut(&Group<S>, &Write) + Send + 'static) {
        // Weak, since the disk is reached from the group: a circle would never be let go.
        let (group, mut hook) = (Arc::downgrade(&self.shared), hook);
        self.persister(server).on_write(move |write| {
            if let Some(shared) = Weak::upgrade(&group) {
                hook(&Group { shared }, write);
            }
        });
    }
}
