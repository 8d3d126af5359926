//! The eyes on a group's servers: take what the consensus module of each shows to the checkers, and what is news to the story.

use crate::consensus::{Observer, Role, View};
use crate::group::{Boot, Visitors};
use crate::invariants::Checkers;
use crate::story::What;
use crate::test::Test;
use labrt::node::Node;
use labrt::quiet::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the checkers know of a group.
pub(crate) struct Watched {
    test: Test,
    checkers: Mutex<Checkers>,
    /// Whether any server let itself be watched.
    any: AtomicBool,
    /// How often a server became leader.
    elections: AtomicU64,
}

impl Watched {
    pub(crate) fn new(test: &Test, servers: usize) -> Arc<Watched> {
        Arc::new(Watched {
            test: test.clone(),
            checkers: Mutex::new(Checkers::new(servers)),
            any: AtomicBool::new(false),
            elections: AtomicU64::new(0),
        })
    }

    /// Eyes for the server that is being started.
    pub(crate) fn eyes(self: &Arc<Self>, boot: &Boot) -> Box<dyn Observer> {
        Box::new(Eyes {
            watched: Arc::clone(self),
            node: boot.node.clone(),
            visitors: boot.visitors.clone(),
            server: boot.me,
            incarnation: boot.incarnation,
            looked: false,
        })
    }

    /// How often a server lost entries that it had taken as a leader, and that were not committed; None if the servers do
    /// not let themselves be watched.
    pub(crate) fn lost_suffixes(&self) -> Option<u64> {
        self.any.load(Ordering::Relaxed).then(|| self.checkers.lock().lost_suffixes)
    }

    /// How often a server became leader; None if the servers do not let themselves be watched.
    pub(crate) fn elections(&self) -> Option<u64> {
        self.any.load(Ordering::Relaxed).then(|| self.elections.load(Ordering::Relaxed))
    }
}

struct Eyes {
    watched: Arc<Watched>,
    node: Node,
    visitors: Visitors,
    server: usize,
    incarnation: u64,
    /// Whether they were ever used.
    looked: bool,
}

impl Observer for Eyes {
    fn observe(&mut self, view: &View<'_>) {
        // A thread that is being unwound may leave a change half done, and must not panic again.
        if std::thread::panicking() {
            return;
        }
        if !self.looked {
            self.looked = true;
            self.watched.any.store(true, Ordering::Relaxed);
        }
        let Eyes { watched, server, .. } = self;
        if self.node.is_killed() {
            // On real threads the crash may be under way; in the simulation only a visitor can still be here.
            if labrt::world() == labrt::World::Simulated && !self.visitors.any() {
                watched.test.dead_server_acts(*server, "changes its state");
            }
            return;
        }
        let news = watched.checkers.lock().observe(*server, self.incarnation, view);
        match news {
            Ok(news) => {
                if let Some((role, term)) = news.role {
                    watched.test.tell(Some(*server), What::Role(role, term));
                    if role == Role::Leader {
                        watched.elections.fetch_add(1, Ordering::Relaxed);
                        watched.test.faults().instant(
                            "leader",
                            format!("leads term {term}"),
                            self.node.name(),
                        );
                    }
                }
                if let Some(index) = news.committed {
                    watched.test.tell(Some(*server), What::Committed(index));
                }
            }
            Err(broken) => watched.test.break_off(broken),
        }
    }
}
