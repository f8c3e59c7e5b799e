//! Events: what changed and why, in order.
//!
//! The log keeps the last 1000 events and sends new ones to every watcher. A watcher that is more
//! than 256 events behind loses some, so a slow one cannot hold up the server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// How many events are kept.
pub const KEPT: usize = 1000;
/// How many events a watcher may be behind.
const LAG: usize = 256;

/// The topic of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventTopic {
    /// The health of an endpoint changed, or a service lost its last live region or has one again.
    Health,
    /// Clients of a service lost their last live region, or have one again.
    Coverage,
    /// An override was set, removed, or ended.
    Order,
    /// An endpoint joined or left by a lease.
    Lease,
    /// The name of an endpoint has new addresses, fails to resolve, or resolves again.
    Name,
    /// The configuration was reloaded, or the reload was refused.
    Reload,
}

/// One event. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The number of the event, from 1 without gaps. A restart begins again at 1.
    pub number: u64,
    /// When it happened, in milliseconds since 1970.
    pub at: u64,
    /// The server that reports it: `[server] nsid`, or its host name.
    #[serde(default)]
    pub server: String,
    /// The change that it reports.
    #[serde(flatten)]
    pub news: EventDraft,
}

/// A change: a sentence for people, and its parts for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventDraft {
    /// The topic.
    pub topic: EventTopic,
    /// The sentence, such as `fra: drain removed by ops`.
    pub sentence: String,
    /// The services concerned; empty: none, or all of them.
    #[serde(default)]
    pub services: Vec<String>,
    /// The regions concerned; empty: none, or all of them.
    #[serde(default)]
    pub regions: Vec<String>,
    /// The endpoint concerned: its address or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What was true before, in a word or two: `up`, `drained`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is true now, in a word or two: `down`, `weight 10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The cause: the result of a probe, or the reason of an override.
    pub cause: Option<String>,
    /// Who requested it: a name, an address, or the local socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Answers per second that it moves to other regions, measured over the last seconds before it;
    /// absent if there are none.
    #[serde(default)]
    pub moved_per_second: Option<f64>,
}

impl EventDraft {
    /// An event with only a sentence.
    pub fn new(topic: EventTopic, sentence: String) -> EventDraft {
        EventDraft {
            topic,
            sentence,
            services: Vec::new(),
            regions: Vec::new(),
            endpoint: None,
            from: None,
            to: None,
            cause: None,
            by: None,
            moved_per_second: None,
        }
    }

    /// Adds the answers per second that move to other regions, unless that is less than 0.1.
    pub fn moving(self, moved: f64) -> EventDraft {
        let rounded = (moved * 10.0).round() / 10.0;
        EventDraft {
            moved_per_second: if rounded > 0.0 { Some(rounded) } else { None },
            ..self
        }
    }
}

/// The last [`KEPT`] events, and the channel to the watchers.
#[derive(Debug)]
pub struct EventLog {
    server: String,
    ring: Mutex<Ring>,
    fresh: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    count: u64,
}

impl EventTopic {
    /// `health`, `coverage`, `order`, `lease`, `name`, `reload`
    pub fn word(self) -> &'static str {
        match self {
            EventTopic::Health => "health",
            EventTopic::Coverage => "coverage",
            EventTopic::Order => "order",
            EventTopic::Lease => "lease",
            EventTopic::Name => "name",
            EventTopic::Reload => "reload",
        }
    }
}

impl EventLog {
    /// An empty log. `server`: the name of the server, for each event.
    pub fn new(server: String) -> EventLog {
        EventLog {
            server,
            ring: Mutex::default(),
            fresh: broadcast::Sender::new(LAG),
        }
    }

    /// Adds an event and sends it to the watchers.
    pub fn tell(&self, news: EventDraft) {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64;
        let news = EventDraft {
            cause: news.cause.filter(|cause| !cause.is_empty()),
            ..news
        };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.count += 1;
        let event = Arc::new(Event {
            number: ring.count,
            at,
            server: self.server.clone(),
            news,
        });
        if ring.events.len() == KEPT {
            ring.events.pop_front();
        }
        ring.events.push_back(event.clone());
        // Sent under the lock, so that events stay in order. No watchers is not an error.
        let _ = self.fresh.send(event);
    }

    /// The kept events after this number, and a receiver for later ones.
    pub fn watch(&self, number: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::new();
        for event in &ring.events {
            if event.number > number {
                kept.push(event.clone());
            }
        }
        (kept, self.fresh.subscribe())
    }

    /// The oldest kept event after this number.
    pub fn next_after(&self, number: u64) -> Option<Arc<Event>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.events
            .iter()
            .find(|event| event.number > number)
            .cloned()
    }

    /// The number of the last event; 0 if there was none.
    pub fn count(&self) -> u64 {
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(events: &EventLog, count: usize) {
        for number in 0..count {
            events.tell(EventDraft {
                cause: Some(String::new()),
                ..EventDraft::new(EventTopic::Order, number.to_string())
            });
        }
    }

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let events = EventLog::new("ns1".to_owned());
        tell(&events, KEPT + 10);
        let (kept, _) = events.watch(0);
        let numbers: Vec<u64> = kept.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (11..=KEPT as u64 + 10).collect::<Vec<_>>());
        assert_eq!(events.watch(KEPT as u64 + 9).0.len(), 1);
        assert_eq!(
            (
                events.next_after(0).unwrap().number,
                events.next_after(KEPT as u64 + 10)
            ),
            (11, None)
        );
        assert_eq!(kept[0].news.cause, None, "an empty cause is none");
    }

    #[test]
    fn a_subscriber_gets_each_event_once_and_a_slow_one_learns_what_it_lost() {
        let events = EventLog::new("ns1".to_owned());
        tell(&events, 3);
        let (past, mut fresh) = events.watch(1);
        tell(&events, 1);
        assert_eq!((past.len(), fresh.try_recv().unwrap().number), (2, 4));
        tell(&events, LAG + 50);
        assert!(matches!(
            fresh.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(_))
        ));
    }
}
