// handout: bodies kept
//! Who is there: each member has an ephemeral node.

use zookeeper::{Client, Error, Flags, Watch, path};

use crate::ensure;

/// A group.
pub struct Membership<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> Membership<'a> {
    /// The group at `path`. The node is created if it is missing.
    ///
    /// # Errors
    /// Those of [`ensure`].
    pub fn new(client: &'a Client, path: &str) -> Result<Membership<'a>, Error> {
        ensure(client, path)?;
        Ok(Membership { client, path: path.to_owned() })
    }

    /// Joins under a name that nobody else has, until the session ends.
    ///
    /// # Errors
    /// Those of [`Client::create`].
    pub fn join(&self, name: &str, data: &[u8]) -> Result<(), Error> {
        self.client.create(&path::child(&self.path, name), data, Flags::EPHEMERAL).map(drop)
    }

    /// Who is there, and a watch for the next change.
    ///
    /// # Errors
    /// Those of [`Client::get_children`].
    pub fn members(&self) -> Result<(Vec<String>, Watch), Error> {
        self.client.watch_children(&self.path)
    }
}
