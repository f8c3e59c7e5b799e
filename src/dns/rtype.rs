//! Record types by number and mnemonic (IANA "Resource Record (RR) TYPEs").
//!
//! Any 16-bit number is a type. A type without a mnemonic here is written `TYPE123` (RFC 3597
//! section 5), and text is read in both forms.

use std::fmt;
use std::str::FromStr;

/// A record type; any 16-bit value is one (RFC 3597).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! record_types {
    ($($name:ident = $number:literal $text:literal;)*) => {
        impl RecordType {
            $(
                #[doc = concat!("`", $text, "`, ", stringify!($number), ".")]
                pub const $name: RecordType = RecordType($number);
            )*

            /// The mnemonic, if this server knows one.
            pub fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl FromStr for RecordType {
            type Err = UnknownType;

            /// A mnemonic in any case, or `TYPE123` (RFC 3597 section 5).
            fn from_str(text: &str) -> Result<Self, UnknownType> {
                let upper = text.to_ascii_uppercase();
                match upper.as_str() {
                    $($text => Ok(RecordType::$name),)*
                    other => {
                        let number = other.strip_prefix("TYPE").ok_or(UnknownType)?;
                        number.parse().map(RecordType).map_err(|_| UnknownType)
                    }
                }
            }
        }
    };
}

/// The text is not a record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownType;

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such record type; unknown ones are written TYPE123")
    }
}

impl std::error::Error for UnknownType {}

record_types! {
    A = 1 "A"; NS = 2 "NS"; MD = 3 "MD"; MF = 4 "MF"; CNAME = 5 "CNAME"; SOA = 6 "SOA"; MB = 7 "MB";
    MG = 8 "MG"; MR = 9 "MR"; NULL = 10 "NULL"; WKS = 11 "WKS"; PTR = 12 "PTR"; HINFO = 13 "HINFO";
    MINFO = 14 "MINFO"; MX = 15 "MX"; TXT = 16 "TXT"; RP = 17 "RP"; AFSDB = 18 "AFSDB";
    X25 = 19 "X25"; ISDN = 20 "ISDN"; RT = 21 "RT"; NSAP = 22 "NSAP"; NSAP_PTR = 23 "NSAP-PTR";
    SIG = 24 "SIG"; KEY = 25 "KEY"; PX = 26 "PX"; GPOS = 27 "GPOS"; AAAA = 28 "AAAA";
    LOC = 29 "LOC"; NXT = 30 "NXT"; EID = 31 "EID"; NIMLOC = 32 "NIMLOC"; SRV = 33 "SRV";
    ATMA = 34 "ATMA"; NAPTR = 35 "NAPTR"; KX = 36 "KX"; CERT = 37 "CERT"; A6 = 38 "A6";
    DNAME = 39 "DNAME"; SINK = 40 "SINK"; OPT = 41 "OPT"; APL = 42 "APL"; DS = 43 "DS";
    SSHFP = 44 "SSHFP"; IPSECKEY = 45 "IPSECKEY"; RRSIG = 46 "RRSIG"; NSEC = 47 "NSEC";
    DNSKEY = 48 "DNSKEY"; DHCID = 49 "DHCID"; NSEC3 = 50 "NSEC3"; NSEC3PARAM = 51 "NSEC3PARAM";
    TLSA = 52 "TLSA"; SMIMEA = 53 "SMIMEA"; HIP = 55 "HIP"; NINFO = 56 "NINFO"; RKEY = 57 "RKEY";
    TALINK = 58 "TALINK"; CDS = 59 "CDS"; CDNSKEY = 60 "CDNSKEY"; OPENPGPKEY = 61 "OPENPGPKEY";
    CSYNC = 62 "CSYNC"; ZONEMD = 63 "ZONEMD"; SVCB = 64 "SVCB"; HTTPS = 65 "HTTPS";
    DSYNC = 66 "DSYNC"; HHIT = 67 "HHIT"; BRID = 68 "BRID"; SPF = 99 "SPF"; UINFO = 100 "UINFO";
    UID = 101 "UID"; GID = 102 "GID"; UNSPEC = 103 "UNSPEC"; NID = 104 "NID"; L32 = 105 "L32";
    L64 = 106 "L64"; LP = 107 "LP"; EUI48 = 108 "EUI48"; EUI64 = 109 "EUI64"; NXNAME = 128 "NXNAME";
    TKEY = 249 "TKEY"; TSIG = 250 "TSIG"; IXFR = 251 "IXFR"; AXFR = 252 "AXFR"; MAILB = 253 "MAILB";
    MAILA = 254 "MAILA"; ANY = 255 "ANY"; URI = 256 "URI"; CAA = 257 "CAA"; AVC = 258 "AVC";
    DOA = 259 "DOA"; AMTRELAY = 260 "AMTRELAY"; RESINFO = 261 "RESINFO"; WALLET = 262 "WALLET";
    CLA = 263 "CLA"; IPN = 264 "IPN"; TA = 32768 "TA"; DLV = 32769 "DLV";
}

impl RecordType {
    /// Types that exist only in questions and messages, never in a zone (RFC 6895 section 3.1).
    pub fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(text) => f.write_str(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        assert_eq!("https".parse(), Ok(RecordType::HTTPS));
        assert_eq!("TYPE65".parse(), Ok(RecordType::HTTPS));
        assert_eq!(
            "TYPE65280".parse::<RecordType>().map(|t| t.to_string()),
            Ok("TYPE65280".to_owned())
        );
        assert_eq!("TYPE65536".parse::<RecordType>(), Err(UnknownType));
        assert_eq!("nonsense".parse::<RecordType>(), Err(UnknownType));
    }
}
