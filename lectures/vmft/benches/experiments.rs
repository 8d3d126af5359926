//! Experiments E14 and E16: what fault tolerance costs a guest, and how long a failover takes. The lab's own
//! hosts, in virtual time. `cargo lab bench lectures`.
//!
//! Also the speed of the machine and of the recorder, in real time.

#![allow(clippy::disallowed_types, reason = "the machine's speed is measured on the wall clock")]

use std::process::ExitCode;
use std::time::Instant as WallClock;

use labrpc::{DelayModel, Direction, Server};
use labrt::node::Node;
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use tester::{Experiment, Net, play, trial};
use vmft::assembler::assemble;
use vmft::rpc::{DiskPeer, HostPeer, LogBatch, WirePeer};
use vmft::{
    DiskArbiter, DiskServer, EntryKind, Host, HostSources, Interrupt, Machine, Peers, Program, Recorder,
    Role, Settings, VM, Wire, guests,
};

fn main() -> ExitCode {
    play(&[overhead, time_to_go_live, guest_speed])
}

/// Trials of each row, each with a seed of its own.
const SEEDS: u64 = 5;
/// For how long a guest is measured, behind a tenth that is not.
const MEASURED: Duration = Duration::from_secs(5);
/// The time to record one event (the model of E14).
const RECORD: Duration = Duration::from_micros(20);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Bytes on the channel.
#[derive(Clone, Copy, Default)]
struct Traffic {
    /// Messages with entries, with 108 bytes for each packet of 1,448.
    log: u64,
    /// The same without the data of disk reads.
    without_reads: u64,
}

fn wire_size(payload: usize) -> u64 {
    (payload + 108 * payload.div_ceil(1448)) as u64
}

impl Traffic {
    fn add(&mut self, bytes: &[u8]) {
        let Ok(mut batch) = labgob::decode::<LogBatch>(bytes) else { return };
        // The messages of the model carry entries and little else.
        let size = |batch: &LogBatch| wire_size(labgob::encode(&batch.entries).len());
        self.log += size(&batch);
        for entry in &mut batch.entries {
            if let EntryKind::Interrupt(Interrupt::Disk { data: Some(data), .. }) = &mut entry.kind {
                data.clear();
            }
        }
        self.without_reads += size(&batch);
    }
}

/// Two hosts on a fast network (round trip 150 µs), as in the paper.
struct Pair {
    nodes: [Node; 2],
    hosts: Vec<Arc<Host>>,
    net: Net,
    wire: Arc<Wire>,
    traffic: Arc<Mutex<Traffic>>,
}

impl Pair {
    fn new(program: &Program, settings: &Settings) -> Pair {
        let net = Net::new();
        net.network().set_delay(DelayModel::fixed(Duration::from_micros(75)));
        let (disk, wire) = (DiskServer::new(), Wire::new());
        let around = Node::new("around");
        net.network().add_server("disk", Server::new(&around).with(disk.service()));
        net.network().add_server("wire", Server::new(&around).with(wire.service()));
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let counter = Arc::clone(&traffic);
        net.network().set_tap(move |event| {
            if event.method == "HostRpc.log" && event.direction == Direction::Request {
                counter.lock().add(event.bytes);
            }
            labrpc::TapAction::Deliver
        });
        let nodes = ["host-0", "host-1"].map(Node::new);
        let mut pair = Pair { nodes, hosts: Vec::new(), net, wire, traffic };
        for me in 0..2 {
            let disk = DiskPeer::new(pair.end("disk"));
            let peers = Peers {
                hosts: (0..2).map(|host| HostPeer::new(pair.end(&format!("host-{host}")))).collect(),
                arbiter: Arc::new(DiskArbiter::new(&disk, VM)),
                disk,
                cluster: None,
                wire: WirePeer::new(pair.end("wire")),
            };
            let node = pair.nodes[me].clone();
            let host = node.enter(|| Host::start(me, peers, settings.clone()));
            let server = Server::new(&node).with(host.service());
            pair.net.network().add_server(format!("host-{me}").as_str(), server);
            pair.hosts.push(host);
        }
        for (me, host) in pair.hosts.iter().enumerate() {
            host.boot(Machine::new(program.clone()), me == 0, 1 - me);
        }
        pair
    }

    fn end(&self, server: &str) -> labrpc::ClientEnd {
        let (number, end) = self.net.make_end(&server.into());
        self.net.network().enable(number, true);
        end
    }

