//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018, so that every server of an anycast set that has the
//! same secret makes and knows the same cookies.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Option code (RFC 7873 section 4).
pub const OPTION_COOKIE: u16 = 10;
/// Octets of the client's part.
pub const CLIENT: usize = 8;
/// Octets of the whole option value in a reply.
pub const WHOLE: usize = CLIENT + 16;

/// The client's part of a cookie option; `None` for a length that RFC 7873 section 4 does not know (FORMERR).
pub fn read(value: &[u8]) -> Option<&[u8; CLIENT]> {
    let fits = matches!(value.len(), 8 | 16..=40);
    value.first_chunk().filter(|_| fits)
}

/// The key that server cookies are made with.
#[derive(Clone)]
pub struct Secret([u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// From its octets.
    pub fn new(octets: [u8; 16]) -> Secret {
        Secret(octets)
    }

    /// The option value for a client: its own part, then version 1, the time in seconds since 1970 (modulo 2^32) and
    /// a hash of all that with the client's address (RFC 9018 section 4).
    pub fn cookie(&self, client: &[u8; CLIENT], address: IpAddr, now: u32) -> [u8; WHOLE] {
        let mut input = [0; CLIENT + 8 + 16];
        input[..CLIENT].copy_from_slice(client);
        input[CLIENT] = 1;
        input[CLIENT + 4..CLIENT + 8].copy_from_slice(&now.to_be_bytes());
        let length = match address {
            IpAddr::V4(address) => {
                input[CLIENT + 8..CLIENT + 12].copy_from_slice(&address.octets());
                CLIENT + 12
            }
            IpAddr::V6(address) => {
                input[CLIENT + 8..].copy_from_slice(&address.octets());
                CLIENT + 24
            }
        };
        let hash = SipHasher24::new_with_key(&self.0).hash(&input[..length]);
        let mut cookie = [0; WHOLE];
        cookie[..CLIENT + 8].copy_from_slice(&input[..CLIENT + 8]);
        cookie[CLIENT + 8..].copy_from_slice(&hash.to_le_bytes());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 9018 appendix A.1.
    #[test]
    fn appendix_a_1_ipv4() {
        let secret = Secret::new(octets("e5e973e5a6b2a43f48e7dc849e37bfcf"));
        let client = octets("2464c4abcf10c957");
        let cookie = secret.cookie(&client, "198.51.100.100".parse().unwrap(), 0x5cf7_9f11);
        assert_eq!(cookie, octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    /// RFC 9018 appendix A.4, the renewed cookie.
    #[test]
    fn appendix_a_4_ipv6() {
        let secret = Secret::new(octets("445536bcd2513298075a5d379663c962"));
        let client = octets("22681ab97d52c298");
        let cookie = secret.cookie(&client, "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap(), 0x5cf7_c609);
        assert_eq!(cookie, octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
    }

    #[test]
    fn lengths_are_checked() {
        let ok = |length: usize| read(&[7; 64][..length]).is_some();
        assert!([8, 16, 24, 40].into_iter().all(ok));
        assert!(![0, 7, 9, 15, 41].into_iter().any(ok));
    }
}
