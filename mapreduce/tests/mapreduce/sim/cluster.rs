//! A simulated cluster that runs one job: machine 0 has the coordinator, each of the others a worker.

use std::collections::BTreeMap;
use std::ops::Deref;

use labrpc::{ClientEnd, Service};
use labrt::World;
use labrt::quiet::Mutex;
use labrt::rand::random;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use mapreduce::app::Application;
use mapreduce::rpc::{CoordinatorClient, CoordinatorRpc, Job, WorkerClient, WorkerRpc};
use mapreduce::split::split_inputs;
use mapreduce::state::{Input, Phase, Rules};
use mapreduce::tasks::Tasks;
use mapreduce::worker::{Network, Setup, WorkerError};
use mapreduce::{Coordinator, Summary, Worker};
use tester::{Boot, Booted, Figures, Group, Net, Test};

use super::checker::{Checker, Eye, Facts};
use super::expected::Expected;
use super::probe::{Hooks, Probe};
use super::store::{Costs, SimStore, Storage};
use super::story::{machine_of, worker_id};
use super::wire;

/// A job, and the cluster that runs it.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Number of workers, each on its own machine, from 1 on.
    pub(crate) workers: usize,
    /// The program.
    pub(crate) application: Arc<dyn Application>,
    /// Whether its output depends on its input alone, so that it can be compared with a sequential run.
    pub(crate) is_pure: bool,
    /// Input files.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Longest split, in bytes.
    pub(crate) split_size: u64,
    /// The machines that have a replica of each file; empty if all files are equally far from all.
    pub(crate) replicas: Vec<Vec<usize>>,
    /// Number of reduce tasks.
    pub(crate) reduces: usize,
    /// Part B: intermediate files stay on the mappers' disks.
    pub(crate) local_disks: bool,
    pub(crate) rules: Rules,
    /// How long a worker goes on calling a coordinator that does not answer.
    pub(crate) patience: Duration,
    pub(crate) costs: Costs,
    /// Records that the job is expected to step over.
    pub(crate) skips: fn(&str, &[u8]) -> bool,
    /// What runs the workers' tasks.
    pub(crate) tasks: Arc<dyn Tasks>,
}

impl Plan {
    /// A job of part A with ten reduces and a file for each map, as the course's tests have it.
    pub(crate) fn new(workers: usize, application: impl Application, files: Vec<(String, Vec<u8>)>) -> Plan {
        let short = labrt::world() == World::Threads;
        // As much shorter as the time-out is, so that things come in the same order.
        let micros = |micros: u64| Duration::from_micros(if short { micros * 3 / 10 } else { micros });
        Plan {
            workers,
            application: Arc::new(application),
            is_pure: true,
            files,
            split_size: u64::MAX,
            replicas: Vec::new(),
            reduces: 10,
            local_disks: false,
            rules: Rules { timeout: timeout(), ..Rules::default() },
            patience: Duration::from_secs(60),
            costs: Costs {
                operation: micros(1000),
                byte: micros(100),
                call: if short { Duration::ZERO } else { micros(200) },
            },
            skips: |_, _| false,
            tasks: crate::under_test::tasks(),
        }
    }

    /// The same in part B.
    pub(crate) fn on_local_disks(mut self) -> Plan {
        self.local_disks = true;
        self
    }

    /// The splits, and which machines have each.
    fn inputs(&self, storage: &Arc<Storage>) -> Vec<Input> {
        for (number, (name, bytes)) in self.files.iter().enumerate() {
            storage.put(name, bytes, self.replicas.get(number).map_or(&[], Vec::as_slice));
        }
        let names: Vec<String> = self.files.iter().map(|(name, _)| name.clone()).collect();
        let shared = SimStore::shared(storage, 0);
        let splits = split_inputs(&shared, &names, self.application.records(), self.split_size);
        let splits = splits.expect("the input files are there");
        let hosts = |file: &str| {
            let number = self.files.iter().position(|(name, _)| name == file);
            let machines = number.and_then(|number| self.replicas.get(number)).cloned().unwrap_or_default();
            machines.into_iter().map(host_name).collect()
        };
        splits.into_iter().map(|split| Input { hosts: hosts(&split.pieces[0].file), split }).collect()
    }
}

/// The time-out for tasks: the course's ten seconds of virtual time, less where they would be real.
pub(crate) fn timeout() -> Duration {
    Duration::from_secs(if labrt::world() == World::Threads { 3 } else { 10 })
}

/// A machine's name in the network and in the coordinator's books.
pub(crate) fn host_name(machine: usize) -> String {
    format!("machine-{machine}")
}

/// What runs on a machine.
pub(crate) enum Process {
    Coordinator(Arc<Coordinator>),
    Worker,
}