    fn crash(&self, host: usize) {
        self.net.network().delete_server(format!("host-{host}").as_str());
        self.nodes[host].kill();
    }

    fn wait_for(&self, host: usize, role: Role) {
        while self.hosts[host].status().role != role {
            thread::sleep(ms(1));
        }
    }
}

/// Spins, with a tick 1,000 times a second.
fn spinning() -> Program {
    guest("", "", "iret")
}

/// As [`spinning`]; each tick reads the clock, and every second one starts a disk read: 2,500 events a
/// second.
fn compiling() -> Program {
    let tick = "
            rdtime r7
            movi r9 1
            add r8 r8 r9
            and r10 r8 r9
            jz r10 back
            diskrd r10 r4
        back:
            iret
    ";
    guest("movi r4 0x400", "", tick)
}

/// Waits, with a tick 1,000 times a second.
fn idling() -> Program {
    guest("", "wfi", "iret")
}

fn guest(start: &str, work: &str, tick: &str) -> Program {
    assemble(&format!(
        "
            movi r1 2
            setvec r1 done
            movi r1 0
            setvec r1 tick
            movi r1 1000
            timer r1
            {start}
            ei
        spin:
            {work}
            add r2 r2 r1
            jmp spin
        done:
            iret
        tick:
            {tick}
        "
    ))
}

/// A server: for each request of 900 bytes it reads three blocks, works for a while, and answers.
fn serving(work: u32) -> Program {
    assemble(&format!(
        "
            movi r1 1
            setvec r1 packet
            movi r1 2
            setvec r1 done
            movi r1 0
            setvec r1 tick
            movi r1 10000
            timer r1
            movi r5 1
            movi r6 0x3000      ; a ring of 64 requests: packet, and blocks to come
        idle:
            wfi
            jmp idle
        tick:
            iret
        packet:
            movi r7 63
            and r7 r8 r7
            movi r9 10
            shl r7 r7 r9
            movi r9 0x4000
            movi r10 0x100
            netrx r10
            ld r11 r10 0
            ld r12 r10 8
            movi r9 31
            and r7 r8 r9
            movi r9 4
            shl r7 r7 r9
            st r11 r7 0x3000
            st r12 r7 0x3008
            add r8 r8 r5
            movi r9 0x1000
            diskrd r5 r9
            diskrd r5 r9
            diskrd r5 r9
            iret
        done:
            add r4 r4 r5
            movi r9 3
            cmpeq r9 r4 r9
            jz r9 back
            movi r4 0
            movi r7 {work}
        work:
            sub r7 r7 r5
            jnz r7 work
            movi r9 31
            and r7 r3 r9
            movi r9 4
            shl r7 r7 r9
            add r3 r3 r5
            ld r11 r7 0x3000
            ld r12 r7 0x3008
            movi r10 0x900
            st r11 r10 0
            st r12 r10 8
            st r12 r10 16
            movi r9 24
            nettx r10 r9
        back:
            iret
        "
    ))
}

/// What a guest has done in [`MEASURED`], and what the channel has carried.
struct Done {
    work: u64,
    traffic: Traffic,
}

/// Clients that keep the server busy, or think between two requests.
#[derive(Clone, Copy)]
struct Load {
    clients: u64,
    think: Duration,
}

fn measure(seed: u64, program: &Program, load: Option<Load>, is_replicated: bool) -> Done {
    let program = program.clone();
    trial(seed, move || {
        let settings = Settings { record_cost: RECORD, ..Settings::default() };
        let pair = Pair::new(&program, &settings);
        if !is_replicated {
            pair.crash(1);
            pair.wait_for(0, Role::Live);
        }
        let answered = Arc::new(Mutex::new(0_u64));
        for number in 1..=load.map_or(0, |load| load.clients) {
            let hosts = vec![HostPeer::new(pair.end("host-0"))];
            let (mut client, answered) = (pair.wire.client(number, hosts), Arc::clone(&answered));
            let think = load.map_or(Duration::ZERO, |load| load.think);
            drop(thread::spawn(move || {
                // 900 bytes with the two words in front.
                let words = [0; 110];
                loop {
                    client.call(&words);
                    *answered.lock() += 1;
                    thread::sleep(think.mul_f64(labrt::rand::random_range(0.5..1.5)));
                }
            }));
        }
        thread::sleep(MEASURED / 10);
        let work = || if load.is_some() { *answered.lock() } else { pair.hosts[0].status().icount };
        let (before, traffic) = (work(), *pair.traffic.lock());
        thread::sleep(MEASURED);
        let after = *pair.traffic.lock();
        let traffic = Traffic {
            log: after.log - traffic.log,
            without_reads: after.without_reads - traffic.without_reads,
        };
        Done { work: work() - before, traffic }
    })
}

