//! Part ZA: the tree, versions, and the order of a session's operations.

use labrt::quiet::Mutex;
use labrt::sync::Arc;
use tester::Test;
use zookeeper::rpc::Action;
use zookeeper::{ANY_VERSION, Client, Error, Flags, MAX_DATA, Operation, Outcome, Zxid};

use crate::cluster::{Cluster, play};

/// Fails with the call's own words if its answer is another. The last argument is for loops: which of them.
macro_rules! answers {
    ($call:expr, $right:expr $(, $of:expr)?) => {{
        let (answer, right) = ($call, $right);
        let of = String::new() $(+ &format!(", of {:?},", $of))?;
        assert!(answer == right, "{}{of} is answered with {answer:?}, and {right:?} is right", stringify!($call));
    }};
}

/// Each call and each error. The watch compares every answer with the model.
#[test]
fn zk_tree_basic() {
    play("zk_tree_basic", 3, |t, cluster| {
        let zk = cluster.client_at(0);
        t.scene("Nodes are created, read, set and deleted.");
        answers!(zk.create("a", b"1", Flags::REGULAR), Ok("a".to_owned()));
        answers!(zk.create("a/b", b"2", Flags::REGULAR), Ok("a/b".to_owned()));
        answers!(zk.create("a/s-", b"", Flags::SEQUENTIAL), Ok("a/s-0000000000".to_owned()));
        let stat = zk.set_data("a", b"3", 0).expect("version 0 is right");
        let counts = (stat.version, stat.children, stat.cversion);
        assert_eq!(counts, (1, 2, 2), "version, children and cversion behind one set and two children");
        let (data, read) = zk.get_data("a").expect("the node is there");
        assert_eq!(
            (data.as_slice(), read),
            (b"3".as_slice(), stat),
            "data and stat, as the set has answered"
        );
        answers!(zk.exists("a"), Ok(Some(stat)));
        answers!(zk.exists("b"), Ok(None));
        answers!(zk.get_children("a"), Ok(vec!["b".to_owned(), "s-0000000000".to_owned()]));
        answers!(zk.get_children(""), Ok(vec!["a".to_owned()]));
        answers!(zk.sync("a"), Ok(()));
        errors(&zk);
        t.scene("Paths that are none, and data that are too long.");
        bad_input(&zk);
        t.scene("The session is closed. Its ephemeral node goes with it.");
        answers!(zk.create("e", b"", Flags::EPHEMERAL), Ok("e".to_owned()));
        answers!(zk.create("e/f", b"", Flags::REGULAR), Err(Error::NoChildrenForEphemerals));
        let other = cluster.client_at(1);
        answers!(other.sync("e"), Ok(()));
        let seen = other.exists("e");
        assert!(
            matches!(seen, Ok(Some(_))),
            "a live session's ephemeral node, asked for elsewhere: {seen:?}"
        );
        let closed = zk.start(Operation::Close).wait();
        // A client that had to move meanwhile finds no session: the answers have gone with it.
        let is_closed = closed.is_ok() || closed == Err(Error::SessionExpired) && !t.is_ordinary();
        assert!(is_closed, "a session that is closed answers {closed:?}");
        answers!(zk.exists("e"), Err(Error::SessionExpired));
        answers!(zk.create("f", b"", Flags::REGULAR), Err(Error::SessionExpired));
        answers!(other.sync("e"), Ok(()));
        answers!(other.exists("e"), Ok(None));
        for path in ["a/s-0000000000", "a/b", "a"] {
            answers!(other.delete(path, ANY_VERSION), Ok(()));
        }
        answers!(other.get_children(""), Ok(Vec::new()));
    });
}

