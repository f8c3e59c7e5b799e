//! Signs the hands of steered names when a live state is compiled.
//!
//! Every endpoint alone is a hand, so answers of one endpoint need no new signature whatever fails.
//! Hands of several endpoints change with what is up. What was signed before is found in the store
//! of the session; so is what was signed [`ahead`](super::ahead). A step of the controller signs no
//! more than fits into its time, and asks no PKCS#11 token, which may take long: hands that are left
//! have no signature for the moment, and clients get one of their endpoints, which always has one.

use std::cell::{Cell, RefCell};

use super::LiveView;
use super::hands::{HandSignatures, HandSignaturesBuilder, SignedHand};
use crate::catalog::Catalog;
use crate::catalog::compression::compressible;
use crate::catalog::endpoint_data::{EndpointData, EndpointRecord};
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::catalog::signed::ZoneSigners;
use crate::config::SvcbTemplate;
use crate::dns::rcode::HEADER;
use crate::dns::reply::record_header;
use crate::dns::{Name, RecordType};
use crate::dnssec::{RrsetHead, SigningError, SigningRoom, ZoneSigner};
use crate::steering::HandId;

/// Signatures that one step of the controller makes at most: some 50 ms of one core.
const AT_ONCE: u32 = 3000;
/// Pairs of an IPv4 and an IPv6 hand whose HTTPS or SVCB record is signed; with more, the record has
/// no address hints.
const MOST_PAIRS: usize = 4096;

/// Signs for one live state.
pub struct HandSigning<'s> {
    signers: &'s ZoneSigners,
    /// Signatures that may still be made.
    budget: Cell<u32>,
    /// Whether keys in tokens sign.
    asks_tokens: bool,
    /// Something was left unsigned.
    is_incomplete: Cell<bool>,
    /// Why an endpoint alone is not signed, so that it cannot be answered.
    fault: RefCell<Option<SigningError>>,
}

/// Signs for one service.
pub struct ServiceSigning<'s> {
    signing: &'s HandSigning<'s>,
    signer: &'s ZoneSigner,
    owner: Name,
    ttl: u32,
}

impl<'s> HandSigning<'s> {
    /// Signs at most so many hands that are not in the store.
    pub fn new(signers: &'s ZoneSigners, budget: u32) -> HandSigning<'s> {
        HandSigning {
            signers,
            budget: Cell::new(budget),
            asks_tokens: true,
            is_incomplete: Cell::new(false),
            fault: RefCell::default(),
        }
    }

    /// Signs what fits into one step of the controller.
    pub fn at_once(signers: &'s ZoneSigners) -> HandSigning<'s> {
        HandSigning {
            asks_tokens: false,
            ..HandSigning::new(signers, AT_ONCE)
        }
    }

    /// Why an endpoint alone is not signed.
    pub fn into_fault(self) -> Option<SigningError> {
        self.fault.into_inner()
    }

    /// Whether something was left unsigned.
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete.get()
    }

    /// Whether all signatures that may be made were made.
    pub fn is_spent(&self) -> bool {
        self.budget.get() == 0
    }

    /// Signs for a service; `None`: its zone is not signed.
    pub fn of_service(
        &'s self,
        catalog: &Catalog,
        service: &SteeredService,
    ) -> Option<ServiceSigning<'s>> {
        let owner = service.name.to_lower();
        let zone = catalog.names.get(owner.as_wire())?.zone;
        Some(ServiceSigning {
            signing: self,
            signer: self.signers.of(zone.0 as usize)?,
            owner,
            ttl: service.ttl,
        })
    }
}