/// The means of a row over all seeds.
struct Row {
    ratio: f64,
    /// Mbit/s.
    log: f64,
    without_reads: f64,
    /// Megabytes a second of packets and blocks that came in, of a server.
    input: f64,
}

fn row(program: &Program, load: Option<Load>) -> Row {
    let seconds = MEASURED.as_secs_f64() * SEEDS as f64;
    let mut row = Row { ratio: 0.0, log: 0.0, without_reads: 0.0, input: 0.0 };
    for seed in 1..=SEEDS {
        let (with, without) = (measure(seed, program, load, true), measure(seed, program, load, false));
        row.ratio += with.work as f64 / without.work as f64 / SEEDS as f64;
        row.log += with.traffic.log as f64 * 8e-6 / seconds;
        row.without_reads += with.traffic.without_reads as f64 * 8e-6 / seconds;
        row.input += with.work as f64 * (900.0 + 3.0 * 512.0) / 1e6 / seconds;
    }
    row
}

/// E14.
fn overhead() -> Experiment {
    let mut table = Experiment::new(
        "E14",
        "what fault tolerance costs: work with and without it, and Mbit/s of the log",
        &["guest", "paper: ratio", "ours", "paper: log", "ours", "backup reads its disk: paper", "ours"],
    );
    let busy = Load { clients: 16, think: Duration::ZERO };
    let thinking = Load { clients: 16, think: ms(29) };
    let rows = [
        ("idle", "", "0.5-1.5", "", row(&idling(), None)),
        ("processor only (SPECjbb2005)", "0.98", "1.5", "", row(&spinning(), None)),
        ("compile", "0.95", "3.0", "", row(&compiling(), None)),
        ("requests, with idle time (Swingbench)", "0.99", "12", "3", row(&serving(300), Some(thinking))),
        ("requests, busy (DVD Store)", "0.94", "18", "8", row(&serving(450), Some(busy))),
        ("requests, busy, as many as with idle time", "", "", "", row(&serving(820), Some(busy))),
    ];
    for (name, ratio, log, reads, row) in &rows {
        table.row([
            (*name).to_owned(),
            (*ratio).to_owned(),
            if *name == "idle" { String::new() } else { format!("{:.3}", row.ratio) },
            (*log).to_owned(),
            format!("{:.2}", row.log),
            (*reads).to_owned(),
            format!("{:.2}", row.without_reads),
        ]);
    }
    let [idle, processor, compile, with_idle, busy, equal] = rows.map(|row| row.4);
    for (name, row) in
        [("processor", &processor), ("compile", &compile), ("idle time", &with_idle), ("busy", &busy)]
    {
        table.accept(
            (0.9..=1.005).contains(&row.ratio),
            format!("{name}: ratio {:.3} within 0.90 to 1.00", row.ratio),
        );
    }
    table.accept(processor.ratio >= 0.96, format!("processor: ratio {:.3} at least 0.96", processor.ratio));
    let rates = format!("{:.2} and {:.2} MB/s of input", with_idle.input, equal.input);
    table.accept(
        with_idle.ratio > equal.ratio,
        format!("idle time hides the cost: {:.3} against {:.3}, at {rates}", with_idle.ratio, equal.ratio),
    );
    table.within("input of the two, the second against the first", equal.input, with_idle.input, 0.15);
    let logs = [processor.log, compile.log, with_idle.log, busy.log];
    table.accept(logs.is_sorted(), format!("the log's traffic in the order of the table: {logs:.2?} Mbit/s"));
    for (name, row, paper) in [("with idle time", &with_idle, 1.3), ("busy", &busy, 2.1)] {
        table.within(&format!("{name}: MB/s of input, the model's"), row.input, paper, 0.15);
        table.within(&format!("{name}: Mbit/s of log against those of input"), row.log, row.input * 8.0, 0.3);
        let cut = 1.0 - row.without_reads / row.log;
        table.accept(
            cut >= 0.5,
            format!("{name}: reads by the backup would cut {:.0} % of the log", 100.0 * cut),
        );
    }
    table.accept((0.5..=1.5).contains(&idle.log), format!("idle: {:.2} Mbit/s within 0.5 to 1.5", idle.log));
    table
}

