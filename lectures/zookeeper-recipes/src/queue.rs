// handout: bodies kept
//! A queue: first in, first out, for any number of producers and consumers.

use zookeeper::{ANY_VERSION, Client, Error, Flags, path};

use crate::ensure;

/// A queue of items.
pub struct Queue<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> Queue<'a> {
    /// The queue at `path`. The node is created if it is missing.
    ///
    /// # Errors
    /// Those of [`ensure`].
    pub fn new(client: &'a Client, path: &str) -> Result<Queue<'a>, Error> {
        ensure(client, path)?;
        Ok(Queue { client, path: path.to_owned() })
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    /// Those of [`Client::create`].
    pub fn push(&self, item: &[u8]) -> Result<(), Error> {
        self.client.create(&path::child(&self.path, "item-"), item, Flags::SEQUENTIAL).map(drop)
    }

    /// Takes the first item; waits if there is none. Whoever deletes the node has the item.
    ///
    /// # Errors
    /// Those of [`Client::get_children`]. After [`Error::ConnectionLoss`] an item may be lost.
    pub fn pop(&self) -> Result<Vec<u8>, Error> {
        loop {
            let (names, changed) = self.client.watch_children(&self.path)?;
            for name in &names {
                if let Some(item) = self.take(name)? {
                    return Ok(item);
                }
            }
            if names.is_empty() {
                changed.wait();
            }
        }
    }

    /// Takes this item, unless another client has.
    fn take(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = path::child(&self.path, name);
        let data = match self.client.get_data(&path) {
            Err(Error::NoNode) => return Ok(None),
            read => read?.0,
        };
        match self.client.delete(&path, ANY_VERSION) {
            Err(Error::NoNode) => Ok(None),
            deleted => deleted.map(|()| Some(data)),
        }
    }
}
