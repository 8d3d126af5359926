//! Channels: the names and signatures of crossbeam.
//!
//! On real threads a channel is crossbeam's. In the simulation it is a queue with two wait lists
//! (`simulated.rs`), since crossbeam's rendezvous needs two OS threads. Which of the two is decided where the
//! channel is made: one made outside of [`crate::run`] is a real one, and blocking on it inside of a
//! simulation blocks the whole simulation.

mod select;
mod simulated;

pub use crate::select;
pub use crossbeam_channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
#[doc(hidden)]
pub use select::{Arm, RecvArm, SendArm, select_arms};

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crossbeam_channel as crossbeam;
use simulated::Queue;

use crate::context::{Mode, mode};
use crate::sim::circles::Side;
use crate::time::{Duration, Instant, deadline_after};
use crate::{real, runtime};

/// The sending side; clones share the channel.
pub struct Sender<T> {
    flavor: SenderFlavor<T>,
}

/// The receiving side; clones share the channel, and each message goes to one of them.
pub struct Receiver<T> {
    flavor: ReceiverFlavor<T>,
}

enum SenderFlavor<T> {
    Real(crossbeam::Sender<T>),
    Simulated(Arc<Queue<T>>),
}

enum ReceiverFlavor<T> {
    Real(crossbeam::Receiver<T>),
    Simulated(Arc<Queue<T>>),
}

/// A channel that holds at most `capacity` messages; with 0 a message is handed over only when a receiver
/// takes it, as with Go's unbuffered channels.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    if mode() == Mode::Simulated {
        return simulated_pair(Some(capacity));
    }
    let (sender, receiver) = crossbeam::bounded(capacity);
    (Sender { flavor: SenderFlavor::Real(sender) }, Receiver { flavor: ReceiverFlavor::Real(receiver) })
}

/// A channel that holds any number of messages.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    if mode() == Mode::Simulated {
        return simulated_pair(None);
    }
    let (sender, receiver) = crossbeam::unbounded();
    (Sender { flavor: SenderFlavor::Real(sender) }, Receiver { flavor: ReceiverFlavor::Real(receiver) })
}

fn simulated_pair<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(Queue::new(capacity));
    let sender = Sender { flavor: SenderFlavor::Simulated(Arc::clone(&queue)) };
    (sender, Receiver { flavor: ReceiverFlavor::Simulated(queue) })
}

/// A channel that delivers one message, the time, after `duration`.
pub fn after(duration: Duration) -> Receiver<Instant> {
    let (sender, receiver) = bounded(1);
    deliver_at(Instant::now() + duration, sender, None);
    receiver
}

/// A channel that delivers the time every `period`. It skips a delivery if the last message has not been
/// taken.
///
/// # Panics
/// If the period is zero: it would deliver without end.
#[track_caller]
pub fn tick(period: Duration) -> Receiver<Instant> {
    assert!(!period.is_zero(), "the period of a `tick` must not be zero");
    let (sender, receiver) = bounded(1);
    deliver_at(Instant::now() + period, sender, Some(period));
    receiver
}

/// A channel that never delivers anything.
pub fn never<T>() -> Receiver<T> {
    if mode() != Mode::Simulated {
        return Receiver { flavor: ReceiverFlavor::Real(crossbeam::never()) };
    }
    let (sender, receiver) = unbounded();
    // The sender is never dropped, so the channel never disconnects.
    std::mem::forget(sender);
    receiver
}

/// Sends the time at `when`, on the node's clock, and again every `period`, as long as the channel has a
/// receiver.
fn deliver_at(when: Instant, sender: Sender<Instant>, period: Option<Duration>) {
    let deliver = move || {
        let listening = !matches!(sender.try_send(when), Err(TrySendError::Disconnected(_)));
        if let Some(period) = period.filter(|_| listening) {
            deliver_at(when + period, sender, Some(period));
        }
    };
    if mode() == Mode::Outside {
        real::pool::execute(Box::new(move || {
            std::thread::sleep(when.duration_since(Instant::now()));
            deliver();
        }));
    } else {
        runtime::at(Instant::from_nanos(when.to_run()), deliver);
    }
}

