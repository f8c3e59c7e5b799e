//! Converts record data from presentation form to uncompressed wire format.
//!
//! Common types are a row of fields ([`super::fields`]), read by our own code because it is fast.
//! Types with lists or bit maps are in [`super::rare`]. The `domain` crate reads the rest. Every
//! type may be written as octets in the form of RFC 3597, `\# LENGTH HEXADECIMAL`; types without a
//! text form here have no other.

use domain::base::rdata::{ComposeRecordData, UnknownRecordData};
use domain::base::scan::{Scanner, ScannerError};
use domain::base::{ParseRecordData, Rtype};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;

use super::binding::has_empty_path;
use super::fields::{fields_of, read, skip};
use super::mnemonics::as_numbers;
use super::scanner::{ScanFault, Token};
use super::words::{DataError, WordReader};
use crate::dns::{Name, RecordType};

/// Longest data of one record (RFC 1035 section 3.2.1: its length has two octets).
const MAX_DATA: usize = 65_535;
/// Longest text that can mean [`MAX_DATA`] octets: `\DDD` takes four characters for one.
const MAX_TEXT: usize = 4 * MAX_DATA;

/// Reads the data of a record of type `rtype` from `tokens` and puts it into `wire`, in place of
/// what is there; relative names take `origin`.
///
/// `before` is the token in front, which the error names if no data follows.
pub fn parse(
    rtype: RecordType,
    tokens: &[Token<'_>],
    origin: Option<&Name>,
    before: Token<'_>,
    wire: &mut Vec<u8>,
) -> Result<(), ScanFault> {
    wire.clear();
    let tokens = as_numbers(rtype, tokens);
    let mut words = WordReader::new(&tokens, origin);
    let read = if tokens.iter().map(|token| token.text.len()).sum::<usize>() > MAX_TEXT {
        Err(DataError::short_buf())
    } else {
        any_data(rtype, &mut words, wire)
    };
    let read = read.and_then(|()| match wire.len() {
        _ if !words.is_empty() => Err(DataError::TooMany),
        0..=MAX_DATA => Ok(()),
        _ => Err(DataError::short_buf()),
    });
    read.map_err(|error| {
        words
            .blamed(&error, &before)
            .fault(format!("the data of this {rtype} record is wrong: {error}"))
    })
}

fn any_data(
    rtype: RecordType,
    words: &mut WordReader<'_, '_>,
    wire: &mut Vec<u8>,
) -> Result<(), DataError> {
    if words.scan_opt_unknown_marker()? {
        *wire = unknown_data(rtype, words)?;
        return Ok(());
    }
    let Some(fields) = fields_of(rtype) else {
        *wire = other_data(rtype, words)?;
        return Ok(());
    };
    for &field in fields {
        read(field, words, wire)?;
    }
    Ok(())
}

/// Types that need more than a row of fields.
fn other_data(rtype: RecordType, words: &mut WordReader<'_, '_>) -> Result<Vec<u8>, DataError> {
    if is_binding(rtype) {
        words.give_stand_ins();
    }
    let data = ZoneRecordData::scan(known(rtype), words).map_err(|error| match error {
        DataError::Wrong(reason) if reason.starts_with("unknown record type") => DataError::Wrong(format!(
            "{rtype} has no text form here; write it as octets, \\# LENGTH HEXADECIMAL (RFC 3597)"
        )),
        other => other,
    })?;
    let wire = words.take_stand_ins().restore(composed(&data))?;
    if is_binding(rtype) && has_empty_path(&wire) {
        return Err(DataError::Wrong(
            "dohpath has no value; write a path such as /dns-query{?dns}".to_owned(),
        ));
    }
    Ok(wire)
}

fn is_binding(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::SVCB | RecordType::HTTPS)
}

/// The type with the same data that the `domain` crate reads: RRSIG for SIG (RFC 4034), and DS for
/// DLV and TA (RFC 4431).
fn known(rtype: RecordType) -> Rtype {
    let alike = match rtype {
        RecordType::SIG => RecordType::RRSIG,
        RecordType::DLV | RecordType::TA => RecordType::DS,
        other => other,
    };
    Rtype::from_int(alike.0)
}

/// `\# length hex` (RFC 3597 section 5); a type that is known must still be well formed.
fn unknown_data(rtype: RecordType, words: &mut WordReader<'_, '_>) -> Result<Vec<u8>, DataError> {
    let data = UnknownRecordData::scan_without_marker(Rtype::from_int(rtype.0), words)?;
    let wire = composed(&data);
    if is_well_formed(rtype, &wire) {
        Ok(wire)
    } else {
        Err(DataError::Wrong(format!(
            "these octets are no {rtype} data"
        )))
    }
}

