//! Makes the decks of a view from its tiers and the endpoints of its regions.
//!
//! A tier whose regions take every client has one deck for all of them. Where regions take a share
//! of their clients, each combination of them would need its own, so one region is drawn and deals
//! from a deck of its own; so it is with sticky picks, which keep a client in one region. Equal sets
//! have one number in the whole view. If there are too many, tiers go without a deck, and then
//! regions have simpler ones.

use std::collections::HashMap;

use super::resettle::resettle;
use super::sampling::{Inclusion, WeighedSet, WeightsByRegion};
use super::{Deck, DeckEntry, Hand, LeadRule, MAX_ANSWERS, MOST_HANDS, StickyCard, ViewDecks};
use crate::steering::pick::hash::next_draw;
use crate::steering::{ActiveTier, FailoverChain, PickMethod};

/// In how many orders the endpoints are sampled, so that the same ones do not always stand
/// together.
const ORDERS: usize = 4;

/// What a service asks of its decks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeckRules {
    /// Endpoints per reply.
    pub answers: u8,
    /// How they are picked.
    pub pick: PickMethod,
    /// A reply holds one whole hand, even if its region has fewer endpoints than a reply may have:
    /// for names whose sets of endpoints are prepared ahead of time.
    pub only_hands: bool,
}

/// The endpoints of one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DeckRegion {
    /// Weights of those that can be picked now, at least 1 each, as in their pool.
    pub weights: Vec<u32>,
    /// Their places among all endpoints of the region.
    pub places: Vec<u16>,
    /// The configured weights of all endpoints of the region; 0 is a standby.
    pub configured: Vec<u32>,
}

impl DeckRegion {
    /// The index into the pool of the endpoint at a place; `None`: it cannot be picked now.
    fn position(&self, place: u16) -> Option<usize> {
        self.places.iter().position(|own| *own == place)
    }
}

impl ViewDecks {
    /// The decks of a view with these failover chains and regions; `None` where one endpoint is
    /// picked at a time.
    pub fn compile(
        rules: DeckRules,
        regions: &[DeckRegion],
        chains: &[FailoverChain],
    ) -> Option<ViewDecks> {
        if rules.answers < 2 {
            return None;
        }
        let by_tier = DeckBuild::new(rules, regions, ORDERS);
        if rules.pick != PickMethod::Sticky
            && let Some(decks) = by_tier.with_tiers(chains)
        {
            return Some(decks);
        }
        for orders in [ORDERS, 1] {
            if let Some(decks) = DeckBuild::new(rules, regions, orders).without_tiers() {
                return Some(decks);
            }
        }
        None
    }
}

/// An endpoint of a deck to be.
#[derive(Clone, Copy)]
struct DeckCard {
    region: u8,
    /// Index into the pool of its region.
    endpoint: u16,
    /// Place among all endpoints of its region.
    place: u16,
}

impl DeckCard {
    fn new(region: u8, endpoint: u16, place: u16) -> DeckCard {
        DeckCard {
            region,
            endpoint,
            place,
        }
    }

    fn number(self) -> u32 {
        u32::from(self.region) << 16 | u32::from(self.endpoint)
    }

    /// A number that stays the same while other endpoints come and go.
    fn salt(self) -> u64 {
        ((u64::from(self.region) + 1) << 48) | (u64::from(self.place) + 1)
    }
}

/// Collects the hands of a view.
struct DeckBuild<'r> {
    rules: DeckRules,
    regions: &'r [DeckRegion],
    orders: usize,
    hands: Vec<Hand>,
    numbers: HashMap<Hand, u16>,
}

