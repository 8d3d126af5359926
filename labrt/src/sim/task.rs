//! A task: a coroutine with a name, a node and a place where it waits.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::policy::{Access, AccessKind, Slot};
use super::stack::{self, TaskStack};
use super::{Sim, unwind, with};
use crate::name::Name;
use crate::outcome::FailureKind;
use crate::run::Job;
use crate::thread::local::drop_locals;

/// A coroutine, with the lowest and the highest address of its stack.
pub(crate) struct TaskCoroutine {
    inner: Coroutine<(), (), (), TaskStack>,
    bounds: (usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot is unused.
    Free,
    Ready,
    /// Ready, but its node is paused.
    Held,
    Running,
    Parked,
    /// It waits in a destructor for what cannot come, so it is never resumed; its stack is leaked.
    Abandoned,
}

/// What a parked task waits for, for reports.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// In words: "a lock", "a message", …
    pub(crate) what: &'static str,
    /// The task that could end the waiting.
    pub(crate) on: On,
}

/// The task that could end a waiting, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// No task in particular. The access is what the task does when it goes on.
    Event(Access),
    /// The task that holds the lock of this number.
    Lock(u64),
    /// The task of this number, by its end.
    Task(u64),
    /// A task that sends on the channel at this address.
    Message(usize),
    /// A task that receives from the channel at this address.
    Room(usize),
}

impl On {
    /// Whether certainly no other task can end the waiting.
    pub(crate) fn is_certain(self) -> bool {
        matches!(self, On::Lock(_) | On::Task(_))
    }
}

impl Wait {
    /// For something that any task may bring about.
    pub(crate) const fn event(what: &'static str) -> Wait {
        Wait { what, on: On::Event(Access::NONE) }
    }
}

pub(crate) struct Task {
    /// Number of the task in this run, never reused.
    pub(crate) serial: u64,
    /// None while the task runs.
    pub(crate) coroutine: Option<TaskCoroutine>,
    pub(crate) name: Name,
    pub(crate) node: u32,
    pub(crate) phase: Phase,
    /// Number of the current (or last) parking; a timer or waker of an earlier one finds that it has come too
    /// late.
    pub(crate) token: u64,
    pub(crate) timed_out: bool,
    pub(crate) wait: Wait,
    /// Whether the waiting ends at some time by itself.
    pub(crate) has_deadline: bool,
    /// Where it last entered the runtime.
    pub(crate) place: Option<&'static Location<'static>>,
    /// Its node was killed: it is unwound at once, or when its own kill of another node is done.
    pub(crate) killed: bool,
    /// It is being unwound, as far as that had to be known: see [`unwinding`].
    pub(crate) unwinds: bool,
    /// How many waiting calls it has made since it was killed.
    pub(crate) calls_in_vain: u32,
    /// How often it could have lost its turn since it was killed, or since a panic unwinds it.
    pub(crate) turns_in_vain: u32,
    /// Until when its destructors may wait while a panic unwinds it; 0 if none has waited yet.
    pub(crate) patience_ends: u64,
    /// How far its clock is ahead of the run's, in nanoseconds. In a destructor of a killed task waiting
    /// calls return at once; for the task their time has passed.
    pub(crate) ahead: u64,
    /// Locks that it holds, with the lines where it took them.
    pub(crate) held: Vec<(u64, &'static Location<'static>)>,
    /// What it does next, when it gets its turn.
    pub(crate) access: Access,
    /// The step at which it was last asked to give way, and how often in a row that was the same.
    pub(crate) last_step: (Option<&'static Location<'static>>, AccessKind),
    pub(crate) repeats: u32,
    /// The ends of channels that it has used last: the address of the channel, and a bit for the side.
    pub(crate) channels: [usize; 4],
    /// The part of its stack that is in use while it is suspended: lowest and highest address.
    pub(crate) stack: (usize, usize),
}

/// The panic payload that unwinds a killed task. It carries nothing and is caught at the root of the task.
pub(crate) struct Killed;

thread_local! {
    /// The running coroutine's handle for suspending itself; null outside of coroutines.
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(std::ptr::null()) };
}

