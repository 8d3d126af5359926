//! What is said of a group that stands still. `tests/tester/stalls.rs` has what needs calls.

use labrt::node::Node;

use super::due::list;
use super::*;
use crate::net::Net;

fn three() -> Progress {
    let progress = Progress::new("server", 3, Clients::default());
    progress.has_wire();
    (0..3).for_each(|server| {
        progress.starts(server, Vec::new());
        progress.has_links(server, true);
        progress.answers(server, (4, server == 1));
    });
    progress
}

/// What leader 1 sends behind index 7.
fn append(entries: &[(u64, u64)]) -> Request {
    let entries = entries.to_vec();
    Request::Append { term: 4, leader: 1, prev_index: 7, prev_term: 3, entries, commit_index: 7 }
}

/// A request arrives, and its handler returns this.
fn handles(progress: &Progress, server: usize, request: &Request, reply: Reply) {
    progress.arrives(request);
    progress.handles(server, request, Some(reply));
}

fn vote(candidate: usize) -> Request {
    Request::Vote { term: 5, candidate, last_index: 7, last_term: 3 }
}

#[track_caller]
fn assert_due(progress: &Progress, words: &str) {
    let due = progress.lines(0)[1].clone();
    assert!(due.contains(words), "`{words}` is not in: {due}");
}

#[test]
fn it_says_where_progress_was_due() {
    let progress = three();
    assert_due(&progress, "server 1 leads term 4 and sends no new entry: a command was due");
    handles(&progress, 0, &append(&[]), Reply::Granted);
    progress.takes(1, 8, 4);
    assert_due(&progress, "it took a command at index 8, and sends no such entry");
    for _ in 0..6 {
        handles(&progress, 0, &append(&[(4, 1)]), Reply::Refused);
    }
    assert_due(
        &progress,
        "has entries up to 8; 0 refuses all it sends: earlier entries, or a snapshot, were due",
    );
    handles(&progress, 0, &append(&[]), Reply::Granted);
    assert_due(&progress, "has entries up to 8: acknowledgements of index 8 by 0 and 2 were due");
    handles(&progress, 2, &append(&[(4, 1)]), Reply::Granted);
    assert_due(&progress, "has entries up to 8; 2 acknowledged index 8: to count that was due");
    progress.answers(1, (5, true));
    assert_due(&progress, "leads term 5 and has entries up to 8, none of its own term");
    progress.crashes(0);
    progress.has_links(2, false);
    assert_due(&progress, "1 of 3 servers are up and connected");
}

/// A heartbeat that covers nothing is granted by everybody.
#[test]
fn a_granted_heartbeat_tells_nothing_of_a_log() {
    let progress = three();
    handles(&progress, 0, &append(&[(4, 1)]), Reply::Granted);
    let heartbeat = Request::Append {
        term: 4,
        leader: 1,
        prev_index: 0,
        prev_term: 0,
        entries: Vec::new(),
        commit_index: 7,
    };
    handles(&progress, 0, &heartbeat, Reply::Granted);
    let lines = progress.lines(0);
    let row = lines.iter().find(|line| line.starts_with("  0 ")).expect("a row of server 0");
    assert!(row.contains("8 of term 4"), "{lines:#?}");
}

/// Entries of earlier terms are committed by one of the leader's own term (§5.4.2), which comes with another
/// message here.
#[test]
fn it_does_not_ask_to_count_an_earlier_term() {
    let progress = three();
    let of_both = |entries: &[(u64, u64)]| {
        handles(&progress, 0, &append(&[(3, 1), (4, 2)]), Reply::Refused);
        handles(&progress, 2, &append(entries), Reply::Granted);
    };
    of_both(&[(3, 1)]);
    assert_due(&progress, "has entries up to 9: acknowledgements of index 9 by 0 and 2 were due");
    of_both(&[(3, 1), (4, 2), (4, 3)]);
    assert_due(&progress, "has entries up to 10; 2 acknowledged index 9: to count that was due");
}

#[test]
fn it_says_whose_service_lacks_what_is_committed() {
    let progress = three();
    progress.has_appliers();
    for server in [0, 2] {
        handles(&progress, server, &append(&[]), Reply::Granted);
    }
    progress.applies(1, 7);
    progress.applies(0, 7);
    assert_due(&progress, "index 7 is committed, and was not handed to the service on 2: that was due");
    handles(&progress, 2, &append(&[]), Reply::Refused);
    progress.applies(1, 9);
    assert_due(&progress, "index 9 is committed, and the log ends before it on 0 and 2");
}

#[test]
fn it_says_how_an_election_stands() {
    let progress = three();
    progress.answers(1, (5, false));
    assert_due(&progress, "the highest term is 5, and no request for a vote arrived");
    handles(&progress, 0, &vote(1), Reply::Refused);
    assert_due(&progress, "in term 5 server 1's requests for votes reached 0, and nobody granted one");
    handles(&progress, 2, &vote(1), Reply::Granted);
    assert_due(&progress, "reached 0 and 2; 2 granted one: that it leads was due");
    progress.starts(1, Vec::new());
    (0..3).for_each(|server| progress.answers(server, (0, false)));
    assert_due(&progress, "all are in term 0, and an election was due");
}

