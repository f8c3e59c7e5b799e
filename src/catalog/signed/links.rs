//! Makes the chains of denial and signs their records.
//!
//! An NSEC chain has a record for each name with data or a delegation (RFC 4035 section 2.3), an NSEC3
//! chain also for the empty non-terminals above them (RFC 5155 section 7.1), and so has compact
//! denial. The bitmap of a steered name has all types that its service can give, and there is one more
//! record without each of them, for the time when it has no data of that type.

use super::build::{SignedPart, SigningFault, SigningInput, TOGETHER};
use super::chain::{ChainLink, DenialChain, LinkVariant, half, parts_of};
use super::signatures::SignatureTable;
use super::table::{BitmapTable, TableBuilder};
use crate::catalog::names::{NameNode, NameRole, NodeId};
use crate::config::{EndpointTarget, ServiceConfig};
use crate::dns::RecordType;
use crate::dns::name_order::{compare_names, sort_number};
use crate::dns::reply::{RECORD_HEADER, TTL_AT};
use crate::dnssec::nsec3::{NSEC3_HASH, NSEC3_LABEL, nsec3_hash, nsec3_label};
use crate::dnssec::validity::earlier;
use crate::dnssec::{RrsetHead, SigningError, ZoneDenial, ZoneSigner};
use crate::two_threads::{both, each, each_in_turn, try_each};

/// A name of a chain that is being made.
struct LinkDraft {
    /// The start of its sort key, or of its hash.
    number: u128,
    /// Its hash; zeros in an NSEC chain.
    hash: [u8; NSEC3_HASH],
    node: NodeId,
    /// The number of its types in [`ChainDrafts::types`].
    types: u32,
    service: Option<u32>,
}

/// The names of all chains that are being made.
#[derive(Default)]
pub(super) struct ChainDrafts {
    /// By zone.
    links: Vec<Vec<LinkDraft>>,
    types: TypeSets,
}

/// The types of names, each set once: few are different.
#[derive(Default)]
struct TypeSets {
    sets: Vec<Vec<RecordType>>,
    known: foldhash::HashMap<Vec<RecordType>, u32>,
}

impl TypeSets {
    fn number(&mut self, types: Vec<RecordType>) -> u32 {
        if let Some(known) = self.known.get(&types) {
            return *known;
        }
        let number = self.sets.len() as u32;
        self.sets.push(types.clone());
        self.known.insert(types, number);
        number
    }
}

/// Some names of chains, each with its zone.
#[derive(Default)]
struct LinksPart {
    links: Vec<(usize, LinkDraft)>,
    types: TypeSets,
}

/// One record of a chain as it is signed.
#[derive(Default)]
struct RecordDraft {
    owner: Vec<u8>,
    rdata: Vec<u8>,
}

impl RecordDraft {
    /// Writes an NSEC3 record without its types.
    fn write_hashes(&mut self, chain: &DenialChain, apex: &[u8], [link, next]: [usize; 2]) {
        self.owner.push(NSEC3_LABEL as u8);
        self.owner
            .extend_from_slice(&nsec3_label(&chain.hash(link)));
        self.owner.extend_from_slice(apex);
        self.rdata
            .extend_from_slice(&chain.algorithm_and_flags(link));
        self.rdata.extend_from_slice(chain.parameters().shared());
        self.rdata.extend_from_slice(&chain.hash(next));
    }
}

