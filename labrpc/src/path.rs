//! The way of a call: request, handler, reply. Each leg of it is a short closure at a later time of the run,
//! so that in the simulation a call needs one task, its handler's, and on real threads one thread.
//!
//! ```text
//!  caller's thread          timer               handler's thread         timer             caller's thread
//!  send ─ Request::depart ─ Request::arrive ─── Duty::run ─ Reply::depart ─ Reply::arrive ─ ClientEnd::call goes on
//! ```
//!
//! A message owns all that it needs on its way (its network, its server, its bytes), so that nothing has to
//! be looked up by name. What the caller waits for is kept in the table of calls, under the call's number:
//! the first to take it out of there ends the call, and all others come too late. With that, second
//! replies, late replies and replies of servers that were given up need no care of their own.
//!
//! Every function here gives up the network's lock before it runs foreign code or sets a timer.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use labrt::oneshot::{self, Put, Take};
use labrt::runtime;
use labrt::time::Instant;

use crate::calls::{Call, CallId};
use crate::end::NetworkEnd;
use crate::error::RpcError;
use crate::rules::{Fate, Intake, Poll};
use crate::service::{Answer, Server};
use crate::shared::{Outcome, Shared, Slot};
use crate::tap::{Direction, TapAction, TapEvent};
use crate::traffic::Traffic;

/// A message that waits at a held link.
pub(crate) enum Held {
    Request(Request),
    Reply(Reply),
}

/// A request on its way.
pub(crate) struct Request {
    shared: Arc<Shared>,
    id: CallId,
    end: u32,
    slot: u32,
    /// The very object that was there when the call was made: a message never reaches the next incarnation.
    server: Arc<Server>,
    method: &'static str,
    bytes: Vec<u8>,
    /// Where the call was made.
    place: &'static Location<'static>,
}

/// A reply on its way.
pub(crate) struct Reply {
    shared: Arc<Shared>,
    id: CallId,
    end: u32,
    /// A reply may also say that the server could not read the request.
    answer: Answer,
}

/// Runs the closure after this many nanoseconds, or here if there is nothing to wait for: on real threads the
/// way through the timer's thread would cost more than the rest of the call.
fn after(delay: u64, f: impl FnOnce() + Send + 'static) {
    if delay == 0 {
        f();
    } else {
        runtime::at(runtime::now() + Duration::from_nanos(delay), f);
    }
}

/// Ends a call that is in no table any more, or never was.
fn fail_after(delay: u64, put: Put<Outcome>) {
    after(delay, move || put.put(Err(RpcError::Failed)));
}

/// Time on the run's own clock. The network belongs to no node, so no skewed clock concerns it.
fn now() -> u64 {
    runtime::now().as_nanos()
}

/// A call that has been made: its number, for traces, and the place where its outcome will be.
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) outcome: Take<Outcome>,
}

/// Sends a request.
///
/// # Panics
/// If the network is one of an earlier run.
#[track_caller]
pub(crate) fn send(end: &NetworkEnd, method: &'static str, bytes: Vec<u8>) -> Sent {
    let (put, outcome) = oneshot::channel();
    let shared = &end.shared;
    let place = Location::caller();
    shared.check_run();
    let (number, intake) = shared.state.lock().intake(end.number, bytes.len(), put);
    let intake = shared.lose_as_ruled(end.number, method, intake);
    match intake {
        // The sending side has been dropped, so the caller gets no value: failed.
        Intake::Closed => {}
        Intake::Lost(put, delay) => {
            shared.trace_request(number, end.number, method, bytes.len(), true);
            fail_after(delay, put);
        }
        Intake::Sent { id, slot, server, delay, copy } => {
            shared.trace_request(number, end.number, method, bytes.len(), false);
            let shared = Arc::clone(shared);
            Request { shared, id, end: end.number, slot, server, method, bytes, place }.depart(delay, copy);
        }
    }
    Sent { number, outcome }
}

impl Request {
    /// Runs in the caller's thread, and so does the tap. If the tap kills the caller, the request does not
    /// leave.
    #[track_caller]
    fn depart(self, mut delay: u64, mut copy: Option<u64>) {
        match self.shared.ask_tap(Direction::Request, self.end, self.slot, self.method, &self.bytes) {
            TapAction::Deliver => {}
            TapAction::Drop => {
                let Request { shared, id, end, .. } = self;
                shared.traffic(end).count_lost();
                return after(delay, move || shared.settle(id, Err(RpcError::Failed)));
            }
            TapAction::Duplicate => {
                copy = Some(self.shared.state.lock().second_request(self.id, self.end, self.bytes.len()));
            }
            TapAction::Delay(exactly) => delay = as_nanos(exactly),
        }
        // Both have a delay of their own, so the copy may well come first.
        if let Some(delay) = copy {
            self.again().travel(delay);
        }
        self.travel(delay);
    }

    fn travel(self, delay: u64) {
        after(delay, move || self.arrive());
    }