fn errors(zk: &Client) {
    answers!(zk.create("a", b"", Flags::REGULAR), Err(Error::NodeExists));
    answers!(zk.create("no/b", b"", Flags::REGULAR), Err(Error::NoNode));
    answers!(zk.delete("no", ANY_VERSION), Err(Error::NoNode));
    answers!(zk.delete("a", 7), Err(Error::BadVersion));
    answers!(zk.delete("a", 1), Err(Error::NotEmpty));
    answers!(zk.set_data("no", b"", ANY_VERSION), Err(Error::NoNode));
    answers!(zk.set_data("a", b"", 0), Err(Error::BadVersion));
    answers!(zk.get_data("no"), Err(Error::NoNode));
    answers!(zk.get_children("no"), Err(Error::NoNode));
}

fn bad_input(zk: &Client) {
    for path in ["/a", "a/", "a//b", "a/../b", ".", "a\0", &"x".repeat(2000)] {
        answers!(zk.create(path, b"", Flags::REGULAR), Err(Error::BadPath), path);
        answers!(zk.get_data(path), Err(Error::BadPath), path);
    }
    answers!(zk.create("", b"", Flags::REGULAR), Err(Error::BadPath));
    answers!(zk.delete("", ANY_VERSION), Err(Error::BadPath));
    let create = |data| Operation::Create { path: "large".into(), data, flags: Flags::REGULAR };
    let set = |data| Operation::SetData { path: "a".into(), data, version: ANY_VERSION };
    let (fits, too_long) = (vec![7; MAX_DATA], vec![7; MAX_DATA + 1]);
    assert_eq!(create(fits.clone()).check(), Ok(()), "{MAX_DATA} bytes are allowed");
    assert_eq!(set(fits).check(), Ok(()), "{MAX_DATA} bytes are allowed");
    assert_eq!(set(too_long.clone()).check(), Err(Error::TooLarge), "one byte more than {MAX_DATA}");
    answers!(zk.create("large", &too_long, Flags::REGULAR), Err(Error::TooLarge));
    answers!(zk.exists("large"), Ok(None));
    // An error takes its turn among pipelined calls.
    let create = |path: &str| {
        zk.start(Operation::Create { path: path.to_owned(), data: Vec::new(), flags: Flags::REGULAR })
    };
    let calls = [create("p"), create("/p"), create("p/q")];
    let answers = calls.map(|call| call.wait());
    let created = |path: &str| Ok(Outcome::Created(path.to_owned()));
    assert_eq!(answers, [created("p"), Err(Error::BadPath), created("p/q")], "an error in its turn");
    answers!(zk.delete("p/q", ANY_VERSION), Ok(()));
    answers!(zk.delete("p", ANY_VERSION), Ok(()));
}

/// Invariant 10: of all that expect the same version, one succeeds.
#[test]
fn zk_versions() {
    play("zk_versions", 3, |_, cluster| {
        let first = cluster.client_at(0);
        first.create("v", b"", Flags::REGULAR).expect("a new node");
        cluster.settle();
        let clients: Vec<_> = (0..20).map(|client| cluster.client_at(client % 3)).collect();
        for version in 0..5 {
            let set =
                |client: usize| Operation::SetData { path: "v".into(), data: vec![client as u8], version };
            let calls: Vec<_> = clients.iter().enumerate().map(|(at, zk)| zk.start(set(at))).collect();
            let answers: Vec<_> = calls.into_iter().map(|call| call.wait()).collect();
            let winners: Vec<usize> = (0..20).filter(|&client| answers[client].is_ok()).collect();
            assert_eq!(winners.len(), 1, "of 20 clients that expect version {version}");
            let others = answers.iter().find(|answer| !matches!(answer, Ok(_) | Err(Error::BadVersion)));
            assert_eq!(others, None, "an answer to a write that expects version {version}");
            let (data, stat) = clients[winners[0]].get_data("v").expect("its own write");
            let read = (data, stat.version);
            assert_eq!(read, (vec![winners[0] as u8], version + 1), "what the winner reads");
        }
    });
}

