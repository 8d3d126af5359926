//! The server's side.
//!
//! A thread accepts connections, and each connection has a thread, in which the handlers
//! run, one call after the other. A handler that blocked would block its own client only;
//! those of this crate never do.
//!
//! All these threads belong to a run of `labrt` and end with it. A thread that waits in the operating system
//! cannot be stopped, so each of them waits there only for short times.

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

/// How long a client may take to say hello. Connections of silent clients must not pile up.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// How long a refused client may take to read why.
const LINGER: Duration = Duration::from_millis(50);

/// The longest frame with a token.
const LONGEST_TOKEN: u32 = 1 << 10;

/// How often a thread that waits for a connection looks for one, and one that waits for a
/// request looks whether its run is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a client may pause in the middle of a request, or not take its reply.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A socket at which calls arrive.
pub struct Listener {
    socket: Socket,
    address: Address,
    /// Has a clone for each connection that is open.
    open: Arc<()>,
}

/// Tells how many clients there are.
#[derive(Clone)]
pub struct Connections {
    open: Arc<()>,
}

impl Connections {
    /// The number of clients that have not hung up.
    pub fn count(&self) -> usize {
        // Without the listener's clone and this one.
        Arc::strong_count(&self.open).saturating_sub(2)
    }
}

/// What accepts connections. Neither kind blocks, so that the thread that asks can end.
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at the address. Port 0 stands for any free port; [`Listener::address`]
    /// tells which. A Unix socket that was left over by a process that has died is
    /// replaced.
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

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Answers calls with these services, in threads of the run in which this is called,
    /// until that ends.
    pub fn serve(self, services: Vec<Service>, token: Token) -> Connections {
        let services: Arc<[Service]> = services.into();
        let connections = Connections { open: self.open.clone() };
        thread::spawn_named("accept_loop", move || self.accept_loop(&services, &token));
        connections
    }

    /// Gives each client a thread.
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
                // No client waits, or it has hung up, or this process has too many files open at present.
                Err(_) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// The next client; an error if none waits.
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

/// Whether this is the socket of a process that was killed: it stays in the file system, and no process
/// answers there. Another file is not ours to remove.
fn is_left_over(path: &Path, address: &Address) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket is in the way"));
    }
    Ok(address.connect().is_err())
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // It may have been deleted with the directory that it was in.
            let _ = fs::remove_file(path);
        }
    }
}

/// Serves one client, until one of them hangs up.
fn connection_loop(mut stream: Stream, services: &[Service], token: &Token) {
    if let Err(reason) = greet(&mut stream, token) {
        // A client of another kind may not be there to read it.
        let _ = frame::write_frame(&mut stream, &Response::Refused(reason));
        // If the server hung up with bytes unread, TCP would drop the refusal.
        let _ = stream.set_limit(Some(LINGER)).and_then(|()| stream.read(&mut [0; 4096]));
        return;
    }
    // From here on both sides know that they speak the same version.
    let mut welcome = frame::write_frame(&mut stream, &Response::Done(Vec::new()));
    while welcome.is_ok() {
        welcome = serve_one(&mut stream, services);
    }
}

/// Reads a client's hello and its token. The error says why the server refuses it.
fn greet(stream: &mut Stream, token: &Token) -> Result<(), String> {
    let mut hello = [0; HELLO_LENGTH];
    let read = stream.set_limit(Some(HELLO_LIMIT)).and_then(|()| stream.read_exact(&mut hello));
    read.map_err(|_| "no hello".to_owned())?;
    let (letters, version) = hello.split_at(HELLO.len());
    if letters != HELLO {
        return Err("this is a process of a MapReduce job, and that was no hello of one".to_owned());
    }
    // The place of the version must never change.
    match version.first_chunk().map(|version| u32::from_le_bytes(*version)) {
        Some(WIRE_VERSION) => {}
        Some(version) => {
            return Err(format!("this process speaks version {WIRE_VERSION}, and not {version}"));
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

/// Waits for a request and answers it. After an error the connection must be closed.
fn serve_one(stream: &mut Stream, services: &[Service]) -> io::Result<()> {
    // Between requests a client may be silent for as long as its task takes; in the middle of one it may not.
    let first = wait_for_byte(stream)?;
    stream.set_limit(Some(REQUEST_LIMIT))?;
    let request: Request = frame::read_frame(&mut first.as_slice().chain(&mut *stream))?;
    // The methods of services have different names, so that at most one of them answers.
    let answer = services.iter().find_map(|service| service.handle(&request.method, &request.args));
    let refusal = match answer {
        Some(Ok(reply)) => return frame::write_frame(stream, &Response::Done(reply)),
        Some(Err(error)) => format!("{}: {error}", request.method),
        None => format!("there is no `{}` here", request.method),
    };
    frame::write_frame(stream, &Response::Refused(refusal.clone()))?;
    Err(io::Error::new(ErrorKind::InvalidData, refusal))
}

/// Waits for the beginning of a request, and looks from time to time whether the run is
/// over.
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
