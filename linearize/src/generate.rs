//! Random histories, good and spoilt: for benches, and for trying the checker out.
//!
//! Every number comes from the seed. Clients call one operation after the other; each takes effect at a
//! random moment of its interval, and what it returns is computed in the order of these moments, so the
//! history is linearizable until
//! [`spoil`] changes what one read returned.

use crate::history::{History, Operation};
use crate::keys::key_value::{KvBuilder, KvHistory, KvOp};
use crate::models::register::{RegisterOp, RegisterResult};

/// A generator of random numbers (splitmix64: Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers, on every machine.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}

/// What the texts written are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Each write has its own.
    Unique,
    /// Drawn from so many.
    Few(u64),
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many keys.
    pub keys: u64,
    /// How many clients, all at work at once.
    pub clients: u32,
    /// How many operations, of all clients together.
    pub operations: usize,
    /// How many of a thousand operations are puts.
    pub puts: u64,
    /// How many of a thousand are appends; the others are gets.
    pub appends: u64,
    /// What is written.
    pub values: Values,
    /// How many of ten thousand operations never return. Their client goes on under another number.
    pub crashes: u64,
    /// Where all random numbers come from.
    pub seed: u64,
}

impl Workload {
    /// What the tests of the key/value labs do: half appends, some puts, the rest gets.
    pub fn lab(keys: u64, clients: u32, operations: usize) -> Self {
        Workload {
            keys,
            clients,
            operations,
            puts: 50,
            appends: 500,
            values: Values::Unique,
            crashes: 0,
            seed: 1,
        }
    }

    /// One key, appends and gets, and a put now and then so that texts stay short enough to be kept.
    pub fn appends(clients: u32, operations: usize) -> Self {
        Workload { puts: 2, appends: 800, ..Workload::lab(1, clients, operations) }
    }

    /// One key, puts of `values` and gets.
    pub fn register(clients: u32, operations: usize, values: Values) -> Self {
        Workload { puts: 500, appends: 0, values, ..Workload::lab(1, clients, operations) }
    }

    /// The history.
    pub fn generate(&self) -> KvHistory {
        let mut random = Random::new(self.seed);
        let mut builder = KvBuilder::new();
        let mut values = vec![String::new(); self.keys as usize];
        let mut texts = 0u64;
        for slot in self.slots(&mut random) {
            let key = random.below(self.keys) as usize;
            let name = format!("k{key}");
            let kind = random.below(1000);
            if kind >= self.puts + self.appends {
                let returned = slot.end.map(|end| (values[key].as_str(), end));
                builder.get(slot.client, &name, slot.call, returned);
                continue;
            }
            let text = match self.values {
                Values::Unique => {
                    texts += 1;
                    format!("x {} {texts} y", slot.client)
                }
                Values::Few(count) => format!("{};", random.below(count)),
            };
            if kind < self.puts {
                builder.put(slot.client, &name, &text, slot.call, slot.end);
                values[key] = text;
            } else {
                builder.append(slot.client, &name, &text, slot.call, slot.end);
                values[key].push_str(&text);
            }
        }
        match builder.finish() {
            Ok(history) => history,
            Err(error) => panic!("a client's operations follow one another, yet {error}"),
        }
    }

    /// When operations are called and return, in the order in which they take effect.
    fn slots(&self, random: &mut Random) -> Vec<Slot> {
        let mut slots = Vec::with_capacity(self.operations);
        let mut fresh = self.clients;
        let mut clients: Vec<(u32, u64)> =
            (0..self.clients).map(|client| (client, random.below(500_000))).collect();
        for number in 0..self.operations {
            let (client, now) = &mut clients[number % self.clients as usize];
            let call = *now + random.below(200_000);
            let effect = call + random.below(700_000);
            let end = effect + random.below(700_000);
            *now = end + 1;
            let crashed = random.below(10_000) < self.crashes;
            slots.push(Slot { client: *client, call, effect, end: (!crashed).then_some(end) });
            if crashed {
                *client = fresh;
                fresh += 1;
            }
        }
        slots.sort_by_key(|slot| (slot.effect, slot.client));
        slots
    }
}

struct Slot {
    client: u32,
    call: u64,
    effect: u64,
    end: Option<u64>,
}

/// How to spoil a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// A read returns what another read of the key had returned some time before.
    Stale,
    /// A read returns what was never written.
    Phantom,
}

