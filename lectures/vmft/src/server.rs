// handout: put classic
// //! A host: what it can reach, its threads, and the handlers of its messages.
// handout: end
// handout: drop classic
//! A host: the monitor around its rules, its threads, and the handlers of its messages.
//!
//! | thread | work |
//! |---|---|
//! | guest | runs the guest in slices, and lets as much time pass as its processor would need |
//! | channel | tells the other host: entries, or that this host is alive |
//! | outputs | sends what may leave, in order |
//! | decisions | suspects the other host, asks for the flag, finds a new backup |

// handout: end

use labrpc::Service;
// handout: drop classic
use labrt::sync::{Arc, Condvar, Monitor, Settle};
use labrt::thread;
use labrt::time::{Duration, Instant};

use crate::arbiter::{Arbiter, PATIENCE};
use crate::machine::{BLOCK, Machine, Output, Stop};
use crate::record::Held;
use crate::rpc::{
    Clone as CloneMessage, ClusterPeer, DiskError, DiskPeer, DiskWrite, Heartbeat, HostError, HostPeer,
    HostRpc, LogAck, LogBatch, Transmission, WirePeer,
};
use crate::state::{Pace, Role, Settings, State};
// handout: end
// handout: put classic
// use labrt::sync::Arc;
// use labrt::time::Duration;
//
// use crate::arbiter::Arbiter;
// use crate::machine::{Machine, Stop};
// use crate::rpc::Clone as CloneMessage;
// use crate::rpc::{
//     ClusterPeer, DiskPeer, Heartbeat, HostError, HostPeer, HostRpc, LogAck, LogBatch, WirePeer,
// };
// use crate::state::{Role, Settings};
// handout: end

/// The machine that a host runs. A host of this lab runs one.
pub const VM: u64 = 1;

// handout: drop classic
/// How long an RPC to the other host may take before it is sent again.
const CALL: Duration = Duration::from_millis(150);
/// How long the transfer of a clone may take, during which the guest stands still (R10).
const CLONE: Duration = Duration::from_millis(400);
/// The pause before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(10);
/// How often a host that is alone looks for a new backup.
const REPAIR: Duration = Duration::from_millis(50);
/// The guest's processor lets time pass when it owes that much.
const DEBT: Duration = Duration::from_micros(500);

// handout: end
/// Whom a host can reach.
#[derive(Clone)]
pub struct Peers {
    /// The hosts, by number; the host itself included.
    pub hosts: Vec<HostPeer>,
    /// The shared disk.
    pub disk: DiskPeer,
    /// Who decides which host goes on alone.
    pub arbiter: Arc<dyn Arbiter>,
    /// Who knows free hosts. None: nobody repairs.
    pub cluster: Option<ClusterPeer>,
    /// The world outside.
    pub wire: WirePeer,
}

/// What can be seen of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    /// What it is.
    pub role: Role,
    /// Its epoch.
    pub epoch: u64,
    /// Instructions that its guest has retired.
    pub icount: u64,
    /// A hash of its guest's state.
    pub state_hash: u64,
    /// How its guest has ended, if it has.
    pub stopped: Option<Stop>,
    /// The primary's share of its processor: 1, or less while it waits for a slow backup (R11).
    pub share: f64,
    /// How far the backup is behind, as the primary knows it: the age of the oldest entry of which the
    /// primary has not heard that it is replayed. Zero if there is none.
    pub lag: Duration,
}

// handout: bodies kept
/// A host.
pub struct Host {
    // handout: drop classic
    state: Monitor<State>,
    // handout: end
    peers: Peers,
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// What the threads of a host wait for.
#[derive(Default)]
pub struct Signals {
    guest: Condvar,
    channel: Condvar,
    outputs: Condvar,
    decisions: Condvar,
}

impl Settle for State {
    type Signals = Signals;

    fn settle(&mut self, signals: &Signals) {
        let role_changed = self.told_role != self.role;
        self.told_role = self.role;
        if self.has_work() || role_changed {
            signals.guest.notify_all();
        }
        if self.log.has_news() || role_changed {
            signals.channel.notify_all();
        }
        if !self.outgoing_is_empty() {
            signals.outputs.notify_all();
        }
        if role_changed || (self.is_cloning && self.outgoing_is_empty()) {
            signals.decisions.notify_all();
        }
    }
}

// handout: end
// handout: bodies VB
impl Host {
    /// Starts host `me` without a guest. Its threads belong to the caller's node and end with it.
    pub fn start(me: usize, peers: Peers, settings: Settings) -> Arc<Host> {
        let state = Monitor::new(State::new(me, settings, Instant::now()));
        let host = Arc::new(Host { state, peers });
        host.spawn("guest", |host| host.run_guest());
        host.spawn("channel", |host| host.run_channel());
        host.spawn("outputs", |host| host.run_outputs());
        host.spawn("decisions", |host| host.run_decisions());
        host
    }

