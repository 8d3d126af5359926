// handout: file never
//! Sessions that end, over faults, snapshots and moves between groups. Clients repeat commands long after
//! these were carried out, and no command may be carried out twice.

use std::collections::BTreeMap;
use std::time::Duration;

use labgob::DecodeError;
use labrpc::Service;
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Instant;
use rsm::{ExpiringSessions, ReplicatedServer, Request, Rsm, SessionCommand, SessionReply, StateMachine};
use serde::{Deserialize, Serialize};
use tester::{Booted, Checks, Group, Net, Test};

/// After so many commands a session ends.
const LIFETIME: u64 = 20;

/// How often each command was carried out.
#[derive(Debug, Default)]
struct Tally(BTreeMap<(u64, u64), u64>);

impl StateMachine for Tally {
    /// Session and number.
    type Command = (u64, u64);
    /// How often it was carried out, this time included.
    type Reply = u64;

    fn apply(&mut self, command: (u64, u64)) -> u64 {
        let count = self.0.entry(command).or_default();
        *count += 1;
        *count
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&self.0)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.0 = labgob::decode(snapshot)?;
        Ok(())
    }
}

type Sessions = ExpiringSessions<Tally>;

/// A content with its sessions, as a shard of lab 4: it is in one group at a time.
struct Shard {
    content: Option<Sessions>,
    /// Number of the last move that this group has taken part in; 0 before the first.
    moved: u64,
    /// The content as it left in that move, for a repeated question.
    left: Vec<u8>,
}

