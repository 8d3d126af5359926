//! Waiting for several channels at once.

use std::cell::Cell;
use std::panic::Location;

use crossbeam_channel::{Select, SelectedOperation};

use super::simulated::ParkedReceiver;
use super::{
    Receiver, ReceiverFlavor, RecvError, SendError, Sender, SenderFlavor, TryRecvError, TrySendError,
    look_real, slice,
};
use crate::context::{Mode, mode};
use crate::real;
use crate::sim::park::{WaitQueue, Wake, may_block, park_on, yield_point};
use crate::sim::policy::Access;
use crate::sim::task::Wait;
use crate::time::{Duration, deadline_after};

/// Waits for one of several channel operations, carries it out, and runs its body; as crossbeam's macro of
/// this name.
///
/// ```
/// use labrt::channel::{self, select};
/// use labrt::time::Duration;
///
/// let outcome = labrt::run(labrt::Config::simulated(1), || {
///     let (sender, receiver) = channel::bounded(1);
///     sender.send(7).unwrap();
///     select! {
///         recv(receiver) -> message => message.unwrap(),
///         recv(channel::after(Duration::from_secs(1))) -> _ => 0,
///     }
/// });
/// assert_eq!(outcome.result.unwrap(), 7);
/// ```
///
/// Arms: `recv(receiver) -> pattern => body`, `send(sender, message) -> pattern => body`, and at most one of
/// `default => body` (when nothing is ready) and `default(timeout) => body`. If several operations are ready,
/// one of them is chosen at random. In the simulation, a `send` of a select on a channel of capacity 0 hands
/// its message to a receiver that waits; if that one is a select that goes on with another arm, the message
/// waits for the next receiver.
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => { $crate::__select!(@parse [] [] $($arms)*) };
}

/// The parts of [`select!`]: `@parse [made arms] [default] rest…`, then `@emit`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (@parse [$($done:tt)*] [$($default:tt)*]) => {
        $crate::__select!(@emit [$($done)*] [$($default)*])
    };
    (@parse $done:tt $default:tt , $($rest:tt)*) => {
        $crate::__select!(@parse $done $default $($rest)*)
    };
    (@parse $done:tt [] default => $body:block $($rest:tt)*) => {
        $crate::__select!(@parse $done [(::core::time::Duration::ZERO) ($body)] $($rest)*)
    };
    (@parse $done:tt [] default => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse $done [(::core::time::Duration::ZERO) ($body)] $($($rest)*)?)
    };
    (@parse $done:tt [] default($timeout:expr) => $body:block $($rest:tt)*) => {
        $crate::__select!(@parse $done [($timeout) ($body)] $($rest)*)
    };
    (@parse $done:tt [] default($timeout:expr) => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse $done [($timeout) ($body)] $($($rest)*)?)
    };
    (@parse [$($done:tt)*] $default:tt recv($receiver:expr) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@parse [$($done)* {(RecvArm) (&$receiver) ($result) ($body)}] $default $($rest)*)
    };
    (@parse [$($done:tt)*] $default:tt
        recv($receiver:expr) -> $result:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse [$($done)* {(RecvArm) (&$receiver) ($result) ($body)}]
            $default $($($rest)*)?)
    };
    (@parse [$($done:tt)*] $default:tt
        send($sender:expr, $message:expr) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__select!(@parse [$($done)* {(SendArm) (&$sender, $message) ($result) ($body)}]
            $default $($rest)*)
    };
    (@parse [$($done:tt)*] $default:tt
        send($sender:expr, $message:expr) -> $result:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse [$($done)* {(SendArm) (&$sender, $message) ($result) ($body)}]
            $default $($($rest)*)?)
    };
    (@emit $arms:tt $default:tt) => { $crate::__select!(@name [] $arms $default) };
    // Each expansion of this rule makes an `arm` of its own, by macro hygiene.
    (@name [$($named:tt)*] [{($kind:ident) ($($argument:tt)*) ($result:pat) ($body:expr)}
        $($rest:tt)*] $default:tt) => {
        // A match keeps temporaries of the arguments alive until the whole select is over.
        match $crate::channel::$kind::new($($argument)*) {
            arm => $crate::__select!(@name [$($named)* {(arm) ($result) ($body)}] [$($rest)*] $default),
        }
    };
    (@name [$({($arm:ident) ($result:pat) ($body:expr)})*] [] []) => {{
        $crate::channel::select_arms(&[$(&$arm as &dyn $crate::channel::Arm),*], None);
        $(if $arm.is_chosen() { let $result = $arm.take(); $body } else)* {
            unreachable!("a select without a default ends with one of its arms")
        }
    }};
    (@name [$({($arm:ident) ($result:pat) ($body:expr)})*] [] [($timeout:expr) ($default:expr)]) => {{
        $crate::channel::select_arms(&[$(&$arm as &dyn $crate::channel::Arm),*], Some($timeout));
        $(if $arm.is_chosen() { let $result = $arm.take(); $body } else)* { $default }
    }};
}

