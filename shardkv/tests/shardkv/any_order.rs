// handout: file guided
//! Safety under any order of events: three groups whose commands come in any order, any number of
//! times, while clients write. There are no threads and no time. Each step is one of the events that
//! could happen next, chosen at random. At the end the values of all keys must be those of one map
//! that applied each operation once.

use std::collections::BTreeMap;

use kvraft::Operation;
use proptest::prelude::*;
use rsm::{Request, StateMachine};
use shardctrler::{Config, Controller, GroupId, Reply as Made};
use shardkv::{Command, Group, Handover, KvError, Reply, Transfer, key_to_shard};

use crate::custody::Ledger;

const GROUPS: [GroupId; 3] = [1, 2, 3];
const KEYS: usize = 10;

/// One event. Numbers choose among the possible ones, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    /// The controller makes another configuration.
    Configure(usize),
    /// A group adopts the next configuration.
    Adopt(usize),
    /// A client sends an operation to a group, for the first time or again.
    Ask { client: usize, group: usize, key: usize, again: bool },
    /// A group takes the next step of one of its transfers.
    Transfer { group: usize, transfer: usize },
    /// A command that was in a group's log before comes a second time.
    Repeat { group: usize, command: usize },
    /// A group's servers restart from a snapshot.
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let any = || any::<usize>();
    prop_oneof![
        1 => any().prop_map(Step::Configure),
        4 => any().prop_map(Step::Adopt),
        8 => (any(), any(), any(), proptest::bool::ANY)
            .prop_map(|(client, group, key, again)| Step::Ask { client, group, key, again }),
        6 => (any(), any()).prop_map(|(group, transfer)| Step::Transfer { group, transfer }),
        2 => (any(), any()).prop_map(|(group, command)| Step::Repeat { group, command }),
        1 => any().prop_map(Step::Restart),
    ]
}

/// A client, with its last operation, which may still be open.
#[derive(Clone, Default)]
struct Client {
    sequence: u64,
    operation: Option<(String, String)>,
    done: bool,
}

struct World {
    controller: Controller,
    groups: Vec<Group>,
    /// The commands that each group applied, in order.
    logs: Vec<Vec<Command>>,
    clients: Vec<Client>,
    /// The expected value of every key.
    model: BTreeMap<String, String>,
    ledger: Ledger,
    served: usize,
}

impl World {
    fn new() -> World {
        World {
            controller: Controller::default(),
            groups: GROUPS.map(Group::new).into(),
            logs: vec![Vec::new(); GROUPS.len()],
            clients: vec![Client::default(); 3],
            model: BTreeMap::new(),
            ledger: Ledger::default(),
            served: 0,
        }
    }

