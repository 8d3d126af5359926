//! The server's side.
//!
//! One thread accepts connections. Each connection has a thread that runs its calls one after the other. A
//! handler that blocked would block only its own client; the handlers of this crate never block.
//!
//! These threads belong to a run of `labrt` and end with it. A thread that waits in the operating system
//! cannot be stopped, so each of them waits there only briefly.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use labrpc::Service;
use labrt::thread;

use super::address::{Address, Stream, with_short_path};
use super::frame::{self, HELLO, HELLO_LENGTH, Request, Response, WIRE_VERSION};
use super::token::Token;

/// How long a client may take to send its hello. Connections of silent clients must not pile up.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// How long a refused client may take to read why.
const LINGER: Duration = Duration::from_millis(50);

/// The longest frame with a token.
const LONGEST_TOKEN: u32 = 1 << 10;

/// How often a waiting thread polls: for a connection, or for the end of its run while it waits for a
/// request.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a client may pause in the middle of a request, or leave its reply unread.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A socket at which calls arrive.
pub struct Listener {
    socket: Socket,
    address: Address,
    /// One clone for each open connection.
    open: Arc<()>,
}

/// Counts open connections.
#[derive(Clone)]
pub struct Connections {
    open: Arc<()>,
}

impl Connections {
    /// The number of open connections.
    pub fn count(&self) -> usize {
        // The listener's clone and this one are not connections.
        Arc::strong_count(&self.open).saturating_sub(2)
    }
}

/// The socket that accepts connections. Neither kind blocks, so the accepting thread can end.
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at the address. Port 0 stands for any free port; [`Listener::address`] tells which one.
    /// Replaces a Unix socket that a dead process left.
    ///
    /// # Errors
    /// If the address cannot be used; [`ErrorKind::AddrInUse`] if another process listens there.
    pub fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Unix(path) => {
                let bind = || with_short_path(path, |short| UnixListener::bind(short));
                let in_use = |error: &io::Error| error.kind() == ErrorKind::AddrInUse;
                let socket = match bind() {
                    Err(error) if in_use(&error) && is_left_over(path, address)? => {
                        fs::remove_file(path)?;
                        bind()?
                    }
                    result => result?,
                };
                socket.set_nonblocking(true)?;
                Ok(Listener { socket: Socket::Unix(socket), address: address.clone(), open: Arc::new(()) })
            }
            Address::Tcp(place) => {
                // The system removes TCP sockets of killed processes.
                let socket = TcpListener::bind(place.as_str())?;
                socket.set_nonblocking(true)?;
                let address = Address::Tcp(socket.local_addr()?.to_string());
                Ok(Listener { socket: Socket::Tcp(socket), address, open: Arc::new(()) })
            }
        }
    }

    /// The address at which it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Answers calls with these services until the current run ends, in threads of that run.
    pub fn serve(self, services: Vec<Service>, token: Token) -> Connections {
        let services: Arc<[Service]> = services.into();
        let connections = Connections { open: self.open.clone() };
        thread::spawn_named("accept_loop", move || self.accept_loop(&services, &token));
        connections
    }

    /// Starts a thread for each client.
    fn accept_loop(&self, services: &Arc<[Service]>, token: &Token) {
        loop {
            match self.accept() {
                Ok(stream) => {
                    let (services, token, open) = (services.clone(), token.clone(), self.open.clone());
                    thread::spawn_named("connection_loop", move || {
                        connection_loop(stream, &services, &token);
                        drop(open);
                    });
                }
                // No client waits, or it has closed its connection, or this process has too many open files.
                Err(_) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// The next client's connection; an error if no client waits.
    fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(false)?;
                Ok(Stream::Unix(stream))
            }
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// Whether this is the socket of a killed process: the file stays, and no process answers there. Any other
/// file must stay.
fn is_left_over(path: &Path, address: &Address) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket is in the way"));
    }
    Ok(address.connect().is_err())
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // The socket may have been removed with its directory.
            let _ = fs::remove_file(path);
        }
    }
}

/// Serves one client until one side closes the connection.
fn connection_loop(mut stream: Stream, services: &[Service], token: &Token) {
    if let Err(reason) = greet(&mut stream, token) {
        // A client that is not a worker may not read this.
        let _ = frame::write_frame(&mut stream, &Response::Refused(reason));
        // If the server closed the connection with bytes unread, TCP would drop the refusal.
        let _ = stream.set_limit(Some(LINGER)).and_then(|()| stream.read(&mut [0; 4096]));
        return;
    }
    // Both sides know now that they speak the same version.
    let mut welcome = frame::write_frame(&mut stream, &Response::Done(Vec::new()));
    while welcome.is_ok() {
        welcome = serve_one(&mut stream, services);
    }
}

/// Reads a client's hello and token. The error says why the server refuses the client.
fn greet(stream: &mut Stream, token: &Token) -> Result<(), String> {
    let mut hello = [0; HELLO_LENGTH];
    let read = stream.set_limit(Some(HELLO_LIMIT)).and_then(|()| stream.read_exact(&mut hello));
    read.map_err(|_| "no hello".to_owned())?;
    let (letters, version) = hello.split_at(HELLO.len());
    if letters != HELLO {
        return Err("this is a process of a MapReduce job, and expects another hello".to_owned());
    }
    // The version must keep this place in all versions of the format.
    match version.first_chunk().map(|version| u32::from_le_bytes(*version)) {
        Some(WIRE_VERSION) => {}
        Some(version) => {
            return Err(format!("this process speaks version {WIRE_VERSION}, not {version}"));
        }
        None => return Err("a hello without a version".to_owned()),
    }
    match frame::read_frame_up_to::<Vec<u8>>(stream, LONGEST_TOKEN) {
        Ok(theirs) if token.admits(&theirs) => Ok(()),
        Ok(theirs) if theirs.is_empty() => {
            Err("this job has a token, and the worker has none (see --token-file)".to_owned())
        }
        Ok(_) => Err("wrong token: it is that of another job".to_owned()),
        Err(_) => Err("no token".to_owned()),
    }
}

/// Waits for a request and answers it. The caller closes the connection after an error.
fn serve_one(stream: &mut Stream, services: &[Service]) -> io::Result<()> {
    // A client may be silent between requests for as long as its task takes, but not in the middle of a
    // request.
    let first = wait_for_byte(stream)?;
    stream.set_limit(Some(REQUEST_LIMIT))?;
    let request: Request = frame::read_frame(&mut first.as_slice().chain(&mut *stream))?;
    // Services have methods of different names, so at most one of them answers.
    let answer = services.iter().find_map(|service| service.handle(&request.method, &request.args));
    let refusal = match answer {
        Some(Ok(reply)) => return frame::write_frame(stream, &Response::Done(reply)),
        Some(Err(error)) => format!("{}: {error}", request.method),
        None => format!("there is no method `{}` here", request.method),
    };
    frame::write_frame(stream, &Response::Refused(refusal.clone()))?;
    Err(io::Error::new(ErrorKind::InvalidData, refusal))
}

/// Waits for the first byte of a request. Ends if the run ends.
fn wait_for_byte(stream: &mut Stream) -> io::Result<[u8; 1]> {
    stream.set_limit(Some(2 * LOOK_EVERY))?;
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(byte),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                thread::yield_now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
