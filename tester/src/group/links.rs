//! The verbs that change who reaches whom. Each notes itself in the story.

use super::{Group, Slot};

impl<S: Send + Sync + 'static> Group<S> {
    /// Gives the server its links to all connected servers on its side.
    pub fn connect(&self, server: usize) {
        if !self.allows("connect") || self.is_without(server) {
            return;
        }
        self.note_server(server, "connect");
        self.test().faults().end("links", self.title(server));
        self.shared.slots.lock()[server].connected = true;
        self.set_links(server);
    }

    /// Takes all links from the server, which goes on running.
    pub fn disconnect(&self, server: usize) {
        if !self.allows("disconnect") || !self.has(server) {
            return;
        }
        self.note_server(server, "disconnect");
        self.test().faults().begin("links", "disconnected", self.title(server));
        self.cut_off(server);
    }

    pub(super) fn cut_off(&self, server: usize) {
        self.shared.slots.lock()[server].connected = false;
        self.set_links(server);
    }

    /// Divides the group: only servers in the same one of `sides` keep their links. A server that is not
    /// named stands alone.
    pub fn partition(&self, sides: &[&[usize]]) {
        if !self.allows("partition") {
            return;
        }
        let words = format!("partition {sides:?}");
        self.test().faults().begin("partition", words.as_str(), "");
        self.test().note(words);
        self.divide(|server| {
            sides.iter().position(|side| side.contains(&server)).unwrap_or(sides.len() + server)
        });
    }

    /// Ends a partition. Servers that are disconnected stay so.
    pub fn heal(&self) {
        if !self.allows("heal") {
            return;
        }
        self.test().note("heal");
        self.test().faults().end("partition", "");
        self.divide(|_| 0);
    }

    fn divide(&self, side: impl Fn(usize) -> usize) {
        for (server, slot) in self.shared.slots.lock().iter_mut().enumerate() {
            slot.side = side(server);
        }
        (0..self.len()).for_each(|server| self.set_links(server));
    }

    /// Switches all links from and to the server as they should be now.
    pub(super) fn set_links(&self, server: usize) {
        let links: Vec<(usize, bool)> = {
            let slots = self.shared.slots.lock();
            let own = &slots[server];
            self.shared.progress.has_links(server, own.connected);
            let on = |other: &Slot<S>| own.connected && other.connected && own.side == other.side;
            let outgoing = own.ends.iter().zip(slots.iter()).map(|(&end, other)| (end, on(other)));
            let incoming = slots.iter().filter_map(|other| Some((*other.ends.get(server)?, on(other))));
            outgoing.chain(incoming).collect()
        };
        for (end, on) in links {
            self.net().network().enable(end, on);
        }
    }

    /// Opens the link on which `from` calls `to`, whatever else they are cut off from; until one of the two
    /// is connected, disconnected or restarted. Replies come back on the same link.
    pub fn open_link(&self, from: usize, to: usize) {
        self.test().note(format!("open_link {from} -> {to}"));
        self.net().network().enable(self.link(from, to), true);
    }

    /// Holds back what `from` says to `to`, and the answers, until [`Group::release_link`].
    pub fn hold_link(&self, from: usize, to: usize) {
        self.test().note(format!("hold_link {from} -> {to}"));
        self.net().network().hold(self.link(from, to));
    }

    /// Lets everything arrive that was held back.
    pub fn release_link(&self, from: usize, to: usize) {
        self.test().note(format!("release_link {from} -> {to}"));
        self.net().network().release(self.link(from, to));
    }
}
