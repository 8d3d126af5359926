//! Numbers for values, equal ones for equal values.

/// An empty place.
const EMPTY: u32 = u32::MAX;

/// A hash table of numbers, which leaves the values to its user: a value is looked for from the place that
/// its hash names, up to the first empty one. It knows nothing of their type, so it is compiled once.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// By number.
    hashes: Vec<u32>,
    places: Vec<u32>,
}

/// The first size of the table.
const FIRST: usize = 16;

impl Interner {
    /// The number of the value of this hash of which `is_same` is true.
    pub(crate) fn find(&self, hash: u32, is_same: &dyn Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        while self.places[place] != EMPTY {
            let number = self.places[place];
            if self.hashes[number as usize] == hash && is_same(number) {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// The number of a new value, which is the next one.
    pub(crate) fn add(&mut self, hash: u32) -> u32 {
        let number = self.hashes.len() as u32;
        self.hashes.push(hash);
        if self.hashes.len() * 2 > self.places.len() {
            self.rebuild();
        } else {
            self.put(number);
        }
        number
    }

    fn put(&mut self, number: u32) {
        let mask = self.places.len() - 1;
        let mut place = self.hashes[number as usize] as usize & mask;
        while self.places[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.places[place] = number;
    }

    fn rebuild(&mut self) {
        let size = (self.places.len() * 2).max(FIRST);
        self.places.clear();
        self.places.resize(size, EMPTY);
        for number in 0..self.hashes.len() as u32 {
            self.put(number);
        }
    }

    /// How many bytes it occupies.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.hashes.capacity() + self.places.len())
    }
}
