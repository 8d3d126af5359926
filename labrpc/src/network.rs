//! The network as testers see it: which servers are connected, and which faults strike.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use labrt::{runtime, trace};

use crate::bandwidth;
use crate::calls::Call;
use crate::delay::DelayModel;
use crate::end::{ClientEnd, NetworkEnd};
use crate::name::Name;
use crate::path::Held;
use crate::service::Server;
use crate::shared::{End, Shared, State};
use crate::tap::{TapAction, TapEvent};
use crate::traffic::Traffic;

/// A handle to a network. All its methods may be called at any time from any thread; clones are the same
/// network.
///
/// A new network is reliable, without long delays or long reordering, with the delays of
/// [`DelayModel::default_here`]. It works as long as there is a handle: when the last one is dropped, its
/// servers are let go and all calls fail. A server or a tap that owns a handle itself keeps it alive until
/// [`Network::cleanup`].
#[derive(Clone)]
pub struct Network {
    handle: Arc<Handle>,
}

/// What all handles share, and no end or message does. Servers own ends of the network and the network owns
/// servers: this object's end breaks that circle.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let servers = state.forget_servers();
        let calls = state.calls.clear();
        let held: Vec<_> = state.ends.iter_mut().map(|end| end.held.take()).collect();
        drop(state);
        // Foreign destructors, and wake-ups of callers, run without the lock.
        drop((servers, calls, held));
    }
}

impl Default for Network {
    fn default() -> Network {
        Network::new()
    }
}

/// Ends and servers.
impl Network {
    /// A network without ends and servers.
    pub fn new() -> Network {
        Network { handle: Arc::new(Handle { shared: Arc::new(Shared::new()) }) }
    }

    /// From now on each message takes exactly this long, and none is lost or delivered twice by chance,
    /// whatever the network's modes are: for runs that are made simpler. Cuts and dead servers stay.
    pub fn steady(&self, delay: std::time::Duration) {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.shared().state.lock().steady = Some(delay);
    }

    /// From now on each request for which the rule says so is lost. The rule gets the names of the calling
    /// node and of the called server, and the method. It is asked under a lock at which the simulation does
    /// not switch, so it must call neither the network nor, but for its clock, the runtime.
    pub fn lose(&self, rule: impl FnMut(&str, &str, &str) -> bool + Send + 'static) {
        *self.shared().losses.lock() = Some(Box::new(rule));
        self.shared().loses.store(true, Ordering::SeqCst);
    }

    /// A new end with this name, disabled and connected to nothing. Testers draw long random names, so that
    /// an end of a dead incarnation cannot be used again.
    ///
    /// # Panics
    /// If there is an end with this name already.
    pub fn make_end(&self, name: impl Into<Name>) -> ClientEnd {
        let name = name.into();
        let mut state = self.shared().state.lock();
        let number = state.ends.len() as u32;
        let before = state.end_numbers.insert(name.clone(), number);
        assert!(before.is_none(), "the network has an end named `{name}` already");
        state.ends.push(End::new(name));
        ClientEnd::of_network(NetworkEnd { shared: Arc::clone(self.shared()), number, guard: None })
    }

    /// Connects an end to a server, which need not exist yet. Calls that are under way stay with the server
    /// that they were made to.
    ///
    /// # Panics
    /// If there is no such end; so do all methods that take the name of one.
    pub fn connect(&self, end: impl Into<Name>, server: impl Into<Name>) {
        let (end, server) = (end.into(), server.into());
        trace::emit("fault", "connect", || format!("end {end} is connected to server {server}"));
        let mut state = self.shared().state.lock();
        let slot = state.slot(server);
        state.end(&end).server = Some(slot);
    }

    /// Switches an end on or off. Calls on an end that is off fail, after a while; so do the calls under way
    /// whose handler is still running, at the next of the looks that the network takes every 100 ms.
    pub fn enable(&self, end: impl Into<Name>, enabled: bool) {
        let end = end.into();
        let now = runtime::now().as_nanos();
        let mut state = self.shared().state.lock();
        let before = std::mem::replace(&mut state.end(&end).enabled, enabled);
        if before != enabled {
            let switch = if enabled { "on" } else { "off" };
            trace::emit("fault", "enable", || format!("end {end} is switched {switch}"));
        }
        // Only switching an end off can make a server unreachable for a caller.
        if enabled {
            return;
        }
        let number = state.end_numbers[&end];
        let polls = state.polls(now, |call| call.end == number);
        drop(state);
        self.shared().schedule(polls);
    }

    /// Puts a server under this name, in place of the one that may be there, which is dead from now on.
    pub fn add_server(&self, name: impl Into<Name>, server: Server) {
        let name = name.into();
        let node = server.node().name().to_owned();
        trace::emit("fault", "add_server", || format!("server {name} is now {node}"));
        self.set_server(name, Some(Arc::new(server)));
    }

