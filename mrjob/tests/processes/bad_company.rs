//! A client of a coordinator need not be a worker of its job.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use labrpc::RpcError;
use mapreduce::rpc::{
    AttemptId, CoordinatorClient, GetTaskArgs, PartitionSet, ProgressArgs, RegisterArgs, RegisterReply,
    SourceUpdateArgs, TaskDoneArgs, TaskFailedArgs, TaskId,
};
use mapreduce::tasks::{Counters, TaskError};
use mrjob::wire::{Address, HELLO, Link, Request, Response, Token, WIRE_VERSION, read_frame, write_frame};

use super::stage::{Process, Stage, await_event, verdict};

/// A coordinator that waits for workers, and a connection to it.
fn coordinator(stage: &Stage) -> (Process, UnixStream) {
    let coordinator = stage.coordinator(&["--app", "wc"]);
    let stream = await_event("a socket", || connect(stage));
    (coordinator, stream)
}

fn connect(stage: &Stage) -> Option<UnixStream> {
    let stream = UnixStream::connect(stage.path().join("mr-socket")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    Some(stream)
}

/// After all that, a worker comes and does the job.
fn goes_on(stage: &Stage, mut coordinator: Process) {
    assert_eq!(coordinator.ended(), None);
    assert!(stage.worker().wait());
    assert!(coordinator.wait());
    assert_eq!(stage.lines(), stage.expected("wc"));
    stage.is_clean();
}

fn hello(version: u32) -> Vec<u8> {
    [&HELLO[..], &version.to_le_bytes()].concat()
}

/// Says hello, without a token, and is welcome.
fn greet(stream: &mut UnixStream) {
    stream.write_all(&hello(WIRE_VERSION)).unwrap();
    write_frame(stream, &Vec::<u8>::new()).unwrap();
    assert_eq!(read_frame::<Response>(stream).unwrap(), Response::Done(Vec::new()));
}

/// Whether the other side says why, and hangs up.
fn is_refused(stream: &mut UnixStream, reason: &str) {
    match read_frame(stream).unwrap() {
        Response::Refused(said) => assert!(said.contains(reason), "{said}"),
        other => panic!("{other:?}"),
    }
    has_hung_up(stream);
}

/// A reset is as good as an end.
fn has_hung_up(stream: &mut UnixStream) {
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn another_version_of_the_wire_is_refused() {
    let stage = Stage::with_books();
    let (coordinator, mut stream) = coordinator(&stage);
    stream.write_all(&hello(WIRE_VERSION + 1)).unwrap();
    is_refused(&mut stream, "version");
    goes_on(&stage, coordinator);
}

#[test]
fn garbage_is_refused() {
    let stage = Stage::with_books();
    let (coordinator, mut stream) = coordinator(&stage);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    is_refused(&mut stream, "hello");
    // After a good hello: a frame of a gigabyte, and one that cannot be read.
    let long_frame = [0xff; 64];
    let mut bad_frame = vec![60, 0, 0, 0];
    bad_frame.extend([0xfe; 60]);
    for garbage in [&long_frame[..], &bad_frame] {
        let mut stream = connect(&stage).unwrap();
        greet(&mut stream);
        stream.write_all(garbage).unwrap();
        has_hung_up(&mut stream);
    }
    // A silent client does not keep workers from their work.
    let _silent = connect(&stage).unwrap();
    goes_on(&stage, coordinator);
}

#[test]
fn unknown_calls_are_refused() {
    let stage = Stage::with_books();
    let (coordinator, _) = coordinator(&stage);
    for (method, args) in [("CoordinatorRpc.shutdown", vec![]), ("CoordinatorRpc.register", vec![0xff; 9])] {
        let mut stream = connect(&stage).unwrap();
        greet(&mut stream);
        write_frame(&mut stream, &Request { method: method.to_owned(), args }).unwrap();
        is_refused(&mut stream, method);
    }
    goes_on(&stage, coordinator);
}

/// A client of the coordinator.
fn client(stage: &Stage) -> CoordinatorClient {
    let link = Link::new(Address::Unix(stage.path().join("mr-socket")), Token::none());
    CoordinatorClient::new(link.end())
}

#[test]
fn another_version_of_the_protocol_is_refused() {
    let stage = Stage::with_books();
    let (coordinator, _) = coordinator(&stage);
    let args = RegisterArgs { version: 99, worker: 1, host: "elsewhere".to_owned() };
    match client(&stage).register(&args) {
        Ok(RegisterReply::Refused(reason)) => assert!(reason.contains("99"), "{reason}"),
        other => panic!("{other:?}"),
    }
    goes_on(&stage, coordinator);
}

#[test]
fn reports_of_tasks_that_there_are_not_change_nothing() {
    let stage = Stage::with_books();
    let (coordinator, _) = coordinator(&stage);
    let client = client(&stage);
    let (worker, host) = (77, "elsewhere".to_owned());
    let far = usize::MAX;
    for task in [TaskId::Map(0), TaskId::Map(far), TaskId::Reduce(0), TaskId::Reduce(far)] {
        let id = AttemptId { task, attempt: 3 };
        let get = GetTaskArgs { worker: 78, host: host.clone(), number: 1, running: Some(id) };
        let progress = ProgressArgs { worker, running: id, fraction: f64::NAN, fetched: true };
        let counters = Counters { records: u64::MAX, ..Counters::default() };
        let partitions = PartitionSet::of_lengths(&[1; 3]);
        let done = TaskDoneArgs { worker, host: host.clone(), done: id, partitions, counters };
        let failed = TaskFailedArgs { worker, failed: id, error: TaskError::Cancelled };
        let missing = SourceUpdateArgs { worker, running: id, missing: vec![0, far] };
        let outcomes = [
            client.progress(&progress).map(drop),
            client.task_done(&done).map(drop),
            client.task_failed(&failed).map(drop),
            client.source_update(&missing).map(drop),
            client.get_task(&get).map(drop),
        ];
        assert_eq!(outcomes, [const { Ok::<(), RpcError>(()) }; 5]);
    }
    drop(client);
    // The stranger holds a task, which is given up after a while.
    drop(coordinator);
    stage_goes_on_with_a_stranger();
}

/// A stranger takes a task and never comes back.
fn stage_goes_on_with_a_stranger() {
    let stage = Stage::with_books();
    let coordinator = stage.coordinator(&["--app", "wc", "--timeout", "200"]);
    await_event("a socket", || connect(&stage));
    let args = GetTaskArgs { worker: 5, host: "elsewhere".to_owned(), number: 1, running: None };
    client(&stage).get_task(&args).unwrap();
    goes_on(&stage, coordinator);
}

#[test]
fn two_coordinators_do_not_share_a_socket() {
    let stage = Stage::with_books();
    let (first, _) = coordinator(&stage);
    let second = stage.run(&["coordinator", "--app", "wc", "pg-grimm.txt"]);
    let (code, reason) = verdict(&second);
    assert_eq!(code, 1);
    assert!(reason.contains("mr-socket"), "{reason}");
    goes_on(&stage, first);
}

#[test]
fn a_socket_that_was_left_over_is_replaced() {
    let stage = Stage::with_books();
    let (mut first, _) = coordinator(&stage);
    first.kill();
    assert_eq!(stage.names(".", "mr-socket").len(), 1);
    let second = stage.coordinator(&["--app", "wc"]);
    assert!(stage.worker().wait());
    let mut second = second;
    assert!(second.wait());
    assert_eq!(stage.lines(), stage.expected("wc"));
}