impl SigningInput<'_> {
    /// The names of all chains.
    pub(super) fn chain_drafts(&self) -> ChainDrafts {
        let mut drafts = ChainDrafts::default();
        drafts.links.resize_with(self.zones.len(), Vec::new);
        let ids: Vec<NodeId> = self.names.ids().collect();
        let parts: Vec<&[NodeId]> = ids.chunks(TOGETHER).collect();
        each_in_turn(
            &parts,
            |ids| self.links_of(ids),
            |part: LinksPart| {
                let mut numbers = Vec::with_capacity(part.types.sets.len());
                for types in part.types.sets {
                    numbers.push(drafts.types.number(types));
                }
                for (zone, mut link) in part.links {
                    link.types = numbers[link.types as usize];
                    drafts.links[zone].push(link);
                }
            },
        );
        drafts
    }

    fn links_of(&self, ids: &[NodeId]) -> LinksPart {
        let mut part = LinksPart::default();
        for id in ids {
            let Some(node) = self.names.node(*id) else {
                continue;
            };
            match node.role {
                NameRole::Outside | NameRole::Occluded => continue,
                NameRole::Apex => {
                    if let Some(parent) = node.parent_zone() {
                        let types = self.types_at_cut(node);
                        self.add_link(&mut part, parent.0 as usize, *id, types, None);
                    }
                }
                NameRole::Ordinary | NameRole::Cut => {}
            }
            let zone = node.zone.0 as usize;
            if node.role == NameRole::Cut {
                let types = self.types_at_cut(node);
                self.add_link(&mut part, zone, *id, types, None);
                continue;
            }
            let service = node.service().map(|service| service.0);
            let types = self.types_of(node, service);
            self.add_link(&mut part, zone, *id, types, service);
        }
        part
    }

    /// Adds a name with the types of its own; those of signing and of the chain are added to them.
    fn add_link(
        &self,
        part: &mut LinksPart,
        zone: usize,
        id: NodeId,
        mut types: Vec<RecordType>,
        service: Option<u32>,
    ) {
        let (Some(signer), Some(node)) = (self.signers.of(zone), self.names.node(id)) else {
            return;
        };
        if self.presigned[zone] {
            return;
        }
        if signer.denial() == ZoneDenial::Nsec && types.is_empty() {
            return;
        }
        add_chain_types(signer.denial(), &mut types);
        let labels = self.zones[zone].origin.label_count();
        let link = LinkDraft {
            number: match signer.denial() {
                ZoneDenial::Nsec | ZoneDenial::Compact => {
                    sort_number(self.names.name_of(node), labels)
                }
                ZoneDenial::Nsec3 => 0,
            },
            hash: [0; NSEC3_HASH],
            node: id,
            types: part.types.number(types),
            service,
        };
        part.links.push((zone, link));
    }

    /// The types of the zone above at a cut (RFC 4035 section 2.3).
    fn types_at_cut(&self, node: &NameNode) -> Vec<RecordType> {
        let mut types = vec![RecordType::NS];
        for rrset in self.records.of(node.rrsets) {
            if rrset.rtype == RecordType::DS {
                types.push(RecordType::DS);
            }
        }
        types
    }

    /// The types of a name, those that its service can answer too.
    fn types_of(&self, node: &NameNode, service: Option<u32>) -> Vec<RecordType> {
        let mut types = Vec::new();
        for rrset in self.records.of(node.rrsets) {
            // The DS of an apex is the parent's.
            if rrset.rtype != RecordType::DS || node.role != NameRole::Apex {
                types.push(rrset.rtype);
            }
        }
        if let Some(service) = service.and_then(|it| self.services.get(it as usize)) {
            types.extend(steered_types(service));
        }
        types
    }

    /// Makes the chain of a zone and signs it. Also returns when the first of its signatures expires.
    pub(super) fn chain(
        &self,
        zone: usize,
        all: &mut ChainDrafts,
        signer: &ZoneSigner,
    ) -> Result<(DenialChain, u32), SigningFault> {
        let mut drafts = std::mem::take(&mut all.links[zone]);
        let is_hashed = signer.denial() == ZoneDenial::Nsec3;
        if is_hashed {
            self.hash(&mut drafts);
        }
        if drafts.len() > TOGETHER {
            // Two sorted lists are merged afterwards.
            let middle = drafts.len() / 2;
            let (first, second) = drafts.split_at_mut(middle);
            both(|| self.sort(first), || self.sort(second));
        }
        self.sort(&mut drafts);
        let origin = &self.zones[zone].origin;
        let mut chain = DenialChain {
            ttl: self.negative_ttl(zone),
            apex_labels: origin.label_count() as u8,
            apex_length: origin.as_wire().len() as u8,
            denial: signer.denial(),
            ..DenialChain::default()
        };
        let mut bitmaps = BitmapTable::default();
        let mut known = vec![None; all.types.sets.len()];
        for draft in &drafts {
            chain.numbers.push(half(draft.number));
            if is_hashed {
                chain.rests.push(parts_of(&draft.hash).1);
            }
            let types = draft.types as usize;
            chain.links.push(ChainLink {
                node: draft.node,
                types: *known[types].get_or_insert_with(|| bitmaps.index(&all.types.sets[types])),
            });
        }
        add_variants(
            self.services,
            &mut chain,
            (&drafts, &all.types),
            &mut bitmaps,
        );
        drop(drafts);
        chain.bitmaps = bitmaps.bitmaps;
        let apex = origin.to_lower();
        let (signatures, expiration) = self
            .sign_chain(&chain, apex.as_wire(), signer)
            .map_err(|error| self.fault(zone, error))?;
        chain.signatures = signatures;
        Ok((chain, expiration))
    }

    fn hashes_of(&self, drafts: &[LinkDraft]) -> Vec<[u8; NSEC3_HASH]> {
        let mut hashes = Vec::with_capacity(drafts.len());
        for draft in drafts {
            hashes.push(nsec3_hash(self.name_of(draft.node)));
        }
        hashes
    }

    /// Sets the hashes of names, on two threads.
    fn hash(&self, drafts: &mut [LinkDraft]) {
        let parts: Vec<&[LinkDraft]> = drafts.chunks(TOGETHER).collect();
        let hashes = each(&parts, |part| self.hashes_of(part));
        for (draft, hash) in drafts.iter_mut().zip(hashes.into_iter().flatten()) {
            draft.hash = hash;
            draft.number = u128::from(parts_of(&hash).0) << 64;
        }
    }

    /// Sorts links by hash, or by name in canonical order.
    fn sort(&self, drafts: &mut [LinkDraft]) {
        drafts.sort_by(|one, other| {
            let numbers = one.number.cmp(&other.number);
            numbers
                .then(one.hash.cmp(&other.hash))
                .then_with(|| compare_names(self.name_of(one.node), self.name_of(other.node)))
        });
    }

    fn sign_chain(
        &self,
        chain: &DenialChain,
        apex: &[u8],
        signer: &ZoneSigner,
    ) -> Result<(SignatureTable, u32), SigningError> {
        let count = chain.links.len() + chain.variants.len();
        let starts: Vec<usize> = (0..count).step_by(TOGETHER).collect();
        let mut table = TableBuilder::default();
        let mut expires = None;
        try_each(
            &starts,
            |&start| {
                let numbers = start..count.min(start + TOGETHER);
                self.sign_links(chain, apex, signer, numbers)
            },
            |part| {
                for (_, expiration) in &part.expirations {
                    expires = Some(earlier(expires, *expiration));
                }
                table.append(part.table);
            },
        )?;
        // Every zone has a name.
        Ok((table.finish(), expires.unwrap_or(0)))
    }

    /// Signs the records of a chain with these numbers: those of its names, and the variants behind
    /// them.
    pub(super) fn sign_links(
        &self,
        chain: &DenialChain,
        apex: &[u8],
        signer: &ZoneSigner,
        numbers: std::ops::Range<usize>,
    ) -> Result<SignedPart, SigningError> {
        let mut part = SignedPart::default();
        let mut room = signer.session().part();
        let mut record = RecordDraft::default();
        for number in numbers {
            part.table.next();
            let (link, types) = match number.checked_sub(chain.links.len()) {
                None => (number, chain.links[number].types),
                Some(variant) => {
                    let variant = &chain.variants[variant];
                    (variant.link as usize, variant.types)
                }
            };
            self.write_link(chain, apex, link, &mut record);
            record
                .rdata
                .extend_from_slice(&chain.bitmaps[types as usize]);
            let unsigned = RrsetHead {
                owner: &record.owner,
                rtype: chain.rtype(),
                ttl: chain.ttl,
            };
            signer.sign(unsigned, std::iter::once(&record.rdata[..]), &mut room)?;
            part.table.add(&room.made);
            part.note(0, &room.made);
        }
        Ok(part)
    }

    /// Writes the record of a name without its types.
    fn write_link(&self, chain: &DenialChain, apex: &[u8], link: usize, record: &mut RecordDraft) {
        let next = (link + 1) % chain.links.len();
        record.owner.clear();
        record.rdata.clear();
        if chain.is_hashed() {
            return record.write_hashes(chain, apex, [link, next]);
        }
        let owner = self.name_of(chain.links[link].node);
        record.owner.extend_from_slice(owner);
        if chain.is_compact() {
            return self.write_compact_next(chain, link, record);
        }
        if let Some(spelled) = chain.record(link).and_then(|it| chain.spelled_next(&it)) {
            record.rdata.extend_from_slice(spelled);
            return;
        }
        let next = self.name_of(chain.links[next].node);
        record.rdata.extend_from_slice(next);
    }

    fn write_compact_next(&self, chain: &DenialChain, link: usize, record: &mut RecordDraft) {
        if let Some(node) = self.names.node(chain.links[link].node)
            && let Some(next) = chain.compact_next(node, &record.owner)
        {
            record.rdata.extend_from_slice(next.as_wire());
        }
    }

    fn name_of(&self, id: NodeId) -> &[u8] {
        self.names
            .node(id)
            .map_or(&[0], |node| self.names.name_of(node))
    }

    /// The TTL of the SOA that negative answers of a zone carry.
    fn negative_ttl(&self, zone: usize) -> u32 {
        let soa = self.records.get(self.negative_soas[zone]);
        let octets = soa.map_or(&[][..], |soa| self.records.octets(soa));
        match octets.get(TTL_AT..RECORD_HEADER) {
            Some([a, b, c, d, ..]) => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        }
    }
}

