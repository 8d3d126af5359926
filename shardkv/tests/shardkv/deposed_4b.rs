//! Directed tests of handovers whose servers lose leadership in the middle, and of clients' requests that
//! come late. Whether a solution pushes contents or pulls them does not matter.

use std::sync::Arc;
use std::time::Duration;

use labrpc::{Direction, TapAction, TapEvent};
use labrt::rand::random_range;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::time::Instant;
use tester::{ELECTION, Test, run};

use crate::callers::Caller;
use crate::clients::{Clients, Keys};
use crate::cluster::{Cluster, Options, PATIENCE, SERVERS, pause};

/// Length of each value: a message between groups that is as long holds a content.
const LENGTH: usize = 500;

/// The contents that are on their way between groups.
#[derive(Clone, Default)]
struct Contents {
    /// How many were sent.
    sent: Arc<AtomicU64>,
    /// Whether they are lost.
    are_lost: Arc<AtomicBool>,
    /// Whether they take longer.
    are_slow: Arc<AtomicBool>,
}

impl Contents {
    /// From now on each content takes 50 ms, or is lost.
    fn watch(cluster: &Cluster) -> Contents {
        let (contents, caller) = (Contents::default(), cluster.callers_of_groups());
        let seen = contents.clone();
        cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
            if caller(event) != Some(Caller::Group) || event.bytes.len() < LENGTH {
                return TapAction::Deliver;
            }
            seen.sent.fetch_add(1, Ordering::SeqCst);
            if seen.are_lost.load(Ordering::SeqCst) {
                return TapAction::Drop;
            }
            let is_slow = seen.are_slow.load(Ordering::SeqCst);
            TapAction::Delay(Duration::from_millis(if is_slow { random_range(200..350) } else { 50 }))
        });
        contents
    }

    /// Waits until one is on its way.
    fn wait(&self, cluster: &Cluster) {
        let deadline = Instant::now() + PATIENCE;
        while self.sent.load(Ordering::SeqCst) == 0 {
            cluster.test.expect_in_time(Instant::now() < deadline, || {
                format!("for {PATIENCE:?} no shard has been on its way to its next owner")
            });
            pause(2);
        }
    }

    fn slow_down(&self, slow: bool) {
        self.are_slow.store(slow, Ordering::SeqCst);
    }

    fn lose(&self, lost: bool) {
        self.are_lost.store(lost, Ordering::SeqCst);
    }
}

/// Cuts a server off from its group, and nobody else.
pub(crate) fn cut_off(cluster: &Cluster, group: usize, server: usize) {
    let others: Vec<usize> = (0..SERVERS).filter(|&other| other != server).collect();
    cluster.groups[group].partition(&[&others, &[server]]);
}

/// The next owner's leader receives contents, and is cut off before its group has them. It is deposed, and so
/// they are lost with its log. No one may say that they have arrived: the former owner has the only copies.
#[test]
fn receiver_deposed_4b() {
    run("receiver_deposed_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, LENGTH);
        t.scene("Group 1's leader is cut off as soon as contents are on their way to it.");
        cluster.leader_of(1);
        let contents = Contents::watch(&cluster);
        cluster.join(&[1]);
        contents.wait(&cluster);
        cut_off(&cluster, 1, cluster.leader_of(1));
        pause(100);
        contents.lose(true);
        t.scene("Group 1 elects another leader, to which no content comes. The old one is connected again.");
        pause(2 * ELECTION.as_millis() as u64);
        cluster.groups[1].heal();
        pause(ELECTION.as_millis() as u64);
        t.scene("Contents get through again.");
        contents.lose(false);
        keys.check_and_append_all(5);
        cluster.net.network().clear_tap();
        cluster.settle(PATIENCE);
        keys.check_all();
    });
}

/// A leader in the middle of a handover loses leadership, and gets it back. It takes up again what it had
/// begun: the giver's leader as well as the receiver's.
#[test]
fn leads_again_4b() {
    run("leads_again_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, LENGTH);
        t.scene("Contents are on their way, and are lost.");
        let contents = Contents::watch(&cluster);
        contents.lose(true);
        let leaders = [0, 1].map(|group| cluster.leader_of(group));
        cluster.join(&[1]);
        contents.wait(&cluster);
        t.scene("Both groups' leaders are deposed, and lead again in the end.");
        for (group, leader) in leaders.into_iter().enumerate() {
            lead_again(&cluster, group, leader);
        }
        t.scene("Contents get through again.");
        contents.lose(false);
        cluster.settle(PATIENCE);
        keys.check_and_append_all(5);
    });
}

