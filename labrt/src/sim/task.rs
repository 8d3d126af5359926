//! A task: a coroutine with a name, a node and a place where it waits.

use super::stack::TaskStack;
use super::{NO_TASK, Sim, policy::Slot, with};
use crate::name::Name;
use crate::outcome::FailureKind;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

pub(crate) type TaskCoroutine = Coroutine<(), (), (), TaskStack>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot is unused.
    Free,
    Ready,
    /// Ready, but its node is paused.
    Held,
    Running,
    Parked,
}

/// What a parked task waits for, for reports.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// In words: "a lock", "a message", …
    pub(crate) what: &'static str,
    /// Address of the primitive, which tells who holds the lock that is waited for.
    pub(crate) key: usize,
}

pub(crate) struct Task {
    /// Number of the task in this run, never reused.
    pub(crate) serial: u64,
    /// None while the task runs.
    pub(crate) coroutine: Option<TaskCoroutine>,
    pub(crate) name: Name,
    pub(crate) node: u32,
    pub(crate) phase: Phase,
    /// Number of the current (or last) parking; a timer or waker of an earlier one finds that it has come too late.
    pub(crate) token: u32,
    pub(crate) timed_out: bool,
    pub(crate) wait: Wait,
    /// Where it last entered the runtime.
    pub(crate) place: Option<&'static Location<'static>>,
    /// Its node was killed: it is unwound at once.
    pub(crate) killed: bool,
    /// Locks that it holds, with the lines where it took them.
    pub(crate) held: Vec<(usize, &'static Location<'static>)>,
}

/// The panic payload that unwinds a killed task. It carries nothing and is caught at the root of the task.
pub(crate) struct Killed;

thread_local! {
    /// The running coroutine's handle for suspending itself; null outside of coroutines.
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(std::ptr::null()) };
}

/// An address near the base of the running coroutine's stack, or 0: lets the fault handler recognise an overflow.
pub(crate) fn stack_base_hint() -> usize {
    YIELDER.get() as usize
}

/// Gives control back to whoever resumed the running coroutine. The caller has recorded why.
#[allow(unsafe_code, reason = "a coroutine's handle lives on its own stack")]
pub(crate) fn suspend() {
    let yielder = YIELDER.get();
    assert!(!yielder.is_null(), "a blocking call of the simulation was made outside of its tasks");
    // SAFETY: the pointer was set by this very coroutine when it started or was last resumed, and the yielder lives at
    // the root of its stack, below every frame that can call this function.
    unsafe { (*yielder).suspend(()) };
    YIELDER.set(yielder);
}

/// Unwinds the running task because its node was killed.
#[inline(always)]
pub(crate) fn unwind_killed() -> ! {
    resume_unwind(Box::new(Killed))
}

/// Starts a task on `node`; false (and `f` dropped) if that node was killed or the run is ending.
pub(crate) fn spawn(node: u32, name: Name, f: impl FnOnce() + 'static) -> bool {
    let Some(stack) = with(|sim| sim.admit(node)) else { return false };
    let coroutine = Coroutine::with_stack(stack, move |yielder, ()| {
        YIELDER.set(yielder);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            record_panic(&*payload);
        }
    });
    with(|sim| sim.insert(node, name, coroutine));
    true
}

/// The run fails with this panic, unless it is the one that unwinds killed tasks.
pub(crate) fn record_panic(payload: &(dyn Any + Send)) {
    if payload.is::<Killed>() {
        return;
    }
    let info = crate::panics::take(payload);
    with(|sim| sim.fail_with(FailureKind::Panic, info.message, info.location, info.backtrace));
}

/// Runs the task until it suspends or ends. Its coroutine has been taken out of the table, and `current` is set.
pub(crate) fn resume(slot: Slot, mut coroutine: TaskCoroutine) {
    let outer = YIELDER.get();
    let result = coroutine.resume(());
    YIELDER.set(outer);
    match result {
        CoroutineResult::Yield(()) => with(|sim| sim.tasks[slot as usize].coroutine = Some(coroutine)),
        CoroutineResult::Return(()) => with(|sim| sim.retire(slot, coroutine.into_stack())),
    }
}

