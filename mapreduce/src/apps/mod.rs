//! The applications that come with the lab, a file each.
//!
//! To add one: write a file with an [`Application`] beside these, and add its name to [`NAMES`] and [`by_name`].

pub mod wc;

use crate::app::Application;
use std::fmt;

/// Names that [`by_name`] knows.
pub const NAMES: [&str; 1] = ["wc"];

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
            AppError::Unknown(name) => write!(f, "no application `{name}`; there are {}", NAMES.join(", ")),
            AppError::Parameters(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for AppError {}

/// The application of this name. `parameters` are its own: the pattern of `grep`, the borders of `sort`'s partitions. Every
/// worker of a job makes its own copy from the same name and parameters, which the coordinator tells it.
///
/// # Errors
/// See [`AppError`].
pub fn by_name(name: &str, parameters: &[String]) -> Result<Box<dyn Application>, AppError> {
    let _ = parameters;
    match name {
        "wc" => Ok(Box::new(wc::WordCount)),
        _ => Err(AppError::Unknown(name.to_owned())),
    }
}
