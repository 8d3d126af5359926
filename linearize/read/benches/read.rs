//! How many bytes of a file are read in a second: `cargo bench -p linearize-read`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linearize::generate::{Values, Workload, json_lines};
use linearize_read::read;

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reading");
    let histories = [
        ("lab 100000", Workload::lab(10, 10, 100_000)),
        ("appends 10000", Workload::appends(10, 10_000)),
        ("register 100000", Workload::register(10, 100_000, Values::Unique)),
    ];
    for (name, workload) in histories {
        let text = json_lines(&workload.generate());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(read("bench", text.as_bytes()).expect("it was written so")));
        });
    }
    let text = history_edn(100_000);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("history.edn of a register 100000", |bench| {
        bench.iter(|| black_box(read("bench", text.as_bytes()).expect("it was written so")));
    });
}

/// So many operations of a register, as Jepsen writes them: ten processes in turns, a call and a return each.
fn history_edn(operations: usize) -> String {
    let mut text = String::new();
    let mut event = |index: usize, operation: usize, kind: &str| {
        let (process, value) = (operation % 10, operation / 4 % 5);
        let (function, value) = match (operation % 4, kind) {
            (0, _) => ("write", value.to_string()),
            (1, _) => ("cas", format!("[{value} {value}]")),
            (_, "invoke") => ("read", "nil".to_owned()),
            _ => ("read", value.to_string()),
        };
        let time = index * 1_234_567;
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{{:type :{kind}, :f :{function}, :value {value}, :process {process}, :time {time}, :index {index}}}"
        );
    };
    for operation in 0..operations {
        event(2 * operation, operation, "invoke");
        event(2 * operation + 1, operation, "ok");
    }
    text
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = reading
}
criterion_main!(benches);
