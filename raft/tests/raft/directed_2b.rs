//! Directed tests of part 2B. Each brings about by force what the course's tests meet by chance at best.

use crate::rivals::wait_until;
use crate::watching::{LARGE, Late, delay_first_large_append};
use labrt::thread;
use raft::Raft;
use std::time::Duration;
use tester::{Cluster, Command, ELECTION, Retry, Setup, Test, run};

/// Candidates that cannot win must not keep the one that can from standing: a request for a vote that is refused is no
/// reason to wait longer (Figure 2, rules for followers).
#[test]
fn starving_candidate_2b() {
    run("starving_candidate_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(1, 5, Retry::Yes);
        let leader = cluster.check_one_leader();
        let server = |distance: usize| (leader + distance) % 5;
        let (behind, rest) = ([1, 2].map(server), [3, 4].map(server));

        t.scene("Two followers miss a command, and their clocks are fast: they always stand first.");
        behind.iter().for_each(|&server| cluster.disconnect(server));
        cluster.agree_on(2, 3, Retry::Yes);
        let clocks = |rate| {
            behind
                .iter()
                .filter_map(|&server| cluster.node(server))
                .for_each(|node| node.set_clock_rate(rate))
        };
        clocks(1.5);
        thread::sleep(ELECTION);

        t.scene(
            "They come back; the other two followers go. Of the three that are left only one can be elected.",
        );
        rest.iter().for_each(|&server| cluster.disconnect(server));
        behind.iter().for_each(|&server| cluster.connect(server));
        cluster.agree_on(3, 3, Retry::Yes);

        t.scene("All are back, with clocks that are right.");
        clocks(1.0);
        rest.iter().for_each(|&server| cluster.connect(server));
        cluster.agree_on(4, 5, Retry::Yes);
    });
}

/// Figure 8 of the paper, step by step: an entry of an older term may be on a majority and be lost all the same, so that it
/// must not be committed for being there (§5.4.2).
#[test]
fn figure_8_2b() {
    run("figure_8_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(5));
        cluster.agree_on(10, 5, Retry::Yes);
        let s1 = cluster.check_one_leader();
        let s2 = (s1 + 1) % 5;
        let others = [2, 3, 4].map(|distance| (s1 + distance) % 5);
        let only = |servers: &[usize]| {
            (0..5).filter(|server| !servers.contains(server)).for_each(|server| cluster.disconnect(server));
            servers.iter().for_each(|&server| cluster.connect(server));
        };

        t.scene("(a) The leader, S1, has a command that only S2 hears of.");
        only(&[s1, s2]);
        cluster.start(s1, 20);
        thread::sleep(ELECTION / 2);

        t.scene(
            "(b) Without these two, S5 is elected among the others. It takes a command that nobody hears of.",
        );
        only(&others);
        let s5 = cluster.check_one_leader();
        let (term, _) = cluster.get_state(s5).unwrap_or_default();
        cluster.disconnect(s5);
        cluster.start(s5, 30);

        t.scene("(c) S1, S2 and S3 elect a leader. It brings its old command to S3, and has no new one.");
        let s3 = if s5 == others[0] { others[1] } else { others[0] };
        only(&[s1, s2, s3]);
        let newer =
            |&server: &usize| cluster.get_state(server).is_some_and(|(now, leads)| leads && now > term);
        let elected = wait_until(10 * ELECTION, || [s1, s2].iter().any(newer));
        t.expect(elected, || format!("expected server {s1} or {s2} to be elected within 10 s"));
        thread::sleep(ELECTION / 2);

        t.scene("(d) S1 and S2 go. S5 is back with S3 and S4, is elected, and overwrites the command.");
        only(&others);
        cluster.agree_on(40, 3, Retry::Yes);

        t.scene("All are back.");
        only(&[0, 1, 2, 3, 4]);
        cluster.agree_on(50, 5, Retry::Yes);
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}

/// An AppendEntries that was overtaken by a later one must not take back what that one brought (Figure 2, AppendEntries,
/// receiver step 3: only a conflicting entry is deleted).
#[test]
fn late_append_2b() {
    run("late_append_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        let mut exercised = false;
        for round in 1..=3 {
            cluster.agree_on(10 * round, 3, Retry::Yes);
            let leader = cluster.check_one_leader();
            let [follower, away] = [1, 2].map(|distance| (leader + distance) % 3);

            t.scene(
                "With one follower away, the message with a command for the other one is under way for long.",
            );
            cluster.disconnect(away);
            let late = delay_first_large_append(&cluster, leader, follower, Duration::from_millis(500));
            let first = cluster.start(leader, Command::random_text(LARGE));
            t.scene("Another command follows, with a message that is faster, and is committed.");
            wait_until(ELECTION, || late.is_under_way());
            let second = cluster.start(leader, 10 * round + 1);
            if let (Some(_), Some((index, _))) = (first, second) {
                exercised |= overtake(&cluster, &late, [leader, away], index);
            }
            cluster.net().network().clear_tap();
            (0..3).for_each(|server| cluster.connect(server));
        }
        cluster.agree_on(100, 3, Retry::Yes);
        t.exercised(exercised, "no message was overtaken by one whose entries were committed");
    });
}

/// Lets the late message arrive when everything up to `index` is committed and the leader can repair nothing any more. The
/// follower must still have it.
fn overtake(cluster: &Cluster<Raft>, late: &Late, [leader, away]: [usize; 2], index: u64) -> bool {
    let t = cluster.test();
    if !wait_until(late.remaining(), || cluster.n_committed(index).0 > 0) {
        return false;
    }
    thread::sleep(late.remaining().saturating_sub(Duration::from_millis(20)));
    cluster.disconnect(leader);
    thread::sleep(Duration::from_millis(40));
    t.scene("The late message has arrived. The leader is cut off; the others go on without it.");
    cluster.connect(away);
    let next = cluster.agree_on(Command::random(), 2, Retry::Yes);
    t.expect(next > index, || {
        format!("a command was agreed on at index {next}, although everything up to index {index} was committed before")
    });
    true
}

/// A leader steps back over hundreds of entries in a few rounds (the end of §5.3).
#[test]
fn long_backup_2b() {
    run("long_backup_2b", |t: &Test| {
        let cluster = Cluster::<Raft>::new(t, Setup::servers(3));
        cluster.agree_on(1, 3, Retry::Yes);
        let start_300 =
            |leader: usize| (0..300).filter_map(|number| cluster.start(leader, 1000 + number)).last();

        t.scene("The leader is cut off, and takes 300 commands.");
        let old = cluster.check_one_leader();
        cluster.disconnect(old);
        start_300(old);

        t.scene("The others agree on 300 commands, too.");
        let new = cluster.check_one_leader();
        if let Some((last, _)) = start_300(new) {
            // No term is given, so nothing can have moved on.
            let _ = cluster.wait_committed(last, 2, None);
        }

        t.scene("The old leader comes back, and gets their log in place of its own.");
        let before = cluster.rpc_total();
        cluster.connect(old);
        cluster.agree_on(2, 3, Retry::Yes);
        let (spent, bound) = (cluster.rpc_total() - before, 100);
        t.expect(spent <= bound, || {
            format!("expected at most {bound} RPCs until 300 entries are replaced by 300 others, not {spent}")
        });
        t.exercised(cluster.lost_suffixes() != Some(0), "no leader ever lost an uncommitted suffix");
    });
}
