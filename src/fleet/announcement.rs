//! Whether a server announces its service addresses, as its fleet knows it.
//!
//! The announcer of a server (`meridian announce`) tells the server what it does, and the server's view
//! carries it to the others. So every announcer knows how many others announce, and does not leave if
//! too few would stay ([`AnnounceCount`]). Nothing here decides about health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the announcer of a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnnounceState {
    /// It does not announce: its server does not answer, or not for long enough yet.
    Withdrawn,
    /// It does not announce: its server is outvoted, and enough others announce.
    Held,
    /// It announces, and its server is outvoted.
    Doubtful,
    /// It announces.
    Announced,
}

impl AnnounceState {
    /// Every state.
    pub const ALL: [AnnounceState; 4] = [
        AnnounceState::Withdrawn,
        AnnounceState::Held,
        AnnounceState::Doubtful,
        AnnounceState::Announced,
    ];

    /// Whether routers send clients to this server.
    pub fn is_announcing(self) -> bool {
        matches!(self, AnnounceState::Doubtful | AnnounceState::Announced)
    }

    /// The word in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            AnnounceState::Withdrawn => "withdrawn",
            AnnounceState::Held => "held",
            AnnounceState::Doubtful => "doubtful",
            AnnounceState::Announced => "announced",
        }
    }

    /// Its octet in a view; no state is 0.
    pub(super) fn octet(self) -> u8 {
        match self {
            AnnounceState::Withdrawn => 1,
            AnnounceState::Held => 2,
            AnnounceState::Doubtful => 3,
            AnnounceState::Announced => 4,
        }
    }

    /// The state of an octet; `None`: there is no such state.
    pub(super) fn from_octet(octet: u8) -> Option<AnnounceState> {
        AnnounceState::ALL
            .into_iter()
            .find(|state| state.octet() == octet)
    }
}

/// How many other servers announce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnnounceCount {
    /// All of them.
    pub announcing: usize,
    /// Those that stay if this server leaves because it is outvoted: the ones that are not outvoted,
    /// and of the outvoted ones those whose names are before its own. So of several that are outvoted
    /// at once, the first in this order stay, and all of them know which.
    pub staying: usize,
}

impl AnnounceCount {
    /// Adds another server.
    pub fn add(&mut self, own: &str, other: &str, state: AnnounceState) {
        if !state.is_announcing() {
            return;
        }
        self.announcing += 1;
        if state == AnnounceState::Announced || other < own {
            self.staying += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_octet_is_one_state_and_a_word_is_what_json_has() {
        for octet in 0..=u8::MAX {
            let state = AnnounceState::from_octet(octet);
            assert_eq!(state.is_some(), (1..=4).contains(&octet));
            assert!(state.is_none_or(|state| state.octet() == octet));
        }
        for state in AnnounceState::ALL {
            assert_eq!(serde_json::json!(state), state.word());
        }
    }

    #[test]
    fn of_those_that_are_outvoted_together_the_first_by_name_stay() {
        let servers = [
            ("a", AnnounceState::Doubtful),
            ("b", AnnounceState::Announced),
            ("c", AnnounceState::Doubtful),
            ("d", AnnounceState::Held),
            ("e", AnnounceState::Withdrawn),
        ];
        for (own, staying) in [("a", 1), ("c", 2), ("d", 3)] {
            let mut count = AnnounceCount::default();
            for (other, state) in servers {
                if other != own {
                    count.add(own, other, state);
                }
            }
            assert_eq!(count.staying, staying, "{own}");
        }
    }
}
