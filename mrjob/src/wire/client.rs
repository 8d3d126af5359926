//! The caller's side.
//!
//! A call takes an idle connection or opens one, and returns it after the reply. After any error it closes
//! the connection: a late reply may still arrive there, and another call must not take it for its own.
//!
//! The client does not repeat calls. As on the simulated network, only the caller knows whether a call may
//! run twice.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use labrpc::{ClientEnd, DecodeError, RpcError, Transport};
use labrt::quiet::Mutex;

use super::address::{Address, Stream};
use super::frame::{self, Request, Response, WIRE_VERSION};
use super::token::Token;

/// The limit of a call whose caller sets none. Handlers answer at once, so a server that is silent for this
/// long is gone.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// The connections to one server: as many as there are calls at a time.
pub struct Link {
    address: Address,
    token: Token,
    /// Connections that no call is using.
    idle: Mutex<Vec<Stream>>,
}

impl Link {
    /// A link without connections. The server need not be running yet.
    pub fn new(address: Address, token: Token) -> Arc<Link> {
        Arc::new(Link { address, token, idle: Mutex::new(Vec::new()) })
    }

    /// A client end that sends its calls over this link.
    pub fn end(self: &Arc<Link>) -> ClientEnd {
        ClientEnd::over(self.clone())
    }

    /// Makes a call on an idle connection, or on a new one.
    fn try_call(&self, request: &Request, limit: Duration) -> Result<Vec<u8>, CallError> {
        // The lock is held for this line only, not during the call.
        let idle = self.idle.lock().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => self.connect(limit)?,
        };
        stream.set_limit(Some(limit))?;
        frame::write_frame(&mut stream, request)?;
        match frame::read_frame(&mut stream)? {
            Response::Done(reply) => {
                self.idle.lock().push(stream);
                Ok(reply)
            }
            Response::Refused(reason) => Err(CallError::Refused(reason)),
        }
    }

    /// Connects, sends the hello and the token, and reads the answer.
    fn connect(&self, limit: Duration) -> Result<Stream, CallError> {
        let mut stream = self.address.connect()?;
        stream.set_limit(Some(limit))?;
        stream.write_all(&frame::hello(WIRE_VERSION))?;
        frame::write_frame(&mut stream, &self.token.as_text().as_bytes())?;
        match frame::read_frame(&mut stream)? {
            Response::Done(_) => Ok(stream),
            Response::Refused(reason) => Err(CallError::Refused(reason)),
        }
    }
}

/// Why a call got no reply.
enum CallError {
    /// The connection could not be opened, or broke.
    Io(io::Error),
    /// The server refused the client or the call.
    Refused(String),
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> CallError {
        CallError::Io(error)
    }
}

impl Transport for Link {
    fn call(
        &self,
        service_method: &'static str,
        args: Vec<u8>,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, RpcError> {
        let request = Request { method: service_method.to_owned(), args };
        let result = self.try_call(&request, limit.unwrap_or(DEFAULT_LIMIT));
        result.map_err(|error| match error {
            CallError::Io(error) => match error.kind() {
                // Systems report an expired time limit of a socket as one or the other.
                ErrorKind::WouldBlock | ErrorKind::TimedOut => RpcError::TimedOut,
                ErrorKind::InvalidData => RpcError::Garbled(DecodeError::Invalid(error.to_string())),
                _ => RpcError::Failed,
            },
            // Callers do not repeat a garbled call. A second try would also be refused.
            CallError::Refused(reason) => RpcError::Garbled(DecodeError::Invalid(reason)),
        })
    }
}