impl<'r> DeckBuild<'r> {
    fn new(rules: DeckRules, regions: &'r [DeckRegion], orders: usize) -> DeckBuild<'r> {
        DeckBuild {
            rules,
            regions,
            orders,
            hands: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// A deck for each tier, and one for each region if some tier has none.
    fn with_tiers(mut self, chains: &[FailoverChain]) -> Option<ViewDecks> {
        let mut tiers: Vec<Option<Deck>> = Vec::new();
        let mut all_whole = true;
        for tier in chains.iter().flat_map(|chain| &chain.tiers) {
            let number = tier.number as usize;
            if tiers.len() <= number {
                tiers.resize_with(number + 1, || None);
            }
            if !tier.whole {
                all_whole = false;
            } else if tiers[number].is_none() {
                tiers[number] = self.deck_of_tier(tier)?;
            }
        }
        let regions = if all_whole {
            Vec::new()
        } else {
            self.decks_of_regions()?
        };
        Some(self.finish(tiers, regions))
    }

    fn without_tiers(mut self) -> Option<ViewDecks> {
        let regions = self.decks_of_regions()?;
        Some(self.finish(Vec::new(), regions))
    }

    fn finish(self, tiers: Vec<Option<Deck>>, regions: Vec<Option<Deck>>) -> ViewDecks {
        ViewDecks {
            hands: self.hands.into(),
            tiers: tiers.into(),
            regions: regions.into(),
            only_hands: self.rules.only_hands,
        }
    }

    /// The outer `None`: there are too many hands; the inner one: there is nothing to deal.
    fn deck_of_tier(&mut self, tier: &ActiveTier) -> Option<Option<Deck>> {
        let mut weights = WeightsByRegion::default();
        let mut cards = Vec::new();
        for (region, now) in &tier.regions {
            let Some(pool) = self.regions.get(usize::from(*region)) else {
                continue;
            };
            if !pool.weights.is_empty() {
                weights
                    .regions
                    .push((u64::from(now.weight.max(1)), &pool.weights));
                cards.extend(cards_of(*region, pool));
            }
        }
        self.deck(&cards, &weights.flattened())
    }

    fn decks_of_regions(&mut self) -> Option<Vec<Option<Deck>>> {
        let mut decks = Vec::with_capacity(self.regions.len());
        for (region, pool) in self.regions.iter().enumerate() {
            let cards = cards_of(region as u8, pool);
            let weights = WeightsByRegion::of_one(&pool.weights).flattened();
            decks.push(if self.rules.pick == PickMethod::Sticky {
                self.sticky_deck(&cards, &weights, pool)?
            } else {
                self.deck(&cards, &weights)?
            });
        }
        Some(decks)
    }

    fn deck(&mut self, cards: &[DeckCard], weights: &[u64]) -> Option<Option<Deck>> {
        match (cards.len(), self.rules.pick) {
            (0 | 1, _) => Some(None),
            (_, PickMethod::RoundRobin) => self.windows(cards).map(Some),
            _ => self.sampled(cards, weights).map(Some),
        }
    }

    /// Consecutive endpoints, from each of them once; `None`: there are too many hands.
    fn windows(&mut self, cards: &[DeckCard]) -> Option<Deck> {
        let size = cards.len().min(self.answers());
        let mut entries = Vec::with_capacity(cards.len());
        for start in 0..cards.len() {
            let window: Vec<usize> = (start..start + size).map(|at| at % cards.len()).collect();
            let hand = self.number(cards, &window)?;
            entries.push(DeckEntry {
                until: start as u64 + 1,
                hand,
                lead: self.place_in(hand, cards[start]),
            });
        }
        Some(Deck {
            entries: entries.into(),
            size: size as u8,
            leads: LeadRule::InTurn,
        })
    }

    /// The place of an endpoint in a hand that has it.
    fn place_in(&self, hand: u16, card: DeckCard) -> u8 {
        let cards = self.hands[usize::from(hand)].cards;
        let place = cards.iter().position(|own| *own == card.number());
        place.unwrap_or(0) as u8
    }

    /// Systematic samples in several orders; `None`: there are too many hands.
    fn sampled(&mut self, cards: &[DeckCard], weights: &[u64]) -> Option<Deck> {
        let inclusion = Inclusion::new(weights, self.answers());
        let sets = self.samples(cards, &inclusion);
        let mut masses = self.numbered(cards, &sets)?;
        add_up(&mut masses);
        Some(Deck {
            entries: entries_of(masses),
            size: inclusion.size as u8,
            leads: lead_rule(cards, &inclusion),
        })
    }

    /// The sets of all orders, one order after the other.
    fn samples(&self, cards: &[DeckCard], inclusion: &Inclusion) -> Vec<WeighedSet> {
        if inclusion.rest_size == 0 {
            return inclusion.sets(&[]);
        }
        let mut sets = Vec::new();
        for seed in 0..self.orders as u64 {
            sets.extend(inclusion.sets(&order_of(cards, seed)));
        }
        sets
    }

    /// A deck from which clients keep their hands: that of the endpoints as configured, changed for
    /// those that can be picked now.
    fn sticky_deck(
        &mut self,
        cards: &[DeckCard],
        weights: &[u64],
        pool: &DeckRegion,
    ) -> Option<Option<Deck>> {
        let Some(first) = cards.first().filter(|_| cards.len() > 1) else {
            return Some(None);
        };
        let wanted = Inclusion::new(weights, self.answers());
        let sets = match self.settled(first.region, pool, &wanted) {
            Some(sets) => sets,
            None => self.samples(cards, &wanted),
        };
        Some(Some(Deck {
            entries: entries_of(self.numbered(cards, &sets)?),
            size: wanted.size as u8,
            leads: LeadRule::ByClient(sticky_cards(cards, &wanted)),
        }))
    }

    /// The sets of the endpoints as configured, changed for `wanted`; `None` if one of both has
    /// fewer endpoints than a reply.
    fn settled(
        &self,
        region: u8,
        pool: &DeckRegion,
        wanted: &Inclusion,
    ) -> Option<Vec<WeighedSet>> {
        let (mut base, mut weights, mut endpoint_at) = (Vec::new(), Vec::new(), Vec::new());
        for (place, &weight) in (0..).zip(&pool.configured) {
            if weight > 0 {
                base.push(DeckCard::new(region, 0, place));
                weights.push(weight);
                endpoint_at.push(pool.position(place));
            }
        }
        if base.len() < self.answers() || wanted.size < self.answers() {
            return None;
        }
        let weights = WeightsByRegion::of_one(&weights).flattened();
        let inclusion = Inclusion::new(&weights, self.answers());
        let sets = self.samples(&base, &inclusion);
        Some(resettle(sets, wanted, &endpoint_at))
    }

    /// The numbers of sets, with how often each comes; `None`: there are too many.
    fn numbered(&mut self, cards: &[DeckCard], sets: &[WeighedSet]) -> Option<Vec<(u16, u64)>> {
        let mut masses = Vec::with_capacity(sets.len());
        for set in sets {
            masses.push((self.number(cards, &set.endpoints)?, set.mass));
        }
        Some(masses)
    }

    /// The number of a set; `None`: there are too many.
    fn number(&mut self, cards: &[DeckCard], set: &[usize]) -> Option<u16> {
        let hand = hand_of(cards, set);
        if let Some(known) = self.numbers.get(&hand) {
            return Some(*known);
        }
        if self.hands.len() >= MOST_HANDS {
            return None;
        }
        let number = self.hands.len() as u16;
        self.hands.push(hand);
        self.numbers.insert(hand, number);
        Some(number)
    }

    fn answers(&self) -> usize {
        usize::from(self.rules.answers).min(MAX_ANSWERS)
    }
}

fn cards_of(region: u8, pool: &DeckRegion) -> Vec<DeckCard> {
    let mut cards = Vec::with_capacity(pool.places.len());
    for (endpoint, &place) in (0..).zip(&pool.places) {
        cards.push(DeckCard::new(region, endpoint, place));
    }
    cards
}

/// A set in ascending order.
fn hand_of(cards: &[DeckCard], set: &[usize]) -> Hand {
    let mut hand = [0; MAX_ANSWERS];
    for (place, &at) in hand.iter_mut().zip(set) {
        *place = cards[at].number();
    }
    hand[..set.len()].sort_unstable();
    let (cards, size) = (hand, set.len() as u8);
    Hand { cards, size }
}

/// One of the fixed orders. Endpoints keep it while others come and go.
fn order_of(cards: &[DeckCard], seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cards.len()).collect();
    order.sort_by_key(|&at| next_draw(cards[at].salt() ^ (seed << 32)));
    order
}

/// Makes one entry of those of the same hand.
fn add_up(masses: &mut Vec<(u16, u64)>) {
    masses.sort_unstable();
    masses.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        kept.1 += if is_same { next.1 } else { 0 };
        is_same
    });
}

