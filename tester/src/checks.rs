//! The checkers of a group whose servers stand on a consensus module: what its observer shows, and what is
//! seen from outside.

use std::sync::Arc;

use labapi::{Observer, WireFormat};

use crate::group::Boot;
use crate::outside::{Life, Outside};
use crate::test::Test;
use crate::watch::Watched;

/// All checkers of one group.
///
/// ```text
/// let checks = Checks::beside(test, 3, 0, MyServer::wire());
/// let boot = move |boot: Boot| {
///     let (observer, life) = checks.begin(&boot); // before anything of the server runs
///     let server = MyServer::start(boot.ends, boot.me, boot.persister);
///     if let Some(observer) = observer {
///         server.watch(observer);
///     }
///     let seen = server.clone();
///     life.poll(move || seen.raft_state());
///     let services = life.around_all(server.services());
///     Booted { server, services }
/// };
/// ```
pub struct Checks {
    watched: Arc<Watched>,
    outside: Arc<Outside>,
}

impl Checks {
    /// Checkers of so many servers, of which server 0 stands in column `column` of the test's story. `wire`
    /// reads the messages of their consensus modules.
    pub fn beside(
        test: &Test,
        servers: usize,
        column: usize,
        wire: Option<&'static dyn WireFormat>,
    ) -> Checks {
        let is_given = wire.is_some_and(WireFormat::is_given);
        let watched = Watched::beside(test, servers, column, is_given);
        Checks { watched, outside: Outside::new(test, servers, wire) }
    }

    /// A server is being started: what its consensus module shows its state to (None if observers are
    /// ignored, `LAB_UNWATCHED`), and its life as it is seen from outside. To be called before anything of
    /// the server runs.
    pub fn begin(&self, boot: &Boot) -> (Option<Box<dyn Observer>>, Life) {
        (self.watched.observer(boot), self.outside.begin(boot))
    }

    /// How often a server became leader; None if the servers do not let themselves be watched.
    pub fn elections(&self) -> Option<u64> {
        self.watched.elections()
    }
}
