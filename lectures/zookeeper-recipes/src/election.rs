// handout: bodies kept
//! Test-and-set, and the election of a primary with it.

use zookeeper::{Client, Error, Flags, Watch};

/// A seat that one client holds at a time, for as long as its session lives.
pub struct Election<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> Election<'a> {
    /// The seat at `path`, whose parent must exist.
    pub fn new(client: &'a Client, path: &str) -> Election<'a> {
        Election { client, path: path.to_owned() }
    }

    /// Takes the seat if it is free, and says whether it was. The creation is exclusive, so one of any number
    /// of clients wins.
    ///
    /// # Errors
    /// Those of [`Client::create`], without [`Error::NodeExists`].
    pub fn stand(&self, name: &[u8]) -> Result<bool, Error> {
        match self.client.create(&self.path, name, Flags::EPHEMERAL) {
            Ok(_) => Ok(true),
            Err(Error::NodeExists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Who holds the seat, and a watch for the end of that; None if nobody does.
    ///
    /// # Errors
    /// Those of [`Client::get_data`], without [`Error::NoNode`].
    pub fn primary(&self) -> Result<Option<(Vec<u8>, Watch)>, Error> {
        match self.client.watch_data(&self.path) {
            Ok(((name, _), watch)) => Ok(Some((name, watch))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
