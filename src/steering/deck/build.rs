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
            let weights = WeightsByRegion {
                regions: vec![(1, &pool.weights)],
            };
            let weights = weights.flattened();
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
            let mut window = Vec::with_capacity(size);
            for step in 0..size {
                window.push((start + step) % cards.len());
            }
            let hand = self.number(cards, &window)?;
            let first = cards[start].number();
            let own = self.hands[usize::from(hand)];
            let lead = own.cards().iter().position(|card| *card == first);
            entries.push(DeckEntry {
                until: start as u64 + 1,
                hand,
                lead: lead.unwrap_or(0) as u8,
            });
        }
        Some(Deck {
            entries: entries.into(),
            size: size as u8,
            leads: LeadRule::InTurn,
        })
    }

    /// Systematic samples in several orders; `None`: there are too many hands.
    fn sampled(&mut self, cards: &[DeckCard], weights: &[u64]) -> Option<Deck> {
        let inclusion = Inclusion::new(weights, self.answers());
        let mut masses: Vec<(u16, u64)> = Vec::new();
        let mut known: HashMap<u16, usize> = HashMap::new();
        for set in self.samples(cards, &inclusion) {
            let hand = self.number(cards, &set.endpoints)?;
            let at = *known.entry(hand).or_insert(masses.len());
            match masses.get_mut(at) {
                Some((_, mass)) => *mass += set.mass,
                None => masses.push((hand, set.mass)),
            }
        }
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
        for seed in 0..self.orders {
            let mut order: Vec<usize> = (0..cards.len()).collect();
            order.sort_by_key(|&at| next_draw(cards[at].salt() ^ (seed as u64) << 32));
            sets.extend(inclusion.sets(&order));
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
        let mut masses = Vec::with_capacity(sets.len());
        for set in &sets {
            masses.push((self.number(cards, &set.endpoints)?, set.mass));
        }
        Some(Some(Deck {
            entries: entries_of(masses),
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
        for (place, &weight) in pool.configured.iter().enumerate() {
            if weight > 0 {
                base.push(DeckCard {
                    region,
                    endpoint: 0,
                    place: place as u16,
                });
                weights.push(weight);
                endpoint_at.push(
                    pool.places
                        .iter()
                        .position(|own| usize::from(*own) == place),
                );
            }
        }
        if base.len() < self.answers() || wanted.size < self.answers() {
            return None;
        }
        let weights = WeightsByRegion {
            regions: vec![(1, &weights)],
        };
        let inclusion = Inclusion::new(&weights.flattened(), self.answers());
        let sets = self.samples(&base, &inclusion);
        Some(resettle(sets, wanted, &endpoint_at))
    }

    /// The number of a set; `None`: there are too many.
    fn number(&mut self, cards: &[DeckCard], set: &[usize]) -> Option<u16> {
        let mut hand = Hand {
            cards: [0; MAX_ANSWERS],
            size: set.len() as u8,
        };
        for (place, &at) in hand.cards.iter_mut().zip(set) {
            *place = cards[at].number();
        }
        hand.cards[..set.len()].sort_unstable();
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
    for (endpoint, &place) in pool.places.iter().enumerate() {
        cards.push(DeckCard {
            region,
            endpoint: endpoint as u16,
            place,
        });
    }
    cards
}

/// Hands with how often each comes, as running sums.
fn entries_of(masses: Vec<(u16, u64)>) -> Box<[DeckEntry]> {
    let mut entries = Vec::with_capacity(masses.len());
    let mut until = 0;
    for (hand, mass) in masses {
        until += mass;
        entries.push(DeckEntry {
            until,
            hand,
            lead: 0,
        });
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