/// Hands with how often each comes, as running sums.
fn entries_of(masses: Vec<(u16, u64)>) -> Box<[DeckEntry]> {
    let mut entries = Vec::with_capacity(masses.len());
    let (mut until, lead) = (0, 0);
    for (hand, mass) in masses {
        until += mass;
        entries.push(DeckEntry { until, hand, lead });
    }
    entries.into()
}

/// Lets each endpoint come first in proportion to its weight.
fn lead_rule(cards: &[DeckCard], inclusion: &Inclusion) -> LeadRule {
    let mut constant = Vec::new();
    let mut until = 0;
    for at in inclusion.constant() {
        until += inclusion.weights[at];
        constant.push((cards[at].number(), until));
    }
    if constant.is_empty() {
        LeadRule::Even
    } else {
        LeadRule::Uneven {
            constant: constant.into(),
            total: until + inclusion.rest_weight,
        }
    }
}

/// The same by rendezvous hashing: an endpoint in every hand has its own weight, the others of a
/// hand have equal parts of the rest.
fn sticky_cards(cards: &[DeckCard], inclusion: &Inclusion) -> Box<[StickyCard]> {
    let mut sticky = Vec::with_capacity(cards.len());
    for (at, card) in cards.iter().enumerate() {
        let weight = if inclusion.always[at] {
            inclusion.weights[at] * inclusion.rest_size.max(1)
        } else {
            inclusion.rest_weight
        };
        sticky.push(StickyCard {
            salt: card.salt(),
            weight,
        });
    }
    sticky.into()
}