/// Gives control back to the code that resumed the running coroutine. The caller has recorded why.
#[allow(unsafe_code, reason = "a coroutine's handle lives on its own stack")]
pub(crate) fn suspend() {
    let yielder = YIELDER.get();
    assert!(!yielder.is_null(), "a blocking call of the simulation was made outside of its tasks");
    let unwinds = std::thread::panicking() && with(Sim::suspend_unwinding);
    stack::note_suspension();
    // SAFETY: the pointer was set by this very coroutine when it started or was last resumed, and the yielder
    // lives at the root of its stack, below every frame that can call this function.
    unsafe { (*yielder).suspend(()) };
    YIELDER.set(yielder);
    if unwinds {
        with(Sim::resume_unwinding);
    }
}

/// Whether the running task is being unwound, by a panic or by a kill.
///
/// std counts the panics of an OS thread, which all tasks share: while one task waits in a destructor, std
/// says of every other task that it is panicking. This function tells them apart.
#[inline]
pub(crate) fn unwinding() -> bool {
    std::thread::panicking() && with(|sim| sim.current_unwinds())
}

/// Unwinds the running task because its node was killed.
#[inline(always)]
pub(crate) fn unwind_killed() -> ! {
    with(|sim| sim.tasks[sim.current as usize].unwinds = true);
    unwind::expect_kill();
    resume_unwind(Box::new(Killed))
}

/// Ends the run with this failure and never resumes the running task: it waits in a destructor, and nothing
/// can unwind it from there. Its stack is leaked.
pub(crate) fn abandon(kind: FailureKind, message: String, place: &'static Location<'static>) -> ! {
    with(|sim| {
        sim.fail_late(kind, message, Some(place.to_string()));
        sim.tasks[sim.current as usize].phase = Phase::Abandoned;
    });
    loop {
        suspend();
    }
}

/// Starts a task on `node`, and gives its number in the run. If that node was killed or the run is ending,
/// `f` is dropped, and the number is that of no task.
#[track_caller]
pub(crate) fn spawn(node: u32, name: Name, job: Job) -> u64 {
    let stack = match with(|sim| sim.admit(node)) {
        None => return u64::MAX,
        Some(Ok(stack)) => stack,
        Some(Err(error)) => {
            let living = with(|sim| sim.tasks.iter().filter(|task| !task.is_gone()).count());
            panic!("no room for another thread's stack beside those of {living} threads: {error}");
        }
    };
    let bounds = stack.bounds();
    let inner = Coroutine::with_stack(stack, move |yielder, ()| {
        YIELDER.set(yielder);
        // A task that is killed before its first turn only drops its closure: here, where that may panic.
        let never_ran = with(|sim| sim.current_is_killed());
        let run_or_drop = || if never_ran { drop(job) } else { job() };
        match catch_unwind(AssertUnwindSafe(run_or_drop)) {
            Ok(()) => with(Sim::note_survivor),
            Err(payload) => record_panic(payload, never_ran),
        }
        if let Err(payload) = catch_unwind(drop_locals) {
            record_panic(payload, true);
        }
    });
    with(|sim| sim.insert(node, name, TaskCoroutine { inner, bounds }))
}

/// The run fails with this panic, unless it is the one that unwinds killed tasks. `late`: also if the main
/// task has returned, since the panic came while the run was cleared away.
pub(crate) fn record_panic(payload: Box<dyn Any + Send>, late: bool) {
    if payload.is::<Killed>() {
        return;
    }
    let info = crate::panics::take(&*payload);
    with(|sim| sim.fail_by_panic(info, late));
    crate::panics::discard(payload);
}

/// Runs the task until it suspends or ends. Its coroutine has been taken out of the table, and `current` is
/// set.
pub(crate) fn resume(slot: Slot, mut coroutine: TaskCoroutine) {
    let outer = YIELDER.get();
    let outer_stack = stack::enter(coroutine.bounds.0);
    let result = coroutine.inner.resume(());
    stack::enter(outer_stack);
    YIELDER.set(outer);
    match result {
        CoroutineResult::Yield(()) => with(|sim| {
            sim.tasks[slot as usize].stack = (stack::depth(), coroutine.bounds.1);
            sim.put_away(slot, coroutine);
        }),
        CoroutineResult::Return(()) => with(|sim| sim.retire(slot, coroutine.inner.into_stack())),
    }
}

impl Sim {
    /// A stack for a new task; None if the node or the run takes no more tasks.
    fn admit(&mut self, node: u32) -> Option<std::io::Result<TaskStack>> {
        if self.stopping || self.nodes[node as usize].is_killed() {
            return None;
        }
        Some(self.stacks.take())
    }

