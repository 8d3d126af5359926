//! Where the reports for `lab` go: to standard output, or through a channel that the code under test cannot
//! speak on.
//!
//! `lab` gives the process a socket as its standard input, and sends a secret there before anything else. The
//! tester reads it before any code of a lab runs, and begins each report with it. What a lab prints is
//! therefore never taken for a report, whatever it looks like. Behind the secret, and a blank, may stand the
//! seeds to run, `a..b`: in the environment lab code could read them.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

/// Bytes that the secret and the seeds may have.
const LONGEST_LINE: usize = 128;

/// Where reports go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reports {
    /// Nobody: the test talks to a human.
    Nobody,
    /// Standard output.
    Output,
    /// `lab`, through the socket on standard input.
    Lab,
}

/// What `lab` has given.
struct Lab {
    socket: UnixStream,
    secret: String,
    /// Empty if the environment names them.
    seeds: String,
}

static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();

impl Reports {
    /// What `LAB_REPORT` asks for.
    ///
    /// # Errors
    /// If it makes no sense, or if there is no socket.
    pub(crate) fn from_text(text: Option<&str>) -> Result<Reports, String> {
        match text {
            None | Some("0") => Ok(Reports::Nobody),
            Some("1") => Ok(Reports::Output),
            Some("socket") => lab().map(|_| Reports::Lab),
            Some(other) => Err(format!("LAB_REPORT must be 0, 1 or `socket`, not {other:?}")),
        }
    }

    /// Sends lines of reports.
    pub(crate) fn send(self, lines: &str) {
        if let (Reports::Lab, Ok(Lab { socket, secret, .. })) = (self, lab()) {
            let reports = lines.lines().filter_map(|line| line.strip_prefix(labreport::MARK));
            let lines: String = reports.map(|report| format!("{secret} {report}\n")).collect();
            // `lab` is gone if this fails, and nothing is left that could hear of it.
            let _ = (&*socket).write_all(lines.as_bytes());
        }
    }
}

/// The seeds that came with the secret, if any did.
pub(super) fn seeds() -> Option<&'static str> {
    let lab = LAB.get()?.as_ref().ok()?;
    Some(lab.seeds.as_str()).filter(|seeds| !seeds.is_empty())
}

fn lab() -> Result<&'static Lab, String> {
    let connected = LAB.get_or_init(|| {
        connect().map_err(|error| format!("LAB_REPORT=socket, but standard input is none of `lab`: {error}"))
    });
    connected.as_ref().map_err(Clone::clone)
}

/// Takes the socket from standard input, and the secret and the seeds from the socket.
fn connect() -> io::Result<Lab> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut line, mut byte) = (String::new(), [0]);
    while socket.read(&mut byte)? == 1 && byte[0] != b'\n' {
        if line.len() == LONGEST_LINE {
            return Err(io::Error::other("the secret is too long"));
        }
        line.push(char::from(byte[0]));
    }
    let (secret, seeds) = line.split_once(' ').unwrap_or((&line, ""));
    if secret.is_empty() {
        return Err(io::Error::other("there is no secret"));
    }
    Ok(Lab { socket, secret: secret.to_owned(), seeds: seeds.to_owned() })
}
