//! The applications that a command knows, by name.
//!
//! Functions cannot travel in messages. Every worker runs the whole program; the coordinator sends the
//! application's name and parameters, and each worker makes the application from these.

use std::collections::BTreeMap;
use std::fmt;

use mapreduce::Application;
use mapreduce::store::{Store, StoreError};

/// Makes an application from its parameters.
type Make = dyn Fn(&[String]) -> Result<Box<dyn Application>, AppError> + Send + Sync;

/// Computes parameters before the job starts, from the input's store and files, and the number of reduces.
type Prepare = fn(&dyn Store, &[String], usize) -> Result<Vec<String>, StoreError>;

/// Why an application could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppError {
    /// The catalogue does not have the name.
    Unknown {
        /// The name.
        name: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// The parameters do not suit the application.
    Parameters(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::Unknown { name, known } => {
                write!(f, "no application `{name}`; known are {}", known.join(", "))
            }
            AppError::Parameters(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for AppError {}

/// One application.
struct Entry {
    make: Box<Make>,
    prepare: Option<Prepare>,
}

/// The applications that a command knows.
///
/// ```no_run
/// # use mrjob::{Application, Values};
/// # struct LongestLine;
/// # impl Application for LongestLine {
/// #     fn name(&self) -> &str { "longest-line" }
/// #     fn map(&self, _: &str, _: &[u8], _: &mut dyn FnMut(&str, &str)) {}
/// #     fn reduce(&self, _: &str, _: &mut dyn Values, _: &mut dyn FnMut(&str)) {}
/// # }
/// # struct LinesFrom(String);
/// # impl Application for LinesFrom {
/// #     fn name(&self) -> &str { "lines-from" }
/// #     fn map(&self, _: &str, _: &[u8], _: &mut dyn FnMut(&str, &str)) {}
/// #     fn reduce(&self, _: &str, _: &mut dyn Values, _: &mut dyn FnMut(&str)) {}
/// # }
/// use mrjob::{AppError, Catalogue};
///
/// fn main() -> std::process::ExitCode {
///     let catalogue = Catalogue::shipped()
///         .with(|| LongestLine)
///         .with_parameters("lines-from", |parameters| match parameters {
///             [first] => Ok(Box::new(LinesFrom(first.clone()))),
///             _ => Err(AppError::Parameters("lines-from: needs one parameter".to_owned())),
///         });
///     mrjob::main(catalogue)
/// }
/// ```
#[derive(Default)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

impl Catalogue {
    /// A catalogue without applications.
    pub fn new() -> Catalogue {
        Catalogue::default()
    }

    /// A catalogue with the applications of [`crate::apps`].
    pub fn shipped() -> Catalogue {
        crate::apps::add_all(Catalogue::new())
    }

    /// Adds an application without parameters under its own name. It replaces an application of the same
    /// name.
    #[must_use]
    pub fn with<A: Application>(self, make: impl Fn() -> A + Send + Sync + 'static) -> Catalogue {
        let name = make().name().to_owned();
        let known_as = name.clone();
        self.with_parameters(&name, move |parameters| match parameters {
            [] => Ok(Box::new(make())),
            _ => Err(AppError::Parameters(format!("{known_as}: takes no parameters"))),
        })
    }

    /// Adds an application that is made from its parameters, the texts of `--parameter`.
    #[must_use]
    pub fn with_parameters(
        mut self,
        name: &str,
        make: impl Fn(&[String]) -> Result<Box<dyn Application>, AppError> + Send + Sync + 'static,
    ) -> Catalogue {
        self.entries.insert(name.to_owned(), Entry { make: Box::new(make), prepare: None });
        self
    }

    /// Makes the application of this name compute its parameters from the input if the user gives none.
    ///
    /// # Panics
    /// If the catalogue does not have the name.
    #[must_use]
    pub fn preparing(mut self, name: &str, prepare: Prepare) -> Catalogue {
        let entry = self.entries.get_mut(name);
        entry.unwrap_or_else(|| panic!("no application `{name}` to prepare")).prepare = Some(prepare);
        self
    }

    /// The application of this name.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn make(&self, name: &str, parameters: &[String]) -> Result<Box<dyn Application>, AppError> {
        let unknown =
            || AppError::Unknown { name: name.to_owned(), known: self.entries.keys().cloned().collect() };
        (self.entries.get(name).ok_or_else(unknown)?.make)(parameters)
    }

    /// The parameters that the application computes for a job over these files; `None` if it computes none.
    pub(crate) fn prepare(
        &self,
        name: &str,
        store: &dyn Store,
        files: &[String],
        reduces: usize,
    ) -> Option<Result<Vec<String>, StoreError>> {
        let prepare = self.entries.get(name)?.prepare?;
        Some(prepare(store, files, reduces))
    }
}
