//! Decks: the sets of endpoints that a reply may carry, worked out when something changes.
//!
//! A *hand* is a set of endpoints that replies carry whole. A *deck* holds the hands of one tier,
//! or of one region, each as often as its endpoints' weights require (`sampling`). A query draws
//! one number and looks its hand up. So there are few distinct sets (what is prepared for a set
//! ahead of time is found by its number), and shares are exact, which drawing one endpoint after
//! the other is not.
//!
//! Every hand is served from a first endpoint onwards. It is drawn so that each endpoint comes first
//! exactly in proportion to its weight, even if it is in every reply. `build` makes the decks of a
//! view, and `resettle` those of sticky picks, which keep clients where they are.
//!
//! This file is part of the query path. It allocates nothing (except in `first_chances`).

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod build;
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod resettle;
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
pub(super) mod sampling;

use super::ActiveTier;
use super::pick::ClientHash;
use super::pick::hash::{below, next_draw, with_rest};
use super::picked::{HandId, MAX_ANSWERS, PickedEndpoints};

pub use build::{DeckRegion, DeckRules};

/// Most hands of one view.
pub const MOST_HANDS: usize = 4096;

/// A set of endpoints, in order: region in the upper half of a card, index into its pool in the
/// lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hand {
    cards: [u32; MAX_ANSWERS],
    size: u8,
}

impl Hand {
    /// Iterates over region position and endpoint index, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        self.cards()
            .iter()
            .map(|&card| ((card >> 16) as u8, card as u16))
    }

    fn cards(&self) -> &[u32] {
        self.cards.get(..usize::from(self.size)).unwrap_or_default()
    }

    /// The hand from the endpoint at `lead` onwards, and then those before it.
    #[inline]
    fn starting_at(&self, id: HandId, lead: usize) -> PickedEndpoints {
        let cards = self.cards();
        let (before, after) = cards.split_at(lead.min(cards.len()));
        let mut picks = PickedEndpoints::of_hand(id);
        picks.push_cards(after);
        picks.push_cards(before);
        picks
    }
}

/// A hand in a deck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DeckEntry {
    /// Draws below this number, and not below that of the entry before, give this hand.
    until: u64,
    hand: u16,
    /// With round robin, the endpoint that comes first.
    lead: u8,
}

impl DeckEntry {
    #[inline]
    fn id(&self) -> HandId {
        HandId(self.hand.into())
    }
}

/// Hands, each as often as its endpoints' weights require.
#[derive(Debug, Clone)]
pub struct Deck {
    /// At least one.
    entries: Box<[DeckEntry]>,
    /// Endpoints in each hand.
    size: u8,
    leads: LeadRule,
}

/// Which endpoint of a hand comes first.
#[derive(Debug, Clone)]
enum LeadRule {
    /// Each as often as the others.
    Even,
    /// Endpoints that are in every hand come first by their own weights, the others evenly.
    Uneven {
        /// The cards of those in every hand, each with the end of its stretch.
        constant: Box<[(u32, u64)]>,
        /// The sum of all weights.
        total: u64,
    },
    /// The one that the client's hash prefers; by index into the region's pool.
    ByClient(Box<[StickyCard]>),
    /// Stands in the entry.
    InTurn,
}

/// What decides whether an endpoint comes first for a client.
#[derive(Debug, Clone, Copy)]
struct StickyCard {
    /// Stays the same while other endpoints come and go.
    salt: u64,
    weight: u64,
}

impl Deck {
    /// The entry that a draw gives.
    #[inline]
    fn entry(&self, draw: u64) -> Option<&DeckEntry> {
        let total = self.entries.last()?.until;
        let place = below(draw, total);
        let at = self.entries.partition_point(|entry| entry.until <= place);
        self.entries.get(at)
    }
}

/// The decks of a view, and the hands that they are made of.
#[derive(Debug, Clone, Default)]
pub struct ViewDecks {
    /// Each distinct set once.
    hands: Box<[Hand]>,
    /// By the number of the tier; `None` where regions take a share of their clients, where picks
    /// are sticky, or where the hands would be too many.
    tiers: Box<[Option<Deck>]>,
    /// By region position; `None` where every tier has a deck, or the region has one endpoint.
    regions: Box<[Option<Deck>]>,
    /// Replies hold one whole hand.
    only_hands: bool,
}

impl ViewDecks {
    /// The hands, by number.
    pub fn hands(&self) -> &[Hand] {
        &self.hands
    }

    /// The deck of a tier whose regions take every client.
    #[inline]
    pub(super) fn of_tier(&self, tier: &ActiveTier) -> Option<&Deck> {
        self.tiers.get(tier.number as usize)?.as_ref()
    }

    /// Whether a region with few endpoints deals them all, instead of other regions filling the
    /// reply.
    #[inline]
    pub(super) fn only_hands(&self) -> bool {
        self.only_hands
    }

    /// The deck of a region.
    #[inline]
    pub(super) fn of_region(&self, region: u8) -> Option<&Deck> {
        self.regions.get(usize::from(region))?.as_ref()
    }

