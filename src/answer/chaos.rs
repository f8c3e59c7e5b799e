//! Answers in class CHAOS (RFC 4892): `id.server.` and `version.bind.`, if the operator states
//! texts for them.

use super::Disposition;
use super::solve::Solver;
use crate::dns::reply::Section;
use crate::dns::{Question, RecordType};

/// Class CHAOS (RFC 1035 section 3.2.4).
const CLASS: u16 = 3;
/// The fixed part of the record: a pointer to the question, TXT, CHAOS, and TTL 0.
const HEADER: [u8; 10] = [0xc0, 12, 0, 16, 0, CLASS as u8, 0, 0, 0, 0];
/// The longest text: one character string.
const MAX_TEXT: usize = 255;

impl<const SIGNED: bool> Solver<'_, '_, '_, '_, SIGNED> {
    /// Answers a question of another class than IN; `None`: there is no text for it.
    #[cold]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a text has at most 255 octets"
    )]
    pub(super) fn solve_chaos(&mut self) -> Option<Disposition> {
        let question = &self.query.question;
        if question.class != CLASS || !matches!(question.rtype, RecordType::TXT | RecordType::ANY) {
            return None;
        }
        let text = self.chaos_text(question)?;
        let [size1, size0] = (text.len() as u16 + 1).to_be_bytes();
        let mut record = [0; HEADER.len() + 3 + MAX_TEXT];
        let mut length = 0;
        for part in [&HEADER[..], &[size1, size0, text.len() as u8], text] {
            record
                .get_mut(length..length + part.len())?
                .copy_from_slice(part);
            length += part.len();
        }
        self.reply.authoritative = true;
        let written = self
            .reply
            .append(Section::Answer, record.get(..length)?, 1)
            .is_ok();
        self.reply.truncated = !written;
        Some(Disposition::Static)
    }

    fn chaos_text(&self, question: &Question<'_>) -> Option<&[u8]> {
        let policy = &self.context.snapshot.policy;
        let text = match question.name.as_wire() {
            b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => policy.chaos_id.as_deref(),
            b"\x07version\x06server\0" | b"\x07version\x04bind\0" => {
                policy.chaos_version.as_deref()
            }
            _ => None,
        }?;
        Some(text.get(..MAX_TEXT).unwrap_or(text))
    }
}
