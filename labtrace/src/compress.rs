//! Compressing beside the run: a sixth of a traced run's time would go there.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "no part of any simulation")]

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Pieces that may wait for the compressor. A run that is faster than it waits there.
const WAITING: usize = 4;

/// A thread that compresses what it is sent, into `W`.
pub(crate) struct Compressor<W> {
    full: SyncSender<Vec<u8>>,
    /// Pieces that are written, to be filled again.
    written: Receiver<Vec<u8>>,
    /// None when it has failed.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Compressor<W> {
    pub(crate) fn new(out: W) -> Compressor<W> {
        let (full, to_write) = sync_channel(WAITING);
        let (back, written) = channel();
        let thread = std::thread::spawn(move || compress(out, &to_write, &back));
        Compressor { full, written, thread: Some(thread) }
    }

    /// Hands over what is in `bytes`, and empties it.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let empty = self.written.try_recv().unwrap_or_default();
        match self.full.send(std::mem::replace(bytes, empty)) {
            Ok(()) => Ok(()),
            // Nobody receives any more.
            Err(_) => Err(self.error()),
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let Some(thread) = self.thread.take() else { return Err(self.error()) };
        drop(self.full);
        joined(thread)
    }

    /// Why the thread has ended.
    fn error(&mut self) -> io::Error {
        let result = self.thread.take().map(joined);
        result.and_then(Result::err).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

fn joined<W>(thread: JoinHandle<io::Result<W>>) -> io::Result<W> {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

fn compress<W: Write>(out: W, full: &Receiver<Vec<u8>>, written: &Sender<Vec<u8>>) -> io::Result<W> {
    // The fastest level: the texts of a trace repeat one another so much that a better one gains little.
    let mut out = GzEncoder::new(out, Compression::fast());
    for mut bytes in full {
        out.write_all(&bytes)?;
        bytes.clear();
        // The last ones come back to nobody.
        let _ = written.send(bytes);
    }
    out.finish()
}