/// Adds the types of signing and of the chain to those of a name.
fn add_chain_types(denial: ZoneDenial, types: &mut Vec<RecordType>) {
    match denial {
        ZoneDenial::Nsec | ZoneDenial::Compact => {
            types.extend([RecordType::RRSIG, RecordType::NSEC]);
        }
        // The NSEC3 record has another owner, so it is not among the types, nor is its signature.
        ZoneDenial::Nsec3 if is_any_signed(types) => types.push(RecordType::RRSIG),
        ZoneDenial::Nsec3 => {}
    }
}

/// Whether the zone signs records of one of these types, which a name has.
fn is_any_signed(types: &[RecordType]) -> bool {
    // A delegation has NS records, which are not signed, and perhaps DS records, which are.
    !matches!(types, [] | [RecordType::NS])
}

/// A record without one of its types for each type that a service answers: it may have no data for
/// some clients at some time.
fn add_variants(
    services: &[ServiceConfig],
    chain: &mut DenialChain,
    (drafts, sets): (&[LinkDraft], &TypeSets),
    bitmaps: &mut BitmapTable,
) {
    for (link, draft) in (0..).zip(drafts) {
        let Some(service) = draft.service.and_then(|it| services.get(it as usize)) else {
            continue;
        };
        for without in steered_types(service) {
            let mut types = sets.sets[draft.types as usize].clone();
            types.retain(|rtype| *rtype != without);
            drop_lone_signature(chain, &mut types);
            let number = drafts.len() + chain.variants.len();
            chain.variants.push(LinkVariant {
                link,
                without,
                types: bitmaps.index(&types),
                number: number as u32,
            });
        }
    }
}

/// A name without data has no signatures either, where the chain has owners of its own.
pub(super) fn drop_lone_signature(chain: &DenialChain, types: &mut Vec<RecordType>) {
    if chain.is_hashed() && *types == [RecordType::RRSIG] {
        types.clear();
    }
}

/// The types that a service can answer, now or with other endpoints: leases may bring addresses of
/// another family. A name with CNAMEs for some clients and addresses for others is listed with the
/// addresses, because nothing else can be denied where the bitmap has a CNAME.
pub fn steered_types(service: &ServiceConfig) -> Vec<RecordType> {
    let mut types = Vec::new();
    let mut has_names = false;
    for region in &service.regions {
        for endpoint in &region.endpoints {
            match &endpoint.target {
                EndpointTarget::Address(_) | EndpointTarget::Alias(_) => {
                    types.extend([RecordType::A, RecordType::AAAA]);
                }
                EndpointTarget::Host(host) => types.push(host.rtype),
                EndpointTarget::Name(_) => has_names = true,
            }
        }
    }
    for binding in &service.bindings {
        types.push(binding.rtype);
    }
    if has_names && types.is_empty() {
        types.push(RecordType::CNAME);
    }
    types.sort_unstable();
    types.dedup();
    types
}
