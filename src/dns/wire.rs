//! A reader of wire format (RFC 1035 section 4): it takes numbers, names and runs of octets from
//! the front of a message and knows its position there.
//!
//! Every method returns `None` at the end of the message and never panics. A reader is a slice and
//! a number, so copying it is how to look ahead.
//!
//! ```ignore
//! let mut reader = WireReader::at(message, HEADER)?;
//! reader.skip_name()?;
//! let (rtype, class) = (reader.u16()?, reader.u16()?);
//! ```

use super::name::MAX_NAME;

/// What is left to read of a message.
#[derive(Debug, Clone, Copy)]
pub struct WireReader<'m> {
    rest: &'m [u8],
    /// The position behind the last octet of `rest`.
    end: usize,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
impl<'m> WireReader<'m> {
    /// Reads from a position of a message on; `None` if the message ends before that.
    #[inline(always)]
    pub fn at(message: &'m [u8], position: usize) -> Option<WireReader<'m>> {
        Some(WireReader {
            rest: message.get(position..)?,
            end: message.len(),
        })
    }

    /// The position of the next octet in the message.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The octets that were not read yet.
    #[inline(always)]
    pub fn rest(&self) -> &'m [u8] {
        self.rest
    }

    /// Whether everything was read.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` octets.
    #[inline(always)]
    pub fn take(&mut self, count: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `N` octets.
    #[inline(always)]
    pub fn chunk<const N: usize>(&mut self) -> Option<&'m [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(taken)
    }

    /// A reader of the next `count` octets, with the positions that they have in the message.
    #[inline(always)]
    pub fn part(&mut self, count: usize) -> Option<WireReader<'m>> {
        let part = self.take(count)?;
        Some(WireReader {
            rest: part,
            end: self.position(),
        })
    }

    /// The next octet.
    #[inline(always)]
    pub fn u8(&mut self) -> Option<u8> {
        let &[octet] = self.chunk()?;
        Some(octet)
    }

    /// The next two octets as a number.
    #[inline(always)]
    pub fn u16(&mut self) -> Option<u16> {
        self.chunk().copied().map(u16::from_be_bytes)
    }

    /// The next four octets as a number.
    #[inline(always)]
    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().copied().map(u32::from_be_bytes)
    }

    /// Skips a name; a compression pointer ends it and is not followed.
    pub fn skip_name(&mut self) -> Option<()> {
        let start = self.position();
        loop {
            match self.u8()? {
                0 => return Some(()),
                length @ 1..=63 => self.take(usize::from(length))?,
                0xc0.. => return self.u8().map(drop),
                _ => return None,
            };
            if self.position() - start >= MAX_NAME {
                return None;
            }
        }
    }

    /// Skips a name without compression pointers.
    pub fn skip_plain_name(&mut self) -> Option<()> {
        let start = self.position();
        self.labels();
        match self.u8()? {
            0 if self.position() - start <= MAX_NAME => Some(()),
            _ => None,
        }
    }

    /// The next labels, up to the root label, a compression pointer, or the end.
    pub fn labels(&mut self) -> &'m [u8] {
        let mut length = 0;
        while let Some(&label @ 1..=63) = self.rest.get(length) {
            length += 1 + usize::from(label);
        }
        self.take(length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_parts_are_read_in_order() {
        let mut reader = WireReader::at(b"..\x01\x02\x03\x04\x05\x06\x07ab", 2).unwrap();
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u32()),
            (Some(1), Some(0x0203), Some(0x0405_0607))
        );
        let mut part = reader.part(1).unwrap();
        assert_eq!((part.position(), part.take(1)), (9, Some(&b"a"[..])));
        assert!(part.is_empty() && part.u8().is_none());
        assert_eq!((reader.position(), reader.rest()), (10, &b"b"[..]));
        assert_eq!((reader.u16(), reader.position()), (None, 10));
        assert!(WireReader::at(b"..", 3).is_none());
    }

    #[test]
    fn a_name_ends_with_the_root_or_a_pointer() {
        let end = |wire: &[u8]| {
            let mut reader = WireReader::at(wire, 0).unwrap();
            reader.skip_name().map(|()| reader.position())
        };
        let plain_end = |wire: &[u8]| {
            let mut reader = WireReader::at(wire, 0).unwrap();
            reader.skip_plain_name().map(|()| reader.position())
        };
        assert_eq!(
            (end(b"\x01a\0x"), plain_end(b"\x01a\0x")),
            (Some(3), Some(3))
        );
        assert_eq!(
            (end(b"\x01a\xc0\x0cx"), plain_end(b"\x01a\xc0\x0cx")),
            (Some(4), None)
        );
        for bad in [&b""[..], b"\x01a", b"\x02a", b"\xc0", b"\x40a\0"] {
            assert_eq!((end(bad), plain_end(bad)), (None, None), "{bad:?}");
        }
        let longest = [&[1, b'a'].repeat(127)[..], &[0]].concat();
        assert_eq!((end(&longest), plain_end(&longest)), (Some(255), Some(255)));
        let too_long = [&[1, b'a'].repeat(128)[..], &[0]].concat();
        assert_eq!((end(&too_long), plain_end(&too_long)), (None, None));
    }
}