    /// Deals by a uniform draw.
    pub(super) fn deal(&self, deck: &Deck, draw: u64) -> Option<PickedEndpoints> {
        let (lead, rest) = with_rest(draw, u64::from(deck.size));
        let entry = deck.entry(rest)?;
        let hand = self.hand(entry)?;
        let lead = match &deck.leads {
            LeadRule::Uneven { constant, total } => {
                uneven_lead(hand, constant, *total, next_draw(!draw))
            }
            _ => lead as usize,
        };
        Some(hand.starting_at(entry.id(), lead))
    }

    /// Deals the hand of a turn: every entry comes once before the first comes again.
    pub(super) fn deal_in_turn(&self, deck: &Deck, turn: usize) -> Option<PickedEndpoints> {
        let entry = deck.entries.get(turn.checked_rem(deck.entries.len())?)?;
        let lead = usize::from(entry.lead);
        Some(self.hand(entry)?.starting_at(entry.id(), lead))
    }

    /// Deals a client its own hand of a region.
    pub(super) fn deal_to(
        &self,
        deck: &Deck,
        client: ClientHash,
        region: u8,
    ) -> Option<PickedEndpoints> {
        let entry = deck.entry(client.for_hand(region))?;
        let hand = self.hand(entry)?;
        Some(hand.starting_at(entry.id(), deck.client_lead(hand, client)))
    }

    #[inline]
    fn hand(&self, entry: &DeckEntry) -> Option<&Hand> {
        self.hands.get(usize::from(entry.hand))
    }

    /// The chance of each endpoint to come first when the deck is dealt by a draw, 0.0..=1.0: region
    /// position, index into its pool, chance. Not for the query path.
    pub(super) fn first_chances(&self, deck: &Deck) -> Vec<(u8, usize, f64)> {
        let mut chances: Vec<(u32, f64)> = Vec::new();
        let total = deck.entries.last().map_or(1, |entry| entry.until);
        let mut start = 0;
        for entry in &deck.entries {
            let part = entry.until.saturating_sub(start) as f64 / total as f64;
            start = entry.until;
            for (card, lead) in self
                .hand(entry)
                .map_or(Vec::new(), |hand| deck.lead_chances(hand))
            {
                match chances.iter_mut().find(|(known, _)| *known == card) {
                    Some((_, sum)) => *sum += part * lead,
                    None => chances.push((card, part * lead)),
                }
            }
        }
        chances.sort_by_key(|(card, _)| *card);
        let mut by_endpoint = Vec::with_capacity(chances.len());
        for (card, chance) in chances {
            by_endpoint.push(((card >> 16) as u8, usize::from(card as u16), chance));
        }
        by_endpoint
    }
}

impl Deck {
    /// The place of the endpoint of a hand that comes first for a client.
    fn client_lead(&self, hand: &Hand, client: ClientHash) -> usize {
        let mut lead = (0, f64::MIN);
        for (at, card) in hand.cards().iter().enumerate() {
            let score = self.client_score(*card, client);
            if score > lead.1 {
                lead = (at, score);
            }
        }
        lead.0
    }

    fn client_score(&self, card: u32, client: ClientHash) -> f64 {
        let LeadRule::ByClient(cards) = &self.leads else {
            return 0.0;
        };
        let own = cards.get(usize::from(card as u16));
        own.map_or(0.0, |own| client.score(own.salt, own.weight))
    }

    /// The chance of each card of a hand to come first.
    fn lead_chances(&self, hand: &Hand) -> Vec<(u32, f64)> {
        let cards = hand.cards();
        let LeadRule::Uneven { constant, total } = &self.leads else {
            let even = 1.0 / cards.len() as f64;
            return cards.iter().map(|card| (*card, even)).collect();
        };
        let others = cards.len().saturating_sub(constant.len()) as f64;
        let rest = total.saturating_sub(constant.last().map_or(0, |(_, until)| *until));
        let mut chances = Vec::with_capacity(cards.len());
        for card in cards {
            let share = match length_of(constant, *card) {
                Some(length) => length as f64,
                None => rest as f64 / others,
            };
            chances.push((*card, share / *total as f64));
        }
        chances
    }
}

/// The length of the stretch of a card that is in every hand; `None`: it is not.
fn length_of(constant: &[(u32, u64)], card: u32) -> Option<u64> {
    let mut start = 0;
    for (own, until) in constant {
        if *own == card {
            return until.checked_sub(start);
        }
        start = *until;
    }
    None
}

/// The place of the endpoint that comes first, where some are in every hand.
#[cold]
fn uneven_lead(hand: &Hand, constant: &[(u32, u64)], total: u64, draw: u64) -> usize {
    let cards = hand.cards();
    let place = below(draw, total);
    let at = constant.partition_point(|(_, until)| *until <= place);
    if let Some((card, _)) = constant.get(at) {
        return cards.iter().position(|own| own == card).unwrap_or(0);
    }
    let others = cards.len().saturating_sub(constant.len());
    let left = below(next_draw(draw), others as u64);
    other_place(cards, constant, left)
}

/// The place of a card that is not in every hand, with `left` of these before it.
fn other_place(cards: &[u32], constant: &[(u32, u64)], mut left: u64) -> usize {
    for (at, card) in cards.iter().enumerate() {
        if length_of(constant, *card).is_none() {
            match left.checked_sub(1) {
                None => return at,
                Some(rest) => left = rest,
            }
        }
    }
    0
}

#[cfg(test)]
mod tests;
