//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018.
//!
//! A cookie shows that a client received an earlier reply at its address, so the address is not
//! forged. The server stores nothing per client: its part of the cookie is a hash over a secret.
//! All servers of an anycast set that share the secret accept each other's cookies.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::net::ClientAddress;

/// Option code (RFC 7873 section 4).
pub const OPTION_COOKIE: u16 = 10;
/// Octets of the client part.
pub const CLIENT: usize = 8;
/// Octets of the server part in the form of RFC 9018: version, reserved, time, hash.
pub const SERVER: usize = 16;
/// Octets of the whole option value in a reply.
pub const WHOLE: usize = CLIENT + SERVER;

/// The version of a server cookie (RFC 9018 section 4.1).
const VERSION: u8 = 1;
/// The greatest age of a valid cookie, in seconds (RFC 9018 section 4.3).
const MAX_AGE: i32 = 3600;
/// How far the clock of another server of the set may be ahead, in seconds (RFC 9018 section 4.3).
const MAX_AHEAD: i32 = 300;
/// A valid cookie older than this, in seconds, is replaced by a new one (RFC 9018 section 4.3).
const RENEWAL_AGE: i32 = 1800;

/// The cookie option of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieOption {
    /// The client part.
    pub client: [u8; CLIENT],
    /// The server part, if it has our length; another length means another server made it.
    pub server: Option<[u8; SERVER]>,
    /// There is a server part, of any length.
    pub has_server: bool,
}

impl CookieOption {
    /// Reads the option's value; `None` for a length that RFC 7873 section 4 does not allow
    /// (FORMERR).
    pub fn read(value: &[u8]) -> Option<CookieOption> {
        let (client, server) = value.split_first_chunk::<CLIENT>()?;
        if !matches!(server.len(), 0 | 8..=32) {
            return None;
        }
        Some(CookieOption {
            client: *client,
            server: server.try_into().ok(),
            has_server: !server.is_empty(),
        })
    }
}

/// A key of server cookies. It is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecret([u8; 16]);

impl Drop for CookieSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl CookieSecret {
    /// A secret from its octets.
    pub fn new(octets: [u8; 16]) -> CookieSecret {
        CookieSecret(octets)
    }

    /// The option value for a client: the client part, version 1, the time in seconds since 1970
    /// (modulo 2^32), and a hash of all that and the client's address (RFC 9018 section 4).
    pub fn cookie(&self, client: &[u8; CLIENT], address: ClientAddress, now: u32) -> [u8; WHOLE] {
        let [t3, t2, t1, t0] = now.to_be_bytes();
        let head = [VERSION, 0, 0, 0, t3, t2, t1, t0];
        let hash = self.hash(client, &head, address).to_le_bytes();
        joined(&[client, &head, &hash])
    }

    /// The hash over client part, version, reserved octets, time and address (RFC 9018 section
    /// 4.4).
    fn hash(&self, client: &[u8; CLIENT], head: &[u8; 8], address: ClientAddress) -> u64 {
        let hasher = SipHasher24::new_with_key(&self.0);
        match address.ip() {
            IpAddr::V4(address) => hasher.hash(&joined::<{ CLIENT + 8 + 4 }>(&[
                client,
                head,
                &address.octets(),
            ])),
            IpAddr::V6(address) => hasher.hash(&joined::<{ CLIENT + 8 + 16 }>(&[
                client,
                head,
                &address.octets(),
            ])),
        }
    }

    /// Whether this secret made the server part for this client at this address.
    fn made(&self, client: &[u8; CLIENT], server: &[u8; SERVER], address: ClientAddress) -> bool {
        let (Some(head), Some(hash)) = (server.first_chunk::<8>(), server.last_chunk::<8>()) else {
            return false;
        };
        self.hash(client, head, address)
            .ct_eq(&u64::from_le_bytes(*hash))
            .into()
    }
}

/// The secret that makes cookies, and another one whose cookies are valid too. While an anycast set
/// changes its secret, its servers accept both (RFC 9018 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSecrets {
    making: CookieSecret,
    known: Option<CookieSecret>,
}

/// How a server replies to a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieReply {
    /// The option value of the reply.
    pub octets: [u8; WHOLE],
    /// The server part is recent and one of our secrets made it for this client at this address.
    pub verified: bool,
}

impl CookieSecrets {
    /// `making` makes new cookies; cookies of `known` are valid too.
    pub fn new(making: CookieSecret, known: Option<CookieSecret>) -> CookieSecrets {
        CookieSecrets { making, known }
    }

    /// Checks a cookie and makes the one for the reply. `now`: seconds since 1970, modulo 2^32.
    pub fn reply_to(&self, sent: &CookieOption, address: ClientAddress, now: u32) -> CookieReply {
        let Some(server) = &sent.server else {
            return self.fresh(sent, address, now, false);
        };
        let Some(age) = age(server, now) else {
            return self.fresh(sent, address, now, false);
        };
        if self.making.made(&sent.client, server, address) {
            if !(0..=RENEWAL_AGE).contains(&age) {
                return self.fresh(sent, address, now, true);
            }
            return CookieReply {
                octets: joined(&[&sent.client, server]),
                verified: true,
            };
        }
        let verified = match &self.known {
            Some(known) => known.made(&sent.client, server, address),
            None => false,
        };
        self.fresh(sent, address, now, verified)
    }

    /// A reply with a new cookie.
    fn fresh(
        &self,
        sent: &CookieOption,
        address: ClientAddress,
        now: u32,
        verified: bool,
    ) -> CookieReply {
        CookieReply {
            octets: self.making.cookie(&sent.client, address, now),
            verified,
        }
    }
}

