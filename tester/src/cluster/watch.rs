//! The eyes on a server: takes what it shows to the checkers.

use super::Record;
use crate::consensus::{Observer, View};
use crate::group::Visitors;
use crate::story::What;
use labrt::node::Node;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) struct Watch {
    record: Arc<Record>,
    node: Node,
    visitors: Visitors,
    server: usize,
    incarnation: u64,
}

impl Watch {
    pub(super) fn new(
        record: Arc<Record>,
        node: &Node,
        visitors: Visitors,
        server: usize,
        incarnation: u64,
    ) -> Watch {
        record.watched.store(true, Ordering::Relaxed);
        Watch { record, node: node.clone(), visitors, server, incarnation }
    }
}

impl Observer for Watch {
    fn observe(&mut self, view: &View<'_>) {
        // A thread that is being unwound may leave a change half done, and must not panic again.
        if std::thread::panicking() {
            return;
        }
        let Watch { record, server, .. } = self;
        if self.node.is_killed() {
            // On real threads the crash may be under way; in the simulation only a visitor can still be here.
            if labrt::world() == labrt::World::Simulated && !self.visitors.any() {
                record.test.dead_server_acts(*server, "changes its state");
            }
            return;
        }
        let news = record.checkers.lock().observe(*server, self.incarnation, view);
        match news {
            Ok(news) => {
                if let Some((role, term)) = news.role {
                    record.test.tell(Some(*server), What::Role(role, term));
                }
                if let Some(index) = news.committed {
                    record.test.tell(Some(*server), What::Committed(index));
                }
            }
            Err(broken) => record.test.break_off(broken),
        }
    }
}
