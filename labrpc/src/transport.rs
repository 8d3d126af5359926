//! Another way for calls to take than the simulated network: sockets, for labs that also run as processes.

use std::time::Duration;

use crate::error::RpcError;

/// Carries encoded calls to one server. [`crate::ClientEnd::over`] makes an end of it, so that callers
/// on the end cannot tell which way its calls go. The server's side hands what arrives to
/// [`crate::Service::handle`].
pub trait Transport: Send + Sync + 'static {
    /// Calls `service_method` (`"Service.method"`) with encoded arguments, and waits for the encoded reply,
    /// no longer than `limit` if there is one. Several threads may call at the same time.
    ///
    /// # Errors
    /// As [`crate::ClientEnd::call_timeout`].
    fn call(
        &self,
        service_method: &'static str,
        args: Vec<u8>,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, RpcError>;
}