/// How a worker process has ended by itself.
type Exit = Result<(), WorkerError>;

/// A running job. Clones are the same job. It is a [`Group`], whose verbs it shares.
#[derive(Clone)]
pub(crate) struct Cluster {
    group: Group<Process>,
    shared: Arc<Shared>,
}

/// What outlives crashes.
struct Shared {
    plan: Plan,
    storage: Arc<Storage>,
    checker: Arc<Checker>,
    hooks: Hooks,
    exits: Mutex<Vec<Exit>>,
    /// The first worker process to be started by a boot, by machine; a machine without runs none yet.
    manned: Mutex<Vec<bool>>,
}

impl Deref for Cluster {
    type Target = Group<Process>;

    fn deref(&self) -> &Group<Process> {
        &self.group
    }
}

/// How a worker of the simulation reaches the others: on the ends of its machine.
struct Ends {
    ends: Vec<ClientEnd>,
}

impl Network for Ends {
    fn coordinator(&self) -> CoordinatorClient {
        CoordinatorClient::new(self.ends[0].clone()).timeout(Duration::from_secs(1))
    }

    fn worker(&self, host: &str) -> Option<WorkerClient> {
        let machine = (1..self.ends.len()).find(|&machine| host_name(machine) == host)?;
        // Longer, since a slow machine takes its time to read.
        Some(WorkerClient::new(self.ends[machine].clone()).timeout(Duration::from_secs(5)))
    }
}

impl Cluster {
    /// Starts the coordinator, and a worker on each machine.
    pub(crate) fn new(test: &Test, plan: Plan) -> Cluster {
        let everywhere: Vec<usize> = (1..=plan.workers).collect();
        Cluster::start(test, plan, &everywhere, Hooks::default())
    }

    /// As [`Cluster::new`], with hooks into the application.
    pub(crate) fn with_hooks(test: &Test, plan: Plan, hooks: Hooks) -> Cluster {
        let everywhere: Vec<usize> = (1..=plan.workers).collect();
        Cluster::start(test, plan, &everywhere, hooks)
    }

    /// Starts the coordinator, and workers on these machines.
    pub(crate) fn start(test: &Test, plan: Plan, manned: &[usize], hooks: Hooks) -> Cluster {
        let storage = Storage::new(plan.workers + 1, plan.costs);
        let inputs = plan.inputs(&storage);
        let expected = if plan.is_pure {
            Expected::of(&*plan.application, &plan.files, plan.reduces, plan.skips)
        } else {
            Expected::unknown()
        };
        let replicas = inputs.iter().map(|input| input.hosts.clone()).collect();
        let facts = Facts {
            replicas,
            reduces: plan.reduces,
            timeout: plan.rules.timeout,
            backup: plan.rules.backup,
            local_disks: plan.local_disks,
        };
        let checker = Checker::new(test, expected, facts);
        let watcher = checker.clone();
        storage.on_final(Arc::new(move |name, bytes, change| watcher.final_changed(name, bytes, change)));
        let machines = plan.workers + 1;
        let shared = Arc::new(Shared {
            manned: Mutex::new((0..machines).map(|machine| manned.contains(&machine)).collect()),
            plan,
            storage,
            checker,
            hooks,
            exits: Mutex::default(),
        });
        let (of_boot, of_test) = (shared.clone(), test.clone());
        let boot = move |boot: Boot| {
            if boot.me == 0 {
                boot_coordinator(&of_test, &of_boot, &inputs)
            } else {
                boot_worker(&of_boot, boot)
            }
        };
        let group = Group::new(test, &Net::as_drawn(test), "machine", machines, boot);
        group.start_all();
        group.pause_as_drawn();
        let cluster = Cluster { group, shared };
        let at_end = cluster.clone();
        test.at_end(move |_| at_end.figures());
        cluster
    }

    fn figures(&self) -> Figures {
        let network = self.net().network();
        Figures {
            peers: self.len(),
            rpcs: network.total_count(),
            bytes: network.total_bytes(),
            commands: self.checker().with(|record| record.handed_out.len()) as u64,
        }
    }

    pub(crate) fn checker(&self) -> &Arc<Checker> {
        &self.shared.checker
    }

    pub(crate) fn storage(&self) -> &Arc<Storage> {
        &self.shared.storage
    }