impl<T> Sender<T> {
    /// Waits until there is room for the message (with capacity 0: until it is taken).
    ///
    /// # Errors
    /// The message, if all receivers are gone.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let place = Location::caller();
        match &self.flavor {
            SenderFlavor::Simulated(queue) => queue.send(message, None, place).map_err(|error| match error {
                SendTimeoutError::Timeout(message) | SendTimeoutError::Disconnected(message) => {
                    SendError(message)
                }
            }),
            SenderFlavor::Real(sender) if mode() == Mode::Outside => sender.send(message),
            SenderFlavor::Real(sender) if mode() == Mode::Simulated => {
                sender.try_send(message).map_err(|error| SendError(unless_it_would_block(error, place)))
            }
            SenderFlavor::Real(sender) => {
                send_real(sender, message, None, place).map_err(|error| match error {
                    SendTimeoutError::Timeout(message) | SendTimeoutError::Disconnected(message) => {
                        SendError(message)
                    }
                })
            }
        }
    }

    /// As [`Sender::send`], for at most `timeout`.
    ///
    /// # Errors
    /// The message, if the time is over or all receivers are gone.
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let place = Location::caller();
        match &self.flavor {
            SenderFlavor::Simulated(queue) => queue.send(message, Some(deadline_after(timeout)), place),
            SenderFlavor::Real(sender) if mode() == Mode::Outside => sender.send_timeout(message, timeout),
            SenderFlavor::Real(sender) if mode() == Mode::Simulated => sender
                .try_send(message)
                .map_err(|error| SendTimeoutError::Disconnected(unless_it_would_block(error, place))),
            SenderFlavor::Real(sender) => send_real(sender, message, Some(deadline_after(timeout)), place),
        }
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// The message, if there is no room for it or all receivers are gone.
    #[track_caller]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.try_send_at(message, Location::caller())
    }

    fn try_send_at(&self, message: T, place: &'static Location<'static>) -> Result<(), TrySendError<T>> {
        match &self.flavor {
            SenderFlavor::Real(sender) => {
                look_real(place);
                sender.try_send(message)
            }
            SenderFlavor::Simulated(queue) => {
                queue.look(Side::Send, place);
                queue.try_send(message)
            }
        }
    }

    /// Number of messages that wait to be received.
    #[track_caller]
    pub fn len(&self) -> usize {
        let place = Location::caller();
        match &self.flavor {
            SenderFlavor::Real(sender) => {
                look_real(place);
                sender.len()
            }
            SenderFlavor::Simulated(queue) => {
                queue.look(Side::Send, place);
                queue.len()
            }
        }
    }

    /// Whether no message waits.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages the channel holds; None if any number.
    pub fn capacity(&self) -> Option<usize> {
        match &self.flavor {
            SenderFlavor::Real(sender) => sender.capacity(),
            SenderFlavor::Simulated(queue) => queue.capacity(),
        }
    }
}

fn send_real<T>(
    sender: &crossbeam::Sender<T>,
    mut message: T,
    deadline: Option<u64>,
    place: &'static Location<'static>,
) -> Result<(), SendTimeoutError<T>> {
    loop {
        let over =
            !real::may_block_at(place) || deadline.is_some_and(|deadline| real::run_nanos() >= deadline);
        match real::waiting(|| sender.send_timeout(message, slice(deadline))) {
            Err(SendTimeoutError::Timeout(back)) if !over => message = back,
            result => return result,
        }
    }
}

/// A call that does not wait: a thread that was killed, and only makes such calls, has to end as well.
fn look_real(place: &'static Location<'static>) {
    if mode() == Mode::Threads {
        real::check_at(place);
    }
}

/// How long a real thread waits before it looks whether it was killed.
fn slice(deadline: Option<u64>) -> Duration {
    let left = deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(real::run_nanos()));
    real::SLICE.min(Duration::from_nanos(left))
}

