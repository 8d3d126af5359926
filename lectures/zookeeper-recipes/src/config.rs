// handout: bodies kept
//! A configuration of many nodes that is never seen half-written (paper, section 2.3).

use zookeeper::{ANY_VERSION, Client, Error, Flags, Operation, Pending, Watch, path};

use crate::ensure;

/// The node whose existence says that the others belong together.
pub const READY: &str = "ready";

/// A configuration: the nodes below one node, and among them [`READY`].
pub struct Config<'a> {
    client: &'a Client,
    path: String,
}

/// A configuration that a reader found ready.
pub struct Generation {
    /// The data, in the order of the names that were asked for.
    pub data: Vec<Vec<u8>>,
    /// Fires when the configuration begins to change.
    pub changes: Watch,
}

// handout: bodies ZD
impl<'a> Config<'a> {
    /// The configuration below `path`. The node is created if it is missing.
    ///
    /// # Errors
    /// Those of [`ensure`].
    pub fn new(client: &'a Client, path: &str) -> Result<Config<'a>, Error> {
        ensure(client, path)?;
        Ok(Config { client, path: path.to_owned() })
    }

    /// Writes a new generation: deletes [`READY`], sets all nodes, creates [`READY`], which holds `name`. The
    /// writes go out without waiting for one another; that they are carried out in order is what makes it
    /// right.
    ///
    /// # Errors
    /// The first error of a write. Then the configuration may not be ready.
    pub fn write(&self, name: &[u8], files: &[(&str, &[u8])]) -> Result<(), Error> {
        let mut pending = self.begin(files);
        pending.push(self.create(READY, name));
        self.finish(pending, files.len())
    }

    /// The first part of [`Config::write`]: everything but the creation of [`READY`].
    pub fn begin(&self, files: &[(&str, &[u8])]) -> Vec<Pending> {
        let delete = Operation::Delete { path: self.child(READY), version: ANY_VERSION };
        let mut pending = vec![self.client.start(delete)];
        for (name, data) in files {
            pending.push(self.create(name, data));
            let path = self.child(name);
            let set = Operation::SetData { path, data: data.to_vec(), version: ANY_VERSION };
            pending.push(self.client.start(set));
        }
        pending
    }

    fn create(&self, name: &str, data: &[u8]) -> Pending {
        let (path, data) = (self.child(name), data.to_vec());
        self.client.start(Operation::Create { path, data, flags: Flags::REGULAR })
    }

    fn finish(&self, pending: Vec<Pending>, files: usize) -> Result<(), Error> {
        let last = pending.len() - 1;
        for (number, pending) in pending.into_iter().enumerate() {
            match pending.wait() {
                // Before the first generation there is nothing to delete.
                Err(Error::NoNode) if number == 0 => {}
                // From the second generation on the nodes are there.
                Err(Error::NodeExists) if number < last && number % 2 == 1 => {}
                answer => drop(answer?),
            }
        }
        debug_assert_eq!(last, 2 * files + 1, "a delete, two writes for each node, and a create");
        Ok(())
    }

    fn child(&self, name: &str) -> String {
        path::child(&self.path, name)
    }

    /// Reads nodes that belong together. None while the configuration is not ready, or if it changed while
    /// it was read; then read again.
    ///
    /// # Errors
    /// Those of [`Client::get_data`].
    pub fn read(&self, names: &[&str]) -> Result<Option<Generation>, Error> {
        self.read_slowly(names, || {})
    }

    /// As [`Config::read`], with a pause before each node but the first.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_slowly(&self, names: &[&str], pause: impl Fn()) -> Result<Option<Generation>, Error> {
        let (ready, changes) = self.client.watch_exists(&self.child(READY))?;
        if ready.is_none() {
            return Ok(None);
        }
        let mut data = Vec::new();
        for name in names {
            if !data.is_empty() {
                pause();
            }
            match self.client.get_data(&self.child(name)) {
                Ok((read, _)) => data.push(read),
                Err(Error::NoNode) => return Ok(None),
                Err(error) => return Err(error),
            }
            // The event comes before anything of the next generation.
            if changes.has_fired() {
                return Ok(None);
            }
        }
        Ok(Some(Generation { data, changes }))
    }
}
