//! The lecture's story: a node that is cut off wants to be head and tail.

use craq::rpc::{Header, NewConfig, NodeId, Read, Taken, Update};
use craq::{Config, Mode, Op, ReadMode, Refusal};
use labrt::thread;
use labrt::time::Instant;
use linearize::{Limits, Recorder};
use rsm::Request;

use crate::cluster::{Cluster, MANAGERS, Setup, chain, ms, play};
use crate::model::{Call, Store, Told};
use crate::part_b_partitions::{cut_off, mend};

/// A chain of two, whose nodes no longer hear each other. Clients reach both.
fn two() -> Setup {
    chain(Mode::Craq, 2)
}

/// The second node could be head and tail of a chain of its own, as the first could. The manager decides,
/// and the node that it does not choose stops before the other one goes on alone.
#[test]
fn cut_off_node_wants_to_be_head_and_tail() {
    play("cut_off_node_wants_to_be_head_and_tail", two, |t, cluster| {
        let (mut inside, mut outside) = (cluster.client(), cluster.client());
        inside.put(1, "before");
        cluster.settle();
        assert_eq!(outside.get_at(1, 1).value, b"before", "a read at the tail");
        t.scene("The tail is cut off from the head and from the manager. Clients reach both.");
        cut_off(cluster, 1);
        // The tail's lease holds, so it serves reads, and nothing can be committed without it.
        if t.is_ordinary() {
            let read = outside.get_for(1, Some(1), ms(500)).map(|read| read.value);
            assert_eq!(read, Some(b"before".to_vec()), "a read at the tail, while its lease lasts");
        }
        inside.put(1, "after");
        t.scene("The head is alone in its chain. The tail does nothing any more.");
        assert!(cluster.is_in_force(&[0]), "the manager has decided");
        assert_eq!(outside.get_for(1, Some(1), ms(1000)), None, "the tail refuses");
        let update = outside.client.update_for(2, Op::Put(b"mine".to_vec()), ms(10));
        assert!(update.is_none_or(|done| done.is_ok()), "the head may take it, the old tail may not");
        mend(cluster, 1);
        cluster.wait_for_chain(&[0, 1]);
        assert_eq!(outside.get_at(1, 1).value, b"after", "a read at the tail, when it has joined again");
    });
}

/// Tells a node that it is alone, as it would tell itself.
fn promote(cluster: &Cluster, node: NodeId) {
    let Header { chain, epoch } = cluster.header();
    let me = cluster.nodes.visit(node, |node| node.inspect(craq::State::me)).expect("the node is alive");
    let config = Config { epoch: epoch + 1, members: vec![me] };
    let news = NewConfig { chain, config, successor_has: None, lease: cluster.settings.lease };
    let taken = cluster.peer(node).new_config(&news);
    assert!(matches!(taken, Ok(Ok(_))), "the node takes the news: {taken:?}");
}

/// The wrong variant. Each of the two believes that the other one is dead, and goes on alone. A client of one
/// half reads what a client of the other half has replaced. A node whose lease ends with its epoch takes no
/// part in that, nor does one that answers later: then there is nothing to show.
#[test]
fn two_chains_without_a_manager() {
    let setup = || Setup { is_strict: false, ..two() };
    play("two_chains_without_a_manager", setup, |t, cluster| {
        let history = Recorder::new();
        let now = || Instant::now().as_nanos();
        let put = |value: &str| Op::Put(value.as_bytes().to_vec());
        let ticket = history.call(1, Call::Update(1, put("before")), now());
        history.returned(ticket, Told::Outcome(cluster.client().put(1, "before")), now());
        t.scene("Nobody hears anybody, and both nodes promote themselves.");
        cluster.nodes.disconnect(0);
        (0..MANAGERS).for_each(|manager| cluster.managers.crash(manager));
        let at = Header { epoch: cluster.header().epoch + 1, ..cluster.header() };
        [0, 1].into_iter().for_each(|node| promote(cluster, node));
        t.scene("One client writes in one half, and then the other one reads in the other half.");
        let request = Request { client: 99, sequence: 1, command: put("after") };
        let ticket = history.call(2, Call::Update(1, put("after")), now());
        let taken = cluster.peer(0).update(&Update { at, object: 1, request });
        if matches!(taken, Ok(Ok(Taken::UnderWay) | Err(Refusal::NoLease))) {
            return t.exercised(false, "the first half goes on alone by itself");
        }
        let Ok(Ok(Taken::Done(outcome))) = taken else { t.fail(format!("the first half: {taken:?}")) };
        history.returned(ticket, Told::Outcome(outcome), now());
        thread::sleep(ms(1));
        let ticket = history.call(3, Call::Read(1), now());
        let read = cluster.peer(1).read(&Read { at, object: 1, mode: ReadMode::Strong });
        if matches!(read, Ok(Err(Refusal::NoLease))) {
            return t.exercised(false, "the second half goes on alone by itself");
        }
        let Ok(Ok(read)) = read else { t.fail(format!("the second half: {read:?}")) };
        history.returned(ticket, Told::Value(read.version, read.value.clone()), now());
        assert_eq!(read.value, b"before", "the second chain has not got the update");
        let history = history.history().expect("one operation at a time");
        let verdict = linearize::check(&Store { is_joint: false }, &history, &Limits::default());
        assert!(verdict.is_not_linearizable(), "two chains: {verdict:?}");
    });
}