impl ServiceSigning<'_> {
    /// Signs every endpoint of a view alone: by region, and by its place in the configuration.
    pub fn alone(&self, family: ServiceFamily, view: &ServiceView) -> HandSignatures {
        let mut signatures = HandSignaturesBuilder::default();
        let mut room = SigningRoom::default();
        for region in &view.regions {
            signatures.begin_region();
            for endpoint in &region.endpoints {
                let mut set = HandRecords::new(family);
                set.add(&endpoint.data, true);
                // It stands in for every set that is not signed yet, so it never waits.
                self.add(&set, true, &mut signatures, &mut room);
            }
        }
        signatures.finish(self.ttl)
    }

    /// Signs the hands of the decks of a view, in the order of their numbers; `None`: it has no decks.
    pub fn hands(&self, family: ServiceFamily, view: &LiveView) -> Option<HandSignatures> {
        let decks = view.decks.as_deref()?;
        let mut signatures = HandSignaturesBuilder::default();
        let mut room = SigningRoom::default();
        for hand in decks.hands() {
            let hand: Vec<(u8, u16)> = hand.iter().collect();
            let set = HandRecords::of(family, view, &hand);
            self.add(&set, false, &mut signatures, &mut room);
        }
        Some(signatures.finish(self.ttl))
    }

    /// Signs the records of a binding for every pair of hands: the number of a pair is that of the
    /// IPv4 hand times the number of IPv6 hands, plus that of the IPv6 hand; the last hand of each
    /// family is none. Without hints, if there are too many pairs, there is one record.
    pub fn binding(&self, binding: &SvcbTemplate, views: [Option<&LiveView>; 2]) -> SignedBinding {
        let [v4, v6] = views.map(|view| view.map_or(Vec::new(), LiveView::hands));
        let pairs = (v4.len() + 1) * (v6.len() + 1);
        let has_hints = !binding.is_alias && pairs <= MOST_PAIRS;
        let mut signatures = HandSignaturesBuilder::default();
        let mut room = SigningRoom::default();
        let (v4_count, v6_count) = if has_hints {
            (v4.len() + 1, v6.len() + 1)
        } else {
            (1, 1)
        };
        for first in 0..v4_count {
            for second in 0..v6_count {
                let hints = [
                    hint(views[0], v4.get(first).filter(|_| has_hints)),
                    hint(views[1], v6.get(second).filter(|_| has_hints)),
                ];
                let set = HandRecords {
                    rtype: binding.rtype,
                    rdata: vec![binding.data(&hints[0], &hints[1])],
                };
                // The last one has no hints, and stands in for all that are not signed yet.
                let is_urgent = first + 1 == v4_count && second + 1 == v6_count;
                self.add(&set, is_urgent, &mut signatures, &mut room);
            }
        }
        SignedBinding {
            rtype: binding.rtype,
            has_hints,
            v4_count: v4_count as u32,
            v6_count: v6_count as u32,
            signatures: signatures.finish(self.ttl),
        }
    }

    fn add(
        &self,
        set: &HandRecords,
        is_urgent: bool,
        signatures: &mut HandSignaturesBuilder,
        room: &mut SigningRoom<'_>,
    ) {
        if set.rdata.is_empty() {
            return signatures.add_none();
        }
        let head = RrsetHead {
            owner: self.owner.as_wire(),
            rtype: set.rtype,
            ttl: self.ttl,
        };
        let rdata = set.rdata.iter().map(|data| &data[..]);
        let signed = if !self.signing.asks_tokens && self.signer.has_token() {
            self.signer.sign_within(&mut 0, head, rdata, room)
        } else if is_urgent {
            self.signer.sign(head, rdata, room)
        } else {
            let mut budget = self.signing.budget.get();
            let signed = self.signer.sign_within(&mut budget, head, rdata, room);
            self.signing.budget.set(budget);
            signed
        };
        match signed {
            Ok(()) => {
                let mut records = Vec::new();
                if let Some(address) = set.lone_address() {
                    self.write(&mut records, set.rtype, address);
                }
                let address = records.len() as u8;
                for made in &room.made {
                    let data = made.fields.rdata(made.octets.as_slice());
                    self.write(&mut records, RecordType::RRSIG, &data);
                }
                signatures.add(SignedHand {
                    records: &records,
                    count: room.made.len() as u16 + u16::from(address > 0),
                    ttl: self.ttl,
                    address,
                });
            }
            Err(error) => {
                signatures.add_none();
                self.note(error, is_urgent);
            }
        }
    }
}

impl ServiceSigning<'_> {
    /// Appends a record whose owner is the name in the question.
    fn write(&self, records: &mut Vec<u8>, rtype: RecordType, data: &[u8]) {
        let header = record_header(HEADER as u16, rtype, self.ttl, data.len() as u16);
        records.extend_from_slice(&header);
        records.extend_from_slice(data);
    }

    #[cold]
    fn note(&self, error: SigningError, is_urgent: bool) {
        // A set that the bundle has not will not come later either: clients get one of its endpoints.
        if !is_urgent && matches!(error, SigningError::NotInBundle(..)) {
            return;
        }
        self.signing.is_incomplete.set(true);
        if error == SigningError::Postponed {
            return;
        }
        if self.signer.session().is_news() {
            tracing::error!("{} is not signed: {error}", self.owner);
        }
        if is_urgent {
            self.signing.fault.borrow_mut().get_or_insert(error);
        }
    }
}

