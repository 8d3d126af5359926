//! What the network decides about a call, step by step; all of it under the lock, none of it waiting.
//!
//! The numbers and their order are those of the course's `labrpc` (its `processReq`). What it finds out by
//! looking every 100 ms, these rules find out by scheduling one look when something has changed that may have
//! killed the server: the caller learns it at the same time, and a call to a healthy server costs no timer.

use std::sync::Arc;

use labrt::oneshot::Put;

use crate::calls::{Call, CallId};
use crate::delay::course;
use crate::service::Server;
use crate::shared::{End, Outcome, Slot, State};

/// What becomes of a new call.
pub(crate) enum Intake {
    /// The network has been cleaned up.
    Closed,
    /// The request will not arrive; the caller learns it after this many nanoseconds.
    Lost(Put<Outcome>, u64),
    /// The request arrives after `delay` nanoseconds; if `copy` is set, once more after that many.
    Sent { id: CallId, slot: u32, server: Arc<Server>, delay: u64, copy: Option<u64> },
}

/// What becomes of a handler's reply.
pub(crate) enum Fate {
    /// The call has ended already.
    Unwanted,
    /// The reply will not arrive; the caller learns it after this many nanoseconds.
    Lost(Put<Outcome>, u64),
    /// It arrives after this many nanoseconds.
    Sent(u64),
}

/// A look at whether the server of a call is dead, due at this nanosecond of the run.
pub(crate) type Poll = (CallId, u64);

/// Whether the server of this call counts as dead: cut off, deleted, replaced, or crashed under the call.
fn is_dead(call: &Call, ends: &[End], slots: &[Slot]) -> bool {
    let replaced = slots[call.slot as usize].generation != call.generation;
    call.lost || replaced || !ends[call.end as usize].enabled
}

impl State {
    /// One hop's delay over this end's link when nothing is wrong.
    pub(crate) fn hop(&self, end: u32) -> u64 {
        self.steady.unwrap_or_else(|| self.ends[end as usize].delay.unwrap_or(self.delay).draw())
    }

    /// How long a request of this size takes over this end's link when nothing is wrong: it waits until its
    /// last byte has left, and is delayed on top.
    pub(crate) fn request_hop(&mut self, end: u32, size: usize) -> u64 {
        self.hop(end).saturating_add(self.send_request(end, size))
    }

    /// As [`State::request_hop`], for the second copy of a call's request: two replies may come.
    pub(crate) fn second_request(&mut self, id: CallId, end: u32, size: usize) -> u64 {
        if let Some(call) = self.calls.get_mut(id) {
            call.copies = 2;
        }
        self.request_hop(end, size)
    }

    /// How long it takes until the last byte of a request has left.
    fn send_request(&mut self, end: u32, size: usize) -> u64 {
        let end = &mut self.ends[end as usize];
        end.requests.send(size, end.bandwidth.or(self.bandwidth))
    }

    /// Accepts a call, or not, and gives it a number. Every call is counted, also one that cannot be
    /// delivered.
    pub(crate) fn intake(&mut self, end: u32, size: usize, put: Put<Outcome>) -> (u64, Intake) {
        if self.closed {
            return (0, Intake::Closed);
        }
        self.total_count += 1;
        self.total_bytes += size as u64;
        self.ends[end as usize].calls += 1;
        self.ends[end as usize].traffic.count_call();
        let intake = match self.destination(end) {
            Some((slot, server)) => self.accept(end, size, (slot, server), put),
            None => Intake::Lost(put, course::undeliverable(self.modes.long_delays)),
        };
        if matches!(intake, Intake::Lost(..)) {
            self.ends[end as usize].traffic.count_lost();
        }
        (self.total_count, intake)
    }

    fn accept(&mut self, end: u32, size: usize, to: (u32, Arc<Server>), put: Put<Outcome>) -> Intake {
        let mut delay = self.hop(end);
        let sending = self.send_request(end, size);
        // The course knows no other delay than this one, so the two are not added: a slow link stays slow,
        // and a failed call on a link of ordinary speed still costs 26 ms at the most.
        if !self.modes.reliable && self.steady.is_none() {
            delay = delay.max(course::unreliable());
            if course::drops() {
                return Intake::Lost(put, delay.saturating_add(sending));
            }
        }
        let delay = delay.saturating_add(sending);
        // No draw without a need, so that a knob that is not used does not change what a seed means.
        let duplicates = self.duplication > 0.0 && self.steady.is_none();
        let twice = duplicates && labrt::rand::random_bool(self.duplication);
        let copy = twice.then(|| self.request_hop(end, size));
        let (slot, server) = to;
        let generation = self.slots[slot as usize].generation;
        let mut call = Call::new(put, end, slot, generation, self.modes);
        call.copies += u8::from(twice);
        let id = self.calls.insert(self.total_count, call);
        Intake::Sent { id, slot, server, delay, copy }
    }

    /// Where a request on this end goes, if it can go anywhere.
    fn destination(&self, number: u32) -> Option<(u32, Arc<Server>)> {
        let end = &self.ends[number as usize];
        if !end.enabled || end.requests_cut {
            return None;
        }
        let slot = end.server?;
        Some((slot, Arc::clone(self.slots[slot as usize].server.as_ref()?)))
    }

