//! DNSSEC numbers that may be written as words.
//!
//! RFC 4034 appendix A.1 allows mnemonics for algorithms. Other servers also read digests, hashes
//! and schemes as words, so this module does too.

use std::borrow::Cow;

use super::scanner::Token;
use crate::dns::RecordType;

/// A word, and the number that it stands for.
type Word = (&'static str, &'static str);

/// The words of a record's data, each that stands for a number replaced by it.
pub fn as_numbers<'t, 'a>(rtype: RecordType, tokens: &'t [Token<'a>]) -> Cow<'t, [Token<'a>]> {
    let mut numbers = Cow::Borrowed(tokens);
    for &(at, words) in places_of(rtype) {
        let token = tokens
            .get(at)
            .filter(|token| !token.text.first().is_some_and(u8::is_ascii_digit));
        if let Some(token) = token
            && let Some((_, number)) = words
                .iter()
                .find(|(word, _)| token.text.eq_ignore_ascii_case(word.as_bytes()))
            && let Some(place) = numbers.to_mut().get_mut(at)
        {
            place.text = number.as_bytes();
        }
    }
    numbers
}

/// The positions in the data of a type at which words are allowed, and which words.
fn places_of(rtype: RecordType) -> &'static [(usize, &'static [Word])] {
    match rtype {
        RecordType::DNSKEY
        | RecordType::CDNSKEY
        | RecordType::KEY
        | RecordType::RKEY
        | RecordType::CERT => &[(2, &ALGORITHMS)],
        RecordType::DS | RecordType::CDS | RecordType::DLV | RecordType::TA => {
            &[(1, &ALGORITHMS), (2, &DIGESTS)]
        }
        RecordType::RRSIG | RecordType::SIG => &[(1, &ALGORITHMS)],
        RecordType::NSEC3 | RecordType::NSEC3PARAM => &[(0, &HASHES)],
        RecordType::DSYNC => &[(1, &SCHEMES)],
        _ => &[],
    }
}

/// IANA "DNS Security Algorithm Numbers", and BIND's names for two of them.
const ALGORITHMS: [Word; 19] = [
    ("RSAMD5", "1"),
    ("DH", "2"),
    ("DSA", "3"),
    ("RSASHA1", "5"),
    ("DSA-NSEC3-SHA1", "6"),
    ("NSEC3DSA", "6"),
    ("RSASHA1-NSEC3-SHA1", "7"),
    ("NSEC3RSASHA1", "7"),
    ("RSASHA256", "8"),
    ("RSASHA512", "10"),
    ("ECC-GOST", "12"),
    ("ECCGOST", "12"),
    ("ECDSAP256SHA256", "13"),
    ("ECDSAP384SHA384", "14"),
    ("ED25519", "15"),
    ("ED448", "16"),
    ("INDIRECT", "252"),
    ("PRIVATEDNS", "253"),
    ("PRIVATEOID", "254"),
];

/// IANA "Delegation Signer (DS) Resource Record (RR) Type Digest Algorithms".
const DIGESTS: [Word; 6] = [
    ("SHA-1", "1"),
    ("SHA1", "1"),
    ("SHA-256", "2"),
    ("SHA256", "2"),
    ("SHA-384", "4"),
    ("SHA384", "4"),
];

/// IANA "DNSSEC NSEC3 Hash Algorithms".
const HASHES: [Word; 2] = [("SHA-1", "1"), ("SHA1", "1")];

/// RFC 9859 section 2.1.
const SCHEMES: [Word; 1] = [("NOTIFY", "1")];

#[cfg(test)]
mod tests {
    use crate::zone::testing::{errors, listing};

    #[test]
    fn words_are_the_numbers_that_they_stand_for() {
        for (word, number) in [
            ("DNSKEY 257 3 rsasha256 AAEC", "DNSKEY 257 3 8 AAEC"),
            ("DS 1 ECDSAP256SHA256 SHA-256 00", "DS 1 13 2 00"),
            ("CERT PKIX 1 ED25519 AAEC", "CERT 1 1 15 AAEC"),
            (
                "RRSIG A RSASHA512 3 3600 20260201000000 20260101000000 1 y. c2ln",
                "RRSIG A 10 3 3600 20260201000000 20260101000000 1 y. c2ln",
            ),
            ("NSEC3PARAM SHA-1 0 0 -", "NSEC3PARAM 1 0 0 -"),
            ("DSYNC CDS NOTIFY 53 y", "DSYNC TYPE59 1 53 y"),
        ] {
            assert_eq!(
                listing(&format!("x {word}\n")),
                listing(&format!("x {number}\n")),
                "{word}"
            );
        }
        assert_eq!(errors("x DNSKEY 257 3 NONSENSE AAEC\n").len(), 1);
    }
}
