//! Writes the additional section: addresses of the names in another section.
//!
//! They save the client a query for each name. Glue of a referral must fit, or TC is set; every
//! other record is left out when the reply is full.

use super::copies::RrsetPosition;
use super::solve::Solver;
use crate::catalog::records::AdditionalTarget;
use crate::catalog::{NodeId, WireRrset, ZoneId};
use crate::dns::RecordType;
use crate::dns::reply::{POINTER_REACH, Section};

/// Most names whose addresses are added to an answer. A referral has all of its glue (RFC 9471
/// section 3.1).
const MAX_TARGETS: usize = 16;

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Adds the addresses, and what else a client asks for next, of names in an RRset that was just
    /// written.
    ///
    /// With `cut` (a referral), glue at or below that cut must fit, or TC is set (RFC 9471 section
    /// 3.1). Other records that do not fit are left out (section 3.2).
    pub(super) fn solve_additional(
        &mut self,
        rrset: &'m WireRrset,
        written: RrsetPosition,
        owner: u16,
        cut: Option<NodeId>,
    ) {
        let catalog = self.context.catalog();
        let max_targets = if cut.is_some() {
            usize::MAX
        } else {
            MAX_TARGETS
        };
        for target in catalog.records.targets(rrset).iter().take(max_targets) {
            let Some(node) = catalog.names.node(target.node) else {
                continue;
            };
            if node.service().is_some() || !self.admits_zone(node.zone) {
                continue;
            }
            let Some(at) = self.target_position(target, rrset, written, owner) else {
                continue;
            };
            for further in catalog.records.of(node.rrsets) {
                // Below a cut there is glue and nothing else.
                if !target.further.has(further.rtype)
                    || node.cut.is_some() && !is_address(further.rtype)
                {
                    continue;
                }
                let start = self.reply.position();
                let written = self.put_plain(Section::Additional, further, at);
                if let (Ok(()), Some(signed)) = (written, self.signatures()) {
                    // Signatures that do not fit may be left out (RFC 4035 section 3.1.1).
                    let section = Section::Additional;
                    let _ = self.put_signatures(signed, section, further.number, at, start);
                }
                if written.is_err() && cut.is_some() && node.cut == cut {
                    self.reply.truncated = true;
                    return;
                }
            }
        }
    }

    /// The position of a name with additional records; `None` if no pointer can reach it.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn target_position(
        &self,
        target: &AdditionalTarget,
        rrset: &WireRrset,
        written: RrsetPosition,
        owner: u16,
    ) -> Option<u16> {
        let at = match target.at {
            None => usize::from(owner),
            Some(at) if written.is_shortened => {
                self.place_of_moved(rrset, written.at, at as usize)?
            }
            Some(at) => written.at + at as usize,
        };
        if at > POINTER_REACH {
            None
        } else {
            Some(at as u16)
        }
    }

    /// Whether access rules let this client ask for names of a zone.
    #[inline]
    fn admits_zone(&self, zone: ZoneId) -> bool {
        match &self.context.snapshot.policy.zones {
            Some(zones) => zones.admits(zone, *self.source),
            None => true,
        }
    }
}

fn is_address(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}
