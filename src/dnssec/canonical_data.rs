//! The canonical form of record data (RFC 4034 section 6.2, RFC 6840 section 5.1): names in the
//! data of some old types are written in lower case, everything else stays as it is.
//!
//! Which types those are is settled for ever: types made after RFC 3597 (2003) are never changed. A
//! type is described by the fields in front of its names. Data are uncompressed; of data that are cut
//! off, the names that are whole are changed.

use crate::dns::{RecordType, WireReader};

/// A field of record data.
#[derive(Clone, Copy)]
enum DataField {
    /// So many octets.
    Octets(usize),
    /// A string with its length in front.
    Text,
    /// The address suffix of A6, whose length depends on the octet in front (RFC 2874 section 3.1).
    AddressSuffix,
    /// A name.
    Name,
}

/// The fields up to the last name, for types whose names are lower-cased. RRSIG is one of them and
/// NSEC is not (RFC 6840 section 5.1).
fn fields(rtype: RecordType) -> &'static [DataField] {
    use DataField::{AddressSuffix, Name, Octets, Text};
    match rtype {
        RecordType::NS
        | RecordType::MD
        | RecordType::MF
        | RecordType::CNAME
        | RecordType::MB
        | RecordType::MG
        | RecordType::MR
        | RecordType::PTR
        | RecordType::DNAME
        | RecordType::NXT => &[Name],
        RecordType::SOA | RecordType::MINFO | RecordType::RP => &[Name, Name],
        RecordType::MX | RecordType::AFSDB | RecordType::RT | RecordType::KX => &[Octets(2), Name],
        RecordType::PX => &[Octets(2), Name, Name],
        RecordType::SRV => &[Octets(6), Name],
        RecordType::NAPTR => &[Octets(4), Text, Text, Text, Name],
        RecordType::SIG | RecordType::RRSIG => &[Octets(18), Name],
        RecordType::A6 => &[AddressSuffix, Name],
        _ => &[],
    }
}

/// Whether data of this type may differ from their canonical form.
pub fn has_canonical_names(rtype: RecordType) -> bool {
    !fields(rtype).is_empty()
}

/// Turns data into their canonical form, in place: the length does not change.
pub fn canonicalize(rtype: RecordType, rdata: &mut [u8]) {
    let mut at = 0;
    for field in fields(rtype) {
        let Some(end) = field_end(*field, rdata, at) else {
            return;
        };
        if let DataField::Name = field
            && let Some(name) = rdata.get_mut(at..end)
        {
            // Lengths of labels are below the letters.
            name.make_ascii_lowercase();
        }
        at = end;
    }
}

/// Where a field that starts here ends; `None` if the data end before.
fn field_end(field: DataField, rdata: &[u8], at: usize) -> Option<usize> {
    let mut reader = WireReader::at(rdata, at)?;
    match field {
        DataField::Octets(count) => drop(reader.take(count)?),
        DataField::Text => {
            let length = reader.u8()?;
            reader.take(usize::from(length))?;
        }
        DataField::AddressSuffix => {
            let prefix = reader.u8()?;
            let octets = 128_u8.checked_sub(prefix)?.div_ceil(8);
            reader.take(usize::from(octets))?;
        }
        DataField::Name => reader.skip_plain_name()?,
    }
    Some(reader.position())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(rtype: RecordType, rdata: &[u8]) -> Vec<u8> {
        let mut rdata = rdata.to_vec();
        canonicalize(rtype, &mut rdata);
        rdata
    }

    #[test]
    fn rfc4034_section_6_2_names_in_old_types_are_lower_cased() {
        for (rtype, before, after) in [
            (RecordType::NS, &b"\x02NS\0"[..], &b"\x02ns\0"[..]),
            (RecordType::MX, b"AA\x02MX\0", b"AA\x02mx\0"),
            (
                RecordType::SOA,
                b"\x01A\0\x01B\0CCCC",
                b"\x01a\0\x01b\0CCCC",
            ),
            (RecordType::SRV, b"AABBCC\x01S\0", b"AABBCC\x01s\0"),
            (
                RecordType::NAPTR,
                b"AABB\x01S\0\x02RE\x01N\0",
                b"AABB\x01S\0\x02RE\x01n\0",
            ),
            (
                RecordType::RRSIG,
                b"AABBCCDDEEFFGGHHII\x01N\0SIG",
                b"AABBCCDDEEFFGGHHII\x01n\0SIG",
            ),
            (RecordType::A6, b"\x78A\x01N\0", b"\x78A\x01n\0"),
            (RecordType::A6, b"\x80\x01N\0", b"\x80\x01n\0"),
        ] {
            assert_eq!(canonical(rtype, before), after, "{rtype}");
        }
    }

    #[test]
    fn rfc6840_section_5_1_everything_else_stays() {
        for rtype in [
            RecordType::NSEC,
            RecordType::TXT,
            RecordType::HINFO,
            RecordType::SVCB,
            RecordType::HTTPS,
            RecordType(65280),
        ] {
            assert_eq!(
                canonical(rtype, b"\x01A\0\x01B"),
                b"\x01A\0\x01B",
                "{rtype}"
            );
        }
    }

    proptest! {
        #[test]
        fn octets_by_chance_are_no_panic_and_keep_their_length(
            number in 0..70_u16,
            rdata in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let rtype = RecordType(number);
            let once = canonical(rtype, &rdata);
            prop_assert!(once.eq_ignore_ascii_case(&rdata));
            prop_assert_eq!(canonical(rtype, &once), once);
        }
    }
}
