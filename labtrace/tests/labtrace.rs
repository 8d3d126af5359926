//! The format, and what becomes of bad files.

use std::io::Write;

use labtrace::{Event, Header, Trace, Unreadable, Value, Writer, Written, calls, read};

fn events() -> Vec<Event> {
    let message =
        |t, node: &str, leg: &str| Event::new(t, node, "message", "Raft.vote", "words").with("leg", leg);
    vec![
        message(5, "server-0", "call"),
        message(5, "server-0", "request").with("call", 7).with("to", "server-1").with("bytes", 12),
        message(9, "server-1", "arrives").with("call", 7),
        message(9, "server-1", "result"),
        message(9, "server-1", "reply").with("call", 7).with("bytes", 3),
        message(14, "server-0", "returns").with("call", 7),
        Event::new(13, "main", "verdict", "", "<b>\u{1b}[2J\u{202e}"),
    ]
}

fn trace() -> Trace {
    let header = Header { test: "t".to_owned(), seed: u64::MAX - 1, options: " --swarm".to_owned() };
    Trace { header, events: events(), damage: None }
}

fn bytes(trace: &Trace) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &trace.header).unwrap();
    for event in &trace.events {
        let fields = event.fields.iter().map(|(name, value)| {
            let value = match value {
                Value::Number(number) => Written::Number(*number),
                Value::Text(text) => Written::Text(text),
            };
            (&**name, value)
        });
        let who = (&*event.node, &*event.task, event.thread);
        writer.event(event.t, who, (&event.kind, &event.target), fields, &event.text).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_in_both_notations() {
    assert_eq!(read(&*bytes(&trace())).unwrap(), trace());
    let mut json = Vec::new();
    labtrace::write_json(&trace(), &mut json).unwrap();
    let read = read(&*json).unwrap();
    assert_eq!(read.header, trace().header);
    // The fields of a JSON object have no order.
    let number =
        |event: &Event| (event.t, event.number("call"), event.field("to").to_owned(), event.text.clone());
    assert_eq!(
        read.events.iter().map(number).collect::<Vec<_>>(),
        events().iter().map(number).collect::<Vec<_>>()
    );
}

#[test]
fn another_version_is_named() {
    let text = String::from("labtrace 99\n{}\n");
    let Err(Unreadable::Version(version)) = read(text.as_bytes()) else { panic!("it was read") };
    assert_eq!(version, "99");
    let complaint = Unreadable::Version(version).to_string();
    assert!(complaint.contains("version 99") && complaint.contains("reads version 1"), "{complaint}");
    assert!(matches!(read(&b"{\"labtrace\":2}\n"[..]), Err(Unreadable::Version(_))));
    assert!(matches!(read(&b"\x7fELF and so on"[..]), Err(Unreadable::Foreign)));
    assert!(matches!(read(&b""[..]), Err(Unreadable::Foreign)));
}

/// Wherever a file is cut, the reader says so and has a beginning of the events.
#[test]
fn a_truncated_file_is_read_as_far_as_it_goes() {
    let whole = bytes(&trace());
    let body = whole.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').nth(1).unwrap().0 + 1;
    for end in body..whole.len() {
        let part = read(&whole[..end]).unwrap();
        assert!(part.damage.is_some(), "cut at {end} of {} and nothing said", whole.len());
        assert!(events().starts_with(&part.events), "cut at {end}");
    }
    assert!(read(&whole[..20]).unwrap().damage.unwrap().contains("header"));
}

/// Whichever byte is changed, the reader neither panics nor keeps quiet.
#[test]
fn a_damaged_file_is_noticed() {
    let whole = bytes(&trace());
    let body = whole.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').nth(1).unwrap().0 + 1;
    // Behind the ten bytes of gzip's own header, of which some say nothing that matters.
    for place in body + 10..whole.len() {
        let mut bad = whole.clone();
        bad[place] ^= 0x55;
        let read = read(&*bad).unwrap();
        assert!(read.damage.is_some(), "byte {place} was changed and nothing said");
    }
}

#[test]
fn a_name_that_was_never_introduced_is_damage() {
    let mut file = b"labtrace 1\n{}\n".to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[0, 9]).unwrap();
    file.extend(gzip.finish().unwrap());
    let damage = read(&*file).unwrap().damage.unwrap();
    assert!(damage.contains("not introduced"), "{damage}");
}

#[test]
fn lines_that_are_no_events_are_counted() {
    let text = "{\"t\":5,\"kind\":\"log\",\"later\":{\"x\":1}}\nthis is none\n{\"t\":\"x\"}\n";
    let trace = read(text.as_bytes()).unwrap();
    assert_eq!((trace.events.len(), trace.events[0].t), (1, 5));
    assert!(trace.damage.unwrap().starts_with("2 lines"));
}

#[test]
fn megabytes_are_cut() {
    let long = Trace { events: vec![Event::new(1, "n", "log", "", &"ä".repeat(1 << 20))], ..trace() };
    let read = read(&*bytes(&long)).unwrap();
    assert!(read.events[0].text.len() < 5000 && read.events[0].text.ends_with("bytes more)"));
}

#[test]
fn the_events_of_a_call_are_found() {
    let calls = calls(&events());
    let call = &calls[&7];
    assert_eq!(
        (call.from.as_str(), call.to.as_str(), call.method.as_str()),
        ("server-0", "server-1", "Raft.vote")
    );
    assert_eq!(
        (call.args, call.sent, call.results.clone(), call.ended),
        (Some(0), Some(1), vec![3], Some((5, true)))
    );
}

#[test]
fn shiviz_sees_what_a_message_carries() {
    let mut log = Vec::new();
    labtrace::write_shiviz(&trace(), &mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains("server-1 {\"server-0\":2,\"server-1\":1}"), "{log}");
    assert!(log.contains("server-0 {\"server-0\":3,\"server-1\":3}"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn perfetto_gets_valid_json() {
    let mut text = Vec::new();
    labtrace::write_perfetto(&trace(), &mut text).unwrap();
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let phases: Vec<&str> = all.as_array().unwrap().iter().filter_map(|event| event["ph"].as_str()).collect();
    for phase in ["M", "i", "X", "s", "f"] {
        assert!(phases.contains(&phase), "{phase}");
    }
}

/// A disk on which nothing has room.
struct Full;

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The head is written; the events come behind it.
        if bytes.starts_with(&[0x1f, 0x8b]) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_is_told_while_events_come_or_at_the_end() {
    let write = |events: u64| {
        let mut writer = Writer::new(Full, &trace().header)?;
        for t in 0..events {
            writer.event(t, ("n", "task", 0), ("log", ""), std::iter::empty(), &"ä".repeat(2000))?;
        }
        writer.finish().map(drop)
    };
    for events in [1, 10_000] {
        assert_eq!(write(events).unwrap_err().kind(), std::io::ErrorKind::StorageFull, "{events} events");
    }
}
