//! Numbers as few bytes, and bytes as text that HTML leaves alone.

/// A growing column of numbers, seven bits to a byte, lowest first; the top bit says that more follow
/// (LEB128).
#[derive(Debug, Default)]
pub(crate) struct Column {
    pub(crate) bytes: Vec<u8>,
}

impl Column {
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A number that may be negative: the sign becomes the lowest bit, so that small numbers of either sign
    /// stay short.
    pub(crate) fn signed(&mut self, number: i64) {
        self.number(Self::folded(number));
    }

    /// A number of either sign as one without.
    pub(crate) fn folded(number: i64) -> u64 {
        ((number << 1) ^ (number >> 63)) as u64
    }

    /// A number, or 0 for none.
    pub(crate) fn option(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |number| number + 1));
    }

    /// How many there are, then each as its distance from the one before.
    pub(crate) fn list(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.number(numbers.len() as u64);
        let mut last = 0;
        for number in numbers {
            self.signed(number as i64 - last);
            last = number as i64;
        }
    }

    pub(crate) fn append(&mut self, other: &Column) {
        self.bytes.extend_from_slice(&other.bytes);
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, §4): none of its characters means anything to HTML.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn numbers_are_short() {
        let mut column = Column::default();
        column.number(127);
        column.number(128);
        column.signed(-1);
        column.signed(63);
        column.option(None);
        assert_eq!(column.bytes, [0x7f, 0x80, 1, 1, 126, 0]);
        let mut large = Column::default();
        large.number(u64::MAX);
        large.signed(i64::MIN);
        assert_eq!(large.bytes.len(), 20);
    }
}
