// handout: bodies kept
//! Locks. A client that is cut off does not know whether it still holds one, so a lock alone protects
//! nothing outside of the service. Each has a fencing number that grows: whoever is written to can refuse
//! what comes with a lower number than it has seen.

use zookeeper::{ANY_VERSION, Client, Error, Flags, Watch, Zxid, path};

/// A lock that is held. Dropping it does not release it.
#[derive(Debug)]
pub struct Held {
    /// The node that stands for it.
    path: String,
    /// The zxid of the node's creation: it grows from holder to holder.
    pub fence: Zxid,
}

/// A lock in one node. All that wait watch that node, so all of them wake whenever it goes: a herd.
pub struct SimpleLock<'a> {
    client: &'a Client,
    path: String,
}

/// A lock for which clients queue. Each watches the one before it.
pub struct QueueLock<'a> {
    client: &'a Client,
    path: String,
}

/// How a client uses what a [`ReadWriteLock`] protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// With others that read.
    Read,
    /// Alone.
    Write,
}

/// A lock for one writer or many readers, in the order in which they came.
pub struct ReadWriteLock<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> SimpleLock<'a> {
    /// The lock at `path`, whose parent must exist.
    pub fn new(client: &'a Client, path: &str) -> SimpleLock<'a> {
        SimpleLock { client, path: path.to_owned() }
    }

    /// Waits for the lock, and takes it.
    ///
    /// # Errors
    /// Those of [`Client::create`], without [`Error::NodeExists`].
    pub fn acquire(&self) -> Result<Held, Error> {
        loop {
            match self.client.create(&self.path, b"", Flags::EPHEMERAL) {
                Ok(path) => return held(self.client, path),
                Err(Error::NodeExists) => {}
                Err(error) => return Err(error),
            }
            let (stat, gone) = self.client.watch_exists(&self.path)?;
            if stat.is_some() {
                gone.wait();
            }
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// Those of [`Client::delete`]. [`Error::NoNode`]: it was lost before, with the session.
    pub fn release(&self, held: &Held) -> Result<(), Error> {
        self.client.delete(&held.path, ANY_VERSION)
    }
}

impl<'a> QueueLock<'a> {
    /// The lock whose queue stands below `path`; that node must exist.
    pub fn new(client: &'a Client, path: &str) -> QueueLock<'a> {
        QueueLock { client, path: path.to_owned() }
    }

    /// Waits for the lock, and takes it.
    ///
    /// # Errors
    /// Those of [`Client::create`], without [`Error::NodeExists`].
    pub fn acquire(&self) -> Result<Held, Error> {
        wait_in_queue(self.client, &self.path, "lock-", |_| true)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// Those of [`Client::delete`]. [`Error::NoNode`]: it was lost before, with the session.
    pub fn release(&self, held: &Held) -> Result<(), Error> {
        self.client.delete(&held.path, ANY_VERSION)
    }
}

impl<'a> ReadWriteLock<'a> {
    /// The lock whose queue stands below `path`; that node must exist.
    pub fn new(client: &'a Client, path: &str) -> ReadWriteLock<'a> {
        ReadWriteLock { client, path: path.to_owned() }
    }

    /// Waits for the lock, and takes it. A reader waits for the writers before it, a writer for all.
    ///
    /// # Errors
    /// Those of [`Client::create`], without [`Error::NodeExists`].
    pub fn acquire(&self, access: Access) -> Result<Held, Error> {
        match access {
            Access::Read => {
                wait_in_queue(self.client, &self.path, "read-", |name| name.starts_with("write-"))
            }
            Access::Write => wait_in_queue(self.client, &self.path, "write-", |_| true),
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// Those of [`Client::delete`]. [`Error::NoNode`]: it was lost before, with the session.
    pub fn release(&self, held: &Held) -> Result<(), Error> {
        self.client.delete(&held.path, ANY_VERSION)
    }
}

/// Takes a place in a queue, and waits until none of the places that matter is before it.
fn wait_in_queue(
    client: &Client,
    queue: &str,
    prefix: &str,
    matters: impl Fn(&str) -> bool,
) -> Result<Held, Error> {
    let path = client.create(&path::child(queue, prefix), b"", Flags::EPHEMERAL_SEQUENTIAL)?;
    let mine = number(path::name(&path)).to_owned();
    loop {
        let mut before = client.get_children(queue)?;
        before.retain(|name| matters(name) && number(name) < mine.as_str());
        let Some(next) = before.into_iter().max_by(|a, b| number(a).cmp(number(b))) else {
            return held(client, path);
        };
        // It may go because its owner died in the middle of the queue. So the list is read again.
        if let Some(gone) = watch_if_there(client, &path::child(queue, &next))? {
            gone.wait();
        }
    }
}

/// Watches a node that exists. `get_data` leaves no watch if there is no node; `exists` would, for nothing.
fn watch_if_there(client: &Client, path: &str) -> Result<Option<Watch>, Error> {
    match client.watch_data(path) {
        Ok((_, watch)) => Ok(Some(watch)),
        Err(Error::NoNode) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number at the end of a sequential node's name.
fn number(name: &str) -> &str {
    const DIGITS: usize = 10;
    &name[name.len().saturating_sub(DIGITS)..]
}

/// The lock that a node stands for. The node is this client's own, so the client's server has it.
fn held(client: &Client, path: String) -> Result<Held, Error> {
    let stat = client.exists(&path)?.ok_or(Error::SessionExpired)?;
    Ok(Held { path, fence: stat.czxid })
}