/// Has another server lead the group, and then others in turn until `leader` leads again.
fn lead_again(cluster: &Cluster, group: usize, leader: usize) {
    for _ in 0..20 {
        let leads = cluster.leader_of(group);
        cut_off(cluster, group, leads);
        pause(2 * ELECTION.as_millis() as u64);
        cluster.groups[group].heal();
        pause(ELECTION.as_millis() as u64 / 2);
        if cluster.leader_of(group) == leader {
            return;
        }
    }
    cluster.test.exercised(false, "a deposed leader never led again");
}

/// Some requests of a client take seconds. The clerk sends them again, gets its answer, and sends its next
/// commands. When the late copies arrive, they change nothing.
#[test]
fn late_requests_4b() {
    run("late_requests_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0, 1]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let (asked, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (of_test, count) = (Arc::clone(&asked), Arc::clone(&late));
        let caller = cluster.callers_of_groups();
        cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
            let of_client = event.direction == Direction::Request && caller(event) == Some(Caller::Client);
            if of_client && of_test.swap(0, Ordering::SeqCst) > 0 {
                count.fetch_add(1, Ordering::SeqCst);
                return TapAction::Delay(Duration::from_millis(random_range(1000..2500)));
            }
            TapAction::Deliver
        });
        t.scene("The first copies of some appends take more than a second.");
        for round in 0..12 {
            let key = round / 4;
            asked.store(1 - round as u64 % 2, Ordering::SeqCst);
            keys.client.append(&key.to_string(), &format!("<{round}>"));
            keys.values[key] += &format!("<{round}>");
        }
        t.exercised(late.load(Ordering::SeqCst) > 0, "no request came late");
        t.scene("The last of them arrive.");
        for _ in 0..3 {
            pause(1000);
            keys.check_all();
        }
        cluster.net.network().clear_tap();
    });
}

/// The next owner's leader has its group store a content, and crashes before it knows that. Its successor has
/// the content in its log, and gets it a second time when clients have written to the shard. The second copy
/// replaces nothing.
#[test]
fn second_content_4b() {
    run("second_content_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, LENGTH);
        t.scene(
            "Contents are on their way to group 1. Its followers store them, and their replies are lost.",
        );
        let leader = cluster.leader_of(1);
        let contents = Contents::watch(&cluster);
        cluster.join(&[1]);
        contents.wait(&cluster);
        let cut_replies = |are_lost: bool| {
            for follower in (0..SERVERS).filter(|&server| server != leader) {
                cluster.net.network().cut_replies(cluster.groups[1].link(leader, follower), are_lost);
            }
        };
        cut_replies(true);
        pause(100);
        t.scene("The leader crashes. Contents take longer from now on, and clients append meanwhile.");
        contents.slow_down(true);
        cluster.shutdown_server(1, leader);
        let sent = contents.sent.load(Ordering::SeqCst);
        let clients = Clients::append(&cluster, &keys, 5, 10);
        pause(3 * ELECTION.as_millis() as u64);
        cut_replies(false);
        contents.slow_down(false);
        cluster.start_server(1, leader);
        clients.stop_and_check(&mut keys);
        cluster.net.network().clear_tap();
        let again = contents.sent.load(Ordering::SeqCst) > sent;
        t.exercised(again, "no content came to group 1 a second time");
        cluster.settle(PATIENCE);
        keys.check_all();
    });
}

/// A client appends at a leader that is cut off from its group. The leader cannot know what becomes of its
/// command, and must not say that it is done.
#[test]
fn appends_at_deposed_leader_4b() {
    run("appends_at_deposed_leader_4b", |t: &Test| {
        let cluster = Cluster::new(t, Options::new());
        cluster.join(&[0]);
        let mut keys = Keys::put(&cluster, 10, 5);
        let at_leader = Arc::new(AtomicU64::new(0));
        for _ in 0..3 {
            let leader = cluster.leader_of(0);
            t.scene("Group 0's leader is cut off from its group. Clients reach it alone.");
            let (reached, count) = (cluster.groups[0].name(leader).clone(), Arc::clone(&at_leader));
            let caller = cluster.callers_of_groups();
            cluster.net.network().set_tap(move |event: &TapEvent<'_>| {
                if caller(event) != Some(Caller::Client) {
                    return TapAction::Deliver;
                }
                if *event.server != reached {
                    return TapAction::Drop;
                }
                count.fetch_add(1, Ordering::SeqCst);
                TapAction::Deliver
            });
            cut_off(&cluster, 0, leader);
            let clients = Clients::append(&cluster, &keys, 5, 10);
            pause(2 * ELECTION.as_millis() as u64);
            t.scene("It is connected again, and learns of its successor. Clients reach all servers.");
            cluster.groups[0].heal();
            pause(ELECTION.as_millis() as u64);
            cluster.net.network().clear_tap();
            clients.stop_and_check(&mut keys);
        }
        t.exercised(at_leader.load(Ordering::SeqCst) > 0, "no client reached a leader that was cut off");
        cluster.settle(PATIENCE);
    });
}
