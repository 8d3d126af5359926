//! The observers of a group's servers. Each passes the state that a consensus module shows to the checkers,
//! and tells the story about changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use labapi::{Observer, Role, View};
use labrt::node::Node;
use labrt::quiet::Mutex;

use crate::group::Boot;
use crate::invariants::Checkers;
use crate::stall::Progress;
use crate::story::What;
use crate::test::Test;

/// The checkers' knowledge of a group.
pub struct Watched {
    test: Test,
    /// Where the group's servers stand in the story: server 0 in this column.
    column: usize,
    checkers: Mutex<Checkers>,
    /// Whether any server has shown its state.
    any: AtomicBool,
    /// How often a server became leader.
    elections: AtomicU64,
    /// What is known of the group's progress, from its first server on.
    progress: OnceLock<Progress>,
    /// The latest life of each server.
    lives: Mutex<Vec<u64>>,
}

impl Watched {
    /// Watches a group of so many servers, of which server 0 stands in column `column` of the story.
    /// `is_given`: as in [`labapi::WireFormat::is_given`].
    pub(crate) fn beside(test: &Test, servers: usize, column: usize, is_given: bool) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            test: test.clone(),
            column,
            checkers: Mutex::new(Checkers::new(servers)),
            any: AtomicBool::new(false),
            elections: AtomicU64::new(0),
            progress: OnceLock::new(),
            lives: Mutex::new(vec![0; servers]),
        });
        let of_story = Arc::clone(&watched);
        test.can_tell(move || {
            let is_shown = of_story.any.load(Ordering::Relaxed);
            // A run that is stuck may be stuck in a checker.
            let checkers = of_story.checkers.try_lock().filter(|_| is_shown);
            checkers.map_or_else(Vec::new, |checkers| checkers.knowledge())
        });
        let after_run = Arc::clone(&watched);
        test.afterwards(move |test| {
            if let Some(gap) = after_run.gap(is_given) {
                test.unwatched(gap);
            }
            None
        });
        watched
    }

    /// What the servers did not show, and should have: no rule could see it.
    fn gap(&self, is_given: bool) -> Option<&'static str> {
        if !self.any.load(Ordering::Relaxed) {
            let none =
                "logs, roles and commit indices at each change: the servers do not show them (`watch`)";
            return (!is_given).then_some(none);
        }
        // A run that is stuck may be stuck in a checker.
        let checkers = self.checkers.try_lock()?;
        let lives = self.lives.lock();
        let shown = || lives.iter().zip(checkers.last_shown());
        if shown().any(|(&life, (of_life, _))| life != of_life) {
            return Some("logs, roles and commit indices of some servers: these show nothing (`watch`)");
        }
        let applied = self.progress.get()?.applied();
        let is_behind = |((_, (_, committed)), applied): ((&u64, (u64, u64)), u64)| applied > committed;
        let some = "logs, roles and commit indices at some changes: services get what no server has shown as committed (`watch`)";
        shown().zip(applied).any(is_behind).then_some(some)
    }

    /// An observer for the server that is being started; None if observers are ignored (`LAB_UNWATCHED`). A
    /// solution that is given one may check itself more closely than one that is not, so it gets none then.
    pub fn observer(self: &Arc<Self>, boot: &Boot) -> Option<Box<dyn Observer>> {
        let observer = || -> Box<dyn Observer> {
            self.progress.get_or_init(|| boot.crash.progress.clone());
            self.lives.lock()[boot.me] = boot.incarnation;
            Box::new(ServerObserver {
                watched: Arc::clone(self),
                node: boot.node.clone(),
                server: boot.me,
                incarnation: boot.incarnation,
                used: false,
            })
        };
        (!self.test.ignores_observers()).then(observer)
    }

    /// How often a server lost entries that it had taken as a leader, and that were not committed; None if
    /// the servers do not let themselves be watched.
    pub(crate) fn lost_suffixes(&self) -> Option<u64> {
        self.any.load(Ordering::Relaxed).then(|| self.checkers.lock().lost_suffixes)
    }

    /// How often a server became leader; None if the servers do not let themselves be watched.
    pub fn elections(&self) -> Option<u64> {
        self.any.load(Ordering::Relaxed).then(|| self.elections.load(Ordering::Relaxed))
    }
}

struct ServerObserver {
    watched: Arc<Watched>,
    node: Node,
    server: usize,
    incarnation: u64,
    /// Whether the server has shown anything.
    used: bool,
}

impl Observer for ServerObserver {
    fn observe(&mut self, view: &View<'_>) {
        // A thread that is being unwound may leave a change half done, and must not panic again.
        if labrt::thread::panicking() {
            return;
        }
        if !self.used {
            self.used = true;
            self.watched.any.store(true, Ordering::Relaxed);
        }
        let ServerObserver { watched, server, .. } = self;
        if self.node.is_killed() {
            // On real threads the crash may be under way.
            if labrt::world() == labrt::World::Simulated {
                watched.test.dead_server_changes(*server, "changes its state");
            }
            return;
        }
        tell(view);
        let column = watched.column + *server;
        let news = watched.checkers.lock().observe(*server, self.incarnation, view);
        match news {
            Ok(news) => {
                if let Some((role, term)) = news.role {
                    watched.test.tell(Some(column), What::Role(role, term));
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
                    watched.test.tell(Some(column), What::Committed(index));
                }
            }
            Err(broken) => watched.test.break_off(broken),
        }
    }
}

/// Tells a traced run of a state: the terms of the entries that may have changed, as `3x2,4` for 3, 3, 4.
fn tell(view: &View<'_>) {
    labrt::trace::emit_fields("state", "", || {
        let from = view.changed_from.max(view.last_included_index + 1);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for index in from..=view.last_index {
            let term = (view.entry)(index).map_or(0, |(term, _)| term);
            match runs.last_mut() {
                Some((last, count)) if *last == term => *count += 1,
                _ => runs.push((term, 1)),
            }
        }
        let run = |&(term, count): &(u64, u64)| match count {
            1 => term.to_string(),
            count => format!("{term}x{count}"),
        };
        let terms: Vec<String> = runs.iter().map(run).collect();
        let fields = vec![
            ("term", view.term.into()),
            ("role", view.role.to_string().into()),
            ("commit", view.commit_index.into()),
            ("base", view.last_included_index.into()),
            ("last", view.last_index.into()),
            ("from", from.min(view.last_index + 1).into()),
            ("terms", terms.join(",").into()),
        ];
        (fields, format!("{view:?}"))
    });
}
