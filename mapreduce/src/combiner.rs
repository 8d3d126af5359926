// handout: file guided
//! The combiner in the plain tasks (paper, §4.3): reduces the pairs of one map before they are written, so
//! that less travels to the reducers.

use labrt::runtime;

use crate::app::Application;
use crate::task::{Groups, Listed};
use crate::tasks::TaskError;

// handout: bodies 1A
/// Replaces the values of each key by what the application's combiner emits for them.
///
/// # Errors
/// [`TaskError::BadKey`] if the combiner panics.
pub(crate) fn combine(application: &dyn Application, groups: &mut Groups) -> Result<(), TaskError> {
    if !application.has_combiner() {
        return Ok(());
    }
    for (key, values) in groups {
        let mut combined = Vec::new();
        let result = runtime::catch_panic(|| {
            let mut emit = |value: &str| combined.push(value.to_owned());
            application.combine(key, &mut Listed(values.iter()), &mut emit);
        });
        result.map_err(|reason| TaskError::BadKey { key: key.clone(), reason })?;
        *values = combined;
    }
    Ok(())
}