    pub(crate) fn workers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.shared.plan.workers
    }

    pub(crate) fn coordinator(&self) -> Arc<Coordinator> {
        let coordinator = self.visit(0, |process| match &**process {
            Process::Coordinator(coordinator) => coordinator.clone(),
            Process::Worker => panic!("machine 0 has the coordinator"),
        });
        coordinator.expect("no test crashes the coordinator")
    }

    /// Crashes a machine: its threads stop where they stand, and what it was writing is lost. Its disk keeps
    /// the rest.
    pub(crate) fn crash_machine(&self, machine: usize) {
        self.storage().crash(machine);
        // The calling thread may be the machine's own, and not come back from this.
        self.group.crash(machine);
        self.storage().crash(machine);
    }

    /// Starts the machine again, with a new worker.
    pub(crate) fn restart_machine(&self, machine: usize) {
        self.shared.manned.lock()[machine] = true;
        self.restart(machine);
        self.storage().crash(machine);
        self.connect(machine);
    }

    /// Waits for the job's end, and checks what must hold then.
    pub(crate) fn wait(&self) -> Summary {
        let coordinator = self.coordinator();
        let summary = coordinator.wait();
        if let Some(failure) = &summary.failure {
            self.test().fail(format!("the job has failed: {failure}"));
        }
        self.test().note("the job is finished");
        self.checker().finished((summary.maps, summary.reduces), self.shared.plan.reduces);
        summary
    }

    /// Waits until all workers that live have heard that the job is over, and checks that the output is still
    /// there.
    pub(crate) fn wait_for_exits(&self, count: usize) {
        let patience = Instant::now();
        while self.exits().len() < count && patience.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(10));
        }
        let exits = self.exits();
        self.test().expect(exits.len() >= count, || {
            format!("{count} workers should end with the job, and {} have: {exits:?}", exits.len())
        });
        if let Some(bad) = exits.iter().find(|exit| exit.is_err()) {
            self.test().fail(format!("a worker ended otherwise than by the job's end: {bad:?}"));
        }
    }

    /// Workers that have ended by themselves.
    pub(crate) fn exits(&self) -> Vec<Exit> {
        self.shared.exits.lock().clone()
    }

    /// Whether the job is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.coordinator().status().phase, Phase::Finished | Phase::Failed(_))
    }

    /// Whether a worker on this machine is believed to run a task.
    pub(crate) fn runs_something(&self, machine: usize) -> bool {
        self.checker().runs_something(|worker| machine_of(worker) == machine)
    }

    /// What the output files hold now.
    pub(crate) fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        let names = (0..self.shared.plan.reduces).map(mapreduce::names::output);
        names.filter_map(|name| Some((name.clone(), self.storage().look(&name)?.to_vec()))).collect()
    }

    /// Ends all machines, for a test that runs another job after this one.
    pub(crate) fn stop(&self) {
        (0..self.len()).for_each(|machine| self.group.crash(machine));
    }
}

fn boot_coordinator(test: &Test, shared: &Arc<Shared>, inputs: &[Input]) -> Booted<Process> {
    let plan = &shared.plan;
    let job = Job {
        id: random(),
        application: plan.application.name().to_owned(),
        parameters: Vec::new(),
        reduces: plan.reduces,
        local_disks: plan.local_disks,
        report_every_ms: timeout().as_millis() as u64 / 10,
    };
    let coordinator = Coordinator::new(job, inputs.to_vec(), plan.rules.clone());
    if !test.ignores_observers() {
        coordinator.watch(Box::new(Eye(shared.checker.clone())));
    }
    let services = vec![wire::around(coordinator.clone().into_service(), &shared.checker)];
    Booted { server: Arc::new(Process::Coordinator(coordinator)), services }
}

fn boot_worker(shared: &Arc<Shared>, boot: Boot) -> Booted<Process> {
    let Boot { me, incarnation, ends, .. } = boot;
    if !shared.manned.lock()[me] {
        return Booted { server: Arc::new(Process::Worker), services: Vec::<Service>::new() };
    }
    let worker = worker_id(me, incarnation);
    let probe: Arc<dyn Application> = Arc::new(Probe {
        inner: shared.plan.application.clone(),
        machine: me,
        worker,
        storage: shared.storage.clone(),
        checker: shared.checker.clone(),
        hooks: shared.hooks.clone(),
    });
    let setup = Setup {
        worker,
        host: host_name(me),
        network: Box::new(Ends { ends }),
        shared: Arc::new(SimStore::shared(&shared.storage, me)),
        local: Arc::new(SimStore::local(&shared.storage, me)),
        applications: Box::new(move |_| Ok(probe.clone())),
        tasks: shared.plan.tasks.clone(),
        memory: 1 << 20,
        patience: shared.plan.patience,
        retry: Duration::from_millis(100),
    };
    let worker = Worker::new(setup);
    let (running, exits) = (worker.clone(), shared.clone());
    thread::spawn_named("work_loop", move || {
        let result = running.run();
        exits.exits.lock().push(result);
    });
    Booted { server: Arc::new(Process::Worker), services: vec![worker.into_service()] }
}