    /// The same request once more: the handler will run twice.
    fn again(&self) -> Request {
        Request {
            shared: Arc::clone(&self.shared),
            server: Arc::clone(&self.server),
            bytes: self.bytes.clone(),
            ..*self
        }
    }

    /// Starts the handler, unless the link is held. As in the course it runs even if the server was cut off
    /// or deleted meanwhile; only a crash (the death of its node) keeps it from running.
    fn arrive(self) {
        let mut state = self.shared.state.lock();
        if state.ends[self.end as usize].held.is_some() {
            drop(state);
            return Held::Request(self).wait();
        }
        let poll = state.dispatched(self.id, now());
        state.ends[self.end as usize].traffic.count_arrival();
        drop(state);
        self.shared.schedule(poll);
        let Request { shared, id, end, slot, server, method, bytes, place } = self;
        let shared = Some(shared);
        let duty =
            Duty { shared, server: Arc::clone(&server), id, end, slot, place, progress: Progress::Handles };
        server.spawn(method, move || duty.run(method, &bytes));
        Server::let_go(server);
    }
}

/// A handler's duty to answer. If it is dropped unfulfilled, the handler's node was killed, before the
/// handler began or while it ran, or the run has ended.
struct Duty {
    shared: Option<Arc<Shared>>,
    server: Arc<Server>,
    id: CallId,
    end: u32,
    slot: u32,
    place: &'static Location<'static>,
    progress: Progress,
}

/// How far a [`Duty`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The handler has not returned.
    Handles,
    /// It has.
    Returned,
    /// Its reply is about to leave, and the tap looks at it.
    Leaves,
}

impl Duty {
    /// The handler's thread: the handler itself, then what becomes of its reply.
    fn run(mut self, method: &'static str, bytes: &[u8]) {
        let number = self.id.number;
        if let Some(shared) = &self.shared {
            shared.trace_leg(method, "arrives", number, &[], || format!("#{number} request arrives"));
        }
        // If the node is killed in there, or by the tap, this thread unwinds, and `drop` below speaks for the
        // handler.
        let answer = self.server.dispatch(method, bytes, self.place);
        if let (Err(error), Some(shared)) = (&answer, &self.shared) {
            shared.warn_garbled(method, "arguments", error, self.place);
        }
        let departure = self.departure(method, &answer);
        if let (Some(shared), Some((delay, action))) = (self.shared.take(), departure) {
            Reply { shared, id: self.id, end: self.end, answer }.depart(delay, action);
        }
    }

    /// The delay of the reply and what the tap wants done with it, if it leaves at all.
    fn departure(&mut self, method: &'static str, answer: &Answer) -> Option<(u64, TapAction)> {
        let Duty { shared, id, end, slot, progress, .. } = self;
        let (shared, number) = (shared.as_ref()?, id.number);
        *progress = Progress::Returned;
        let size = answer.as_ref().map_or(0, Vec::len);
        let fate = {
            let mut state = shared.state.lock();
            state.ends[*end as usize].traffic.count_return();
            state.fate(*id, size)
        };
        match fate {
            Fate::Unwanted => None,
            Fate::Lost(put, delay) => {
                shared
                    .trace_leg(method, "reply", number, &[("lost", 1)], || format!("#{number} reply, lost"));
                fail_after(delay, put);
                None
            }
            Fate::Sent(delay) => {
                let bytes = answer.as_deref().unwrap_or_default();
                let size = bytes.len();
                *progress = Progress::Leaves;
                shared.trace_leg(method, "reply", number, &[("bytes", size as u64)], || {
                    format!("#{number} reply, {size} bytes")
                });
                Some((delay, shared.ask_tap(Direction::Reply, *end, *slot, method, bytes)))
            }
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let mut state = shared.state.lock();
            // The end of a run unwinds handlers, too, and its report tells which of them had not returned.
            if self.progress == Progress::Handles && self.server.node().is_killed() {
                state.ends[self.end as usize].traffic.count_return();
            }
            let poll = state.handler_lost(self.id, self.progress == Progress::Leaves, now());
            drop(state);
            shared.schedule(poll);
        }
    }
}

impl Reply {
    fn depart(self, delay: u64, action: TapAction) {
        match action {
            // A caller takes the first of two replies, so a second one makes no difference.
            TapAction::Deliver | TapAction::Duplicate => after(delay, move || self.arrive()),
            TapAction::Drop => {
                let (ends, poll) = self.shared.state.lock().dropped_reply(self.id, self.end, now());
                self.shared.schedule(poll);
                if ends {
                    after(delay, move || self.shared.settle(self.id, Err(RpcError::Failed)));
                }
            }
            TapAction::Delay(exactly) => after(as_nanos(exactly), move || self.arrive()),
        }
    }