/// Invariant 8 is watched; here the names are counted.
#[test]
fn zk_sequential_names() {
    play("zk_sequential_names", 3, |t, cluster| {
        let clients: Vec<_> = (0..10).map(|client| cluster.client_at(client % 3)).collect();
        clients[0].create("q", b"", Flags::REGULAR).expect("a new node");
        let half = |what: &str| {
            t.scene(format!("Each of ten clients creates 50 nodes{what}."));
            let create =
                || Operation::Create { path: "q/n-".into(), data: Vec::new(), flags: Flags::SEQUENTIAL };
            let calls: Vec<_> = clients
                .iter()
                .flat_map(|zk| (0..50).map(|_| zk.start(create())).collect::<Vec<_>>())
                .collect();
            if !what.is_empty() {
                cluster.servers.crash(cluster.leader());
            }
            let path = |answer| match answer {
                Ok(Outcome::Created(path)) => path,
                other => t.fail(format!("a create gives {other:?}")),
            };
            calls.into_iter().map(|call| path(call.wait())).collect::<Vec<String>>()
        };
        let mut names = half("");
        t.scene("All of them are deleted.");
        let delete = |path: &String| Operation::Delete { path: path.clone(), version: ANY_VERSION };
        let calls: Vec<_> = names.iter().map(|path| clients[1].start(delete(path))).collect();
        let refused = calls.into_iter().map(|call| call.wait()).find(Result::is_err);
        assert_eq!(refused, None, "an answer to a delete of a node that was just created");
        names.extend(half(", and the leader crashes"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 1000, "names that were given");
    });
}

/// The calls whose callbacks have run, in their order, and the zxids that they got.
type Called = Mutex<Vec<(usize, Zxid)>>;

/// 100 calls at a time. Order, zxids and results are watched; here the callbacks are.
#[test]
fn zk_pipeline_fifo() {
    play("zk_pipeline_fifo", 3, |t, cluster| pipeline(t, cluster, false));
}

/// Four clients with 100 calls under way; some of these may leave watches.
pub(crate) fn pipeline(t: &Test, cluster: &Cluster, watches: bool) {
    let clients: Vec<_> = (0..4).map(|client| cluster.client_at(client % 3)).collect();
    clients[0].create("x", b"", Flags::REGULAR).expect("a new node");
    let seen: Vec<Arc<Called>> = clients.iter().map(|_| Arc::default()).collect();
    for call in 0..100 {
        for (zk, seen) in clients.iter().zip(&seen) {
            let seen = seen.clone();
            zk.begin(mixed(call, watches), move |zxid, _| seen.lock().push((call, zxid)));
        }
    }
    cluster.wait(20_000, "all calls are answered", || seen.iter().all(|seen| seen.lock().len() == 100));
    for seen in seen {
        let seen = seen.lock();
        assert!(seen.iter().map(|(call, _)| *call).eq(0..100), "callbacks out of order: {seen:?}");
        assert!(seen.is_sorted_by_key(|(_, zxid)| *zxid), "zxids fall: {seen:?}");
    }
    let writes = |action: &Action| matches!(action, Action::Write(_));
    t.exercised(cluster.watch.count(|one, _| writes(&one.action)) > 150, "many writes");
}

/// The calls of the pipeline: creates, sets, reads, deletes, a sync.
fn mixed(call: usize, watches: bool) -> Operation {
    let (path, data) = (format!("x/{}", call / 10), vec![call as u8]);
    match call % 10 {
        0 => Operation::Create { path, data, flags: Flags::REGULAR },
        1 | 2 | 5 => Operation::SetData { path, data, version: ANY_VERSION },
        3 | 6 => Operation::GetData { path, watch: watches && call % 20 < 10 },
        4 => Operation::GetChildren { path: "x".into(), watch: false },
        7 if call == 57 => Operation::Sync { path },
        8 => Operation::Delete { path, version: ANY_VERSION },
        9 => Operation::Exists { path, watch: watches },
        _ => Operation::Create { path: "x/s-".into(), data, flags: Flags::EPHEMERAL_SEQUENTIAL },
    }
}