impl Shard {
    fn new(is_here: bool) -> Shard {
        let content = is_here.then(|| Sessions::new(Tally::default(), LIFETIME));
        Shard { content, moved: 0, left: Vec::new() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Command {
    Client(SessionCommand<(u64, u64)>),
    /// The content leaves this group, in the move of this number.
    Leave(u64),
    /// It comes to this group, in that move.
    Come(u64, Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Client(SessionReply<u64>),
    Left(Vec<u8>),
    Here,
    /// The content is elsewhere.
    NotHere,
}

impl StateMachine for Shard {
    type Command = Command;
    type Reply = Answer;

    fn apply(&mut self, command: Command) -> Answer {
        match (command, &mut self.content) {
            (Command::Client(command), Some(content)) => Answer::Client(content.apply(command)),
            (Command::Leave(number), Some(content)) if number > self.moved => {
                self.left = content.snapshot();
                (self.content, self.moved) = (None, number);
                Answer::Left(self.left.clone())
            }
            (Command::Leave(number), None) if number == self.moved => Answer::Left(self.left.clone()),
            (Command::Client(_), None) | (Command::Leave(_), _) => Answer::NotHere,
            (Command::Come(number, bytes), content) => {
                if number > self.moved {
                    let arrived = content.insert(Sessions::new(Tally::default(), LIFETIME));
                    arrived.restore(&bytes).expect("another replica has made it");
                    self.moved = number;
                }
                Answer::Here
            }
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        labgob::encode(&(self.content.as_ref().map(Sessions::snapshot), self.moved, &self.left))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        let (content, moved, left): (Option<Vec<u8>>, u64, Vec<u8>) = labgob::decode(snapshot)?;
        *self = Shard { moved, left, ..Shard::new(content.is_some()) };
        match (&mut self.content, content) {
            (Some(sessions), Some(bytes)) => sessions.restore(&bytes),
            _ => Ok(()),
        }
    }
}

labrpc::service! {
    service ShardRpc, client ShardPeer {
        /// None if this server does not lead, or no longer.
        fn submit(command: Command) -> Option<Answer>;
    }
}

struct Replica {
    rsm: Arc<Rsm<Shard>>,
}

impl ReplicatedServer for Replica {
    type Machine = Shard;

    fn replica(&self) -> &Rsm<Shard> {
        &self.rsm
    }

    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

impl ShardRpc for Replica {
    fn submit(&self, command: Command) -> Option<Answer> {
        self.rsm.submit(&command).ok()
    }
}

/// Two groups of three servers.
#[derive(Clone)]
struct Groups {
    test: Test,
    groups: [Group<Replica>; 2],
}

impl Groups {
    /// Starts them. The content is in the first group.
    fn start(test: &Test) -> Groups {
        let net = Net::new();
        let groups = [("a", 0), ("b", 3)].map(|(prefix, column)| {
            let checks = Checks::beside(test, 3, column, Replica::wire());
            let group = Group::beside(test, &net, prefix, 3, column, move |boot| {
                let (observer, life) = checks.begin(&boot);
                let rsm = Rsm::start(boot.ends, boot.me, boot.persister, Some(500), Shard::new(column == 0));
                let server = Arc::new(Replica { rsm });
                if let Some(observer) = observer {
                    server.watch(observer);
                }
                let seen = server.clone();
                life.poll(move || seen.raft_state());
                let services = life.around_all(server.services());
                Booted { server, services }
            });
            group.start_all();
            group
        });
        let at_end = groups[0].clone();
        test.at_end(move |_| at_end.net().figures(6, 0));
        Groups { test: test.clone(), groups }
    }

    /// Ends for a client, to each server of both groups.
    fn stubs(&self) -> [Vec<ShardPeer>; 2] {
        self.groups.each_ref().map(|group| {
            let stub = |server| {
                let (number, end) = group.net().make_end(group.name(server));
                group.net().network().enable(number, true);
                ShardPeer::new(end)
            };
            (0..group.len()).map(stub).collect()
        })
    }
}

/// Asks the servers until one has an answer.
fn insist(test: &Test, servers: &[&ShardPeer], command: &Command) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        for server in servers {
            match server.timeout(Duration::from_millis(400)).submit(command) {
                Ok(Some(Answer::NotHere)) if matches!(command, Command::Client(_)) => {}
                Ok(Some(answer)) => return answer,
                _ => {}
            }
        }
        test.expect_in_time(Instant::now() < deadline, || format!("no server answers {command:?}"));
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a client has seen.
#[derive(Default)]
struct Seen {
    /// Commands that were carried out, as their clients were told.
    done: Vec<(u64, u64)>,
    /// How often a copy of one of them was refused because its session had ended.
    refused_copies: usize,
}

fn client(test: &Test, stubs: &[Vec<ShardPeer>; 2], sessions: usize) -> Seen {
    let servers: Vec<&ShardPeer> = stubs.iter().flatten().collect();
    let (mut seen, mut all) = (Seen::default(), Vec::new());
    for _ in 0..sessions {
        let opened = insist(test, &servers, &Command::Client(SessionCommand::Open));
        let Answer::Client(SessionReply::Opened(client)) = opened else {
            test.fail(format!("opening a session gave {opened:?}"))
        };
        for sequence in 1..random_range(3..8) {
            let request = Request { client, sequence, command: (client, sequence) };
            let command = Command::Client(SessionCommand::Command(request));
            all.push(command.clone());
            match insist(test, &servers, &command) {
                Answer::Client(SessionReply::Done(count)) => {
                    test.expect(count == 1, || format!("{command:?} was carried out {count} times"));
                    seen.done.push((client, sequence));
                }
                // The other clients were busy while this one waited.
                Answer::Client(SessionReply::Expired) => break,
                other => test.fail(format!("{command:?} gave {other:?}")),
            }
            let copy = &all[random_range(0..all.len())];
            if insist(test, &servers, copy) == Answer::Client(SessionReply::Expired) {
                seen.refused_copies += 1;
            }
        }
    }
    seen
}

/// Has the content leave group `from` and come to the other one; whether it did.
fn moves(groups: &Groups, stubs: &[Vec<ShardPeer>; 2], number: u64, from: usize) -> bool {
    let [servers, others] = [from, 1 - from].map(|group| stubs[group].iter().collect::<Vec<_>>());
    let Answer::Left(bytes) = insist(&groups.test, &servers, &Command::Leave(number)) else { return false };
    insist(&groups.test, &others, &Command::Come(number, bytes)) == Answer::Here
}

/// Servers crash, are cut off and come back, in both groups, while the content stays; then it moves.
#[test]
fn sessions_end_rsm() {
    tester::run("sessions_end_rsm", |test| {
        let groups = Groups::start(test);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (test, stubs) = (test.clone(), groups.stubs());
                thread::spawn(move || client(&test, &stubs, 12))
            })
            .collect();
        let stubs = groups.stubs();
        for number in 1..=6 {
            test.scene("Servers crash and start again, or are cut off.");
            for group in &groups.groups {
                disturb(group);
            }
            thread::sleep(Duration::from_millis(200));
            test.scene("The content moves to the other group.");
            let is_there = moves(&groups, &stubs, number, (number as usize + 1) % 2);
            test.expect(is_there, || "the content did not move".to_owned());
        }
        let mut all = Seen::default();
        for client in clients {
            let Ok(seen) = client.join() else { continue };
            all.done.extend(seen.done);
            all.refused_copies += seen.refused_copies;
        }
        test.exercised(all.refused_copies > 0, "no copy came after its session had ended");
        check_tally(&groups, &all);
    });
}

fn disturb(group: &Group<Replica>) {
    let server = random_range(0..group.len());
    if random_bool(0.5) {
        group.crash(server);
        thread::sleep(Duration::from_millis(random_range(50..600)));
        group.restart(server);
    } else {
        group.disconnect(server);
        thread::sleep(Duration::from_millis(random_range(50..600)));
    }
    group.connect(server);
}

/// After an even number of moves the content is in the first group. All that clients were told is there, and
/// nothing was carried out twice; few sessions are left.
fn check_tally(groups: &Groups, seen: &Seen) {
    let test = &groups.test;
    let look = |server: &Arc<Replica>| {
        server.rsm.inspect(|shard| {
            shard.content.as_ref().map(|content| (content.machine().0.clone(), content.alive()))
        })
    };
    let known = (0..3).filter_map(|server| groups.groups[0].visit(server, look).flatten());
    let Some((tally, alive)) = known.max_by_key(|(tally, _)| tally.len()) else {
        test.fail("no server of the first group has the content".to_owned())
    };
    if let Some((command, count)) = tally.iter().find(|&(_, &count)| count > 1) {
        test.fail(format!("command {command:?} (session and number) was carried out {count} times"));
    }
    if let Some(lost) = seen.done.iter().find(|&command| !tally.contains_key(command)) {
        test.fail(format!(
            "command {lost:?} (session and number) was answered, and no server has carried it out"
        ));
    }
    test.expect(alive as u64 <= LIFETIME + 1, || format!("{alive} sessions are alive"));
}
