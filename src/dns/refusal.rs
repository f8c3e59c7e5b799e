//! Refusals: replies with an error code and no records.
//!
//! A refusal repeats the question if it could be read, so that a client can tell which of its
//! queries was refused. It has an OPT record if the query has one, with DO copied.

use super::RecordType;
use super::query::{SearchName, SkippedRecord, opcode, read_question};
use super::rcode::{HEADER, Rcode};
use super::reply::Reply;
use super::reply_opt::ReplyOpt;
use super::tsig::TsigRecord;
use super::wire::WireReader;

/// Why a datagram gets no ordinary answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// No reply: the datagram is shorter than a header, or is itself a response. Two servers that
    /// answer responses would answer each other for ever (CVE-2012-0206).
    Drop,
    /// A reply without records, with this code.
    Reply {
        /// What is wrong.
        rcode: Rcode,
        /// What the reply repeats.
        repeated: RepeatedParts,
    },
    /// NOTAUTH with the signature refused: this server has no keys.
    UnknownKey {
        /// The signature.
        signature: TsigRecord,
        /// What the reply repeats.
        repeated: RepeatedParts,
    },
}

/// What a refusal repeats of its query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepeatedParts {
    /// Octets of the question behind the header; 0: no question is repeated.
    pub question: usize,
    /// DO of the query's OPT record (RFC 3225 section 3). The reply then has OPT too (RFC 6891
    /// section 6.1.1). `None`: no OPT record was found.
    pub dnssec_ok: Option<bool>,
}

/// Refuses a malformed query. The refusal repeats the question if it is whole and the only one.
#[cold]
pub(super) fn refuse_malformed(
    datagram: &[u8],
    header: &[u8; HEADER],
    dnssec_ok: Option<bool>,
) -> Reject {
    let [_, _, f1, f0, q1, q0, ..] = *header;
    if opcode(u16::from_be_bytes([f1, f0])) != 0 {
        return Reject::Reply {
            rcode: Rcode::NotImp,
            repeated: RepeatedParts::default(),
        };
    }
    let question = if [q1, q0] == [0, 1] {
        question_length(datagram)
    } else {
        None
    };
    let dnssec_ok = dnssec_ok.or_else(|| find_dnssec_ok(datagram, header));
    Reject::Reply {
        rcode: Rcode::FormErr,
        repeated: RepeatedParts {
            question: question.unwrap_or(0),
            dnssec_ok,
        },
    }
}

/// Octets of the first question; `None` if it is not whole.
fn question_length(datagram: &[u8]) -> Option<usize> {
    let mut reader = WireReader::at(datagram, HEADER)?;
    let mut name = SearchName::new();
    let question = read_question(&mut reader, &mut name)?;
    Some(question.octets.len())
}

/// DO of the OPT record of a malformed query, whose counts may be anything. Each step reads octets,
/// so the loops end with the message.
fn find_dnssec_ok(datagram: &[u8], header: &[u8; HEADER]) -> Option<bool> {
    let [_, _, _, _, q1, q0, a1, a0, n1, n0, r1, r0] = *header;
    let questions = u16::from_be_bytes([q1, q0]);
    let answers = u16::from_be_bytes([a1, a0]);
    let authorities = u16::from_be_bytes([n1, n0]);
    let additionals = u16::from_be_bytes([r1, r0]);
    let mut reader = WireReader::at(datagram, HEADER)?;
    for _ in 0..questions {
        reader.skip_name()?;
        reader.u32()?;
    }
    for _ in 0..u32::from(answers).saturating_add(authorities.into()) {
        SkippedRecord::read(&mut reader)?;
    }
    for _ in 0..additionals {
        let mut ahead = reader;
        match SkippedRecord::read_plain(&mut ahead) {
            Some(opt) if opt.rtype == RecordType::OPT => return Some(opt.ttl & 0x8000 != 0),
            _ => SkippedRecord::read(&mut reader)?,
        };
    }
    None
}

/// Writes a reply without records (FORMERR, NOTIMP, BADVERS, NOTAUTH). Returns its length; 0 if the
/// buffer is too short.
pub fn refusal(buffer: &mut [u8], message: &[u8], rcode: Rcode, repeated: &RepeatedParts) -> usize {
    let opt = ReplyOpt::plain(repeated.dnssec_ok);
    let question = message.get(HEADER..HEADER.saturating_add(repeated.question));
    let (Some(question), Some(id_and_flags)) = (question, message.first_chunk::<4>()) else {
        return 0;
    };
    let size = buffer.len();
    let Ok(mut reply) = Reply::start(buffer, question, size, opt.size()) else {
        return 0;
    };
    reply.rcode = rcode;
    reply.finish(*id_and_flags, u8::from(repeated.question > 0), &opt, 0)
}

/// Writes the reply to a query with an unknown key: NOTAUTH with the signature refused.
///
/// `max_size`: octets that the reply may have. A signature that does not fit is left out.
pub fn unknown_key(
    buffer: &mut [u8],
    message: &[u8],
    signature: &TsigRecord,
    repeated: &RepeatedParts,
    max_size: usize,
) -> usize {
    let length = refusal(buffer, message, Rcode::NotAuth, repeated);
    if length == 0 {
        return 0;
    }
    let max_size = max_size.min(buffer.len());
    let Some(place) = buffer.get_mut(length..max_size) else {
        return length;
    };
    let added = signature.refuse(message, place);
    // The last octet of the header is the lower half of ARCOUNT.
    if let (1.., Some(count)) = (added, buffer.get_mut(HEADER - 1)) {
        *count = count.wrapping_add(1);
    }
    length.saturating_add(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_use_both_fields() {
        let mut buffer = [0; 64];
        let with_opt = RepeatedParts {
            question: 0,
            dnssec_ok: Some(false),
        };
        let length = refusal(
            &mut buffer,
            &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            Rcode::BadVers,
            &with_opt,
        );
        assert_eq!(length, 12 + 11);
        assert_eq!((buffer[3] & 0xf, buffer[12 + 5]), (0, 1));
        assert_eq!(
            refusal(
                &mut [0; 5],
                &[0; 12],
                Rcode::FormErr,
                &RepeatedParts::default()
            ),
            0
        );
    }
}