/// One operation of a select.
pub trait Arm {
    /// Carries out the operation, of a select at this line, if that needs no waiting; whether it did.
    fn attempt(&self, place: &'static Location<'static>) -> bool;
    /// Fails the operation, as if the other end of its channel were gone.
    fn refuse(&self);
    /// Says where the operation waits (simulation).
    fn park<'a>(&'a self, parking: &mut Parking<'a>);
    /// Adds the operation to crossbeam's select (real world).
    fn add<'a>(&'a self, select: &mut Select<'a>);
    /// Carries out the operation that crossbeam's select has chosen (real world).
    fn complete(&self, operation: SelectedOperation<'_>);
}

/// Where a select of the simulation waits.
#[derive(Default)]
pub struct Parking<'a> {
    queues: Vec<&'a WaitQueue>,
    /// Whatever must stay alive while the task waits.
    guards: Vec<Box<dyn Guard + 'a>>,
}

trait Guard {}
impl<T> Guard for ParkedReceiver<'_, T> {}

/// The arm `recv(receiver)`.
pub struct RecvArm<'r, T> {
    receiver: &'r Receiver<T>,
    result: Cell<Option<Result<T, RecvError>>>,
    chosen: Cell<bool>,
}

impl<'r, T> RecvArm<'r, T> {
    /// An arm that has not been carried out.
    pub fn new(receiver: &'r Receiver<T>) -> Self {
        RecvArm { receiver, result: Cell::new(None), chosen: Cell::new(false) }
    }

    /// Whether the select has carried out this arm.
    pub fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// What the operation gave.
    ///
    /// # Panics
    /// Unless this arm is the chosen one; and the second time.
    pub fn take(&self) -> Result<T, RecvError> {
        self.result.take().expect("only the chosen arm is asked, once")
    }

    fn choose(&self, result: Result<T, RecvError>) {
        self.result.set(Some(result));
        self.chosen.set(true);
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn attempt(&self, place: &'static Location<'static>) -> bool {
        match self.receiver.try_recv_at(place) {
            Ok(message) => self.choose(Ok(message)),
            Err(TryRecvError::Disconnected) => self.choose(Err(RecvError)),
            Err(TryRecvError::Empty) => {}
        }
        self.is_chosen()
    }

    fn refuse(&self) {
        self.choose(Err(RecvError));
    }

    fn park<'a>(&'a self, parking: &mut Parking<'a>) {
        if let ReceiverFlavor::Simulated(queue) = &self.receiver.flavor {
            parking.queues.push(&queue.receivers);
            parking.guards.push(Box::new(queue.parked_receiver()));
        }
    }

    fn add<'a>(&'a self, select: &mut Select<'a>) {
        if let ReceiverFlavor::Real(receiver) = &self.receiver.flavor {
            select.recv(receiver);
        }
    }

    fn complete(&self, operation: SelectedOperation<'_>) {
        if let ReceiverFlavor::Real(receiver) = &self.receiver.flavor {
            self.choose(operation.recv(receiver));
        }
    }
}

/// The arm `send(sender, message)`.
pub struct SendArm<'s, T> {
    sender: &'s Sender<T>,
    message: Cell<Option<T>>,
    result: Cell<Option<Result<(), SendError<T>>>>,
    chosen: Cell<bool>,
}

impl<'s, T> SendArm<'s, T> {
    /// An arm that has not been carried out.
    pub fn new(sender: &'s Sender<T>, message: T) -> Self {
        SendArm {
            sender,
            message: Cell::new(Some(message)),
            result: Cell::new(None),
            chosen: Cell::new(false),
        }
    }

