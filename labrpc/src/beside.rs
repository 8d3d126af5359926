//! Objects that stand beside a network, where no fault of it reaches.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::end::ClientEnd;

/// Objects by the servers that they belong to, and their type.
pub(crate) type Objects = BTreeMap<(Vec<Option<u32>>, TypeId), Arc<dyn Any + Send + Sync>>;

impl ClientEnd {
    /// For oracles: the object that belongs to the servers which these ends are connected to, in this order.
    /// It stands outside of the simulated network: every caller that asks for it with ends to the same
    /// servers get the same one, whatever is cut or crashed, and it lives as long as the network. `make`
    /// makes it for the first of them. None if there are no ends, or they are not of a simulated network.
    pub fn beside<T: Any + Send + Sync>(ends: &[ClientEnd], make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let network = ends.iter().map(ClientEnd::network_end).collect::<Option<Vec<_>>>()?;
        let shared = &network.first()?.shared;
        let mut state = shared.state.lock();
        let servers = network.iter().map(|end| state.ends[end.number as usize].server).collect();
        let object =
            state.beside.entry((servers, TypeId::of::<T>())).or_insert_with(|| Arc::new(make())).clone();
        drop(state);
        object.downcast().ok()
    }
}