/// A state that was seen before a server stopped answering is told as what it was.
#[test]
fn it_says_who_does_not_answer() {
    let progress = three();
    progress.state.lock().servers[1].asked = Some(2_000_000_000);
    let lines = progress.lines(2_500_000_000);
    assert!(lines[2].contains("1 has not answered `get_state` since 2.000 s"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("1      led term 4")), "{lines:#?}");
    assert!(progress.is_suspect());
}

/// Of several groups one that is down on purpose is not told of first.
#[test]
fn a_group_that_is_down_is_not_suspect() {
    let progress = three();
    assert!(!progress.is_suspect());
    progress.answers(1, (5, false));
    assert!(progress.is_suspect());
    (0..3).for_each(|server| progress.crashes(server));
    assert!(!progress.is_suspect());
    assert!(progress.line().is_some_and(|line| line.starts_with("server: all servers are down")));
}

#[test]
fn rows_fit_eighty_columns() {
    let progress = three();
    handles(&progress, 0, &append(&[(4, 1)]), Reply::Granted);
    progress.has_links(1, false);
    let lines = progress.lines(1_000_000_000);
    assert_eq!(lines.len(), 3 + 3);
    assert!(lines[2..].iter().all(|line| line.len() <= 80), "{lines:#?}");
    assert!(lines[3].contains("8 of term 4    unknown "), "{lines:#?}");
}

#[test]
fn servers_are_listed_in_words() {
    assert_eq!((list(&[]), list(&[3])), (String::new(), "3".to_owned()));
    assert_eq!((list(&[0, 2]).as_str(), list(&[0, 1, 4]).as_str()), ("0 and 2", "0, 1 and 4"));
}

/// A thread of the solution is told of, whatever it is called: many call theirs `applier`.
#[test]
fn threads_that_matter_come_first() {
    let report = "  the cycle: `a` of `server-1` -> `b` of `server-1` -> `a` of `server-1`\n    `a` waits\n    \
                  `b` waits\n  3 threads such as `applier` of `server-0`: each waits for a notification at x.rs:1\n  \
                  `main` of `main` waits for the end of a sleep at tester/src/cluster/agree.rs:70\n  `the \
                  tester's service` of `server-0` waits for a message\n  `applier` of `server-1` waits for a \
                  message at x.rs:2\n  9 threads such as `KvRpc.operate` of `server-2`: each waits for a reply\n  \
                  `main` of `main` waits for a reply at kvraft/src/client.rs:9\n  `ticker` of `server-0` waits \
                  for a lock at x.rs:3, held by `applier` of `server-0`";
    let lines = lines_of(report);
    let begin = |line: &String| line.trim_start().split('`').nth(1).unwrap_or_default().to_owned();
    let begins: Vec<String> = lines.iter().skip(3).map(begin).collect();
    assert!(lines[0].contains("the cycle") && lines[2].contains("`b` waits"), "{lines:#?}");
    assert_eq!(begins, ["ticker", "KvRpc.operate", "main", "applier", "applier"], "{lines:#?}");
}

/// Nodes of a chain have no terms, and their logs are not Raft's.
#[test]
fn of_other_servers_it_says_who_runs() {
    let progress = Progress::new("node", 4, Clients::default());
    (0..4).for_each(|server| {
        progress.starts(server, Vec::new());
        progress.has_links(server, server != 2);
    });
    progress.crashes(1);
    assert_eq!(progress.lines(0), ["node: up: 0 and 3; cut off: 2; down: 1"]);
}

/// Neither messages nor services are seen, as over a consensus module that shows nothing of itself.
#[test]
fn it_does_not_say_that_nothing_is_committed_where_that_cannot_be_seen() {
    let progress = Progress::new("server", 1, Clients::default());
    progress.starts(0, Vec::new());
    progress.has_links(0, true);
    progress.answers(0, (4, true));
    assert_eq!(progress.line().as_deref(), Some("server: what it has committed cannot be seen"));
}

labrpc::service! {
    /// A server that answers.
    service Echo, client EchoClient {
        /// Gives the number back.
        fn echo(number: u64) -> u64;
    }
}

struct Mirror;

impl Echo for Mirror {
    fn echo(&self, number: u64) -> u64 {
        number
    }
}

/// A server that refuses a client for ever answers all its calls; only their number shows it.
#[test]
fn it_says_how_many_calls_of_others_each_server_answered() {
    let outcome = labrt::run(labrt::Config::simulated(1), || {
        let net = Net::new();
        let progress = Progress::new("server", 3, net.clients());
        for (server, calls) in [(0, 1), (1, 4), (2, 0)] {
            let (name, node) = (Name::from(format!("server-{server}")), Node::new("a server"));
            net.network()
                .add_server(name.clone(), labrpc::Server::new(&node).with(Arc::new(Mirror).into_service()));
            let (number, end) = net.make_end(&name);
            net.network().enable(number, true);
            let client = EchoClient::new(end);
            (0..calls).for_each(|number| assert_eq!(client.echo(&number), Ok(number)));
            progress.starts(server, Vec::new());
            progress.answers(server, (4, server == 0));
        }
        let words = "server: what it has committed cannot be seen; answers to others: 1 by 0, 4 by 1, 0 by 2";
        assert_eq!(progress.line().as_deref(), Some(words));
        net.network().cleanup();
    });
    outcome.result.unwrap();
}
