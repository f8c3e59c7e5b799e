//! Signs the zones of a catalog and makes their chains of denial.
//!
//! Every RRset for which a zone is authoritative is signed, and an NSEC record for each name that has
//! data or a delegation (RFC 4035 sections 2.2 and 2.3). Signatures that the store has are taken from
//! there. The work is divided over two threads.

use super::presigned::{FileSignatures, ZoneRemarks, earlier};
use super::table::{BitmapTable, TableBuilder};
use super::{
    ChainLink, DenialChain, LinkVariant, SignatureTable, SignedZone, SignedZones, half, is_signed,
};
use crate::catalog::names::{NameNode, NameRole, NameTable, NodeId};
use crate::catalog::records::RrsetTable;
use crate::config::{EndpointTarget, ServiceConfig};
use crate::dns::name_order::{compare_names, sort_number};
use crate::dns::reply::{RECORD_HEADER, TTL_AT};
use crate::dns::{Name, RecordType};
use crate::dnssec::validity::is_before;
use crate::dnssec::{MadeSignature, RrsetHead, SigningError, SigningRoom, ZoneSigner};
use crate::two_threads::each;
use crate::zone;

/// RRsets or names that a thread signs at a time.
const TOGETHER: usize = 1 << 12;

/// Who signs which zone.
#[derive(Debug, Default)]
pub struct ZoneSigners {
    /// By zone, in the order of the zones that are compiled; `None`: it is not signed.
    pub zones: Vec<Option<ZoneSigner>>,
}

impl ZoneSigners {
    /// The signer of a zone.
    pub fn of(&self, zone: usize) -> Option<&ZoneSigner> {
        self.zones.get(zone)?.as_ref()
    }

    /// Whether the store of signatures is half full.
    pub fn is_half_full(&self) -> bool {
        let first = self.zones.iter().flatten().next();
        first.is_some_and(|signer| signer.session().is_half_full())
    }

    /// How many signatures were made, and not found in the store.
    pub fn made(&self) -> u64 {
        let first = self.zones.iter().flatten().next();
        first.map_or(0, |signer| signer.session().made())
    }

    /// Writes the signatures that were made since the last time to their file. Signing goes on
    /// meanwhile.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn keep(&self) -> Result<(), String> {
        // All of them share one session.
        match self.zones.iter().flatten().next() {
            Some(signer) => signer.session().keep(),
            None => Ok(()),
        }
    }

    /// Whether no zone is signed.
    pub fn is_empty(&self) -> bool {
        self.zones.iter().all(Option::is_none)
    }
}

/// A zone that could not be signed.
#[derive(Debug)]
pub struct SigningFault {
    /// The zone.
    pub zone: Name,
    /// The reason.
    pub error: SigningError,
}

/// An RRset of a zone, and what is known of it.
#[derive(Clone, Copy)]
pub struct RrsetToSign<'z> {
    /// Its number in the table of records.
    pub number: u32,
    /// Its owner.
    pub node: NodeId,
    /// The index of its zone.
    pub zone: usize,
    /// Its records.
    pub rrset: zone::RRset<'z>,
}

/// The parts of a catalog that signing needs.
pub struct SigningInput<'c> {
    /// The names of all zones.
    pub names: &'c NameTable,
    /// Their records.
    pub records: &'c RrsetTable,
    /// The zones as they were loaded.
    pub zones: &'c [zone::Zone],
    /// By zone, the number of the SOA for negative answers.
    pub negative_soas: &'c [u32],
    /// By number, all RRsets of the zones.
    pub rrsets: &'c [RrsetToSign<'c>],
    /// The services, by number.
    pub services: &'c [ServiceConfig],
    /// The signers.
    pub signers: &'c ZoneSigners,
}

