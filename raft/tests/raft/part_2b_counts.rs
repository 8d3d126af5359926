//! The budgets of `count_2b`.

use labrt::thread;
use raft::Raft;
use tester::{Cluster, Command, ELECTION, Moved};

/// Twelve commands may cost 42 RPCs; an error if the term moves on meanwhile.
pub(crate) fn starts_are_cheap(cluster: &Cluster<Raft>, rpcs: &dyn Fn() -> u64) -> Result<(), Moved> {
    let t = cluster.test();
    let leader = cluster.check_one_leader();
    let before = rpcs();
    let (first, term) = cluster.start(leader, 1).ok_or(Moved)?;
    let mut commands = Vec::new();
    for offset in 1..=11 {
        let command = Command::from(labrt::rand::random_range(0..1 << 31));
        let (index, in_term) = cluster.start(leader, command.clone()).ok_or(Moved)?;
        if in_term != term {
            return Err(Moved);
        }
        t.expect(index == first + offset, || {
            format!(
                "expected the command behind index {} at {}, not at {index}",
                first + offset - 1,
                first + offset
            )
        });
        commands.push((index, command));
    }
    for (index, command) in &commands[..10] {
        let got = cluster.wait_committed(*index, 3, Some(term))?;
        t.expect(got == *command, || format!("expected command {command} at index {index}, not {got}"));
    }
    let spent = rpcs() - before;
    if (0..3).any(|server| cluster.get_state(server).is_none_or(|(now, _)| now != term)) {
        return Err(Moved);
    }
    let bound = (10 + 1 + 3) * 3;
    t.expect(spent <= bound, || format!("expected at most {bound} RPCs for twelve commands, not {spent}"));
    Ok(())
}

/// A second without commands may cost 60 RPCs.
pub(crate) fn idle_second_is_cheap(cluster: &Cluster<Raft>, rpcs: &dyn Fn() -> u64) {
    let before = rpcs();
    thread::sleep(ELECTION);
    let spent = rpcs() - before;
    let bound = 3 * 20;
    cluster
        .test()
        .expect(spent <= bound, || format!("expected at most {bound} RPCs in an idle second, not {spent}"));
}