    /// Whether the select has carried out this arm.
    pub fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// What the operation gave.
    ///
    /// # Errors
    /// The message, if all receivers are gone.
    ///
    /// # Panics
    /// Unless this arm is the chosen one; and the second time.
    pub fn take(&self) -> Result<(), SendError<T>> {
        self.result.take().expect("only the chosen arm is asked, once")
    }

    fn choose(&self, result: Result<(), SendError<T>>) {
        self.result.set(Some(result));
        self.chosen.set(true);
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn attempt(&self, place: &'static Location<'static>) -> bool {
        let Some(message) = self.message.take() else { return false };
        match self.sender.try_send_at(message, place) {
            Ok(()) => self.choose(Ok(())),
            Err(TrySendError::Disconnected(message)) => self.choose(Err(SendError(message))),
            Err(TrySendError::Full(message)) => self.message.set(Some(message)),
        }
        self.is_chosen()
    }

    fn refuse(&self) {
        if let Some(message) = self.message.take() {
            self.choose(Err(SendError(message)));
        }
    }

    fn park<'a>(&'a self, parking: &mut Parking<'a>) {
        if let SenderFlavor::Simulated(queue) = &self.sender.flavor {
            parking.queues.push(&queue.senders);
        }
    }

    fn add<'a>(&'a self, select: &mut Select<'a>) {
        if let SenderFlavor::Real(sender) = &self.sender.flavor {
            select.send(sender);
        }
    }

    fn complete(&self, operation: SelectedOperation<'_>) {
        if let (SenderFlavor::Real(sender), Some(message)) = (&self.sender.flavor, self.message.take()) {
            self.choose(operation.send(sender, message));
        }
    }
}

/// Carries out one of the operations, or none if `timeout` is over first.
#[track_caller]
pub fn select_arms(arms: &[&dyn Arm], timeout: Option<Duration>) {
    let place = Location::caller();
    let deadline = timeout.map(deadline_after);
    if mode() == Mode::Simulated {
        select_simulated(arms, timeout, deadline, place);
    } else {
        select_real(arms, deadline, place);
    }
}

fn select_simulated(
    arms: &[&dyn Arm],
    timeout: Option<Duration>,
    deadline: Option<u64>,
    place: &'static Location<'static>,
) {
    // Which of its channels it will use is not known yet.
    yield_point(place, Access::NONE);
    loop {
        if attempt_one(arms, place) || timeout == Some(Duration::ZERO) {
            return;
        }
        if !may_block(deadline, place) {
            return refuse(arms, deadline);
        }
        let mut parking = Parking::default();
        for arm in arms {
            arm.park(&mut parking);
        }
        let wait = Wait::event("one of several channels");
        let wake = park_on(&parking.queues, wait, deadline, place);
        drop(parking.guards);
        if wake == Wake::TimedOut {
            return refuse(arms, deadline);
        }
    }
}

/// The time is over, or a thread that is being unwound may not wait. A select without a default goes on with
/// its first arm then, which fails as that operation alone would.
fn refuse(arms: &[&dyn Arm], deadline: Option<u64>) {
    if let (None, Some(arm)) = (deadline, arms.first()) {
        arm.refuse();
    }
}

/// Tries the operations from a random one on; whether one was carried out.
fn attempt_one(arms: &[&dyn Arm], place: &'static Location<'static>) -> bool {
    if arms.is_empty() {
        return false;
    }
    let first = crate::rand::random_range(0..arms.len());
    (0..arms.len()).any(|i| arms[(first + i) % arms.len()].attempt(place))
}

fn select_real(arms: &[&dyn Arm], deadline: Option<u64>, place: &'static Location<'static>) {
    let mut select = Select::new();
    for arm in arms {
        arm.add(&mut select);
    }
    look_real(place);
    loop {
        let over = deadline.is_some_and(|deadline| real::run_nanos() >= deadline);
        match real::waiting(|| select.select_timeout(slice(deadline))) {
            Ok(operation) => {
                let index = operation.index();
                arms[index].complete(operation);
                return;
            }
            Err(_) if over => return,
            Err(_) if mode() == Mode::Threads && !real::may_block_at(place) => return refuse(arms, deadline),
            Err(_) => {}
        }
    }
}
