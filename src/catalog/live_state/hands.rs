//! The signatures of steered answers: one for each set of endpoints that a reply may carry.
//!
//! A set that replies carry whole is a hand, and has a number in its view
//! ([`LiveView::hand_of`](super::LiveView::hand_of)). The RRSIG records of a hand are kept in wire
//! form, so that a reply copies them and fills in owner and TTL. An address alone is kept in front of
//! its signatures, so that most signed answers are one copy.

use std::sync::Arc;

use crate::steering::HandId;

/// Records by number, as an answer to the name itself has them: the owner of each is a pointer
/// to the question, and the TTL is the one that was signed.
#[derive(Debug, Default)]
pub struct HandSignatures {
    /// Seconds.
    ttl: u32,
    octets: Box<[u8]>,
    places: Box<[RecordsPlace]>,
    /// By region position, the number of its first endpoint alone.
    firsts: Box<[u32]>,
}

/// The signatures of one view.
#[derive(Debug, Clone)]
pub struct ViewSignatures {
    /// Of the hands of its decks; `None`: it has no decks.
    pub hands: Option<Arc<HandSignatures>>,
    /// Of each endpoint that can be picked, alone.
    pub alone: Arc<HandSignatures>,
}

impl ViewSignatures {
    /// The records of a hand of the decks; `None`: it is not signed.
    #[inline]
    pub fn of_hand(&self, hand: HandId) -> Option<SignedHand<'_>> {
        self.hands.as_ref()?.of(hand)
    }

    /// The records of one endpoint alone: region position and index into its pool.
    #[inline]
    pub fn of_endpoint(&self, region: u8, endpoint: u16) -> Option<SignedHand<'_>> {
        self.alone.of_endpoint(region, endpoint)
    }
}

/// Where the records of one set are.
#[derive(Debug, Clone, Copy)]
struct RecordsPlace {
    at: u32,
    /// Octets.
    length: u16,
    /// How many there are; a set that could not be signed has none.
    count: u16,
    /// Octets of the address record in front of the signatures; 0: there is none.
    address: u8,
}

/// The RRSIG records of one set, and perhaps its one record in front.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignedHand<'s> {
    /// In wire form.
    pub records: &'s [u8],
    /// How many there are, at least one.
    pub count: u16,
    /// Their TTL, in seconds.
    pub ttl: u32,
    /// Octets of the address record in front of the signatures; 0: there is none.
    pub address: u8,
}

impl<'s> SignedHand<'s> {
    /// The signatures alone.
    pub fn signatures(self) -> SignedHand<'s> {
        let signatures = self.records.get(usize::from(self.address)..);
        SignedHand {
            records: signatures.unwrap_or_default(),
            count: self.count.saturating_sub((self.address > 0).into()),
            address: 0,
            ..self
        }
    }
}

impl HandSignatures {
    /// The records of a number; `None`: it is not signed.
    #[inline]
    pub fn of(&self, hand: HandId) -> Option<SignedHand<'_>> {
        let place = self.places.get(hand.0 as usize)?;
        if place.count == 0 {
            return None;
        }
        self.at(*place)
    }

    #[inline(always)]
    fn at(&self, place: RecordsPlace) -> Option<SignedHand<'_>> {
        let at = place.at as usize;
        Some(SignedHand {
            records: self.octets.get(at..at.wrapping_add(place.length.into()))?,
            count: place.count,
            ttl: self.ttl,
            address: place.address,
        })
    }

    /// The records of one endpoint alone: region position and index into its pool.
    #[inline]
    pub fn of_endpoint(&self, region: u8, endpoint: u16) -> Option<SignedHand<'_>> {
        self.of(self.number_of(region, endpoint)?)
    }

    /// The same of an endpoint that is an address, which is in front of its signatures.
    #[inline(always)]
    pub fn address_of(&self, region: u8, endpoint: u16) -> Option<SignedHand<'_>> {
        let number = self.number_of(region, endpoint)?;
        let place = self.places.get(number.0 as usize)?;
        if place.address == 0 {
            return None;
        }
        self.at(*place)
    }

    #[inline(always)]
    fn number_of(&self, region: u8, endpoint: u16) -> Option<HandId> {
        let first = *self.firsts.get(usize::from(region))?;
        Some(HandId(first.wrapping_add(endpoint.into())))
    }

    /// The same for the endpoints that can be picked: by region, their places here. It is shared as
    /// long as an index into a pool and the place are the same, so if regions are out or in whole.
    pub fn picked(self: &Arc<Self>, live: &[Vec<usize>]) -> Arc<HandSignatures> {
        let is_same = |places: &Vec<usize>| places.iter().copied().eq(0..places.len());
        if live.iter().all(is_same) {
            return self.clone();
        }
        let mut picked = HandSignaturesBuilder::default();
        for (region, places) in (0..).zip(live) {
            picked.begin_region();
            for place in places {
                let signed = self.of_endpoint(region, *place as u16);
                picked.add(signed.unwrap_or_default());
            }
        }
        Arc::new(picked.finish(self.ttl))
    }

    /// Whether every set is signed.
    pub fn is_complete(&self) -> bool {
        self.places.iter().all(|place| place.count > 0)
    }

    /// Number of signatures.
    pub fn count(&self) -> usize {
        let mut count = 0_usize;
        for place in &self.places {
            let signatures = place.count.saturating_sub((place.address > 0).into());
            count = count.saturating_add(usize::from(signatures));
        }
        count
    }
}

/// Signatures that are being collected.
#[derive(Debug, Default)]
pub struct HandSignaturesBuilder {
    octets: Vec<u8>,
    places: Vec<RecordsPlace>,
    firsts: Vec<u32>,
}

impl HandSignaturesBuilder {
    /// The sets from the next number on are the endpoints of the next region, each alone.
    pub fn begin_region(&mut self) {
        self.firsts.push(self.places.len() as u32);
    }

    /// Adds the records of the next number.
    pub fn add(&mut self, hand: SignedHand<'_>) {
        self.places.push(RecordsPlace {
            at: self.octets.len() as u32,
            length: hand.records.len() as u16,
            count: hand.count,
            address: hand.address,
        });
        self.octets.extend(hand.records);
    }

    /// Leaves the next number unsigned.
    pub fn add_none(&mut self) {
        self.add(SignedHand::default());
    }

    /// The signatures, which have this TTL in seconds.
    pub fn finish(self, ttl: u32) -> HandSignatures {
        HandSignatures {
            ttl,
            octets: self.octets.into(),
            places: self.places.into(),
            firsts: self.firsts.into(),
        }
    }
}
