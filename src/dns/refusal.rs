//! Refusals: what cannot be answered, what of it can be repeated, and the reply that says so.
//!
//! A refusal has no records. It repeats the question where there is one that is whole, and has an OPT record where the
//! query has one, with DO copied, so that a client can tell which of its queries was refused.

use super::RecordType;
use super::query::{HEADER, Rcode, SearchName, SkippedRecord, opcode, read_question, skip_name};
use super::reply::Reply;
use super::reply_opt::ReplyOpt;
use super::tsig::TsigRecord;

/// Why a datagram gets no ordinary answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// Nothing is sent: shorter than a header, or itself a response (answering those makes two servers answer each
    /// other for ever: CVE-2012-0206).
    Drop,
    /// A reply without records, with this code.
    Reply {
        /// What is wrong.
        rcode: Rcode,
        /// What it repeats.
        repeated: RepeatedParts,
    },
    /// NOTAUTH, and what became of the signature: no key is known here.
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
    /// Octets of the question behind the header; 0: it is not repeated.
    pub question: usize,
    /// DO of the query's OPT record (RFC 3225 section 3), as far as one was found: the reply has OPT too (RFC 6891 section
    /// 6.1.1). `None`: the query has no OPT.
    pub dnssec_ok: Option<bool>,
}

/// Refuses what does not parse, with the question if it is the only one and whole, and with OPT if there is one.
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
    let question = Some(SearchName::new()).filter(|_| [q1, q0] == [0, 1]);
    let question = question
        .and_then(|mut name| read_question(datagram, &mut name).map(|read| read.octets.len()));
    let dnssec_ok = dnssec_ok.or_else(|| find_dnssec_ok(datagram, header));
    Reject::Reply {
        rcode: Rcode::FormErr,
        repeated: RepeatedParts {
            question: question.unwrap_or(0),
            dnssec_ok,
        },
    }
}

/// DO of the OPT record of a message whose counts are no query's. Each step takes octets, so it ends with the message.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, and counts of 16 bits in 32"
)]
fn find_dnssec_ok(datagram: &[u8], header: &[u8; HEADER]) -> Option<bool> {
    let [_, _, _, _, q1, q0, a1, a0, n1, n0, r1, r0] = *header;
    let count = |high, low| u32::from(u16::from_be_bytes([high, low]));
    let mut at = HEADER;
    for _ in 0..count(q1, q0) {
        at = skip_name(datagram, at)? + 4;
    }
    for _ in 0..count(a1, a0) + count(n1, n0) {
        at = SkippedRecord::read(datagram, at)?.end;
    }
    for _ in 0..count(r1, r0) {
        match SkippedRecord::read_plain(datagram, at) {
            Some(opt) if opt.rtype == RecordType::OPT => return Some(opt.ttl & 0x8000 != 0),
            _ => at = SkippedRecord::read(datagram, at)?.end,
        }
    }
    None
}

/// A reply without records that repeats the question and has OPT where the query has one (FORMERR, NOTIMP, BADVERS,
/// NOTAUTH).
///
/// Returns its length, 0 if the buffer is shorter than that.
pub fn refusal(buffer: &mut [u8], message: &[u8], rcode: Rcode, repeated: &RepeatedParts) -> usize {
    let opt = ReplyOpt::plain(repeated.dnssec_ok);
    let parts = message
        .get(HEADER..HEADER.saturating_add(repeated.question))
        .zip(message.first_chunk::<4>());
    let Some((question, id_and_flags)) = parts else {
        return 0;
    };
    let size = buffer.len();
    let Ok(mut reply) = Reply::start(buffer, question, size, opt.size()) else {
        return 0;
    };
    reply.rcode = rcode;
    reply.finish(*id_and_flags, u8::from(repeated.question > 0), &opt, 0)
}

/// A reply that says that the key of a signed query is not known: a refusal with NOTAUTH and the signature refused.
///
/// `most`: octets that the reply may have. A signature that does not fit is left out.
pub fn unknown_key(
    buffer: &mut [u8],
    message: &[u8],
    signature: &TsigRecord,
    repeated: &RepeatedParts,
    most: usize,
) -> usize {
    let length = refusal(buffer, message, Rcode::NotAuth, repeated);
    if length == 0 {
        return 0;
    }
    let most = most.min(buffer.len());
    let added = buffer
        .get_mut(length..most)
        .map_or(0, |place| signature.refuse(message, place));
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
