//! Who called: a client, or a server of a group. Tests tell messages apart by that, and not by the names of
//! a solution's RPCs, which each solution chooses itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use labrpc::{ClientEnd, Name, TapEvent};
use labrt::quiet::Mutex;
use shardkv::MakeEnd;
use tester::Net;

/// How the names of the groups' servers begin, as [`crate::cluster`] gives them. What follows is the group's
/// number and the server's.
pub(crate) const GROUP_SERVER: &str = "server-";

/// The owner of an end between parts of the system. Ends within a group, or among the controllers, have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A clerk outside of all servers.
    Client,
    /// A server of a group, which calls controllers or other groups.
    Group,
}

/// The ends made so far, with their owners. Clones share them.
#[derive(Clone)]
pub(crate) struct Callers {
    net: Net,
    known: Arc<Mutex<BTreeMap<Name, Caller>>>,
}

impl Callers {
    pub(crate) fn new(net: &Net) -> Callers {
        Callers { net: net.clone(), known: Arc::default() }
    }

    /// A new end from `caller` to a server, ready for calls.
    pub(crate) fn end(&self, caller: Caller, server: &Name) -> ClientEnd {
        let (number, end) = self.net.make_end(server);
        self.known.lock().insert(Name::from(number), caller);
        self.net.network().enable(number, true);
        end
    }

    /// Makes ends from `caller` to servers by name.
    pub(crate) fn make_end(&self, caller: Caller) -> MakeEnd {
        let callers = self.clone();
        Arc::new(move |name| callers.end(caller, &Name::from(name)))
    }

    /// Who made the call that this message belongs to; `None` within a group or among the controllers.
    pub(crate) fn of(&self, message: &TapEvent<'_>) -> Option<Caller> {
        self.known.lock().get(message.end).copied()
    }

    /// The same for messages to and from the servers of groups, and `None` for those of controllers.
    pub(crate) fn of_group(&self, message: &TapEvent<'_>) -> Option<Caller> {
        self.of(message).filter(|_| message.server.to_string().starts_with(GROUP_SERVER))
    }
}
