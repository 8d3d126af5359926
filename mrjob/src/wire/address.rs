//! The address at which a process listens: `unix:PATH` or `tcp:HOST:PORT`.
//!
//! Unix sockets are for processes of one machine: other machines cannot reach them, they need no port, and a
//! message costs half as much as over TCP.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::names::{to_bytes, to_text};

/// The longest path of a socket that every system accepts, in bytes.
const LONGEST_SOCKET_PATH: usize = 100;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// An address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system, for processes of one machine.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// A text that is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no address; write unix:PATH or tcp:HOST:PORT", self.0)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Address::Unix(PathBuf::from(to_bytes(path)))),
            Some(("tcp", place)) if has_port(place) => Ok(Address::Tcp(place.to_owned())),
            _ => Err(AddressError(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", to_text(path.as_os_str())),
            Address::Tcp(place) => write!(f, "tcp:{place}"),
        }
    }
}

/// Whether the text is a host, a colon and a port.
fn has_port(place: &str) -> bool {
    let port = place.rsplit_once(':').and_then(|(host, port)| Some(port).filter(|_| !host.is_empty()));
    port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Calls `open` with a path of a socket. The system accepts only short paths, and folders for temporary files
/// may have long ones. On Linux a longer path is replaced by the short name of its folder in `/proc/self/fd`.
pub(super) fn with_short_path<R>(path: &Path, open: impl FnOnce(&Path) -> io::Result<R>) -> io::Result<R> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return open(path) };
    if path.as_os_str().len() <= LONGEST_SOCKET_PATH || cfg!(not(target_os = "linux")) {
        return open(path);
    }
    let folder = File::open(folder)?;
    open(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

impl Address {
    /// Connects.
    ///
    /// # Errors
    /// If no process listens there, or none answers within two seconds.
    pub fn connect(&self) -> io::Result<Stream> {
        match self {
            Address::Unix(path) => {
                with_short_path(path, |short| UnixStream::connect(short)).map(Stream::Unix)
            }
            Address::Tcp(place) => {
                // A host name may have several addresses. The first one that answers is used.
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in place.to_socket_addrs()? {
                    match connect_tcp(&address) {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

fn connect_tcp(address: &SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect_timeout(address, CONNECT_LIMIT)?;
    // Each request is small and waits for its reply, so collecting packets would only delay them.
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Within a machine.
    Unix(UnixStream),
    /// Between machines.
    Tcp(TcpStream),
}

impl Stream {
    /// Sets how long a read or a write may take; `None` means any time.
    ///
    /// # Errors
    /// The system's.
    pub fn set_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Unix(stream) => {
                stream.set_read_timeout(limit)?;
                stream.set_write_timeout(limit)
            }
            Stream::Tcp(stream) => {
                stream.set_read_timeout(limit)?;
                stream.set_write_timeout(limit)
            }
        }
    }
}

// std has no common type for the two kinds of sockets.
impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Unix(stream) => stream.flush(),
            Stream::Tcp(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["unix:/x/y.sock", "unix:mr-socket", "tcp:127.0.0.1:80", "tcp:[::1]:80"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "tcp:80", "/x/y.sock", "http://a:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
