//! How many bytes of a file are read in a second: `cargo bench -p linearize-read`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "runs outside of any simulation")]

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
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = reading
}
criterion_main!(benches);
