//! Runs to be shown.

use labtrace::{Event, Header, Trace};

fn header() -> Header {
    Header { test: "figure_8_2c".to_owned(), seed: 317, options: String::new() }
}

fn state(t: u64, node: &str, role: &str, term: u64, commit: u64, terms: &str) -> Event {
    let last = terms.split(',').filter(|term| !term.is_empty()).count() as u64;
    Event::new(t, node, "state", "", &format!("{role} in term {term}"))
        .with("term", term)
        .with("role", role)
        .with("commit", commit)
        .with("base", 0)
        .with("last", last)
        .with("from", 1)
        .with("terms", terms)
}

fn message(t: u64, node: &str, leg: &str, call: u64) -> Event {
    let mut event =
        Event::new(t, node, "message", "RaftRpc.append_entries", "").with("leg", leg).with("call", call);
    // A thread for each call and side, as handlers have.
    event.thread = 100 + 2 * call + u64::from(matches!(leg, "arrives" | "reply"));
    event
}

/// An RPC with arguments and reply; `lost` if its request is.
fn rpc(call: u64, from: &str, to: &str, at: u64, lost: bool) -> Vec<Event> {
    let mut args = Event::new(
        at,
        from,
        "message",
        "RaftRpc.append_entries",
        "AppendArgs { term: 3, prev_log_index: 1 }",
    )
    .with("leg", "call");
    args.thread = 100 + 2 * call;
    let sent = message(at, from, "request", call).with("to", to).with("bytes", 40);
    if lost {
        return vec![args, sent.with("lost", 1)];
    }
    let mut result =
        Event::new(at + 5_000_000, to, "message", "RaftRpc.append_entries", "AppendReply { success: true }")
            .with("leg", "result");
    result.thread = 101 + 2 * call;
    vec![
        args,
        sent,
        message(at + 5_000_000, to, "arrives", call),
        result,
        message(at + 5_000_000, to, "reply", call).with("bytes", 8),
        message(at + 9_000_000, from, "returns", call),
    ]
}

/// A short run, which fails or not.
pub(crate) fn run(fails: bool) -> Trace {
    let mut events = vec![
        Event::new(0, "main", "verb", "figure_8_2c", "── Leaders crash."),
        state(1_000_000, "server-0", "follower", 0, 0, ""),
        state(1_000_000, "server-1", "follower", 0, 0, ""),
        state(50_000_000, "server-0", "candidate", 1, 0, ""),
        state(60_000_000, "server-0", "leader", 1, 0, ""),
        state(70_000_000, "server-0", "leader", 1, 0, "1"),
    ];
    events.extend(rpc(1, "server-0", "server-1", 71_000_000, false));
    events.extend(rpc(2, "server-0", "server-2", 71_000_000, true));
    events.push(state(76_000_000, "server-1", "follower", 1, 0, "1"));
    events.push(
        Event::new(100_000_000, "main", "span", "crash", "down").with("leg", "begin").with("at", "server-0"),
    );
    events
        .push(Event::new(150_000_000, "main", "span", "crash", "").with("leg", "end").with("at", "server-0"));
    events.push(Event::new(160_000_000, "server-1", "log", "vote", "grants its vote"));
    events.push(
        Event::new(170_000_000, "c", "client", "put", "put(\"a\", 1)").with("client", 0).with("leg", "call"),
    );
    events.push(state(200_000_000, "server-1", "leader", 3, 1, "1,3"));
    let rule = if fails { "LeaderCompleteness" } else { "" };
    let text = if fails { "server 1 only counts: index 1 is of term 1" } else { "the test passed" };
    events.push(
        Event::new(200_000_000, "main", "verdict", if fails { "invariant" } else { "" }, text)
            .with("ok", u64::from(!fails))
            .with("rule", rule),
    );
    events.sort_by_key(|event| event.t);
    if !fails {
        events.iter_mut().filter(|event| event.t > 90_000_000).for_each(|event| event.t += 1);
    }
    Trace { header: header(), events, damage: None }
}

/// A run whose every text is markup and orders to terminals.
pub(crate) fn hostile() -> Trace {
    let bad = "</script><img src=x onerror=alert(1)>\u{1b}[2J\u{202e}{{script}}";
    let mut trace = run(true);
    for event in &mut trace.events {
        event.text = bad.to_owned();
    }
    trace.header.test = bad.to_owned();
    trace.events.push(Event::new(1, bad, "log", bad, bad));
    trace
}

/// A run of five servers with as many events as this.
pub(crate) fn large(events: usize) -> Trace {
    let mut trace = Trace { header: header(), ..Trace::default() };
    let mut call = 0;
    while trace.events.len() < events {
        call += 1;
        let (from, to) = (call % 5, (call / 5 + 1 + call % 5) % 5);
        let at = call * 1_700_000 + (call * call) % 900_001;
        let text = format!("grants its vote to server-{to} in term {}", call / 50);
        trace.events.extend(rpc(
            call,
            &format!("server-{from}"),
            &format!("server-{to}"),
            at,
            call % 11 == 0,
        ));
        trace.events.push(Event::new(at, &format!("server-{from}"), "log", "vote", &text));
        if call % 7 == 0 {
            let role = if call % 35 == 0 { "leader" } else { "follower" };
            trace.events.push(state(at, &format!("server-{from}"), role, call / 50, 0, "1,1,2,3"));
        }
    }
    trace.events.truncate(events);
    trace.events.sort_by_key(|event| event.t);
    trace
}
