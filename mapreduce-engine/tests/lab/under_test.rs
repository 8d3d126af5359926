//! The tasks that the workers of these tests run.

use labrt::sync::Arc;
use mapreduce::tasks::Tasks;
use mapreduce_engine::Engine;

pub(crate) fn tasks() -> Arc<dyn Tasks> {
    Arc::new(Engine)
}
