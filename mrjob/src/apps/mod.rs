//! The applications that come with the command, a file each. Word count and the inverted index are the lab's.
//!
//! | application | after | parameters |
//! |---|---|---|
//! | `wc`, `indexer` | the course; paper, §2.1, §2.3 | |
//! | `grep` | §2.3 | the pattern |
//! | `sort` | §5.3 | the first keys of the partitions but the first; sampled from the input if none are given |
//! | `url-count`, `reverse-links` | §2.3 | |
//! | `mtiming`, `rtiming`, `jobcount`, `early_exit`, `nocrash` | the course's tests | |
//! | `crash` | the course's test | the longest stall in milliseconds (optional) |
//!
//! [`crate::Catalogue`] shows how to add your own.

pub mod crash;
pub mod early_exit;
pub mod grep;
pub mod job_count;
pub mod map_timing;
pub mod reduce_timing;
pub mod reverse_links;
pub mod sort;
pub mod url_count;
mod workers_at_work;

use mapreduce::app::{Values, collect};
use mapreduce::apps::indexer::Indexer;
use mapreduce::apps::wc::WordCount;

use crate::catalogue::{AppError, Catalogue};

/// Adds all of them.
pub(crate) fn add_all(catalogue: Catalogue) -> Catalogue {
    let grep = |parameters: &[String]| match parameters {
        [pattern] => Ok(Box::new(grep::Grep::new(pattern)?) as Box<_>),
        _ => Err(AppError::Parameters("grep: needs one parameter, the pattern".to_owned())),
    };
    catalogue
        .with_parameters("crash", |parameters| Ok(Box::new(crash::Crash::faulty(parameters)?)))
        .with(|| early_exit::EarlyExit)
        .with_parameters("grep", grep)
        .with(|| Indexer)
        .with(job_count::JobCount::default)
        .with(|| map_timing::MapTiming)
        .with(crash::Crash::faultless)
        .with(|| reverse_links::ReverseLinks)
        .with(|| reduce_timing::ReduceTiming)
        .with_parameters("sort", |borders| Ok(Box::new(sort::Sort::new(borders.to_vec()))))
        .preparing("sort", sort::sample)
        .with(|| url_count::UrlCount)
        .with(|| WordCount)
}

/// All values, sorted.
fn sorted(values: &mut dyn Values) -> Vec<String> {
    let mut values = collect(values);
    values.sort_unstable();
    values
}

/// A reduce that emits each value unchanged.
fn copy(values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
    while let Some(value) = values.next() {
        emit(value);
    }
}
