//! What the server says of itself in class CHAOS (RFC 4892): `id.server.` and `version.bind.`, if the operator lets it.

use super::Disposition;
use super::solve::Solver;
use crate::dns::reply::Section;
use crate::dns::{Question, RecordType};

/// Class CHAOS (RFC 1035 section 3.2.4).
const CLASS: u16 = 3;
/// A pointer to the question, TXT, CHAOS, TTL 0, and two octets of length.
const HEADER: [u8; 12] = [0xc0, 12, 0, 16, 0, CLASS as u8, 0, 0, 0, 0, 0, 0];
/// Longest text: one character string.
const MOST: usize = 255;

impl Solver<'_, '_, '_, '_> {
    /// Answers a question of another class than IN; `None`: there is nothing to say.
    #[cold]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a text has at most 255 octets"
    )]
    pub(super) fn solve_chaos(&mut self) -> Option<Disposition> {
        let question = &self.query.question;
        let asked =
            matches!(question.rtype, RecordType::TXT | RecordType::ANY) && question.class == CLASS;
        let text = self.chaos_text(question).filter(|_| asked)?;
        let mut record = [0; HEADER.len() + 1 + MOST];
        let length = HEADER.len() + 1 + text.len();
        let octets = HEADER.iter().take(HEADER.len() - 2).copied();
        let octets = octets
            .chain((text.len() as u16 + 1).to_be_bytes())
            .chain([text.len() as u8]);
        record
            .iter_mut()
            .zip(octets.chain(text.iter().copied()))
            .for_each(|(place, octet)| *place = octet);
        self.reply.authoritative = true;
        let written = self
            .reply
            .append(Section::Answer, record.get(..length)?, 1)
            .is_ok();
        self.reply.truncated = !written;
        Some(Disposition::Static)
    }

    fn chaos_text(&self, question: &Question<'_>) -> Option<&[u8]> {
        let policy = &self.moment.snapshot.policy;
        let text = match question.name.as_wire() {
            b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => policy.chaos_id.as_deref(),
            b"\x07version\x06server\0" | b"\x07version\x04bind\0" => {
                policy.chaos_version.as_deref()
            }
            _ => None,
        };
        text.map(|text| text.get(..MOST).unwrap_or(text))
    }
}
