//! The calls of a trace: which events belong to one RPC.

use std::collections::BTreeMap;

use crate::Event;

/// One RPC, with the places of its events in the trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Its number in the network.
    pub number: u64,
    /// Service and method.
    pub method: String,
    /// The calling node.
    pub from: String,
    /// The called server.
    pub to: String,
    /// The event with the arguments.
    pub args: Option<usize>,
    /// When the request left.
    pub sent: Option<usize>,
    /// Whether the request was lost.
    pub request_lost: bool,
    /// When it arrived: several times if it was duplicated.
    pub arrived: Vec<usize>,
    /// The events with what the handler gave back.
    pub results: Vec<usize>,
    /// When replies left.
    pub replied: Vec<usize>,
    /// Whether a reply was lost.
    pub reply_lost: bool,
    /// When the caller went on, and whether it had a reply.
    pub ended: Option<(usize, bool)>,
}

/// The calls, by number. The events with arguments and replies have no number: the same thread tells them
/// just before the request leaves, and just before the reply does.
pub fn calls(events: &[Event]) -> BTreeMap<u64, Call> {
    let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
    let mut args: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    let mut results: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for (place, event) in events.iter().enumerate().filter(|(_, event)| *event.kind == *"message") {
        let thread = (&*event.node, event.thread);
        let leg = event.field("leg");
        let Some(number) = event.number("call") else {
            match leg {
                "call" => args.insert(thread, place),
                "result" => results.insert(thread, place),
                _ => None,
            };
            continue;
        };
        let call = calls.entry(number).or_default();
        match leg {
            "request" => {
                *call = Call {
                    number,
                    method: event.target.to_string(),
                    from: event.node.to_string(),
                    to: event.field("to").to_owned(),
                    args: args.remove(&thread),
                    sent: Some(place),
                    request_lost: event.number("lost").is_some(),
                    ..Call::default()
                };
            }
            "arrives" => call.arrived.push(place),
            "reply" => {
                call.results.extend(results.remove(&thread));
                call.replied.push(place);
                call.reply_lost |= event.number("lost").is_some();
            }
            "returns" => call.ended = Some((place, true)),
            "fails" => call.ended = Some((place, false)),
            _ => {}
        }
    }
    calls
}