    /// Takes away the server with this name, if there is one.
    pub fn delete_server(&self, name: impl Into<Name>) {
        let name = name.into();
        trace::emit("fault", "delete_server", || format!("server {name} is gone"));
        self.set_server(name, None);
    }

    fn set_server(&self, name: Name, server: Option<Arc<Server>>) {
        let now = runtime::now().as_nanos();
        let mut state = self.shared().state.lock();
        let index = state.slot(name);
        let slot = &mut state.slots[index as usize];
        slot.generation += 1;
        let before = std::mem::replace(&mut slot.server, server);
        let polls = state.polls(now, |call| call.slot == index);
        drop(state);
        // The old server's destructor is foreign code, which may call this network.
        drop(before);
        self.shared().schedule(polls);
    }

    /// Ends the network: calls from now on fail at once, its servers are deleted, its tap is taken away,
    /// and its links are no longer held. Calls under way end as those to servers that are deleted.
    #[track_caller]
    pub fn cleanup(&self) {
        self.clear_tap();
        let now = runtime::now().as_nanos();
        let mut state = self.shared().state.lock();
        state.closed = true;
        let servers = state.forget_servers();
        let polls = state.polls(now, |_: &Call| true);
        let held: Vec<_> = state.ends.iter_mut().filter_map(|end| end.held.take()).collect();
        drop(state);
        drop(servers);
        self.shared().schedule(polls);
        // Nobody releases a link of a network that is no more, and their callers wait.
        held.into_iter().flatten().for_each(Held::arrive);
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// Counters.
impl Network {
    /// Calls whose handler was started at this server since it was added; 0 if there is no such server.
    pub fn count(&self, server: impl Into<Name>) -> u64 {
        let state = self.shared().state.lock();
        let index = state.slot_numbers.get(&server.into());
        let server = index.and_then(|&index| state.slots[index as usize].server.as_ref());
        server.map_or(0, |server| server.count())
    }

    /// Calls that were made, also those that could not be delivered. What destructors of a killed node's
    /// threads call is none: the dead send nothing.
    pub fn total_count(&self) -> u64 {
        self.shared().state.lock().total_count
    }

    /// Calls that were made on this end, also those that could not be delivered.
    pub fn calls_on(&self, end: impl Into<Name>) -> u64 {
        self.shared().state.lock().end(&end.into()).calls
    }

    /// Replies to calls on this end that were lost, or came from a server that was dead by then: what the
    /// handler did is done, and its caller does not know it.
    pub fn replies_lost(&self, end: impl Into<Name>) -> u64 {
        self.shared().state.lock().end(&end.into()).replies_lost
    }

    /// What became of the calls on this end.
    ///
    /// # Panics
    /// If there is no such end.
    pub fn traffic(&self, end: impl Into<Name>) -> Arc<Traffic> {
        Arc::clone(&self.shared().state.lock().end(&end.into()).traffic)
    }

    /// Bytes of all requests, also of those that could not be delivered, and of all replies that were handed
    /// over to a caller that still waited.
    pub fn total_bytes(&self) -> u64 {
        self.shared().state.lock().total_bytes
    }
}

/// Faults of the whole network, and how long messages take. A call keeps the three switches (reliable, long
/// delays, long reordering) of the moment when it was made; delays and bandwidths are those of the moment
/// when the message leaves, so a reply may have others than its request.
impl Network {
    /// Whether the network is reliable. If not, each request takes up to 26 ms, one request in ten is lost,
    /// and so is one reply in ten; their callers learn it at once. A call then succeeds with a probability of
    /// 81 %.
    pub fn set_reliable(&self, on: bool) {
        self.set("set_reliable", on, |state| &mut state.modes.reliable);
    }

    /// Whether callers wait up to 7 s (instead of 100 ms) until they learn that a request could not be
    /// delivered.
    pub fn set_long_delays(&self, on: bool) {
        self.set("set_long_delays", on, |state| &mut state.modes.long_delays);
    }

    /// Whether two of three replies come 200 ms to 2.2 s late.
    pub fn set_long_reordering(&self, on: bool) {
        self.set("set_long_reordering", on, |state| &mut state.modes.long_reordering);
    }

    fn set(&self, what: &'static str, on: bool, switch: impl FnOnce(&mut State) -> &mut bool) {
        trace::emit("fault", what, || on.to_string());
        *switch(&mut self.shared().state.lock()) = on;
    }

    /// Sets how long messages take one way.
    pub fn set_delay(&self, model: DelayModel) {
        trace::emit("fault", "set_delay", || format!("{model:?}"));
        self.shared().state.lock().delay = model;
    }

    /// Sets how many bytes a second each end's link carries in each direction; None, the default, for links
    /// on which the size of a message does not matter. Messages that are already under way keep their times.
    ///
    /// # Panics
    /// If it is 0.
    pub fn set_bandwidth(&self, bytes_per_second: impl Into<Option<u64>>) {
        let bandwidth = bytes_per_second.into();
        bandwidth::check(bandwidth);
        trace::emit("fault", "set_bandwidth", || format!("{bandwidth:?} bytes a second"));
        self.shared().state.lock().bandwidth = bandwidth;
    }

    /// Sets the probability that a request is delivered twice, so that its handler runs twice. The caller
    /// takes the reply that comes first, and learns that there is none when both are lost. Neither the
    /// number of calls nor that of bytes grows; the server's own count does.
    ///
    /// # Panics
    /// Unless `probability` is in [0, 1].
    pub fn set_duplication(&self, probability: f64) {
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability");
        trace::emit("fault", "set_duplication", || probability.to_string());
        self.shared().state.lock().duplication = probability;
    }
}

/// What goes wrong on one link.
impl Network {
    /// Sets how long messages take one way on this end's link; None for the network's own model.
    pub fn set_end_delay(&self, end: impl Into<Name>, model: impl Into<Option<DelayModel>>) {
        let (end, model) = (end.into(), model.into());
        let before = std::mem::replace(&mut self.shared().state.lock().end(&end).delay, model);
        if before != model {
            trace::emit("fault", "set_end_delay", || format!("end {end}: {model:?}"));
        }
    }

    /// Sets the bandwidth of this end's link, as [`Network::set_bandwidth`] does for all; None for the
    /// network's own.
    ///
    /// # Panics
    /// If it is 0.
    pub fn set_end_bandwidth(&self, end: impl Into<Name>, bytes_per_second: impl Into<Option<u64>>) {
        let (end, bandwidth) = (end.into(), bytes_per_second.into());
        bandwidth::check(bandwidth);
        trace::emit("fault", "set_end_bandwidth", || format!("end {end}: {bandwidth:?} bytes a second"));
        self.shared().state.lock().end(&end).bandwidth = bandwidth;
    }

    /// Cuts the link one way, or mends it: requests on this end are lost from now on. Callers learn it as
    /// late as on an end that is switched off.
    pub fn cut_requests(&self, end: impl Into<Name>, cut: bool) {
        let end = end.into();
        trace::emit("fault", "cut_requests", || format!("end {end}: {cut}"));
        self.shared().state.lock().end(&end).requests_cut = cut;
    }

    /// Cuts the link the other way, or mends it: handlers run, and their replies are lost. Callers learn it
    /// as late as on an end that is switched off.
    pub fn cut_replies(&self, end: impl Into<Name>, cut: bool) {
        let end = end.into();
        trace::emit("fault", "cut_replies", || format!("end {end}: {cut}"));
        self.shared().state.lock().end(&end).replies_cut = cut;
    }

    /// Holds the link: requests and replies that would arrive now wait, until [`Network::release`].
    pub fn hold(&self, end: impl Into<Name>) {
        let end = end.into();
        trace::emit("fault", "hold", || format!("end {end}"));
        self.shared().state.lock().end(&end).held.get_or_insert_default();
    }

    /// Lets the messages arrive that wait at a held link, at once and in the order in which they came there.
    /// They are not lost, whatever happened meanwhile.
    pub fn release(&self, end: impl Into<Name>) {
        let end = end.into();
        trace::emit("fault", "release", || format!("end {end}"));
        let held = self.shared().state.lock().end(&end).held.take();
        for message in held.into_iter().flatten() {
            message.arrive();
        }
    }

    /// Sets a closure that sees every request and every reply that the network is about to deliver (those
    /// that it drops by itself never leave) and decides what becomes of it. Requests are seen in the caller's
    /// thread, replies in the handler's. The closure may lock, sleep, and kill nodes; it must not call over
    /// the same network, nor set or take away its tap: other messages wait while it looks at one.
    #[track_caller]
    pub fn set_tap(&self, tap: impl FnMut(&TapEvent<'_>) -> TapAction + Send + 'static) {
        let before = self.shared().tap.lock().replace(Box::new(tap));
        self.shared().tapped.store(true, Ordering::Relaxed);
        drop(before);
    }

    /// Takes the tap away.
    #[track_caller]
    pub fn clear_tap(&self) {
        self.shared().tapped.store(false, Ordering::Relaxed);
        let before = self.shared().tap.lock().take();
        drop(before);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared().state.lock();
        write!(
            f,
            "Network({} ends, {} servers, {} calls)",
            state.ends.len(),
            state.slots.len(),
            state.total_count
        )
    }
}
