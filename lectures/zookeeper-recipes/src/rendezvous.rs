// handout: bodies kept
//! A place where workers learn what their master will say, whoever comes first.

use zookeeper::{ANY_VERSION, Client, Error};

/// A node that a client creates empty and hands to a master and its workers (paper, section 2.4).
pub struct Rendezvous<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> Rendezvous<'a> {
    /// The place at `path`, a node that exists.
    pub fn new(client: &'a Client, path: &str) -> Rendezvous<'a> {
        Rendezvous { client, path: path.to_owned() }
    }

    /// The master says where it is.
    ///
    /// # Errors
    /// Those of [`Client::set_data`].
    pub fn announce(&self, data: &[u8]) -> Result<(), Error> {
        self.client.set_data(&self.path, data, ANY_VERSION).map(drop)
    }

    /// A worker waits until the master has said it. [`Error::NoNode`]: the place is gone, the work is over.
    ///
    /// # Errors
    /// Those of [`Client::get_data`].
    pub fn meet(&self) -> Result<Vec<u8>, Error> {
        loop {
            let ((data, _), changed) = self.client.watch_data(&self.path)?;
            if !data.is_empty() {
                return Ok(data);
            }
            changed.wait();
        }
    }
}