fn is_well_formed(rtype: RecordType, wire: &[u8]) -> bool {
    if let Some(fields) = fields_of(rtype) {
        return fields
            .iter()
            .try_fold(wire, |rest, &field| skip(field, rest))
            .is_some_and(<[u8]>::is_empty);
    }
    if is_binding(rtype) && has_empty_path(wire) {
        return false;
    }
    let mut parser = Parser::from_ref(wire);
    let parsed = ZoneRecordData::parse_rdata(known(rtype), &mut parser);
    // A compressed name, which a zone must not contain, gets longer when it is composed again.
    matches!(parsed, Ok(Some(data)) if parser.remaining() == 0 && composed(&data) == wire)
}

fn composed(data: &impl ComposeRecordData) -> Vec<u8> {
    let mut wire = Vec::new();
    match data.compose_rdata(&mut wire) {
        Ok(()) => wire,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use crate::zone::testing::{errors, wire};

    #[test]
    fn every_type_has_its_wire_form() {
        for (record, octets) in RECORDS {
            assert_eq!(wire(record), *octets, "{record}");
        }
    }

    #[test]
    fn every_type_can_be_written_as_octets() {
        for (record, octets) in RECORDS {
            let rtype = record.split(' ').next().unwrap_or_default();
            let length = octets.len() / 2;
            assert_eq!(
                wire(&format!("{rtype} \\# {length} {octets}")),
                *octets,
                "{record}"
            );
            if !rtype.starts_with("TYPE65280") && *octets != "0178" && !octets.ends_with("000102") {
                let longer = errors(&format!("x {rtype} \\# {} {octets}\n", length + 70_000));
                assert_eq!(longer.len(), 1, "{record}");
            }
        }
    }

    #[test]
    fn wrong_data_is_told_at_its_word() {
        let cases = [
            (
                "A 192.0.2.256",
                "5: the data of this A record is wrong: '192.0.2.256' is not an IPv4 address",
            ),
            (
                "A",
                "3: the data of this A record is wrong: it ends too early",
            ),
            (
                "A 192.0.2.1 b c",
                "15: the data of this A record is wrong: it goes on after its end",
            ),
            (
                "MX -1 y",
                "6: the data of this MX record is wrong: '-1' is not a number from 0 to 65535",
            ),
            (
                "MX 1",
                "6: the data of this MX record is wrong: it ends too early",
            ),
            (
                "MX 1 a..b",
                "8: the data of this MX record is wrong: the name has an empty label",
            ),
            (
                "CNAME \u{e9}",
                "9: the data of this CNAME record is wrong: the name has characters outside ASCII; \
                write it in its xn-- form, xn--9ca",
            ),
            (
                "TXT",
                "3: the data of this TXT record is wrong: it ends too early",
            ),
            (
                "TXT \\25",
                "7: the data of this TXT record is wrong: it has a backslash that is not followed by a \
                character or three digits",
            ),
            (
                "TLSA 3 1 1 0",
                "14: the data of this TLSA record is wrong: uneven number of hex digits",
            ),
            (
                "DNSKEY 257 3 13 %",
                "19: the data of this DNSKEY record is wrong: illegal Base 64 data",
            ),
            (
                "HTTPS 1 . alpn=\"h2\" alpn=h3",
                "23: the data of this HTTPS record is wrong: duplicate SvcParamKey",
            ),
            (
                "A \\# 3 c00002",
                "10: the data of this A record is wrong: these octets are no A data",
            ),
            (
                "MX \\# 4 000ac000",
                "11: the data of this MX record is wrong: these octets are no MX data",
            ),
            (
                "DNSKEY \\# 1 00",
                "15: the data of this DNSKEY record is wrong: these octets are no DNSKEY data",
            ),
            (
                "TYPE65280 \\# 2 00",
                "18: the data of this TYPE65280 record is wrong: generic data has incorrect length",
            ),
            (
                "TYPE65280 x",
                "3: the data of this TYPE65280 record is wrong: TYPE65280 has no text form here; write it as \
                octets, \\# LENGTH HEXADECIMAL (RFC 3597)",
            ),
        ];
        for (record, sentence) in cases {
            assert_eq!(
                errors(&format!("x {record}\n")),
                [format!("z.zone:4:{sentence}")],
                "{record}"
            );
        }
    }

    #[test]
    fn data_is_at_most_65535_octets() {
        let texts = format!("\"{}\" ", "a".repeat(254)).repeat(256);
        assert_eq!(errors(&format!("x TXT {texts}\n")), Vec::<String>::new());
        let too_long = "4: the data of this TXT record is wrong: it is longer than 65535 octets";
        let found = errors(&format!("x TXT {texts} {texts}\n"));
        assert!(
            found.len() == 1 && found[0].ends_with(&too_long[3..]),
            "{found:?}"
        );
        let hints = format!("x HTTPS 1 . ipv6hint={}::\n", "::,".repeat(50_000));
        assert_eq!(errors(&hints).len(), 1);
        let alpn = format!("x HTTPS 1 . alpn={}a\n", "a,".repeat(50_000));
        assert_eq!(errors(&alpn).len(), 1);
        assert_eq!(
            errors(&format!("x TXT {}\n", "a ".repeat(300_000))).len(),
            1
        );
    }

    const RECORDS: &[(&str, &str)] = &[
        ("A 192.0.2.1", "c0000201"),
        ("AAAA 2001:db8::1", "20010db8000000000000000000000001"),
        ("CNAME y", "0179076578616d706c6503636f6d00"),
        ("DNAME y.example.org.", "0179076578616d706c65036f726700"),
        ("MX 10 y", "000a0179076578616d706c6503636f6d00"),
        (
            "TXT \"a b\" c\\\"\\200 \"é\" \"\"",
            "03612062036322c802c3a900",
        ),
        (
            "SRV 1 2 443 y",
            "0001000201bb0179076578616d706c6503636f6d00",
        ),
        (
            "HTTPS 1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 ech=AAEC",
            "000100000100060268320268330003000220fb00040008c0000201c0000202000500030001020006001020010db8000000000000000000000001",
        ),
        ("SVCB 0 y", "00000179076578616d706c6503636f6d00"),
        (
            "SVCB 1 y. mandatory=port port=53 key667=hello no-default-alpn alpn=h2",
            "00010179000000000200030001000302683200020000000300020035029b000568656c6c6f",
        ),
        (
            "CAA 128 issue \"ca.example.net; policy=ev\"",
            "8005697373756563612e6578616d706c652e6e65743b20706f6c6963793d6576",
        ),
        (
            "TLSA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b9 7983a1d16e8a410e4561cb106618e971",
            "030101d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
        ),
        (
            "NAPTR 100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" .",
            "0064000a0155074532552b7369701b215e2e2a24217369703a696e666f406578616d706c652e636f6d2100",
        ),
        (
            "LOC 42 21 54 N 71 06 18 W -24m 30m",
            "0033161389172dd070be15f000988d20",
        ),
        (
            "SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
            "0402123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
        ),
        (
            "RRSIG A 13 3 3600 20260201000000 20260101000000 12345 example.com. c2lnbmF0dXJl",
            "00010d0300000e10697e97806955b9003039076578616d706c6503636f6d007369676e6174757265",
        ),
        (
            "NSEC y A MX RRSIG NSEC TYPE1234",
            "0179076578616d706c6503636f6d000006400100000003041b000000000000000000000000000000000000000000000000000020",
        ),
        (
            "NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG",
            "0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b000722010000000290",
        ),
        ("NSEC3PARAM 1 0 0 -", "0100000000"),
        ("DNSKEY 257 3 13 c2lnbmF0dXJl", "0101030d7369676e6174757265"),
        (
            "CDNSKEY 257 3 13 c2lnbmF0dXJl",
            "0101030d7369676e6174757265",
        ),
        (
            "DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
            "ec4505012bb183af5f22588179a53b0a98631fad1a292118",
        ),
        ("CDS 0 0 0 00", "0000000000"),
        ("CDNSKEY 0 3 0 AA==", "0000030000"),
        (
            "URI 10 1 \"ftp://ftp1.example.com/public\"",
            "000a00016674703a2f2f667470312e6578616d706c652e636f6d2f7075626c6963",
        ),
        ("HINFO PC Linux", "025043054c696e7578"),
        ("RP a.b. .", "016101620000"),
        ("PTR y", "0179076578616d706c6503636f6d00"),
        (
            "IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
            "0a0102c0000226010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801",
        ),
        ("OPENPGPKEY AAEC", "000102"),
        (
            "ZONEMD 2018031500 1 1 FEBE3D4CE2EC2FFA4BA99D46CD69D6D29711E55217057BEE7EB1A7B641A47BA7FED2DD5B97AE499FAFA4F22C6BD647DE",
            "7848b78c0101febe3d4ce2ec2ffa4ba99d46cd69d6d29711e55217057bee7eb1a7b641a47ba7fed2dd5b97ae499fafa4f22c6bd647de",
        ),
        ("SMIMEA 3 1 1 00ff", "03010100ff"),
        ("CERT 1 0 0 AAEC", "0001000000000102"),
        ("KX 1 y.", "0001017900"),
        ("AFSDB 1 y.", "0001017900"),
        ("SPF x", "0178"),
        ("EUI48 00-00-5e-00-53-2a", "00005e00532a"),
        ("EUI64 00-00-5e-ef-10-00-00-2a", "00005eef1000002a"),
        ("NID 10 0014:4fff:ff20:ee64", "000a00144fffff20ee64"),
        ("L32 10 10.1.2.0", "000a0a010200"),
        ("L64 10 2001:0DB8:1140:1000", "000a20010db811401000"),
        ("LP 10 l64.y.", "000a036c3634017900"),
        ("KEY 256 3 8 AAEC", "01000308000102"),
        ("DHCID AAEC", "000102"),
        (
            "WKS \\# 16 0a000001060000014000000000000080",
            "0a000001060000014000000000000080",
        ),
        ("WKS \\# 5 0a00000111", "0a00000111"),
        (
            "ISDN \"150862028003217\" \"004\"",
            "0f31353038363230323830303332313703303034",
        ),
        ("ISDN 1", "0131"),
        ("NSAP \\# 7 47000580005a00", "47000580005a00"),
        ("NSAP-PTR y.", "017900"),
        (
            "SIG A 13 3 3600 20260201000000 20260101000000 12345 y. c2ln",
            "00010d0300000e10697e97806955b9003039017900736967",
        ),
        ("NXT \\# 5 0179004001", "0179004001"),
        ("EID \\# 3 1289ab", "1289ab"),
        ("NIMLOC \\# 3 1289ab", "1289ab"),
        (
            "ATMA \\# 12 013631323030303030303030",
            "013631323030303030303030",
        ),
        ("ATMA \\# 4 00390000", "00390000"),
        (
            "A6 \\# 17 0020010db8000000000000000000000001",
            "0020010db8000000000000000000000001",
        ),
        (
            "A6 \\# 12 440001000200030004017900",
            "440001000200030004017900",
        ),
        ("A6 \\# 4 80017900", "80017900"),
        (
            "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8",
            "00011503c0a82000011c83c0a82600020801ff",
        ),
        ("APL", ""),
        ("SINK \\# 6 080002000102", "080002000102"),
        ("NINFO \\# 2 0178", "0178"),
        ("RKEY \\# 7 0000ff01000102", "0000ff01000102"),
        ("HIP 2 2001 AAEC y. z.", "020200032001000102017900017a00"),
        ("TALINK \\# 4 00017900", "00017900"),
        (
            "CSYNC 66 3 A NS AAAA TYPE1234",
            "000000420003000460000008041b000000000000000000000000000000000000000000000000000020",
        ),
        (
            "DOA \\# 23 0000000100000002030a746578742f706c61696e000102",
            "0000000100000002030a746578742f706c61696e000102",
        ),
        ("DOA \\# 10 00000001000000020300", "00000001000000020300"),
        ("AMTRELAY 0 1 0 .", "0080"),
        ("AMTRELAY 1 0 1 192.0.2.1", "0101c0000201"),
        ("AMTRELAY 1 0 2 ::1", "010200000000000000000000000000000001"),
        ("AMTRELAY 1 1 3 y.", "0183017900"),
        ("RESINFO qnamemin", "08716e616d656d696e"),
        ("WALLET BTC x", "034254430178"),
        (
            "TA 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
            "000105012bb183af5f22588179a53b0a98631fad1a292118",
        ),
        (
            "DLV 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
            "000105012bb183af5f22588179a53b0a98631fad1a292118",
        ),
        ("DSYNC CDS 1 53 y.", "003b010035017900"),
        ("HHIT AAEC", "000102"),
        ("BRID AAEC", "000102"),
        ("CLA TCP-v4-v6 x", "095443502d76342d76360178"),
        ("IPN 4294967297", "0000000100000001"),
        ("UINFO \\# 1 01", "01"),
        ("TYPE65280 \\# 3 01 0203", "010203"),
        ("TYPE65280 \\# 0", ""),
        ("A \\# 4 c0000201", "c0000201"),
        ("TYPE1 192.0.2.1", "c0000201"),
        ("HTTPS \\# 3 000100", "000100"),
        ("MX \\# 5 000a 01 79 00", "000a017900"),
    ];
}
