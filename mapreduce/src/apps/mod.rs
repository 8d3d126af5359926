//! The applications that come with the lab, a file each.
//!
//! To add one, write a file with an [`Application`] beside these and add a line to
//! [`CATALOGUE`]. A crate of its own can have applications, too: [`Application`] is all
//! that a job needs to know.
//!
//! | application | after | parameters |
//! |---|---|---|
//! | `wc`, `indexer` | the course; paper, §2.1, §2.3 | |
//! | `grep` | §2.3 | the pattern |
//! | `sort` | §5.3 | the borders of the partitions; the command line samples them |
//! | `url-count`, `reverse-links` | §2.3 | |
//! | `mtiming`, `rtiming`, `jobcount`, `early_exit`, `nocrash` | the course's tests; real processes only | |
//! | `crash` | the course's test; real processes only | the longest stall in milliseconds, or nothing |

pub mod crash;
pub mod early_exit;
pub mod grep;
pub mod indexer;
pub mod job_count;
pub mod letters;
pub mod map_timing;
pub mod reduce_timing;
pub mod reverse_links;
pub mod sort;
pub mod url_count;
pub mod wc;
mod workers_at_work;

use std::collections::BTreeSet;
use std::fmt;

use crate::app::{Application, Values, collect};

/// What makes an application of its parameters.
type Make = fn(&[String]) -> Result<Box<dyn Application>, AppError>;

/// Names, and what makes the applications.
pub const CATALOGUE: [(&str, Make); 12] = [
    ("crash", |parameters| Ok(Box::new(crash::Crash::faulty(parameters)?))),
    ("early_exit", |parameters| without("early_exit", parameters, early_exit::EarlyExit)),
    ("grep", |parameters| match parameters {
        [pattern] => Ok(Box::new(grep::Grep::new(pattern)?)),
        _ => Err(AppError::Parameters("grep: needs one parameter, the pattern".to_owned())),
    }),
    ("indexer", |parameters| without("indexer", parameters, indexer::Indexer)),
    ("jobcount", |parameters| without("jobcount", parameters, job_count::JobCount::default())),
    ("mtiming", |parameters| without("mtiming", parameters, map_timing::MapTiming)),
    ("nocrash", |parameters| without("nocrash", parameters, crash::Crash::faultless())),
    ("reverse-links", |parameters| without("reverse-links", parameters, reverse_links::ReverseLinks)),
    ("rtiming", |parameters| without("rtiming", parameters, reduce_timing::ReduceTiming)),
    ("sort", |parameters| Ok(Box::new(sort::Sort::new(parameters.to_vec())))),
    ("url-count", |parameters| without("url-count", parameters, url_count::UrlCount)),
    ("wc", |parameters| without("wc", parameters, wc::WordCount)),
];

/// For applications that have no parameters: to give them some is a mistake of the caller's.
fn without(
    name: &str,
    parameters: &[String],
    application: impl Application,
) -> Result<Box<dyn Application>, AppError> {
    match parameters {
        [] => Ok(Box::new(application)),
        _ => Err(AppError::Parameters(format!("{name}: takes no parameters"))),
    }
}

/// Why there is no such application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppError {
    /// Nobody has that name.
    Unknown(String),
    /// The application does not work with these parameters.
    Parameters(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::Unknown(name) => {
                let names = CATALOGUE.map(|(name, _)| name);
                write!(f, "no application `{name}`; there are {}", names.join(", "))
            }
            AppError::Parameters(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for AppError {}

/// The application of this name. `parameters` are its own. Every worker of a job makes
/// its own copy from the same name and parameters, which the coordinator tells it.
///
/// # Errors
/// See [`AppError`].
pub fn by_name(name: &str, parameters: &[String]) -> Result<Box<dyn Application>, AppError> {
    // A dozen names: a search from front to back is quick enough, once for each process.
    let found = CATALOGUE.iter().find(|(known, _)| *known == name);
    let (_, make) = found.ok_or_else(|| AppError::Unknown(name.to_owned()))?;
    make(parameters)
}

/// The sum of values that are numbers; others count as 0.
fn sum(values: &mut dyn Values) -> u64 {
    let mut sum = 0;
    while let Some(value) = values.next() {
        sum += if value == "1" { 1 } else { value.parse().unwrap_or(0_u64) };
    }
    sum
}

/// The different values, in order.
fn distinct(values: &mut dyn Values) -> BTreeSet<String> {
    let mut distinct = BTreeSet::new();
    while let Some(value) = values.next() {
        if !distinct.contains(value) {
            distinct.insert(value.to_owned());
        }
    }
    distinct
}

/// All values, in order.
fn sorted(values: &mut dyn Values) -> Vec<String> {
    let mut values = collect(values);
    values.sort_unstable();
    values
}

/// The identity.
fn copy(values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
    while let Some(value) = values.next() {
        emit(value);
    }
}
