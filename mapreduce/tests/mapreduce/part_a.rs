//! Part A: intermediate files in the shared store.

use crate::sim::cluster::{Cluster, Plan};
use crate::sim::text::book_files;
use mapreduce::apps::indexer::Indexer;
use mapreduce::apps::wc::WordCount;
use tester::run;

#[test]
fn mr_wordcount() {
    run("mr_wordcount", |t| {
        t.scene("Three workers count the words of eight files.");
        let cluster = Cluster::new(t, Plan::new(3, WordCount, book_files(3000)));
        let summary = cluster.wait();
        t.expect(summary.maps.pairs > 0, || "no word was found".to_owned());
        cluster.wait_for_exits(3);
    });
}

#[test]
fn mr_indexer() {
    run("mr_indexer", |t| {
        t.scene("Three workers make an index of eight files.");
        let cluster = Cluster::new(t, Plan::new(3, Indexer, book_files(2000)));
        cluster.wait();
        cluster.wait_for_exits(3);
    });
}
