//! The tasks that the workers of these tests run. `mapreduce-engine` runs the same tests over its own.

use labrt::sync::Arc;
use mapreduce::task::PlainTasks;
use mapreduce::tasks::Tasks;

pub(crate) fn tasks() -> Arc<dyn Tasks> {
    Arc::new(PlainTasks)
}