    fn spawn(self: &Arc<Self>, name: &'static str, run: fn(&Arc<Host>)) {
        let host = Arc::clone(self);
        thread::spawn_named(name, move || run(&host));
    }

    /// Starts a machine's life, as its primary or its backup; `peer` is the other host.
    pub fn boot(&self, machine: Machine, is_primary: bool, peer: usize) {
        self.state.lock().start(machine, is_primary, peer, Instant::now());
    }

    /// R12: switches the machine off, on both hosts. It is called on the host that runs the guest. If the
    /// guest is being cloned, the machine is off a little later, and so is the new backup.
    pub fn power_off(&self) {
        self.state.lock().power_off();
    }

    /// Sets how many instructions the host's processor carries out in a second.
    pub fn set_speed(&self, speed: u64) {
        self.state.lock().settings.speed = speed;
    }

    /// What can be seen of the host.
    pub fn status(&self) -> Status {
        let mut state = self.state.lock();
        Status {
            role: state.role,
            epoch: state.epoch,
            icount: state.machine().map_or(0, Machine::icount),
            state_hash: state.state_hash(),
            stopped: state.machine().and_then(Machine::stopped),
            share: state.share(),
            lag: state.log.lag(Instant::now()),
        }
    }

    /// What the host offers on the network.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

// handout: bodies VB
/// The guest's thread.
impl Host {
    fn run_guest(self: &Arc<Self>) {
        let mut debt = Duration::ZERO;
        loop {
            let mut state = self.state.lock();
            let pace = state.step(Instant::now());
            let reads = state.take_reads();
            let idle_until = match pace {
                Pace::Busy(work) => {
                    debt += work;
                    None
                }
                Pace::Idle(until) => Some(until),
            };
            if let (Some(until), true) = (idle_until, reads.is_empty())
                && !state.has_work()
            {
                state.wait_until(|on| &on.guest, until);
            }
            drop(state);
            for (operation, lba) in reads {
                self.start_read(operation, lba);
            }
            if debt >= DEBT {
                thread::sleep(std::mem::take(&mut debt));
            }
        }
    }

    /// Reads a block in a thread of its own, until the disk has answered. The data wait for their interrupt
    /// in the inputs, not in the guest's memory.
    fn start_read(self: &Arc<Self>, operation: u64, lba: u64) {
        let host = Arc::clone(self);
        thread::spawn_named("disk read", move || {
            let disk = host.peers.disk.timeout(PATIENCE);
            let data = loop {
                if let Ok(answer) = disk.read(&(VM, lba)) {
                    break answer.ok();
                }
                thread::sleep(AGAIN);
            };
            host.state.lock().disk_done(operation, data);
        });
    }
}

// handout: bodies VB
/// The channel's thread.
impl Host {
    fn run_channel(self: &Arc<Self>) {
        let mut spoke = Instant::now();
        loop {
            let mut state = self.state.lock();
            let Some(peer) = state.peer.filter(|_| matches!(state.role, Role::Primary | Role::Backup)) else {
                state.wait(|on| &on.channel);
                continue;
            };
            let due = spoke + state.settings.heartbeat;
            if !state.log.has_news() && Instant::now() < due {
                state.wait_until(|on| &on.channel, due);
                continue;
            }
            spoke = Instant::now();
            self.speak(state, peer);
        }
    }

    /// Sends the entries that are not acknowledged, or a sign of life.
    fn speak(&self, mut state: labrt::sync::MonitorGuard<'_, State>, peer: usize) {
        let peer = self.peers.hosts[peer].timeout(CALL);
        let (is_primary, epoch) = (state.role == Role::Primary, state.epoch);
        let icount = state.machine().map_or(0, Machine::icount);
        let batch = (is_primary && !state.log.is_empty()).then(|| state.batch(Instant::now()));
        drop(state);
        let answer = match &batch {
            Some(batch) => peer.log(batch),
            None => peer.heartbeat(&Heartbeat { epoch, is_primary, icount }),
        };
        match answer {
            Ok(Ok(ack)) => self.state.lock().acknowledged(ack, Instant::now()),
            Ok(Err(error)) => tracing::debug!(target: "channel", "refused: {error:?}"),
            Err(error) => tracing::debug!(target: "channel", "no answer: {error}"),
        }
    }
}

// handout: bodies VB
/// The outputs' thread.
impl Host {
    fn run_outputs(&self) {
        loop {
            let mut state = self.state.lock();
            let outgoing = state.outgoing();
            let Some(last) = outgoing.last().map(|held| held.index) else {
                state.wait(|on| &on.outputs);
                continue;
            };
            let (me, epoch) = (state.me, state.epoch);
            drop(state);
            // An output that was lost on its way leaves again: the world outside drops what comes twice. It
            // is asked for anew each time, since a host that has lost the flag meanwhile must send nothing.
            match self.send(me, epoch, outgoing) {
                Sent::Done(completion) => {
                    let mut state = self.state.lock();
                    state.sent(last);
                    if let Some((operation, data)) = completion {
                        state.disk_done(operation, data);
                    }
                }
                Sent::Failed => thread::sleep(AGAIN),
            }
        }
    }