impl<T> Receiver<T> {
    /// Waits for a message.
    ///
    /// # Errors
    /// If the channel is empty and all senders are gone.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_at(Location::caller())
    }

    fn recv_at(&self, place: &'static Location<'static>) -> Result<T, RecvError> {
        match &self.flavor {
            ReceiverFlavor::Simulated(queue) => queue.recv(None, place).map_err(|_| RecvError),
            ReceiverFlavor::Real(receiver) if mode() == Mode::Outside => receiver.recv(),
            ReceiverFlavor::Real(receiver) if mode() == Mode::Simulated => {
                receive_now(receiver, place).ok_or(RecvError)
            }
            ReceiverFlavor::Real(receiver) => recv_real(receiver, None, place).map_err(|_| RecvError),
        }
    }

    /// As [`Receiver::recv`], for at most `timeout`.
    ///
    /// # Errors
    /// If the time is over, or the channel is empty and all senders are gone.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let place = Location::caller();
        match &self.flavor {
            ReceiverFlavor::Simulated(queue) => queue.recv(Some(deadline_after(timeout)), place),
            ReceiverFlavor::Real(receiver) if mode() == Mode::Outside => receiver.recv_timeout(timeout),
            ReceiverFlavor::Real(receiver) if mode() == Mode::Simulated => {
                receive_now(receiver, place).ok_or(RecvTimeoutError::Disconnected)
            }
            ReceiverFlavor::Real(receiver) => recv_real(receiver, Some(deadline_after(timeout)), place),
        }
    }

    /// Receives without waiting.
    ///
    /// # Errors
    /// If the channel is empty; a different one if all senders are gone as well.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.try_recv_at(Location::caller())
    }

    fn try_recv_at(&self, place: &'static Location<'static>) -> Result<T, TryRecvError> {
        match &self.flavor {
            ReceiverFlavor::Real(receiver) => {
                look_real(place);
                receiver.try_recv()
            }
            ReceiverFlavor::Simulated(queue) => {
                queue.look(Side::Receive, place);
                queue.try_recv()
            }
        }
    }

    /// Messages until all senders are gone; waits for each.
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self, place: Location::caller() }
    }

    /// The messages that are there now.
    #[track_caller]
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        let place = Location::caller();
        std::iter::from_fn(move || self.try_recv_at(place).ok())
    }

    /// Number of messages that wait to be received.
    #[track_caller]
    pub fn len(&self) -> usize {
        let place = Location::caller();
        match &self.flavor {
            ReceiverFlavor::Real(receiver) => {
                look_real(place);
                receiver.len()
            }
            ReceiverFlavor::Simulated(queue) => {
                queue.look(Side::Receive, place);
                queue.len()
            }
        }
    }

    /// Whether no message waits.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn recv_real<T>(
    receiver: &crossbeam::Receiver<T>,
    deadline: Option<u64>,
    place: &'static Location<'static>,
) -> Result<T, RecvTimeoutError> {
    loop {
        let over =
            !real::may_block_at(place) || deadline.is_some_and(|deadline| real::run_nanos() >= deadline);
        match real::waiting(|| receiver.recv_timeout(slice(deadline))) {
            Err(RecvTimeoutError::Timeout) if !over => {}
            result => return result,
        }
    }
}

/// The message of a channel that was made outside of the simulation; None if it is disconnected.
fn receive_now<T>(receiver: &crossbeam::Receiver<T>, place: &'static Location<'static>) -> Option<T> {
    match receiver.try_recv() {
        Ok(message) => Some(message),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => would_block(place),
    }
}

/// The message that came back, if no receiver is left.
fn unless_it_would_block<T>(error: TrySendError<T>, place: &'static Location<'static>) -> T {
    match error {
        TrySendError::Disconnected(message) => message,
        TrySendError::Full(_) => would_block(place),
    }
}

fn would_block(place: &'static Location<'static>) -> ! {
    panic!(
        "the channel at {place} was made outside of the run, so that waiting for it would block the whole simulation. \
         Make it in the run, and do not keep it in a `static`"
    );
}

/// See [`Receiver::iter`].
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    /// The line of the loop, which waits at its head.
    place: &'static Location<'static>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv_at(self.place).ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let flavor = match &self.flavor {
            SenderFlavor::Real(sender) => SenderFlavor::Real(sender.clone()),
            SenderFlavor::Simulated(queue) => {
                queue.add_sender();
                SenderFlavor::Simulated(Arc::clone(queue))
            }
        };
        Sender { flavor }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let flavor = match &self.flavor {
            ReceiverFlavor::Real(receiver) => ReceiverFlavor::Real(receiver.clone()),
            ReceiverFlavor::Simulated(queue) => {
                queue.add_receiver();
                ReceiverFlavor::Simulated(Arc::clone(queue))
            }
        };
        Receiver { flavor }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let SenderFlavor::Simulated(queue) = &self.flavor {
            queue.remove_sender();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let ReceiverFlavor::Simulated(queue) = &self.flavor {
            queue.remove_receiver();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} waiting)", self.len())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} waiting)", self.len())
    }
}
