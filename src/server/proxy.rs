//! The PROXY protocol, version 2 (haproxy's proxy-protocol.txt, section 2.2).
//!
//! A front, that is a load balancer listed in the configuration, puts a header before each datagram
//! or connection, which names the client. [`unwrap`] reads it from a datagram and [`read`] from a
//! stream. Version 1, the text form, is refused.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::net::ClientAddress;

/// The first octets of every header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Length of the fixed part: signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// Most octets after the fixed part: addresses of up to 36 octets, and extensions, which are
/// ignored.
const MOST: usize = 1024;

/// The fixed part of a header.
#[derive(Clone, Copy)]
struct ProxyHeader {
    /// LOCAL is 0 (the front speaks for itself), PROXY is 1.
    command: u8,
    /// AF_UNSPEC is 0, AF_INET is 1, AF_INET6 is 2.
    family: u8,
    /// Octets that follow.
    length: usize,
}

impl ProxyHeader {
    fn read(fixed: &[u8; FIXED]) -> Option<ProxyHeader> {
        let &[version_and_command, family_and_protocol, l1, l0] = fixed.strip_prefix(SIGNATURE)?
        else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        if version_and_command >> 4 != 2 || length > MOST {
            return None;
        }
        Some(ProxyHeader {
            command: version_and_command & 0xf,
            family: family_and_protocol >> 4,
            length,
        })
    }

    /// The client that the rest of the header names, or `front` if the header names none.
    fn client(self, rest: &[u8], front: ClientAddress) -> Option<ClientAddress> {
        // The rest holds the source address, the destination address and two ports.
        match (self.command, self.family) {
            (0, _) | (1, 0) => Some(front),
            (1, 1) if rest.len() >= 12 => rest
                .first_chunk::<4>()
                .map(|octets| ClientAddress::from(*octets)),
            (1, 2) if rest.len() >= 36 => rest
                .first_chunk::<16>()
                .map(|octets| ClientAddress::from(*octets)),
            _ => None,
        }
    }
}

/// The client and the query in a datagram of a front; `None` if the datagram has no valid header.
pub fn unwrap(datagram: &[u8], front: ClientAddress) -> Option<(ClientAddress, &[u8])> {
    let (fixed, rest) = datagram.split_first_chunk::<FIXED>()?;
    let header = ProxyHeader::read(fixed)?;
    let (rest, query) = rest.split_at_checked(header.length)?;
    Some((header.client(rest, front)?, query))
}

/// Reads the header at the start of a front's connection; returns the client.
///
/// # Errors
/// The stream does not start with a valid header.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    front: ClientAddress,
) -> io::Result<ClientAddress> {
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let header = ProxyHeader::read(&fixed).ok_or(io::ErrorKind::InvalidData)?;
    let mut rest = vec![0; header.length];
    stream.read_exact(&mut rest).await?;
    match header.client(&rest, front) {
        Some(client) => Ok(client),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header with these last four fixed octets, and what follows it.
    fn datagram(fixed: [u8; 4], rest: &[u8]) -> Vec<u8> {
        [SIGNATURE, &fixed[..], rest].concat()
    }

    fn front() -> ClientAddress {
        "127.0.0.1".parse().unwrap()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 0, 53];

    fn client(octets: &[u8]) -> Option<(String, Vec<u8>)> {
        unwrap(octets, front()).map(|(client, query)| (client.to_string(), query.to_vec()))
    }

    #[test]
    fn clients_are_read_and_what_follows_the_header_is_the_query() {
        let query = |address: &str| Some((address.to_owned(), b"query".to_vec()));
        assert_eq!(
            client(&datagram(
                [0x21, 0x12, 0, 12],
                &[&FOUR[..], b"query"].concat()
            )),
            query("192.0.2.7")
        );
        let more = [&FOUR[..], &[4, 0, 1, 9], b"query"].concat();
        assert_eq!(
            client(&datagram([0x21, 0x12, 0, 16], &more)),
            query("192.0.2.7"),
            "further fields are passed over"
        );
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        six[15] = 1;
        assert_eq!(
            client(&datagram(
                [0x21, 0x21, 0, 36],
                &[&six[..], b"query"].concat()
            )),
            query("2001:db8::1")
        );
        let mapped = [&[0; 10][..], &[0xff; 2], &[192, 0, 2, 7], &[0; 20]].concat();
        assert_eq!(
            client(&datagram(
                [0x21, 0x21, 0, 36],
                &[&mapped, &b"query"[..]].concat()
            )),
            query("192.0.2.7")
        );
        assert_eq!(
            client(&datagram([0x20, 0, 0, 0], b"query")),
            query("127.0.0.1"),
            "LOCAL"
        );
        assert_eq!(
            client(&datagram([0x21, 0, 0, 3], b"abcquery")),
            query("127.0.0.1"),
            "AF_UNSPEC"
        );
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for (fixed, why) in [
            ([0x11, 0x12, 0, 12], "version 1"),
            ([0x22, 0x12, 0, 12], "an unknown command"),
            ([0x21, 0x31, 0, 12], "a unix socket"),
            ([0x21, 0x12, 0, 11], "too short for its family"),
            ([0x21, 0x21, 0, 12], "too short for its family"),
            ([0x21, 0x12, 0, 13], "cut off"),
            ([0x21, 0x12, 4, 1], "too long"),
        ] {
            assert_eq!(client(&datagram(fixed, &FOUR)), None, "{why}");
        }
        assert_eq!(
            client(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 53\r\n"),
            None,
            "the text of version 1"
        );
        assert_eq!(client(&[]), None);
    }

    #[tokio::test]
    async fn a_stream_is_read_to_the_end_of_the_header_and_not_beyond() {
        let octets = datagram([0x21, 0x11, 0, 12], &[&FOUR[..], b"query"].concat());
        let mut stream = &octets[..];
        assert_eq!(
            read(&mut stream, front()).await.unwrap().to_string(),
            "192.0.2.7"
        );
        assert_eq!(stream, b"query");
        assert!(
            read(&mut &octets[..20], front()).await.is_err()
                && read(&mut &[0; 40][..], front()).await.is_err()
        );
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_do_no_harm(
            fixed in any::<[u8; 4]>(),
            rest in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let octets = datagram(fixed, &rest);
            if let Some((_, query)) = unwrap(&octets, front()) {
                prop_assert!(octets.ends_with(query) && query.len() + FIXED <= octets.len());
            }
        }
    }
}
