//! Answers to ANY (RFC 8482).
//!
//! One record stands for all that a name has, so nobody can use such questions for floods. A client that
//! wants signatures gets one RRset of the name instead, because the record that stands for all has none. A
//! name that has only a service gives its NSEC record, or else one of its steered answers.

use super::disposition::Disposition;
use super::solve::{ChainName, QUESTION_NAME, Solver, Step};
use crate::catalog::{NameNode, WireRrset};
use crate::dns::reply::Section;
use crate::dns::{RecordType, ReplyFull};

/// The types that services answer, those of most use first. A service with a CNAME gives it for all of
/// them.
const OF_SERVICES: [RecordType; 6] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::MX,
    RecordType::SRV,
    RecordType::HTTPS,
    RecordType::SVCB,
];

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Answers ANY: with one record that stands for all (RFC 8482 section 4.2), which is not signed.
    /// So a client that wants signatures gets one RRset of the name instead (section 4.1).
    #[cold]
    pub(super) fn solve_any(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        rrsets: &'m [WireRrset],
    ) -> Result<Step, ReplyFull> {
        match (self.signatures(), rrsets.first()) {
            (Some(_), Some(first)) => {
                self.put(Section::Answer, first, current)?;
            }
            // A record of a wildcard's own is no record of the name that it stands for.
            (Some(_), None) if self.expanded.is_none() && self.solve_nsec(current, node)? => {}
            (Some(signed), None) if signed.zone(node.zone).is_some() => {
                return self.solve_any_steered(current, node);
            }
            _ => self.put_any_hinfo(current.at)?,
        }
        Ok(Step::Done(Disposition::Static))
    }

    /// Answers ANY with the first type that the service of a name has data of.
    #[inline(never)]
    fn solve_any_steered(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
    ) -> Result<Step, ReplyFull> {
        let Some(service) = node.service() else {
            return self.no_data(current, node.zone);
        };
        let hop = usize::from(current.at != QUESTION_NAME);
        for rtype in OF_SERVICES {
            match self.solve_steered(service, current.at, rtype, hop)? {
                None | Some(Disposition::NoData) => {}
                Some(disposition) => return Ok(Step::Done(disposition)),
            }
        }
        self.deny_steered(current, node, service)
    }

    /// Writes the one record that answers ANY for a name with records (RFC 8482 section 4.2).
    fn put_any_hinfo(&mut self, owner: u16) -> Result<(), ReplyFull> {
        self.reply.append_record(
            Section::Answer,
            owner,
            RecordType::HINFO,
            3600,
            &[b"\x07RFC8482\0"],
        )
    }
}
