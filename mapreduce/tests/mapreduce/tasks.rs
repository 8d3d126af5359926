//! Tasks by themselves: no coordinator, no network.
