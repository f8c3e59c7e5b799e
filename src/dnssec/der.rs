//! As much of DER (ITU-T X.690) as private keys need: a reader that takes one value after the
//! other, and a writer that puts a value into a sequence.
//!
//! Lengths of more than two octets are refused, since no key is that long. What the writer makes may
//! hold private octets, so all its pieces are wiped when they are dropped.

use zeroize::Zeroizing;

/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OBJECT: u8 = 0x06;
/// NULL.
pub const NULL: u8 = 0x05;
/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// The public key in an ECPrivateKey (RFC 5915), explicitly tagged.
pub const TAGGED_1: u8 = 0xa1;

/// What is left to read.
#[derive(Clone, Copy)]
pub struct DerReader<'d>(&'d [u8]);

impl<'d> DerReader<'d> {
    /// Reads these octets from their start.
    pub fn new(octets: &'d [u8]) -> DerReader<'d> {
        DerReader(octets)
    }

    /// The tag of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    pub fn value(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (length, rest) = match rest {
            [length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
            [0x81, length @ 0x80..=0xff, rest @ ..] => (usize::from(*length), rest),
            [0x82, high @ 1..=0xff, low, rest @ ..] => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// A reader of the content of the next value.
    pub fn nested(&mut self, tag: u8) -> Option<DerReader<'d>> {
        self.value(tag).map(DerReader)
    }

    /// The next value, a number that is not negative, without leading zeros.
    pub fn number(&mut self) -> Option<&'d [u8]> {
        match self.value(INTEGER)? {
            [0x80..=0xff, ..] | [] => None,
            octets => Some(without_zeros(octets)),
        }
    }
}

/// A number without its leading zeros.
pub fn without_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}

/// Values one after the other.
#[derive(Default)]
pub struct DerWriter(Zeroizing<Vec<u8>>);

impl DerWriter {
    /// Adds a value.
    pub fn value(mut self, tag: u8, content: &[u8]) -> DerWriter {
        // Room before the content comes in, so that no copy is left in memory that is freed.
        let mut grown = Zeroizing::new(Vec::with_capacity(self.0.len() + content.len() + 4));
        grown.extend_from_slice(&self.0);
        grown.push(tag);
        let [high, low] = (content.len() as u16).to_be_bytes();
        match content.len() {
            0..=0x7f => grown.push(low),
            0x80..=0xff => grown.extend_from_slice(&[0x81, low]),
            _ => grown.extend_from_slice(&[0x82, high, low]),
        }
        grown.extend_from_slice(content);
        self.0 = grown;
        self
    }

    /// Adds a value that consists of others.
    pub fn nested(self, tag: u8, content: &DerWriter) -> DerWriter {
        self.value(tag, &content.0)
    }

    /// Adds a number that is not negative.
    pub fn number(self, octets: &[u8]) -> DerWriter {
        let octets = without_zeros(octets);
        // A first octet above 0x7f would make it negative, and zero has one octet.
        if octets.first().is_none_or(|first| *first > 0x7f) {
            let mut padded = Zeroizing::new(Vec::with_capacity(octets.len() + 1));
            padded.push(0);
            padded.extend_from_slice(octets);
            return self.value(INTEGER, &padded);
        }
        self.value(INTEGER, octets)
    }

    /// All that was written.
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            content in prop::collection::vec(any::<u8>(), 0..700),
            number in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let inner = DerWriter::default().number(&number).value(OCTET_STRING, &content);
            let outer = DerWriter::default().nested(SEQUENCE, &inner).finish();
            let mut reader = DerReader::new(&outer);
            let mut nested = reader.nested(SEQUENCE).unwrap();
            prop_assert_eq!(nested.number(), Some(without_zeros(&number)));
            prop_assert_eq!(nested.value(OCTET_STRING), Some(&content[..]));
            prop_assert_eq!((reader.peek(), nested.peek()), (None, None));
        }

        #[test]
        fn octets_by_chance_are_no_panic(octets in prop::collection::vec(any::<u8>(), 0..50)) {
            for tag in [INTEGER, OCTET_STRING, SEQUENCE] {
                DerReader::new(&octets).value(tag);
                DerReader::new(&octets).number();
            }
        }
    }
}