/// The signatures of an HTTPS or SVCB record.
#[derive(Debug)]
pub struct SignedBinding {
    /// The type of the record.
    pub rtype: RecordType,
    /// Whether it has address hints.
    pub has_hints: bool,
    v4_count: u32,
    v6_count: u32,
    /// By the number of a pair.
    pub signatures: HandSignatures,
}

impl SignedBinding {
    /// Whether the record with the hints of these hands is signed. `has_hints` says for which families
    /// there are any.
    pub fn is_signed(&self, [v4, v6]: [Option<HandId>; 2], has_hints: [bool; 2]) -> bool {
        let is_known = (v4.is_some() || !has_hints[0]) && (v6.is_some() || !has_hints[1]);
        is_known && self.signatures.of(self.pair(v4, v6)).is_some()
    }

    /// The number of the record with the hints of these hands.
    #[inline]
    pub fn pair(&self, v4: Option<HandId>, v6: Option<HandId>) -> HandId {
        let first = v4.map_or(self.v4_count.wrapping_sub(1), |hand| hand.0);
        let second = v6.map_or(self.v6_count.wrapping_sub(1), |hand| hand.0);
        HandId(first.wrapping_mul(self.v6_count).wrapping_add(second))
    }
}

/// The records of one hand.
struct HandRecords {
    rtype: RecordType,
    /// None: no reply carries this set.
    rdata: Vec<Vec<u8>>,
}

impl HandRecords {
    fn new(family: ServiceFamily) -> HandRecords {
        HandRecords {
            rtype: match family {
                ServiceFamily::V4 => RecordType::A,
                ServiceFamily::V6 => RecordType::AAAA,
                ServiceFamily::Mail => RecordType::MX,
                ServiceFamily::Host => RecordType::SRV,
            },
            rdata: Vec::new(),
        }
    }

    fn of(family: ServiceFamily, view: &LiveView, hand: &[(u8, u16)]) -> HandRecords {
        let mut records = HandRecords::new(family);
        for &(region, endpoint) in hand {
            if let Some(data) = view.endpoint(region, endpoint) {
                records.add(data, hand.len() == 1);
            }
        }
        records
    }

    /// The address, if it is the only record.
    fn lone_address(&self) -> Option<&[u8]> {
        match (self.rtype, &self.rdata[..]) {
            (RecordType::A | RecordType::AAAA, [address]) => Some(address),
            _ => None,
        }
    }

    /// Adds the record of an endpoint.
    fn add(&mut self, data: &EndpointData, is_alone: bool) {
        match data {
            EndpointData::V4(address) => self.rdata.push(address.to_vec()),
            EndpointData::V6(address) => self.rdata.push(address.to_vec()),
            EndpointData::Host(host) => self.rdata.push(host_rdata(self.rtype, host)),
            // A reply has one CNAME, or addresses only.
            EndpointData::Name(target) if is_alone => {
                self.rtype = RecordType::CNAME;
                self.rdata.push(target.name.as_wire().to_vec());
            }
            EndpointData::Name(_) => {}
        }
    }
}

/// The uncompressed data of an MX or SRV record: the fixed fields, then the name.
fn host_rdata(rtype: RecordType, host: &EndpointRecord) -> Vec<u8> {
    if host.data.end.is_none() {
        return host.data.octets.to_vec();
    }
    let (fixed, _) = compressible(rtype);
    let mut rdata = host.data.octets.get(..fixed).unwrap_or_default().to_vec();
    rdata.extend_from_slice(host.name.as_wire());
    rdata
}

/// The addresses of a hand, one behind the other.
fn hint(view: Option<&LiveView>, hand: Option<&Vec<(u8, u16)>>) -> Vec<u8> {
    let mut addresses = Vec::new();
    let (Some(view), Some(hand)) = (view, hand) else {
        return addresses;
    };
    for &(region, endpoint) in hand {
        match view.endpoint(region, endpoint) {
            Some(EndpointData::V4(address)) => addresses.extend_from_slice(address),
            Some(EndpointData::V6(address)) => addresses.extend_from_slice(address),
            _ => {}
        }
    }
    addresses
}