impl SignedZones {
    /// Signs everything static.
    ///
    /// # Errors
    /// A zone that could not be signed.
    pub fn build(input: &SigningInput<'_>) -> Result<SignedZones, SigningFault> {
        let mut table = TableBuilder::default();
        let mut expires = vec![None; input.zones.len()];
        let mut remarks = ZoneRemarks::default();
        let files = FileSignatures::of_zones(input);
        let parts: Vec<&[RrsetToSign<'_>]> = input.rrsets.chunks(TOGETHER).collect();
        for part in each(&parts, |rrsets| input.sign_rrsets(rrsets, &files)) {
            let part = part?;
            for (zone, expiration) in &part.expirations {
                expires[*zone] = Some(earlier(expires[*zone], *expiration));
            }
            table.append(part.table);
        }
        let mut soas = vec![0; input.zones.len()];
        for rrset in input.rrsets {
            if rrset.rrset.rtype() == RecordType::SOA {
                soas[rrset.zone] = rrset.number;
            }
            if let Some(file) = &files[rrset.zone] {
                remarks.look(input, rrset, &file.of(rrset.node, rrset.rrset.rtype()));
            }
        }
        let mut zones = Vec::with_capacity(input.zones.len());
        let mut drafts = input.chain_drafts();
        for (zone, soa) in soas.into_iter().enumerate() {
            zones.push(match input.signers.of(zone) {
                Some(signer) => {
                    let draft = std::mem::take(&mut drafts[zone]);
                    let (chain, expiration) = input.chain(zone, draft, signer)?;
                    let expires = earlier(expires[zone], expiration);
                    Some(SignedZone {
                        soa,
                        chain,
                        expires,
                        is_presigned: false,
                    })
                }
                None => files[zone]
                    .as_ref()
                    .map(|file| file.zone(input, zone, soa, &mut remarks)),
            });
        }
        Ok(SignedZones {
            zones,
            signatures: table.finish(),
            remarks: remarks.sentences,
        })
    }
}

/// RRsets that were signed, and for runs of the same zone the first expiration.
#[derive(Default)]
struct SignedPart {
    table: TableBuilder,
    expirations: Vec<(usize, u32)>,
}

impl SignedPart {
    fn note(&mut self, zone: usize, made: &[MadeSignature]) {
        for signature in made {
            let expiration = signature.fields.times.expiration;
            match self
                .expirations
                .last_mut()
                .filter(|(last, _)| *last == zone)
            {
                Some((_, first)) if is_before(expiration, *first) => *first = expiration,
                Some(_) => {}
                None => self.expirations.push((zone, expiration)),
            }
        }
    }
}

/// A name of a chain that is being made.
struct LinkDraft {
    number: u128,
    node: NodeId,
    types: Vec<RecordType>,
    service: Option<u32>,
}

#[derive(Default)]
struct ChainDraft {
    links: Vec<LinkDraft>,
}

impl SigningInput<'_> {
    fn fault(&self, zone: usize, error: SigningError) -> SigningFault {
        SigningFault {
            zone: self.zones[zone].origin.clone(),
            error,
        }
    }

