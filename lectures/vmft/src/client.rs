//! Clients of the guest's services, and the network outside that carries their packets.
//!
//! A client's packets may be lost, come twice, or find a host that does not own the machine's address. So a
//! client numbers its requests, sends each until it is answered, and drops answers that it has had. That is
//! the part of TCP that the lab needs: it makes a repeated output harmless.

use std::collections::BTreeMap;

use labrpc::Service;
use labrt::channel::{Receiver, Sender, unbounded};
use labrt::sync::{Arc, Mutex};
use labrt::time::{Duration, Instant};

use crate::machine::Output;
use crate::rpc::{HostPeer, Transmission, WireRpc};

/// How long a client waits for an answer before it sends its request again.
pub const RESEND: Duration = Duration::from_millis(150);

// handout: bodies kept
/// The network outside: it carries packets to clients and bytes to the console.
#[derive(Default)]
pub struct Wire {
    ports: Mutex<BTreeMap<u64, Sender<Vec<u8>>>>,
    /// What was printed, and the number of the last output of it.
    console: Mutex<(Vec<u8>, u64)>,
}

impl Wire {
    /// A network without clients.
    pub fn new() -> Arc<Wire> {
        Arc::new(Wire::default())
    }

    /// What it offers to hosts.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    /// A new client with this number, which reaches the hosts through `hosts`.
    pub fn client(&self, number: u64, hosts: Vec<HostPeer>) -> Client {
        let (sender, replies) = unbounded();
        self.ports.lock().insert(number, sender);
        Client { number, request: 0, hosts, current: 0, replies }
    }

    /// What the guest has printed.
    pub fn console(&self) -> Vec<u8> {
        self.console.lock().0.clone()
    }
}

impl WireRpc for Wire {
    fn transmit(&self, transmission: Transmission) {
        for (index, output) in transmission.outputs {
            match output {
                Output::Packet(packet) => {
                    let client = packet.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                    if let Some(port) = client.and_then(|client| self.ports.lock().get(&client).cloned()) {
                        // A client that is gone needs no answer.
                        let _ = port.send(packet);
                    }
                }
                // A terminal drops what it has shown.
                Output::Console(byte) => {
                    let (console, last) = &mut *self.console.lock();
                    if index > *last {
                        console.push(byte);
                        *last = index;
                    }
                }
                Output::DiskWrite { .. } => {}
            }
        }
    }
}

/// A client of a guest's service. It has one request at a time.
pub struct Client {
    number: u64,
    request: u64,
    hosts: Vec<HostPeer>,
    /// The host that owned the address last.
    current: usize,
    replies: Receiver<Vec<u8>>,
}

// handout: bodies VB
impl Client {
    /// Sends a request, and waits for its answer. Requests and answers are words: the client's number, the
    /// request's number, then the operation and its arguments, or the result.
    pub fn call(&mut self, words: &[u64]) -> u64 {
        loop {
            if let Some(result) = self.call_for(words, Duration::from_secs(3600)) {
                return result;
            }
        }
    }

    /// As [`Client::call`], but gives up after `patience`. Whether the request was carried out is unknown
    /// then, and the client's next call is a new request.
    pub fn call_for(&mut self, words: &[u64], patience: Duration) -> Option<u64> {
        self.request += 1;
        let head = [self.number, self.request];
        let packet: Vec<u8> = head.iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let host = self.hosts[self.current].timeout(RESEND);
            if host.packet(&packet) != Ok(true) {
                self.current = (self.current + 1) % self.hosts.len();
                // When nobody owns the address, it is not asked for all the time.
                labrt::thread::sleep(Duration::from_millis(5));
                continue;
            }
            if let Some(result) = self.answer(deadline.min(Instant::now() + RESEND)) {
                return Some(result);
            }
        }
        None
    }

    /// Waits for the answer to the present request; answers to earlier ones are dropped.
    fn answer(&self, until: Instant) -> Option<u64> {
        loop {
            let packet = self.replies.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            let word =
                |at: usize| packet.get(8 * at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            if word(1) == Some(self.request) {
                return word(2);
            }
        }
    }
}
