//! The table of the calls under way.
//!
//! A call is in it from the moment when its request is accepted for delivery until its caller has an outcome.
//! Messages and scheduled looks know it by its [`CallId`] and may outlive it: they find nothing then.

use labrt::oneshot::Put;

use crate::delay::course;
use crate::shared::{Modes, Outcome};

/// A call that has been accepted for delivery and has not ended.
pub(crate) struct Call {
    /// Where the caller waits.
    pub(crate) put: Put<Outcome>,
    pub(crate) end: u32,
    /// The name that it was sent to, and the server that had it then. The end may be connected elsewhere by
    /// now.
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) modes: Modes,
    /// Nanoseconds of the run at which the handler was first started.
    pub(crate) dispatched: Option<u64>,
    /// A handler was unwound, so that its reply will not come.
    pub(crate) lost: bool,
    /// Replies on their way; the first of them arrives even if the server dies meanwhile.
    pub(crate) replies: u8,
    /// Handlers whose reply may come yet or is on its way: two if the request was delivered twice. Only when
    /// the last reply is lost does the caller learn that there is none.
    pub(crate) copies: u8,
    /// A look at whether the server is dead is scheduled.
    pub(crate) poll_set: bool,
}

impl Call {
    pub(crate) fn new(put: Put<Outcome>, end: u32, slot: u32, generation: u32, modes: Modes) -> Call {
        Call {
            put,
            end,
            slot,
            generation,
            modes,
            dispatched: None,
            lost: false,
            replies: 0,
            copies: 1,
            poll_set: false,
        }
    }

    /// When the next of the looks is due that happen every 100 ms after the start of the handler.
    pub(crate) fn next_poll(&self, now: u64) -> Option<u64> {
        let dispatched = self.dispatched?;
        let periods = now.saturating_sub(dispatched).div_ceil(course::POLL).max(1);
        Some(dispatched + periods * course::POLL)
    }
}

/// Identifies a call, also after it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    /// Place in the table.
    index: u32,
    /// Number of the call in its network, from 1.
    pub(crate) number: u64,
}

/// The calls under way: a table whose places are used again, so that a call costs no search and no
/// allocation.
#[derive(Default)]
pub(crate) struct Calls {
    /// With the number of the call that has the place, or had it last.
    places: Vec<(u64, Option<Call>)>,
    /// Places without a call, the last one left is the first one used.
    free: Vec<u32>,
}

impl Calls {
    pub(crate) fn insert(&mut self, number: u64, call: Call) -> CallId {
        match self.free.pop() {
            Some(index) => {
                self.places[index as usize] = (number, Some(call));
                CallId { index, number }
            }
            None => {
                self.places.push((number, Some(call)));
                CallId { index: self.places.len() as u32 - 1, number }
            }
        }
    }

    /// The call, unless it has ended.
    pub(crate) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let (number, call) = self.places.get_mut(id.index as usize)?;
        if *number == id.number { call.as_mut() } else { None }
    }

    /// Takes the call out, unless it has ended. The code that gets it must answer the caller.
    pub(crate) fn remove(&mut self, id: CallId) -> Option<Call> {
        let (number, call) = self.places.get_mut(id.index as usize)?;
        if *number != id.number {
            return None;
        }
        let call = call.take()?;
        self.free.push(id.index);
        Some(call)
    }

    /// Takes out all calls.
    pub(crate) fn clear(&mut self) -> Vec<Call> {
        self.free.clear();
        std::mem::take(&mut self.places).into_iter().filter_map(|(_, call)| call).collect()
    }

    /// All calls under way, with their identities.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (CallId, &mut Call)> {
        let places = self.places.iter_mut().enumerate();
        places.filter_map(|(index, (number, call))| {
            Some((CallId { index: index as u32, number: *number }, call.as_mut()?))
        })
    }
}