/// The parts one behind the other, cut off or filled with zeros to `N` octets.
fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut whole = [0; N];
    let mut rest = &mut whole[..];
    for part in parts {
        let Some((place, behind)) = rest.split_at_mut_checked(part.len()) else {
            break;
        };
        place.copy_from_slice(part);
        rest = behind;
    }
    whole
}

/// The age that a server part states, in seconds; `None` if it is too old, too far ahead, or of
/// another version.
fn age(server: &[u8; SERVER], now: u32) -> Option<i32> {
    let [version, _, _, _, t3, t2, t1, t0, ..] = *server;
    // Serial number arithmetic (RFC 1982), so that the time may wrap around in 2106.
    let age = now.wrapping_sub(u32::from_be_bytes([t3, t2, t1, t0])) as i32;
    if version == VERSION && (-MAX_AHEAD..=MAX_AGE).contains(&age) {
        Some(age)
    } else {
        None
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
        let secret = CookieSecret::new(octets("e5e973e5a6b2a43f48e7dc849e37bfcf"));
        let client = octets("2464c4abcf10c957");
        let cookie = secret.cookie(&client, "198.51.100.100".parse().unwrap(), 0x5cf7_9f11);
        assert_eq!(
            cookie,
            octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
        );
    }

    /// RFC 9018 appendix A.4, the renewed cookie.
    #[test]
    fn appendix_a_4_ipv6() {
        let secret = CookieSecret::new(octets("445536bcd2513298075a5d379663c962"));
        let client = octets("22681ab97d52c298");
        let cookie = secret.cookie(
            &client,
            "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap(),
            0x5cf7_c609,
        );
        assert_eq!(
            cookie,
            octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a")
        );
    }

    #[test]
    fn lengths_are_checked() {
        let ok = |length: usize| CookieOption::read(&[7; 64][..length]).is_some();
        assert!([8, 16, 24, 40].into_iter().all(ok));
        assert!(![0, 7, 9, 15, 41].into_iter().any(ok));
    }

    const CLIENT_PART: [u8; CLIENT] = *b"client!!";
    const NOW: u32 = 0x5cf7_9f11;

    fn secrets(making: u8, known: Option<u8>) -> CookieSecrets {
        CookieSecrets::new(
            CookieSecret::new([making; 16]),
            known.map(|octet| CookieSecret::new([octet; 16])),
        )
    }

    /// What a client sends who got its cookie from `secret` at `made`.
    fn sent(secret: u8, address: &str, made: u32) -> CookieOption {
        let cookie =
            CookieSecret::new([secret; 16]).cookie(&CLIENT_PART, address.parse().unwrap(), made);
        CookieOption::read(&cookie).unwrap()
    }

    #[track_caller]
    fn check(secrets: &CookieSecrets, sent: &CookieOption, verified: bool) -> CookieReply {
        let given = secrets.reply_to(sent, "192.0.2.1".parse().unwrap(), NOW);
        assert_eq!(given.verified, verified, "{sent:?}");
        given
    }

    #[test]
    fn rfc9018_section_4_3_only_a_recent_cookie_of_this_client_counts() {
        let ours = secrets(1, None);
        for (seconds, good) in [
            (0, true),
            (3600, true),
            (3601, false),
            (-300, true),
            (-301, false),
        ] {
            check(
                &ours,
                &sent(1, "192.0.2.1", NOW.wrapping_sub_signed(seconds)),
                good,
            );
        }
        check(&ours, &sent(1, "192.0.2.2", NOW), false);
        check(&ours, &sent(2, "192.0.2.1", NOW), false);
        check(&ours, &CookieOption::read(&CLIENT_PART).unwrap(), false);
        check(
            &ours,
            &CookieOption {
                client: *b"another!",
                ..sent(1, "192.0.2.1", NOW)
            },
            false,
        );
    }

    #[test]
    fn every_changed_bit_of_a_cookie_is_seen() {
        let good =
            CookieSecret::new([1; 16]).cookie(&CLIENT_PART, "192.0.2.1".parse().unwrap(), NOW);
        for bit in 0..8 * WHOLE {
            let mut cookie = good;
            cookie[bit / 8] ^= 1 << (bit % 8);
            check(
                &secrets(1, None),
                &CookieOption::read(&cookie).unwrap(),
                false,
            );
        }
    }

    #[test]
    fn rfc9018_section_4_3_a_cookie_is_renewed_after_half_an_hour() {
        let made = |given: CookieReply| {
            u32::from_be_bytes(given.octets[CLIENT + 4..CLIENT + 8].try_into().unwrap())
        };
        for (seconds, time) in [(1800, NOW - 1800), (1801, NOW), (-10, NOW)] {
            let sent = sent(1, "192.0.2.1", NOW.wrapping_sub_signed(seconds));
            assert_eq!(made(check(&secrets(1, None), &sent, true)), time);
        }
    }

    #[test]
    fn rfc9018_section_5_both_secrets_are_known_and_one_makes() {
        let given = check(&secrets(1, Some(2)), &sent(2, "192.0.2.1", NOW - 5), true);
        assert_eq!(
            given.octets,
            CookieSecret::new([1; 16]).cookie(&CLIENT_PART, "192.0.2.1".parse().unwrap(), NOW)
        );
        check(&secrets(1, Some(2)), &sent(3, "192.0.2.1", NOW), false);
    }
}
