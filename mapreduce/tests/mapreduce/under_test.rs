// handout: drop
//! The tasks that the workers of these tests run. `mapreduce-engine` runs the same tests over its own.
// handout: end
// handout: put
// //! The tasks that the workers of these tests run.
// handout: end

use labrt::sync::Arc;
use mapreduce::task::PlainTasks;
use mapreduce::tasks::Tasks;

pub(crate) fn tasks() -> Arc<dyn Tasks> {
    Arc::new(PlainTasks)
}
