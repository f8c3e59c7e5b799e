//! Proofs with the hashes of names (RFC 5155 section 7.2).
//!
//! A chain with opt-out has no records for delegations without DS, nor for names that exist only because
//! of them. Such a name, and one below it, is shown by the closest encloser that has a record, and by one
//! that covers the name right below that; it says that there may be something unsigned. Zones are signed
//! with opt-out elsewhere, not here. The names that need more than three hashes are those that the zone
//! itself puts far below an encloser with a record.

use super::denial::{ProofLinks, wildcard_of};
use super::solve::{ChainName, Solver};
use crate::catalog::signed::SignedZone;
use crate::dns::ReplyFull;
use crate::dns::name::MAX_NAME;

/// The closest encloser that can be shown (RFC 5155 section 1.3).
struct ProvableEncloser {
    labels: usize,
    /// The place of its record in the chain.
    link: Option<usize>,
}

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Proves that the current name does not exist, nor a wildcard at its closest encloser, which
    /// has so many labels (RFC 5155 section 7.2.2).
    pub(super) fn deny_hashed_name(
        &mut self,
        zone: &'m SignedZone,
        current: &ChainName<'_>,
        encloser_labels: usize,
    ) -> Result<(), ReplyFull> {
        let encloser = self.provable_encloser(zone, current, encloser_labels);
        let covering = self.covering(zone, current, encloser.labels);
        let mut wildcard = [0; MAX_NAME];
        let wildcard = match wildcard_of(end_of(current, encloser.labels), &mut wildcard) {
            Some(wildcard) => self.link_at(zone, wildcard),
            None => None,
        };
        self.put_links(zone, current, [covering, wildcard, encloser.link])
    }

    /// The records for the current name, or one above it, in a chain with opt-out: its own, or those
    /// which show that it was left out (RFC 5155 sections 7.2.4 and 7.2.7).
    #[cold]
    pub(super) fn own_or_left_out(
        &self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        name: &[u8],
    ) -> ProofLinks {
        let own = zone.chain.find_own(name);
        if own.is_some() {
            return [own, None, None];
        }
        let above = label_count(name).saturating_sub(1);
        let encloser = self.provable_encloser(zone, current, above);
        let covering = self.covering(zone, current, encloser.labels);
        [covering, encloser.link, None]
    }

    /// The closest encloser with a record, from the one with so many labels upwards. Without opt-out
    /// that is the first.
    fn provable_encloser(
        &self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        encloser_labels: usize,
    ) -> ProvableEncloser {
        let mut labels = encloser_labels;
        while zone.chain.has_opt_out() && labels > zone.chain.apex_labels() {
            let link = zone.chain.find_own(end_of(current, labels));
            if link.is_some() {
                return ProvableEncloser { labels, link };
            }
            labels = labels.saturating_sub(1);
        }
        let link = self.link_at(zone, end_of(current, labels));
        ProvableEncloser { labels, link }
    }
}

/// The labels of a name in wire form without the root.
fn label_count(mut name: &[u8]) -> usize {
    let mut count = 0_usize;
    while let Some((&length @ 1.., rest)) = name.split_first() {
        count = count.saturating_add(1);
        name = rest.get(usize::from(length)..).unwrap_or_default();
    }
    count
}

/// The last so many labels of a name in wire form.
fn end_of<'n>(current: &ChainName<'n>, labels: usize) -> &'n [u8] {
    let skip = current.name.label_count().saturating_sub(labels);
    current.name.suffix(skip)
}