impl Sim {
    fn admit(&mut self, node: u32) -> Option<TaskStack> {
        if self.stopping || self.nodes[node as usize].is_killed() {
            return None;
        }
        Some(self.stacks.take())
    }

    fn insert(&mut self, node: u32, name: Name, coroutine: TaskCoroutine) {
        let serial = self.tasks_started;
        self.tasks_started += 1;
        let slot = self.free.pop().unwrap_or(self.tasks.len() as Slot);
        self.pulse.name_task(slot, node, &name);
        if self.trace {
            let text = format!("{} / {name}", self.nodes[node as usize].name());
            self.emit("spawn", "", text);
        }
        if let Some(task) = self.tasks.get_mut(slot as usize) {
            // The slot's vector of held locks keeps its memory, and its token goes on, so that stale wakers miss.
            task.serial = serial;
            task.coroutine = Some(coroutine);
            task.name = name;
            task.node = node;
            task.token = task.token.wrapping_add(1);
            task.place = None;
            task.killed = false;
        } else {
            self.tasks.push(Task {
                serial,
                coroutine: Some(coroutine),
                name,
                node,
                phase: Phase::Ready,
                token: 0,
                timed_out: false,
                wait: Wait { what: "", key: 0 },
                place: None,
                killed: false,
                held: Vec::new(),
            });
        }
        self.policy.spawned(slot, &mut self.schedule_rng);
        self.make_ready(slot);
    }

    fn retire(&mut self, slot: Slot, stack: TaskStack) {
        self.stacks.put_back(stack);
        let task = &mut self.tasks[slot as usize];
        task.phase = Phase::Free;
        task.held.clear();
        self.free.push(slot);
    }

    /// The next task of the node (of any node, if None) that is to be unwound, taken out of the table and made current.
    fn next_victim(&mut self, node: Option<u32>, from: Slot) -> Option<(Slot, TaskCoroutine)> {
        for slot in from..self.tasks.len() as Slot {
            let task = &mut self.tasks[slot as usize];
            if task.phase == Phase::Free || node.is_some_and(|node| node != task.node) {
                continue;
            }
            // The task that runs, or whose unwinding is what led here, has no coroutine to take.
            let Some(coroutine) = task.coroutine.take() else { continue };
            task.killed = true;
            task.token = task.token.wrapping_add(1);
            if task.phase == Phase::Ready {
                self.ready.retain(|&other| other != slot);
            }
            self.tasks[slot as usize].phase = Phase::Running;
            self.current = slot;
            return Some((slot, coroutine));
        }
        None
    }
}

/// Unwinds all tasks of the node (of all nodes, if None) but the running one; they release their locks on the way.
pub(crate) fn kill_tasks(node: Option<u32>) {
    let caller = with(|sim| sim.current);
    let mut from = 0;
    while let Some((slot, coroutine)) = with(|sim| sim.next_victim(node, from)) {
        from = slot + 1;
        if coroutine.started() {
            resume(slot, coroutine);
        } else {
            let stack = drop_unstarted(coroutine);
            with(|sim| sim.retire(slot, stack));
        }
    }
    with(|sim| sim.current = caller);
    let dies_too = with(|sim| {
        let killed = node.is_some() && caller != NO_TASK && Some(sim.tasks[caller as usize].node) == node;
        if killed {
            sim.tasks[caller as usize].killed = true;
        }
        killed
    });
    if dies_too && !std::thread::panicking() {
        unwind_killed();
    }
}

/// Drops the closure of a task that never ran, and gives back its stack.
fn drop_unstarted(mut coroutine: TaskCoroutine) -> TaskStack {
    coroutine.force_unwind();
    coroutine.into_stack()
}