    fn send(&self, me: usize, epoch: u64, outgoing: Vec<Held>) -> Sent {
        if let [Held { index, output: Output::DiskWrite { operation, lba, data }, .. }] = &outgoing[..] {
            let write =
                DiskWrite { vm: VM, lba: *lba, data: data.clone(), index: *index, writer_epoch: epoch };
            return match self.peers.disk.timeout(PATIENCE).write(&write) {
                Ok(Ok(())) => Sent::Done(Some((*operation, Some(vec![0; BLOCK])))),
                Ok(Err(DiskError::NoSuchBlock | DiskError::WrongLength)) => {
                    Sent::Done(Some((*operation, None)))
                }
                // This host's epoch is over, as it will soon learn.
                Ok(Err(DiskError::Stale)) | Err(_) => Sent::Failed,
            };
        }
        let outputs = outgoing.into_iter().map(|held| (held.index, held.output)).collect();
        match self.peers.wire.timeout(PATIENCE).transmit(&Transmission { host: me, outputs }) {
            Ok(()) => Sent::Done(None),
            Err(_) => Sent::Failed,
        }
    }
}

// handout: drop classic
/// What became of outputs.
enum Sent {
    /// They have left. After a disk write: the operation, and its block unless it failed.
    Done(Option<(u64, Option<Vec<u8>>)>),
    /// They may have left.
    Failed,
}

// handout: end
// handout: bodies VB
/// The decisions' thread.
impl Host {
    fn run_decisions(&self) {
        loop {
            let now = Instant::now();
            let mut state = self.state.lock();
            if let Some((epoch, has_begun)) = state.question(now) {
                let me = state.me;
                drop(state);
                self.ask(epoch, me, has_begun);
            } else if state.role == Role::Live && self.peers.cluster.is_some() {
                drop(state);
                self.repair();
                thread::sleep(REPAIR);
            } else {
                let until = state.suspects_at();
                state.wait_until(|on| &on.decisions, until);
            }
        }
    }

    /// R7: asks for the flag, and asks again a little later if there is no answer.
    fn ask(&self, epoch: u64, me: usize, has_begun: bool) {
        let mut answer = self.peers.arbiter.test_and_set(epoch, me);
        // The primary may have died before it could reset the flag for the epoch.
        if matches!(answer, Err(crate::rpc::ArbiterError::WrongEpoch(old)) if old < epoch) && has_begun {
            answer =
                self.peers.arbiter.reset(epoch).and_then(|()| self.peers.arbiter.test_and_set(epoch, me));
        }
        tracing::debug!(target: "flag", "old value in epoch {epoch}: {answer:?}");
        self.state.lock().decided(epoch, answer, Instant::now());
        if answer.is_err() {
            thread::sleep(AGAIN);
        }
    }

    /// R10: looks for a new backup, and clones the guest to it.
    fn repair(&self) {
        let Some(cluster) = &self.peers.cluster else { return };
        let Ok(Some(host)) = cluster.timeout(PATIENCE).need_backup(&VM) else { return };
        let mut state = self.state.lock();
        state.stop_for_clone();
        let deadline = Instant::now() + CLONE;
        while !state.outgoing_is_empty() && !state.wait_until(|on| &on.decisions, deadline) {}
        let Some(clone) = state.begin_clone() else { return state.end_clone(None, Instant::now()) };
        drop(state);
        let adopted = self.peers.hosts[host].timeout(CLONE).adopt(&clone);
        tracing::debug!(target: "repair", "clone for host {host}: {adopted:?}");
        let is_adopted = matches!(adopted, Ok(Ok(())));
        self.state.lock().end_clone(is_adopted.then_some(host), Instant::now());
        // The guest runs again: nobody can win the new epoch before the flag is reset for it.
        if is_adopted {
            while self.peers.arbiter.reset(clone.epoch).is_err() {
                thread::sleep(AGAIN);
            }
        }
    }
}

// handout: bodies VB
impl HostRpc for Host {
    fn log(&self, batch: LogBatch) -> Result<LogAck, HostError> {
        self.state.lock().receive(batch, Instant::now())
    }

    fn heartbeat(&self, heartbeat: Heartbeat) -> Result<LogAck, HostError> {
        self.state.lock().heartbeat(heartbeat, Instant::now())
    }

    fn adopt(&self, clone: CloneMessage) -> Result<(), HostError> {
        self.state.lock().adopt(&clone, Instant::now())
    }

    fn packet(&self, bytes: Vec<u8>) -> bool {
        self.state.lock().packet(bytes)
    }
}