    /// Wakes the caller, unless the link is held or the call has ended already.
    fn arrive(self) {
        let mut state = self.shared.state.lock();
        if state.ends[self.end as usize].held.is_some() {
            drop(state);
            return Held::Reply(self).wait();
        }
        let Some(Call { put, .. }) = state.calls.remove(self.id) else { return };
        // Counted only now: a reply that is lost, late or second never costs anything.
        if put.is_awaited() {
            state.ends[self.end as usize].traffic.count_reply();
            state.total_bytes += self.answer.as_ref().map_or(0, Vec::len) as u64;
        }
        drop(state);
        put.put(self.answer.map_err(RpcError::Garbled));
    }
}

impl Held {
    /// Arrives after all, now that the link is free; or waits again, if it has been held again meanwhile.
    pub(crate) fn arrive(self) {
        match self {
            Held::Request(request) => request.arrive(),
            Held::Reply(reply) => reply.arrive(),
        }
    }

    /// Joins those that wait for the release of the link.
    fn wait(self) {
        let (shared, end) = match &self {
            Held::Request(request) => (Arc::clone(&request.shared), request.end),
            Held::Reply(reply) => (Arc::clone(&reply.shared), reply.end),
        };
        let mut state = shared.state.lock();
        match &mut state.ends[end as usize].held {
            Some(held) => held.push(self),
            None => {
                // Released since the caller looked.
                drop(state);
                self.arrive();
            }
        }
    }
}

impl Shared {
    /// Schedules looks at whether servers are dead.
    pub(crate) fn schedule(self: &Arc<Self>, polls: impl IntoIterator<Item = Poll>) {
        for (id, at) in polls {
            let shared = Arc::clone(self);
            runtime::at(Instant::from_nanos(at), move || {
                let put = shared.state.lock().poll(id);
                if let Some(put) = put {
                    put.put(Err(RpcError::Failed));
                }
            });
        }
    }

    /// The call as the rule of [`crate::Network::lose`] wants it.
    fn lose_as_ruled(&self, end: u32, method: &'static str, intake: Intake) -> Intake {
        if !self.loses.load(Ordering::Relaxed) {
            return intake;
        }
        let Intake::Sent { id, delay, .. } = &intake else { return intake };
        let (from, to) = (labrt::node::current(), self.label_of(end));
        let is_lost = self.losses.lock().as_mut().is_some_and(|rule| rule(from.name(), &to, method));
        if !is_lost {
            return intake;
        }
        let call = self.state.lock().calls.remove(*id);
        self.traffic(end).count_lost();
        call.map_or(Intake::Closed, |call| Intake::Lost(call.put, *delay))
    }

    /// What the tap wants done with this message, if there is one. Its lock is the runtime's, so other
    /// messages wait for it in good order while the tap sleeps or locks.
    #[track_caller]
    fn ask_tap(
        &self,
        direction: Direction,
        end: u32,
        slot: u32,
        method: &'static str,
        bytes: &[u8],
    ) -> TapAction {
        if !self.tapped.load(Ordering::Relaxed) {
            return TapAction::Deliver;
        }
        let (end, server) = {
            let state = self.state.lock();
            (state.ends[end as usize].name.clone(), state.slots[slot as usize].name.clone())
        };
        match &mut *self.tap.lock() {
            Some(tap) => tap(&TapEvent { direction, end: &end, server: &server, method, bytes }),
            None => TapAction::Deliver,
        }
    }

    /// Records a request with the names of caller and server; a server that has none at the moment is known
    /// by its network name.
    fn trace_request(&self, number: u64, end: u32, method: &'static str, size: usize, lost: bool) {
        if !self.traced {
            return;
        }
        labrt::trace::emit_fields("message", method, || {
            let to = self.label_of(end);
            let fate = if lost { ", lost" } else { "" };
            let text =
                format!("#{number} {} -> {to}: request, {size} bytes{fate}", labrt::node::current().name());
            let mut fields = crate::leg("request");
            fields.extend([("call", number.into()), ("to", to.into()), ("bytes", (size as u64).into())]);
            if lost {
                fields.push(("lost", 1.into()));
            }
            (fields, text)
        });
    }

    /// The counters of an end.
    fn traffic(&self, end: u32) -> Arc<Traffic> {
        Arc::clone(&self.state.lock().ends[end as usize].traffic)
    }

    /// The name for people of the server that an end is connected to.
    pub(crate) fn label_of(&self, end: u32) -> String {
        let state = self.state.lock();
        let slot = state.ends[end as usize].server.map(|slot| &state.slots[slot as usize]);
        slot.map_or_else(|| "nobody".to_owned(), Slot::label)
    }

    /// Records a part of a call's way; costs a look at a flag if the run is not traced.
    #[inline]
    pub(crate) fn trace_leg(
        &self,
        method: &'static str,
        leg: &'static str,
        number: u64,
        more: &[(&'static str, u64)],
        text: impl FnOnce() -> String,
    ) {
        if self.traced {
            labrt::trace::emit_fields("message", method, || {
                let mut fields = crate::leg(leg);
                fields.push(("call", number.into()));
                fields.extend(more.iter().map(|&(name, value)| (name, value.into())));
                (fields, text())
            });
        }
    }
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
