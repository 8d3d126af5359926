//! The watch over messages: what comes to a node and leaves it, compared with what tails have committed.

use craq::rpc::{Ack, Forward, Header, NodeId, ObjectId, Read, Taken, Update, UpdateReply, VersionQuery};
use craq::{ReadMode, Refusal, Version, Versioned};
use labrpc::Answer;
use labrt::time::{Duration, Instant};
use serde::de::DeserializeOwned;

use super::{Role, Watch, decode};

fn decode_reply<T: DeserializeOwned>(answer: Option<&Answer>) -> Option<T> {
    Some(decode(answer?.as_ref().ok()?))
}

/// How much the clocks of servers may differ from that of the test, in a swarm run.
fn with_drift(time: Duration) -> Duration {
    time.mul_f64(1.06) + Duration::from_millis(2)
}

/// Messages at a node's handlers, invariants 4 to 6 and 9.
impl Watch {
    pub(crate) fn around(
        &self,
        node: NodeId,
        method: &str,
        bytes: &[u8],
        handle: &dyn Fn() -> Option<Answer>,
    ) -> Option<Answer> {
        if !self.is_strict {
            return handle();
        }
        let epoch = self.config(node).epoch;
        match method {
            "NodeRpc.read" => self.around_read(node, &decode(bytes), epoch, handle),
            "NodeRpc.version_query" => {
                let query: VersionQuery = decode(bytes);
                let before = self.object(query.object).version;
                let answer = handle();
                if let Some(Ok(version)) = decode_reply::<Result<Version, Refusal>>(answer.as_ref()) {
                    self.check_epoch(node, query.at, epoch, "a version query");
                    self.answers(&mut self.facts.lock(), node, Role::Tail);
                    self.check_version(node, "a version query", query.object, before, version);
                }
                answer
            }
            "NodeRpc.update" => {
                let update: Update = decode(bytes);
                let answer = handle();
                if let Some(Ok(taken)) = decode_reply::<Result<Taken, Refusal>>(answer.as_ref()) {
                    self.check_epoch(node, update.at, epoch, "an update");
                    if let Taken::Done(outcome) = taken {
                        let Update { request, .. } = update;
                        let (client, sequence) = (request.client, request.sequence);
                        self.replied(UpdateReply { client, sequence, outcome });
                    }
                }
                answer
            }
            "NodeRpc.forward" => {
                let forward: Forward = decode(bytes);
                let answer = handle();
                if decode_reply::<Result<(), Refusal>>(answer.as_ref()) == Some(Ok(())) {
                    self.check_epoch(node, forward.at, epoch, "an update of the predecessor");
                }
                answer
            }
            "NodeRpc.ack" => {
                let ack: Ack = decode(bytes);
                let answer = handle();
                if decode_reply::<Result<(), Refusal>>(answer.as_ref()) == Some(Ok(())) {
                    self.check_epoch(node, ack.at, epoch, "an acknowledgement");
                }
                answer
            }
            _ => handle(),
        }
    }

    /// A message of another epoch is refused. `before` is the node's epoch when the message came.
    fn check_epoch(&self, node: NodeId, at: Header, before: u64, what: &str) {
        let after = self.config(node).epoch;
        self.expect((before..=after).contains(&at.epoch), || {
            format!("8: node {node} of epoch {after} takes {what} of epoch {}", at.epoch)
        });
    }

