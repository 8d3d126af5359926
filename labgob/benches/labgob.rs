//! What encoding costs: a heartbeat, a request with entries, a long command and a snapshot.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use labgob::{decode, encode, encoded_size};
use serde::{Deserialize, Serialize};

/// The shape of `AppendEntries`.
#[derive(Clone, Serialize, Deserialize)]
struct Request {
    term: u64,
    leader_id: u64,
    prev_log_index: u64,
    prev_log_term: u64,
    entries: Vec<Entry>,
    leader_commit: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    term: u64,
    #[serde(with = "labgob::bytes")]
    command: Vec<u8>,
}

/// The same bytes as an entry's command, visited one by one: what the attribute saves.
#[derive(Clone, Serialize, Deserialize)]
struct Visited(Vec<u8>);

#[derive(Clone, Serialize, Deserialize)]
struct Copied(#[serde(with = "labgob::bytes")] Vec<u8>);

fn request(entries: usize, command_length: usize) -> Request {
    let entry = Entry { term: 3, command: vec![0x5A; command_length] };
    let entries = vec![entry; entries];
    Request { term: 3, leader_id: 1, prev_log_index: 1017, prev_log_term: 2, entries, leader_commit: 1016 }
}

fn messages(criterion: &mut Criterion) {
    let cases =
        [("heartbeat", request(0, 0)), ("ten entries", request(10, 20)), ("long command", request(1, 5000))];
    for (name, value) in cases {
        let bytes = encode(&value);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&value))));
        group.bench_function("size", |bencher| bencher.iter(|| encoded_size(black_box(&value))));
        group.bench_function("decode", |bencher| bencher.iter(|| decode::<Request>(black_box(&bytes))));
        group.finish();
    }
}

fn snapshots(criterion: &mut Criterion) {
    let snapshot = vec![0x5A_u8; 100_000];
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Bytes(snapshot.len() as u64));
    let (visited, copied) = (Visited(snapshot.clone()), Copied(snapshot));
    let bytes = encode(&copied);
    group.bench_function("encode visited", |bencher| bencher.iter(|| encode(black_box(&visited))));
    group.bench_function("encode copied", |bencher| bencher.iter(|| encode(black_box(&copied))));
    group.bench_function("decode visited", |bencher| {
        bencher.iter_batched(|| &bytes, |bytes| decode::<Visited>(bytes), BatchSize::SmallInput);
    });
    group.bench_function("decode copied", |bencher| {
        bencher.iter_batched(|| &bytes, |bytes| decode::<Copied>(bytes), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, messages, snapshots);
criterion_main!(benches);
