//! A barrier that a fixed number of clients enter together and leave together.

use labrt::time::Duration;
use zookeeper::{ANY_VERSION, Client, Error, Flags, path};

use crate::ensure;

// handout: drop classic
/// The node that appears when enough clients are there.
const FULL: &str = "full";
/// The node that appears when all have gone.
const EMPTY: &str = "empty";
/// A client that dies inside tells nobody. Those that wait look again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

// handout: end
// handout: bodies kept
/// A double barrier, for one use.
pub struct DoubleBarrier<'a> {
    client: &'a Client,
    path: String,
    clients: usize,
}

// handout: bodies ZD
impl<'a> DoubleBarrier<'a> {
    /// The barrier at `path` for so many clients. Its nodes are created if they are missing.
    ///
    /// # Errors
    /// Those of [`ensure`].
    pub fn new(client: &'a Client, path: &str, clients: usize) -> Result<DoubleBarrier<'a>, Error> {
        ensure(client, &path::child(path, "in"))?;
        Ok(DoubleBarrier { client, path: path.to_owned(), clients })
    }

    fn place(&self, name: &str) -> String {
        path::child(&self.path, &format!("in/{name}"))
    }

    /// Waits until all clients are here. Each enters under a name of its own.
    ///
    /// # Errors
    /// Those of [`Client::create`].
    pub fn enter(&self, name: &str) -> Result<(), Error> {
        let full = path::child(&self.path, FULL);
        // The watch is older than this client's place, so it misses nothing.
        let (stat, opened) = self.client.watch_exists(&full)?;
        self.client.create(&self.place(name), b"", Flags::EPHEMERAL)?;
        if stat.is_some() {
            return Ok(());
        }
        if self.client.get_children(&path::child(&self.path, "in"))?.len() >= self.clients {
            return ensure(self.client, &full);
        }
        opened.wait();
        Ok(())
    }

    /// Waits until all clients have called this, or are gone.
    ///
    /// # Errors
    /// Those of [`Client::delete`].
    pub fn leave(&self, name: &str) -> Result<(), Error> {
        let (inside, empty) = (path::child(&self.path, "in"), path::child(&self.path, EMPTY));
        let (_, mut emptied) = self.client.watch_exists(&empty)?;
        self.client.delete(&self.place(name), ANY_VERSION)?;
        // The server has seen at least this client's own delete. So the last one finds nobody inside.
        while !self.client.get_children(&inside)?.is_empty() {
            if emptied.wait_for(LOOK_AGAIN).is_some() {
                return Ok(());
            }
            (_, emptied) = self.client.watch_exists(&empty)?;
        }
        ensure(self.client, &empty)
    }
}