    fn around_read(
        &self,
        node: NodeId,
        read: &Read,
        epoch: u64,
        handle: &dyn Fn() -> Option<Answer>,
    ) -> Option<Answer> {
        let came = Instant::now();
        let (before, floor) = {
            let facts = self.facts.lock();
            let told = facts.lives.get(&node).and_then(|life| life.told.get(&read.object).copied());
            (facts.object(read.object).version, told.unwrap_or(0))
        };
        let answer = handle();
        let told = decode_reply::<Result<Versioned, Refusal>>(answer.as_ref());
        if let Some(Err(refusal)) = told {
            *self.facts.lock().refused.entry(format!("{refusal:?}")).or_default() += 1;
        }
        let Some(Ok(told)) = told else { return answer };
        self.check_epoch(node, read.at, epoch, "a read");
        *self.facts.lock().reads.entry(node).or_default() += 1;
        match read.mode {
            ReadMode::Strong => {
                self.answers(&mut self.facts.lock(), node, Role::Tail);
                self.check_version(node, "a strong read", read.object, before, told.version);
                self.check_value(node, read.object, &told);
            }
            ReadMode::Eventual => {
                self.expect(told.version >= floor, || {
                    format!("9: node {node} tells version {}, and {floor} before", told.version)
                });
                if let Some(life) = self.facts.lock().lives.get_mut(&node) {
                    let newest = life.told.entry(read.object).or_default();
                    *newest = told.version.max(*newest);
                }
            }
            ReadMode::BoundedTime(bound) => self.check_bound(node, read.object, told.version, bound, came),
            ReadMode::BoundedVersions(bound) => {
                let now = self.object(read.object).version;
                let is_early = told.version > now + bound && self.is_shown();
                self.expect(before <= told.version && !is_early, || {
                    let (version, epoch) = (told.version, self.config(node).epoch);
                    format!(
                        "9: node {node}, in epoch {epoch}, tells version {version} within {bound}; \
                         {before} to {now} are committed"
                    )
                });
            }
        }
        answer
    }

    /// Invariant 6: the version was committed at some time between two moments.
    fn check_version(&self, node: NodeId, asked: &str, object: ObjectId, before: Version, told: Version) {
        let after = self.object(object).version;
        let is_early = told > after && self.is_shown();
        self.expect(before <= told && !is_early, || {
            let epoch = self.config(node).epoch;
            let due = if before == after { format!("{after}") } else { format!("{before} to {after}") };
            format!(
                "6: node {node}, in epoch {epoch}, answers {asked} of object {object} with version {told}; \
                 {due} was committed between call and answer"
            )
        });
    }

    fn check_value(&self, node: NodeId, object: ObjectId, told: &Versioned) {
        let facts = self.facts.lock();
        let versions = facts.versions.get(&object).map_or(&[][..], Vec::as_slice);
        let known = versions.iter().find(|(version, _, _)| *version == told.version);
        // Without the nodes' steps not every version has been seen.
        let is_unseen = !facts.is_shown && told.version > 0;
        let is_right = known.map_or(is_unseen || told.value.is_empty(), |(_, value, _)| *value == told.value);
        drop(facts);
        self.expect(is_right, || {
            format!("6: node {node} tells version {} of object {object} with another value", told.version)
        });
    }

    /// Invariant 9: neither too old nor too young.
    fn check_bound(&self, node: NodeId, object: ObjectId, told: Version, bound: Duration, came: Instant) {
        let facts = self.facts.lock();
        let slack = with_drift(bound);
        let floor = facts.version_at(object, came - slack);
        let committed = facts.object(object).version;
        let known = facts.lives.get(&node).and_then(|life| life.newest.get(&object).copied());
        let is_young = known.is_some_and(|(version, since)| version == told && since + slack >= came);
        let is_young = is_young || !facts.is_shown;
        drop(facts);
        self.expect(told >= floor && (told <= committed || is_young), || {
            format!("9: node {node} tells version {told} within {bound:?}: {floor} to {committed} are due")
        });
    }

    /// A client is told what has become of its update.
    pub(crate) fn replied(&self, reply: UpdateReply) {
        let UpdateReply { client, sequence, outcome } = reply;
        let known = self.facts.lock().by_client.get(&(client, sequence)).copied();
        self.expect(known == Some(outcome) || !self.is_shown(), || {
            format!(
                "3: client {client} is told {outcome:?} of its update {sequence}, and committed is {known:?}"
            )
        });
    }
}
