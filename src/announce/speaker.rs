//! The program that speaks BGP, as the announcer sees it: it is told what holds.
//!
//! Meridian speaks no BGP itself. Sessions, policies, communities and BFD are the router's, where
//! operators configure them for everything else too.

use std::time::Duration;

use super::bird::BirdControl;
use super::exabgp::ExabgpPipe;
use crate::config::{AnnounceConfig, SpeakerConfig};

/// Who announces the service addresses.
#[derive(Debug, Clone)]
pub enum RouteSpeaker {
    /// BIRD.
    Bird(BirdControl),
    /// ExaBGP.
    Exabgp(ExabgpPipe),
}

impl RouteSpeaker {
    /// The speaker of a configuration. One call of it takes `timeout` at most.
    pub fn new(config: &AnnounceConfig, timeout: Duration) -> RouteSpeaker {
        match &config.speaker {
            SpeakerConfig::Bird { socket, protocols } => RouteSpeaker::Bird(BirdControl {
                socket: socket.clone(),
                protocols: protocols.clone(),
                timeout,
            }),
            SpeakerConfig::Exabgp { pipe } => RouteSpeaker::Exabgp(ExabgpPipe {
                pipe: pipe.clone(),
                addresses: config.addresses.clone(),
                timeout,
                said: None,
            }),
        }
    }

    /// Announces or withdraws all addresses. Returns whether it was otherwise before.
    ///
    /// # Errors
    /// A sentence: the speaker cannot be told.
    pub fn set(&mut self, is_announced: bool) -> Result<bool, String> {
        match self {
            RouteSpeaker::Bird(bird) => bird.set(is_announced),
            RouteSpeaker::Exabgp(exabgp) => exabgp.set(is_announced),
        }
    }
}