/// One failover of a backup that was slow for `lag`: the lag when the primary crashed and when it was found
/// out, and the time until the backup was live.
fn failover(seed: u64, lag: Duration) -> (Duration, Duration) {
    trial(seed, move || {
        // Without lag control, which would keep the lag small.
        let settings = Settings { max_lag: Duration::from_secs(60), max_log: 1 << 20, ..Settings::default() };
        let pair = Pair::new(&spinning(), &settings);
        thread::sleep(ms(500));
        // A tenth of its speed, so that nine tenths of the time become lag.
        pair.hosts[1].set_speed(if lag.is_zero() { settings.speed } else { settings.speed / 10 });
        thread::sleep(lag.mul_f64(1.0 / 0.9));
        let at_crash = pair.hosts[0].status().icount;
        pair.crash(0);
        let crashed = Instant::now();
        while matches!(pair.hosts[1].status().role, Role::Backup) {
            thread::sleep(Duration::from_micros(100));
        }
        let behind = at_crash.saturating_sub(pair.hosts[1].status().icount);
        pair.hosts[1].set_speed(settings.speed);
        pair.wait_for(1, Role::Live);
        (Duration::from_secs_f64(behind as f64 / settings.speed as f64), crashed.elapsed())
    })
}

/// E16.
fn time_to_go_live() -> Experiment {
    let mut table = Experiment::new(
        "E16",
        "time to go live: detection time + execution lag, in seconds",
        &["lag aimed at", "lag", "T + lag", "ours"],
    );
    let timeout = Settings::default().timeout.as_secs_f64();
    let mut points = Vec::new();
    for aimed in [0, 100, 500, 1000, 2000] {
        let trials: Vec<_> = (1..=SEEDS).map(|seed| failover(seed, ms(aimed))).collect();
        let mean = |of: fn(&(Duration, Duration)) -> Duration| {
            trials.iter().map(|trial| of(trial).as_secs_f64()).sum::<f64>() / SEEDS as f64
        };
        let (lag, gap) = (mean(|trial| trial.0), mean(|trial| trial.1));
        table.row([
            format!("{:.1}", aimed as f64 / 1000.0),
            format!("{lag:.3}"),
            format!("{:.3}", timeout + lag),
            format!("{gap:.3}"),
        ]);
        table.within(&format!("gap at a lag of {lag:.2} s"), gap, timeout + lag, 0.1);
        points.push((lag, gap));
    }
    table.within("slope of the gap against the lag", slope(&points), 1.0, 0.1);
    let worst = (1..=SEEDS).map(worst_lag_at_half_speed).max().unwrap_or_default();
    table.accept(worst < ms(2000), format!("lag control: at most {worst:.2?} behind at half speed"));
    table
}

/// Of the line that fits the points best.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) =
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

fn worst_lag_at_half_speed(seed: u64) -> Duration {
    trial(seed, || {
        let pair = Pair::new(&spinning(), &Settings::default());
        pair.hosts[1].set_speed(Settings::default().speed / 2);
        let look = |_| {
            thread::sleep(ms(50));
            pair.hosts[0].status().lag
        };
        (0..400).map(look).max().unwrap_or_default()
    })
}

/// The machine in real time: instructions a second while it is recorded.
fn guest_speed() -> Experiment {
    const SLICES: u64 = 20_000;
    let mut table = Experiment::new(
        "guest-speed",
        "a recorded guest in real time, with a tick for every 1,000 instructions",
        &["guest", "million instructions a second"],
    );
    for (name, program) in [("spin", spinning()), ("sorter", guests::sorter(1000))] {
        let mut recorder = Recorder::new(Machine::new(program), Arc::new(HostSources), 1, 1);
        let start = WallClock::now();
        for _ in 0..SLICES {
            recorder.interrupt(&Interrupt::Timer);
            recorder.run(1000);
            recorder.take_entries();
            recorder.take_outputs();
        }
        let rate = recorder.machine().icount() as f64 / start.elapsed().as_secs_f64() / 1e6;
        table.row([name.to_owned(), format!("{rate:.0}")]);
        table.accept(rate >= 20.0, format!("{name}: {rate:.0} million instructions a second, at least 20"));
    }
    table
}
