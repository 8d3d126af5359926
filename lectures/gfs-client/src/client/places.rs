// handout: file guided
//! Where chunks are: what the master says, remembered for a while (§2.3, §2.7.1).
//!
//! One question to the master serves all reads of a chunk for the time of
//! [`Settings::cache`](crate::Settings), and all writes for the time of its lease. So the master, of which
//! there is one, hears little of hundreds of clients that stream data (§2.4).

use labrpc::RpcError;
use labrt::thread;
use labrt::time::{Duration, Instant};

use super::{AGAIN, Client, Error, Known};
use crate::TRIES;
use crate::rpc::{AddChunk, FindChunk, Located, MasterError, MasterPeer, Purpose};

// handout: bodies GA
impl Client {
    /// Asks the master until there is an answer. If it is silent, its shadows are asked. They answer reads, a
    /// little late, and refuse changes; so a change waits for the master, and fails only when the caller's
    /// patience is over.
    ///
    /// # Errors
    /// What the master says, if it is final. Otherwise the last thing that was heard.
    pub(super) fn ask<T>(
        &self,
        call: impl Fn(&MasterPeer) -> Result<Result<T, MasterError>, RpcError>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.settings.patience;
        let mut last = Error::TimedOut;
        // The master may have to talk to servers that do not answer.
        let limit = self.settings.call * 2 * TRIES as u32;
        loop {
            let mut answer = Err(RpcError::Failed);
            // A lost message is no dead master: only after several does a shadow have a say.
            for master in self.masters.iter().take(1).cycle().take(TRIES).chain(self.masters.iter().skip(1)) {
                answer = call(&master.timeout(limit));
                if answer.is_ok() || Instant::now() >= deadline {
                    break;
                }
            }
            match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error @ (MasterError::Unavailable | MasterError::ReadOnly))) => last = error.into(),
                Ok(Err(MasterError::Retry)) | Err(_) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
            if Instant::now() >= deadline {
                return Err(last);
            }
            thread::sleep(AGAIN);
        }
    }

    /// Where a chunk is: what is known, or else what the master says.
    pub(super) fn locate(&mut self, path: &str, index: u64, purpose: Purpose) -> Result<Located, Error> {
        if let Some(known) = self.known.get(&(path.to_owned(), index)) {
            let until = if purpose == Purpose::Read { known.read_until } else { known.write_until };
            if Instant::now() < until {
                return Ok(known.located.clone());
            }
        }
        self.find(path, Some(index), purpose)
    }

    /// What the master says of a chunk, of the last one without an index.
    pub(super) fn find(
        &mut self,
        path: &str,
        index: Option<u64>,
        purpose: Purpose,
    ) -> Result<Located, Error> {
        let asked = Instant::now();
        let question = FindChunk { path: path.to_owned(), index, purpose };
        let located = self.ask(|master| master.find_chunk(&question))?;
        Ok(self.note(path, located, asked))
    }

    /// A chunk behind this one, which another client may have added already: either way it is there
    /// afterwards.
    pub(super) fn add(&mut self, path: &str, after: Option<u64>) -> Result<Located, Error> {
        let asked = Instant::now();
        let question = AddChunk { path: path.to_owned(), after };
        let located = self.ask(|master| master.add_chunk(&question))?;
        Ok(self.note(path, located, asked))
    }

    /// Remembers a place. It counts from when the question left: the answer may have been long under way.
    fn note(&mut self, path: &str, located: Located, asked: Instant) -> Located {
        let known = Known {
            located: located.clone(),
            read_until: asked + self.settings.cache,
            write_until: asked + Duration::from_millis(located.lease_left_ms),
        };
        self.known.insert((path.to_owned(), located.index), known);
        located
    }

    /// What was known of a chunk has led nowhere.
    pub(super) fn forget(&mut self, path: &str, index: u64) {
        self.known.remove(&(path.to_owned(), index));
    }
}
