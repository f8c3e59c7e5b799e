//! The endpoints of one reply, as a pick returns them.
//!
//! A reply has few endpoints, so they live in a value of fixed size that needs no memory of its
//! own. Beside them stands the number of the hand that they were dealt from, if they were: what is
//! prepared for a set of endpoints ahead of time is found by that number.

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

/// Most endpoints in one reply.
pub const MAX_ANSWERS: usize = 8;

/// The number of a hand among those of its view: a set of endpoints that replies carry whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandId(pub u32);

/// The endpoints of one reply, in order: region position and index into its pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct PickedEndpoints {
    /// Region in the upper half, endpoint in the lower one: two stores clear all eight.
    chosen: [u32; MAX_ANSWERS],
    count: usize,
    /// The number of the hand and 1; 0 if they were picked one after the other.
    dealt: u32,
}

impl PickedEndpoints {
    /// One endpoint.
    #[inline]
    pub fn one(region: u8, endpoint: u16) -> PickedEndpoints {
        let mut picks = PickedEndpoints::default();
        picks.push(region, endpoint.into());
        picks
    }

    /// Nothing yet of the hand with this number.
    #[inline]
    pub(super) fn of_hand(hand: HandId) -> PickedEndpoints {
        PickedEndpoints {
            dealt: hand.0.saturating_add(1),
            ..PickedEndpoints::default()
        }
    }

    /// Iterates over region position and endpoint index.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        (0..self.count)
            .map_while(|at| self.chosen.get(at))
            .map(|&chosen| ((chosen >> 16) as u8, chosen as u16))
    }

    /// The same endpoints in the order of their regions and places.
    pub fn sorted(mut self) -> PickedEndpoints {
        if let Some(chosen) = self.chosen.get_mut(..self.count) {
            chosen.sort_unstable();
        }
        self
    }

    /// The number of endpoints.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was picked.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The hand that they were dealt from, among the dealt hands of the view; `None` if they were
    /// picked one after the other.
    #[inline]
    pub fn dealt(&self) -> Option<HandId> {
        self.dealt.checked_sub(1).map(HandId)
    }

    #[inline]
    pub(super) fn push(&mut self, region: u8, endpoint: usize) {
        self.push_card(u32::from(region) << 16 | u32::from(endpoint as u16));
    }

    /// Adds an endpoint: its region in the upper half, its index in the lower one.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the count is at most MAX_ANSWERS"
    )]
    pub(super) fn push_card(&mut self, card: u32) {
        if let Some(place) = self.chosen.get_mut(self.count) {
            *place = card;
            self.count += 1;
        }
    }

    /// [`PickedEndpoints::push_card`] for each.
    #[inline]
    pub(super) fn push_cards(&mut self, cards: &[u32]) {
        for &card in cards {
            self.push_card(card);
        }
    }

    pub(super) fn contains(&self, region: u8, endpoint: usize) -> bool {
        self.iter()
            .any(|picked| picked == (region, endpoint as u16))
    }

    /// The number of picked endpoints of one region.
    pub(super) fn count_in_region(&self, region: u8) -> usize {
        self.iter().filter(|(chosen, _)| *chosen == region).count()
    }
}