    fn insert(&mut self, node: u32, name: Name, coroutine: TaskCoroutine) -> u64 {
        let serial = self.tasks_started;
        self.tasks_started += 1;
        let slot = self.free.pop().unwrap_or(self.tasks.len() as Slot);
        self.pulse.name_task(slot, node, &name);
        if let Some(task) = self.tasks.get_mut(slot as usize) {
            // The slot's vector of held locks keeps its memory.
            task.serial = serial;
            task.coroutine = Some(coroutine);
            task.name = name;
            task.node = node;
            task.place = None;
            task.channels = [0; 4];
            task.access = Access::NONE;
            task.killed = false;
            task.unwinds = false;
            task.calls_in_vain = 0;
            task.turns_in_vain = 0;
            task.patience_ends = 0;
            task.ahead = 0;
        } else {
            self.tasks.push(Task {
                serial,
                coroutine: Some(coroutine),
                name,
                node,
                phase: Phase::Ready,
                token: 0,
                timed_out: false,
                wait: Wait::event(""),
                has_deadline: false,
                place: None,
                killed: false,
                unwinds: false,
                calls_in_vain: 0,
                turns_in_vain: 0,
                patience_ends: 0,
                ahead: 0,
                held: Vec::new(),
                access: Access::NONE,
                last_step: (None, Access::NONE.kind()),
                repeats: 0,
                channels: [0; 4],
                stack: (0, 0),
            });
        }
        self.forget_title(slot);
        if self.trace {
            self.emit_of("spawn", "", slot);
        }
        self.policy.spawned(slot, &mut self.schedule_rng);
        self.make_ready(slot);
        serial
    }

    fn put_away(&mut self, slot: Slot, coroutine: TaskCoroutine) {
        let task = &mut self.tasks[slot as usize];
        if task.phase == Phase::Abandoned {
            // Dropping a coroutine unwinds its stack, which is what cannot be done.
            std::mem::forget(coroutine);
        } else {
            task.coroutine = Some(coroutine);
        }
    }

    fn retire(&mut self, slot: Slot, stack: TaskStack) {
        self.stacks.put_back(stack);
        let task = &mut self.tasks[slot as usize];
        task.phase = Phase::Free;
        task.held.clear();
        self.free.push(slot);
        for killer in std::mem::take(&mut self.killers) {
            self.wake(killer, false);
        }
    }

    /// Whether the running task is being unwound, given that std counts a panic on this OS thread.
    pub(crate) fn current_unwinds(&self) -> bool {
        // As long as no other task waits in a destructor, the panic is the running task's.
        self.unwinders == 0 || self.tasks.get(self.current as usize).is_some_and(|task| task.unwinds)
    }

    /// The running task gives its turn away; whether it does so while it is being unwound.
    pub(super) fn suspend_unwinding(&mut self) -> bool {
        let unwinds = self.current_unwinds();
        if let Some(task) = self.tasks.get_mut(self.current as usize) {
            task.unwinds = unwinds;
        }
        self.unwinders += u32::from(unwinds);
        unwinds
    }

    pub(super) fn resume_unwinding(&mut self) {
        self.unwinders -= 1;
    }

    /// The running task is about to give its turn away. If no panic unwinds anything on this OS thread, its
    /// own one was caught meanwhile.
    #[inline]
    pub(super) fn forget_caught_panic(&mut self) {
        let task = &mut self.tasks[self.current as usize];
        if task.unwinds && !task.killed && !std::thread::panicking() {
            (task.unwinds, task.patience_ends, task.turns_in_vain) = (false, 0, 0);
        }
    }

    /// A task has come to its end although it was killed.
    fn note_survivor(&mut self) {
        let task = &self.tasks[self.current as usize];
        if task.killed && task.unwinds && self.nodes[task.node as usize].is_killed() {
            let warning = format!(
                "{} went on after its node was killed: a catch_unwind caught the kill{}. Let the payload pass on with \
                 resume_unwind, or catch less",
                self.title(task),
                task.place.map_or_else(String::new, |place| format!(" that came at {place}")),
            );
            self.warnings.push(warning);
        }
    }
}

impl Task {
    /// Whether nothing of it runs any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Free | Phase::Abandoned)
    }
}