/// Changes what one read in the middle of the last key returned. The result is not linearizable unless, by
/// bad luck, that text is right at both moments.
pub fn spoil(history: &KvHistory, how: Spoil) -> KvHistory {
    let operations = history.history().operations();
    let reads: Vec<usize> =
        (0..operations.len()).filter(|&index| is_read_of_last_key(history, index)).collect();
    let middle = reads.len() / 2;
    let target = reads.get(middle).copied();
    let old = reads.get(middle.saturating_sub(60)).and_then(|&index| operations[index].result);
    let mut builder = KvBuilder::new();
    for (index, operation) in operations.iter().enumerate() {
        let (client, call, end) = (operation.client, operation.call, operation.returned());
        let name = &history.keys()[operation.op.key().0 as usize];
        let text = |text| history.texts().get(text);
        match operation.op {
            KvOp::Get { .. } => {
                let seen = match how {
                    _ if Some(index) != target => operation.result.map(text),
                    Spoil::Stale => old.map(text),
                    Spoil::Phantom => Some("phantom"),
                };
                builder.get(client, name, call, seen.zip(end));
            }
            KvOp::Put { value, .. } => builder.put(client, name, text(value), call, end),
            KvOp::Append { value, .. } => builder.append(client, name, text(value), call, end),
        }
    }
    match builder.finish() {
        Ok(spoilt) => spoilt,
        Err(error) => panic!("the times are as they were, yet {error}"),
    }
}

fn is_read_of_last_key(history: &KvHistory, index: usize) -> bool {
    let operation = &history.history()[index];
    let last = history.keys().len().saturating_sub(1);
    matches!(operation.op, KvOp::Get { .. }) && !operation.is_open() && operation.op.key().0 as usize == last
}

/// The history as JSON Lines, the format that `linearize-read` reads.
pub fn json_lines(history: &KvHistory) -> String {
    let mut out = String::new();
    for operation in history.history().operations() {
        let (kind, value) = match operation.op {
            KvOp::Get { .. } => ("get", None),
            KvOp::Put { value, .. } => ("put", Some(value)),
            KvOp::Append { value, .. } => ("append", Some(value)),
        };
        let text = |text: Option<_>| text.map_or("", |text| history.texts().get(text));
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let key = quoted(&history.keys()[operation.op.key().0 as usize]);
        let end = operation.returned().map_or("null".to_owned(), |end| end.to_string());
        // In the order that the README shows; serde_json would sort the fields.
        out.push_str(&format!(
            "{{\"client\":{},\"op\":\"{kind}\",\"key\":{key},\"value\":{},\"output\":{},\"call\":{},\"return\":{end}}}",
            operation.client,
            quoted(text(value)),
            quoted(text(operation.result)),
            operation.call,
        ));
        out.push('\n');
    }
    out
}

/// A history of a register of numbers.
pub type RegisterHistory = History<RegisterOp<i64>, RegisterResult<i64>>;

/// A short history of a register with compare-and-swap, of the shape of Jepsen's runs against etcd: five
/// clients, values 0 to 4, and many operations whose outcome is unknown. With `spoilt`, one read returns
/// another value, which most often is an error.
pub fn compare_and_swap(seed: u64, spoilt: bool) -> RegisterHistory {
    let mut random = Random::new(seed);
    let operations = 60 + random.below(31) as usize;
    let workload =
        Workload { crashes: 2_000, operations, ..Workload::register(5, operations, Values::Unique) };
    let mut state: Option<i64> = None;
    let mut target =
        if spoilt { operations / 3 + random.below(operations as u64 / 2) as usize } else { usize::MAX };
    let mut all = Vec::with_capacity(operations);
    for (number, slot) in workload.slots(&mut random).into_iter().enumerate() {
        let mut value = || random.below(5) as i64;
        let (from, to, kind) = (value(), value(), value());
        let happens = slot.end.is_some() || kind % 2 == 0;
        let (op, mut result, next) = match kind {
            0 | 1 => (RegisterOp::Read, RegisterResult::Value(state), state),
            2 | 3 => (RegisterOp::Write(to), RegisterResult::Written, Some(to)),
            _ => {
                let swapped = state == Some(from);
                let next = if swapped { Some(to) } else { state };
                (RegisterOp::CompareAndSwap { from, to }, RegisterResult::Swapped(swapped), next)
            }
        };
        if happens {
            state = next;
        }
        if number >= target && op == RegisterOp::Read && slot.end.is_some() {
            target = usize::MAX;
            result = RegisterResult::Value(Some((state.unwrap_or(0) + 1 + from % 4) % 5));
        }
        all.push(match slot.end {
            Some(end) => Operation::new(slot.client, op, result, slot.call, end),
            None => Operation::open(slot.client, op, slot.call),
        });
    }
    match crate::history::History::new(all) {
        Ok(history) => history,
        Err(error) => panic!("a client's operations follow one another, yet {error}"),
    }
}
