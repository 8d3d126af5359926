//! A counter that many clients increment.

use labrt::rand;
use labrt::thread;
use labrt::time::Duration;
use zookeeper::{Client, Error, Flags};

// handout: drop classic
/// The first back-off is up to this long, about the time of a write; each later one up to twice as long as
/// the one before.
const FIRST: Duration = Duration::from_millis(60);
/// No back-off is longer.
const LONGEST: Duration = Duration::from_millis(960);

// handout: end
// handout: bodies kept
/// A counter in the data of one node, in decimal digits: `b"12"`.
pub struct Counter<'a> {
    client: &'a Client,
    path: String,
}

// handout: bodies ZD
impl<'a> Counter<'a> {
    /// The counter at `path`. It is created with the value 0 if it is missing.
    ///
    /// # Errors
    /// Those of [`Client::create`], without [`Error::NodeExists`].
    pub fn new(client: &'a Client, path: &str) -> Result<Counter<'a>, Error> {
        match client.create(path, b"0", Flags::REGULAR) {
            Ok(_) | Err(Error::NodeExists) => Ok(Counter { client, path: path.to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// The value that this client's server has.
    ///
    /// # Errors
    /// Those of [`Client::get_data`].
    pub fn get(&self) -> Result<u64, Error> {
        Ok(self.read()?.0)
    }

    fn read(&self) -> Result<(u64, i64), Error> {
        let (data, stat) = self.client.get_data(&self.path)?;
        let value = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
        Ok((value.unwrap_or(0), stat.version))
    }

    /// Adds one, and returns the sum. The write is conditional on the version that was read: if another
    /// client was faster, this one backs off for a random time and begins again.
    ///
    /// # Errors
    /// Those of [`Client::set_data`], without [`Error::BadVersion`]. After [`Error::ConnectionLoss`] it is
    /// unknown whether one was added.
    pub fn increment(&self) -> Result<u64, Error> {
        let mut longest = FIRST;
        loop {
            let (value, version) = self.read()?;
            let sum = value + 1;
            match self.client.set_data(&self.path, sum.to_string().as_bytes(), version) {
                Ok(_) => return Ok(sum),
                Err(Error::BadVersion) => thread::sleep(rand::random_range(Duration::ZERO..=longest)),
                Err(error) => return Err(error),
            }
            longest = (longest * 2).min(LONGEST);
        }
    }
}
