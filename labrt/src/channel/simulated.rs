//! The channel of the simulated world.

use std::collections::VecDeque;
use std::panic::Location;

use parking_lot::Mutex;

use super::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::context::{Mode, mode};
use crate::finally::Finally;
use crate::sim::circles::Side;
use crate::sim::park::{WaitQueue, Wake, may_block};
use crate::sim::task::{On, Wait};
use crate::sync::entry;

/// A queue of messages with the threads that wait for one and those that wait for room.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    capacity: Option<usize>,
    /// Number of the run that the channel belongs to.
    run: u32,
    pub(super) receivers: WaitQueue,
    pub(super) senders: WaitQueue,
}

struct State<T> {
    /// Messages with their numbers; the number lets the sender of a rendezvous find out whether its message
    /// was taken.
    messages: VecDeque<(u64, T)>,
    next_number: u64,
    senders: usize,
    receivers: usize,
    /// Receivers that are parked here, alone or in a select: a rendezvous needs one.
    parked_receivers: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: Option<usize>) -> Self {
        let state = State {
            messages: VecDeque::new(),
            next_number: 0,
            senders: 1,
            receivers: 1,
            parked_receivers: 0,
        };
        let run = crate::sim::with(|sim| sim.run());
        Queue {
            state: Mutex::new(state),
            capacity,
            run,
            receivers: WaitQueue::new(),
            senders: WaitQueue::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// What identifies the channel in reports.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).cast::<u8>() as usize
    }

    /// A point to switch at. A channel of a simulation that has ended, or of another one, must not be waited
    /// for.
    pub(super) fn use_end(&self, side: Side, place: &'static Location<'static>) {
        use_end(self.run, self.address(), side, place);
        entry(place, self, true);
    }

    /// As [`Queue::use_end`], for calls that do not wait: outside of the simulation they are harmless.
    pub(super) fn look(&self, side: Side, place: &'static Location<'static>) {
        if mode() == Mode::Simulated {
            self.use_end(side, place);
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// Puts the message in if there is room: below the capacity or, for a rendezvous, as many as receivers
    /// wait.
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state.lock();
        if state.receivers == 0 {
            return Err(TrySendError::Disconnected(message));
        }
        let room = match self.capacity {
            None => usize::MAX,
            Some(0) => state.parked_receivers,
            Some(capacity) => capacity,
        };
        if state.messages.len() >= room {
            return Err(TrySendError::Full(message));
        }
        state.push(message);
        drop(state);
        self.receivers.wake_one();
        Ok(())
    }

    pub(super) fn send(
        &self,
        message: T,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        self.use_end(Side::Send, place);
        if self.capacity == Some(0) {
            return self.send_rendezvous(message, deadline, place);
        }
        let mut message = message;
        loop {
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(back)) => return Err(SendTimeoutError::Disconnected(back)),
                Err(TrySendError::Full(back)) => message = back,
            }
            crate::sim::with(|sim| sim.lint_blocking("a send", place));
            let wait = Wait { what: "room in a channel", on: On::Room(self.address()) };
            if !may_block(deadline, place) || self.senders.park(wait, deadline, place) == Wake::TimedOut {
                return Err(SendTimeoutError::Timeout(message));
            }
        }
    }

    /// Offers the message and waits until a receiver has taken it.
    fn send_rendezvous(
        &self,
        message: T,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        if !may_block(deadline, place) {
            // It cannot wait until the message is taken, but a receiver may wait for the message.
            return self.try_send(message).map_err(|error| match error {
                TrySendError::Disconnected(back) => SendTimeoutError::Disconnected(back),
                TrySendError::Full(back) => SendTimeoutError::Timeout(back),
            });
        }
        let number = {
            let mut state = self.state.lock();
            if state.receivers == 0 {
                return Err(SendTimeoutError::Disconnected(message));
            }
            state.push(message)
        };
        let offer = Offer { queue: self, number };
        self.receivers.wake_one();
        crate::sim::with(|sim| sim.lint_blocking("a send", place));
        while offer.is_pending() {
            if self.state.lock().receivers == 0 {
                return offer
                    .withdraw()
                    .map_or(Ok(()), |message| Err(SendTimeoutError::Disconnected(message)));
            }
            let wait = Wait { what: "a receiver", on: On::Room(self.address()) };
            if !may_block(deadline, place) || self.senders.park(wait, deadline, place) == Wake::TimedOut {
                return offer.withdraw().map_or(Ok(()), |message| Err(SendTimeoutError::Timeout(message)));
            }
        }
        Ok(())
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.state.lock();
        match state.messages.pop_front() {
            Some((_, message)) => {
                drop(state);
                // Of several senders in a rendezvous only one finds its message gone, so all must look.
                if self.capacity == Some(0) {
                    self.senders.wake_all();
                } else {
                    self.senders.wake_one();
                }
                Ok(message)
            }
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    pub(super) fn recv(
        &self,
        deadline: Option<u64>,
        place: &'static Location<'static>,
    ) -> Result<T, RecvTimeoutError> {
        self.use_end(Side::Receive, place);
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if !may_block(deadline, place) {
                return Err(RecvTimeoutError::Timeout);
            }
            let _parked = self.parked_receiver();
            let wait = Wait { what: "a message", on: On::Message(self.address()) };
            if self.receivers.park(wait, deadline, place) == Wake::TimedOut {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Counts the caller among the parked receivers until the value is dropped.
    pub(super) fn parked_receiver(&self) -> ParkedReceiver<'_, T> {
        self.state.lock().parked_receivers += 1;
        if self.capacity == Some(0) {
            // A select that wants to send can do so only now.
            self.senders.wake_all();
        }
        ParkedReceiver { queue: self }
    }

    /// The last handle of an end is about to go, which others can notice: a point to switch at. The caller's
    /// thread may be killed there, so what follows must stand in a destructor.
    fn before_disconnecting(&self, handles: impl Fn(&State<T>) -> usize) {
        if mode() == Mode::Simulated && handles(&self.state.lock()) == 1 {
            entry(Location::caller(), self, true);
        }
    }

    pub(super) fn add_sender(&self) {
        self.state.lock().senders += 1;
    }

    pub(super) fn add_receiver(&self) {
        self.state.lock().receivers += 1;
    }

    pub(super) fn remove_sender(&self) {
        let _goes = Finally(|| self.sender_goes());
        self.before_disconnecting(|state| state.senders);
    }

    fn sender_goes(&self) {
        let mut state = self.state.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last && mode() == Mode::Simulated {
            self.receivers.wake_all();
        }
    }

    pub(super) fn remove_receiver(&self) {
        let _goes = Finally(|| self.receiver_goes());
        self.before_disconnecting(|state| state.receivers);
    }

    fn receiver_goes(&self) {
        let mut state = self.state.lock();
        state.receivers -= 1;
        let last = state.receivers == 0;
        // Messages without a receiver are dropped outside of the lock: they may own ends of this very
        // channel.
        let lost = if last && self.capacity != Some(0) {
            std::mem::take(&mut state.messages)
        } else {
            VecDeque::new()
        };
        drop(state);
        drop(lost);
        if last && mode() == Mode::Simulated {
            self.senders.wake_all();
        }
    }
}

/// Notes the use of the channel at this address, which belongs to this run.
fn use_end(run: u32, address: usize, side: Side, place: &'static Location<'static>) {
    assert!(mode() == Mode::Simulated, "a channel of a simulation is used outside of it, at {place}");
    let own = crate::sim::with(|sim| sim.use_channel(run, address, side));
    assert!(
        own,
        "a channel of another run is used at {place}: it stands in a `static`, or was kept from an earlier run. \
         Make it in this run"
    );
}

impl<T> State<T> {
    fn push(&mut self, message: T) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.messages.push_back((number, message));
        number
    }
}

pub(super) struct ParkedReceiver<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Drop for ParkedReceiver<'_, T> {
    fn drop(&mut self) {
        self.queue.state.lock().parked_receivers -= 1;
    }
}

/// A message of a rendezvous that waits for its receiver; a sender that is killed takes it back.
struct Offer<'a, T> {
    queue: &'a Queue<T>,
    number: u64,
}

impl<T> Offer<'_, T> {
    fn is_pending(&self) -> bool {
        self.queue.state.lock().messages.iter().any(|&(number, _)| number == self.number)
    }

    /// The message, unless it was taken.
    fn withdraw(&self) -> Option<T> {
        let mut state = self.queue.state.lock();
        let position = state.messages.iter().position(|&(number, _)| number == self.number)?;
        state.messages.remove(position).map(|(_, message)| message)
    }
}

impl<T> Drop for Offer<'_, T> {
    fn drop(&mut self) {
        drop(self.withdraw());
    }
}