    fn sign_rrsets(
        &self,
        rrsets: &[RrsetToSign<'_>],
        files: &[Option<FileSignatures<'_>>],
    ) -> Result<SignedPart, SigningFault> {
        let mut part = SignedPart::default();
        let mut room = SigningRoom::default();
        for rrset in rrsets {
            part.table.next();
            if let Some(file) = &files[rrset.zone] {
                let found = file.of(rrset.node, rrset.rrset.rtype());
                part.table.add(&found);
                continue;
            }
            let Some(signer) = self.signers.of(rrset.zone) else {
                continue;
            };
            let Some(node) = self.names.node(rrset.node) else {
                continue;
            };
            if !is_signed(node, rrset.rrset.rtype()) {
                continue;
            }
            let unsigned = RrsetHead {
                owner: self.names.name_of(node),
                rtype: rrset.rrset.rtype(),
                ttl: rrset.rrset.ttl(),
            };
            signer
                .sign(unsigned, rrset.rrset.rdata(), &mut room)
                .map_err(|error| self.fault(rrset.zone, error))?;
            part.table.add(&room.made);
            part.note(rrset.zone, &room.made);
        }
        Ok(part)
    }

    /// The names of all chains, by zone.
    fn chain_drafts(&self) -> Vec<ChainDraft> {
        let mut drafts = Vec::new();
        drafts.resize_with(self.zones.len(), ChainDraft::default);
        for id in self.names.ids() {
            let Some(node) = self.names.node(id) else {
                continue;
            };
            match node.role {
                NameRole::Outside | NameRole::Occluded => continue,
                NameRole::Apex => {
                    if let Some(parent) = node.parent_zone() {
                        let types = self.types_at_cut(node);
                        self.add_link(&mut drafts, parent.0 as usize, id, types, None);
                    }
                }
                NameRole::Ordinary | NameRole::Cut => {}
            }
            let zone = node.zone.0 as usize;
            if node.role == NameRole::Cut {
                let types = self.types_at_cut(node);
                self.add_link(&mut drafts, zone, id, types, None);
                continue;
            }
            let service = node.service().map(|service| service.0);
            let types = self.types_of(node, service);
            if !types.is_empty() {
                self.add_link(&mut drafts, zone, id, types, service);
            }
        }
        drafts
    }

    fn add_link(
        &self,
        drafts: &mut [ChainDraft],
        zone: usize,
        id: NodeId,
        mut types: Vec<RecordType>,
        service: Option<u32>,
    ) {
        if self.signers.of(zone).is_none() {
            return;
        }
        types.extend([RecordType::RRSIG, RecordType::NSEC]);
        let Some(node) = self.names.node(id) else {
            return;
        };
        let labels = self.zones[zone].origin.label_count();
        drafts[zone].links.push(LinkDraft {
            number: sort_number(self.names.name_of(node), labels),
            node: id,
            types,
            service,
        });
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

    fn chain(
        &self,
        zone: usize,
        draft: ChainDraft,
        signer: &ZoneSigner,
    ) -> Result<(DenialChain, u32), SigningFault> {
        let mut drafts = draft.links;
        drafts.sort_by(|one, other| {
            one.number
                .cmp(&other.number)
                .then_with(|| compare_names(self.name_of(one.node), self.name_of(other.node)))
        });
        let origin = &self.zones[zone].origin;
        let mut chain = DenialChain {
            ttl: self.negative_ttl(zone),
            apex_labels: origin.label_count() as u8,
            apex_length: origin.as_wire().len() as u8,
            ..DenialChain::default()
        };
        let mut bitmaps = BitmapTable::default();
        for draft in &drafts {
            chain.numbers.push(half(draft.number));
            chain.links.push(ChainLink {
                node: draft.node,
                types: bitmaps.index(&draft.types),
            });
        }
        self.add_variants(&mut chain, &drafts, &mut bitmaps);
        drop(drafts);
        chain.bitmaps = bitmaps.bitmaps;
        let (signatures, expiration) = self
            .sign_chain(&chain, signer)
            .map_err(|error| self.fault(zone, error))?;
        chain.signatures = signatures;
        Ok((chain, expiration))
    }

    /// A record without one of its types for each type that a service answers: it may have no data
    /// for some clients at some time.
    fn add_variants(
        &self,
        chain: &mut DenialChain,
        drafts: &[LinkDraft],
        bitmaps: &mut BitmapTable,
    ) {
        for (link, draft) in (0..).zip(drafts) {
            let Some(service) = draft.service.and_then(|it| self.services.get(it as usize)) else {
                continue;
            };
            for without in steered_types(service) {
                let types: Vec<RecordType> = draft
                    .types
                    .iter()
                    .copied()
                    .filter(|rtype| *rtype != without)
                    .collect();
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

    fn sign_chain(
        &self,
        chain: &DenialChain,
        signer: &ZoneSigner,
    ) -> Result<(SignatureTable, u32), SigningError> {
        let count = chain.links.len() + chain.variants.len();
        let starts: Vec<usize> = (0..count).step_by(TOGETHER).collect();
        let mut table = TableBuilder::default();
        let parts = each(&starts, |&start| {
            self.sign_links(chain, signer, start..count.min(start + TOGETHER))
        });
        let mut expires = None;
        for part in parts {
            let part = part?;
            for (_, expiration) in &part.expirations {
                expires = Some(earlier(expires, *expiration));
            }
            table.append(part.table);
        }
        // Every zone has a name.
        Ok((table.finish(), expires.unwrap_or(0)))
    }

    fn sign_links(
        &self,
        chain: &DenialChain,
        signer: &ZoneSigner,
        numbers: std::ops::Range<usize>,
    ) -> Result<SignedPart, SigningError> {
        let mut part = SignedPart::default();
        let mut room = SigningRoom::default();
        let mut rdata = Vec::new();
        for number in numbers {
            part.table.next();
            let (link, types) = match number.checked_sub(chain.links.len()) {
                None => (number, chain.links[number].types),
                Some(variant) => {
                    let variant = &chain.variants[variant];
                    (variant.link as usize, variant.types)
                }
            };
            let next = chain.links[(link + 1) % chain.links.len()].node;
            rdata.clear();
            rdata.extend_from_slice(self.name_of(next));
            rdata.extend_from_slice(&chain.bitmaps[types as usize]);
            let unsigned = RrsetHead {
                owner: self.name_of(chain.links[link].node),
                rtype: RecordType::NSEC,
                ttl: chain.ttl,
            };
            signer.sign(unsigned, std::iter::once(&rdata[..]), &mut room)?;
            part.table.add(&room.made);
            part.note(0, &room.made);
        }
        Ok(part)
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

/// The types that a service can answer, now or with other endpoints: leases may bring addresses of
/// another family. A name with CNAMEs for some clients and addresses for others is listed with the
/// addresses, because nothing else can be denied where the bitmap has a CNAME.
fn steered_types(service: &ServiceConfig) -> Vec<RecordType> {
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