    fn apply(&mut self, group: usize, command: Command) -> Reply {
        self.logs[group].push(command.clone());
        let reply = self.groups[group].apply(command);
        let judged = self.ledger.enter(GROUPS[group], 0, self.groups[group].view());
        judged.unwrap_or_else(|broken| panic!("{broken}"));
        reply
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Configure(choice) => self.configure(choice),
            Step::Adopt(group) => self.adopt(group % 3),
            Step::Ask { client, group, key, again } => self.ask(client % 3, group % 3, key % KEYS, again),
            Step::Transfer { group, transfer } => {
                let group = group % 3;
                let transfers: Vec<Handover> = self.groups[group].transfers().into_iter().collect();
                if !transfers.is_empty() {
                    self.run_transfer(group, transfers[transfer % transfers.len()]);
                }
            }
            Step::Repeat { group, command } => {
                let log = &self.logs[group % 3];
                // Not operations: `Step::Ask` repeats those.
                let commands: Vec<&Command> =
                    log.iter().filter(|command| !matches!(command, Command::Operate(_))).collect();
                if !commands.is_empty() {
                    let command = commands[command % commands.len()].clone();
                    self.apply(group % 3, command);
                }
            }
            Step::Restart(group) => {
                let mut again = Group::new(GROUPS[group % 3]);
                again.restore(&self.groups[group % 3].snapshot()).expect("the group wrote it a moment ago");
                self.groups[group % 3] = again;
            }
        }
    }

    /// A join, a leave or a move. A refused one makes no configuration.
    fn configure(&mut self, choice: usize) {
        use shardctrler::Command;
        let group = GROUPS[choice / 3 % 3];
        let command = match choice % 3 {
            0 => Command::Join { groups: [(group, vec![group.to_string()])].into() },
            1 => Command::Leave { groups: vec![group] },
            _ => Command::Move { shard: choice / 9 % 10, group },
        };
        assert!(matches!(self.controller.apply(command), Made::Made(_) | Made::Refused(_)));
    }

    fn adopt(&mut self, group: usize) {
        let next = self.groups[group].config() + 1;
        let config: Config = self.controller.query(next as i64).clone();
        // If there is no next one, this is the newest again, as a leader that lags might adopt it.
        self.apply(group, Command::Adopt(config));
    }

    /// A client's append: a new one, or the last one again, answered or not.
    fn ask(&mut self, client: usize, group: usize, key: usize, again: bool) {
        let asking = &mut self.clients[client];
        let new = asking.operation.is_none() || asking.done && !again;
        if new {
            asking.sequence += 1;
            asking.operation = Some((key.to_string(), format!("({client} {})", asking.sequence)));
            asking.done = false;
        }
        let Client { sequence, operation: Some((key, value)), .. } = asking.clone() else { return };
        let command = Operation::Append { key: key.clone(), value: value.clone() };
        let request = Request { client: client as u64, sequence, command };
        match self.apply(group, Command::Operate(request)) {
            Reply::Operation(Ok(_)) if !self.clients[client].done => {
                self.clients[client].done = true;
                self.model.entry(key).or_default().push_str(&value);
                self.served += 1;
            }
            Reply::Operation(Ok(_) | Err(KvError::WrongGroup | KvError::Moving)) => {}
            reply => panic!("an append was answered with {reply:?}"),
        }
    }

    /// The next step of a handover to `group`, with the other group's answer of this moment.
    fn run_transfer(&mut self, group: usize, handover: Handover) {
        let Some(transfer) = self.groups[group].transfer(handover) else { return };
        let other = |servers: &[String]| {
            servers[0].parse::<usize>().expect("a server has its group's number as its name") - 1
        };
        match transfer {
            Transfer::Pull(servers) => {
                if let Ok(content) = self.groups[other(&servers)].hand_over(handover) {
                    self.apply(group, Command::Install(handover, content));
                }
            }
            Transfer::Discard(servers) => {
                self.apply(other(&servers), Command::Discard(handover));
                if self.groups[other(&servers)].is_gone(handover) {
                    self.apply(group, Command::Forget(handover));
                }
            }
        }
    }

    /// Runs all groups until no transfer is left.
    fn come_to_rest(&mut self) {
        let newest = self.controller.newest().number;
        for _ in 0..1000 {
            for group in 0..3 {
                while self.groups[group].config() < newest {
                    self.adopt(group);
                }
                for handover in self.groups[group].transfers() {
                    self.run_transfer(group, handover);
                }
            }
            if self.groups.iter().all(|group| group.transfers().is_empty()) {
                return;
            }
        }
        panic!("the groups wait for each other");
    }

    fn get(&mut self, group: usize, key: &str) -> Result<String, KvError> {
        let command = Operation::Get { key: key.to_owned() };
        match self.apply(group, Command::Operate(Request { client: 99, sequence: 1, command })) {
            Reply::Operation(result) => result,
            Reply::Done => panic!("the reply to a get is its result"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// In any order of events each operation takes effect once, and nothing is lost.
    #[test]
    fn groups_are_one_map(steps in proptest::collection::vec(step(), 1..400)) {
        let mut world = World::new();
        world.configure(0);
        steps.into_iter().for_each(|step| world.take(step));
        world.come_to_rest();
        for key in (0..KEYS).map(|key| key.to_string()) {
            let answers: Vec<_> = (0..3).map(|group| world.get(group, &key)).collect();
            let served: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
            let expected = world.model.get(&key).cloned().unwrap_or_default();
            let owner = world.controller.newest().shards[key_to_shard(&key)];
            prop_assert!(served.len() == 1 || owner == 0 && served.is_empty(), "{answers:?}");
            prop_assert!(served.iter().all(|value| **value == expected), "{answers:?} is not {expected:?}");
        }
    }
}