    /// The handler of the call starts now. If its server has died while the request was on its way, the
    /// handler runs for nothing, and the look that will find this out is returned.
    pub(crate) fn dispatched(&mut self, id: CallId, now: u64) -> Option<Poll> {
        let call = self.calls.get_mut(id)?;
        call.dispatched.get_or_insert(now);
        if is_dead(call, &self.ends, &self.slots) { poll_of(id, call, now) } else { None }
    }

    /// The handler has returned a reply of this size.
    pub(crate) fn fate(&mut self, id: CallId, size: usize) -> Fate {
        let Some(call) = self.calls.get_mut(id) else { return Fate::Unwanted };
        let modes = call.modes;
        let end = call.end;
        // Dead first, as in the course: a killed server can never give a reply, not even one that gets lost.
        let is_dead = is_dead(call, &self.ends, &self.slots);
        let drops = || !modes.reliable && self.steady.is_none() && course::drops();
        if is_dead || drops() || self.ends[end as usize].replies_cut {
            self.count_lost_reply(end);
            return self.lost(id, is_dead);
        }
        let reorders = modes.long_reordering && self.steady.is_none();
        let reordering = if reorders { course::reordering() } else { None };
        let delay = self.hop(end).max(reordering.unwrap_or(0));
        let link = &mut self.ends[end as usize];
        let sending = link.replies.send(size, link.bandwidth.or(self.bandwidth));
        // From here on the server may die: what it has sent is on its way.
        if let Some(call) = self.calls.get_mut(id) {
            call.replies += 1;
        }
        Fate::Sent(delay.saturating_add(sending))
    }

    /// What the caller learns when a reply is lost before it leaves: nothing, while there may be another one.
    fn lost(&mut self, id: CallId, is_dead: bool) -> Fate {
        let Some(call) = self.calls.get_mut(id) else { return Fate::Unwanted };
        call.copies = call.copies.saturating_sub(1);
        // What is on its way comes from a server that lived when it sent it.
        let may_come = if is_dead { call.replies > 0 } else { call.copies > 0 };
        if may_come {
            return Fate::Unwanted;
        }
        let is_cut = !is_dead && self.ends[call.end as usize].replies_cut;
        let delay = if is_cut { course::undeliverable(call.modes.long_delays) } else { 0 };
        self.calls.remove(id).map_or(Fate::Unwanted, |call| Fate::Lost(call.put, delay))
    }

    pub(crate) fn count_lost_reply(&mut self, end: u32) {
        self.ends[end as usize].replies_lost += 1;
        self.ends[end as usize].traffic.count_lost_reply();
    }

    /// The tap loses a reply that was about to leave. True if no other one may come, so that the call is to
    /// end; if one may, the look that will find out whether the server of its handler is dead.
    pub(crate) fn dropped_reply(&mut self, id: CallId, end: u32, now: u64) -> (bool, Option<Poll>) {
        self.count_lost_reply(end);
        let Some(call) = self.calls.get_mut(id) else { return (false, None) };
        call.copies = call.copies.saturating_sub(1);
        if call.copies == 0 {
            return (true, None);
        }
        call.replies = call.replies.saturating_sub(1);
        let is_dead = is_dead(call, &self.ends, &self.slots);
        (false, if is_dead { poll_of(id, call, now) } else { None })
    }

    /// The handler was unwound with its node, or, if it had a reply, by the tap that was looking at that:
    /// none will come.
    pub(crate) fn handler_lost(&mut self, id: CallId, had_reply: bool, now: u64) -> Option<Poll> {
        let call = self.calls.get_mut(id)?;
        call.lost = true;
        call.copies = call.copies.saturating_sub(1);
        call.replies = call.replies.saturating_sub(u8::from(had_reply));
        poll_of(id, call, now)
    }

    /// Looks that have become necessary since the servers of some calls may have died now.
    pub(crate) fn polls(&mut self, now: u64, concerned: impl Fn(&Call) -> bool) -> Vec<Poll> {
        let calls = self.calls.iter_mut().filter(|(_, call)| concerned(call));
        calls.filter_map(|(id, call)| poll_of(id, call, now)).collect()
    }

    /// Looks whether the server of the call is dead, and ends the call then.
    pub(crate) fn poll(&mut self, id: CallId) -> Option<Put<Outcome>> {
        let call = self.calls.get_mut(id)?;
        // An end that was switched on again in time goes on, and may be switched off once more.
        call.poll_set = false;
        let ends = call.replies == 0 && is_dead(call, &self.ends, &self.slots);
        if ends { self.calls.remove(id).map(|call| call.put) } else { None }
    }
}

/// The next look at this call, unless it is scheduled already or the server's death would make no difference
/// any more.
fn poll_of(id: CallId, call: &mut Call, now: u64) -> Option<Poll> {
    if call.poll_set || call.replies > 0 {
        return None;
    }
    let at = call.next_poll(now)?;
    call.poll_set = true;
    Some((id, at))
}
