//! Events: what changed and why, in order, for whoever watches. The last ones are kept; who is too slow loses some.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// How many events are kept.
pub const KEPT: usize = 1000;
/// How many events somebody who watches may lag behind.
const LAG: usize = 256;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// A verdict about an endpoint changed, or a service lost or found its last region.
    Health,
    /// Clients of a service lost their last live region, or have one again.
    Coverage,
    /// An order was given, lifted, or ended.
    Order,
    /// An endpoint came or left by its lease.
    Lease,
    /// A name of an endpoint has other addresses, does not resolve, or does again.
    Name,
    /// The configuration was read anew, or refused.
    Reload,
}

/// One event. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// From 1, without gaps; a restart begins anew.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What it is about.
    pub topic: Topic,
    /// What is true now.
    pub sentence: String,
    /// How it came about: the reason of a probe or an order.
    pub cause: Option<String>,
    /// Answers per second that go to other regions by it, over the last seconds before; absent if none do.
    #[serde(default)]
    pub moved_per_second: Option<f64>,
}

/// The last [`KEPT`] events, and those who watch.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    fresh: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    count: u64,
}

impl Default for Events {
    fn default() -> Events {
        Events { ring: Mutex::default(), fresh: broadcast::Sender::new(LAG) }
    }
}

impl Topic {
    /// `health`, `coverage`, `order`, `lease`, `name`, `reload`
    pub fn word(self) -> &'static str {
        match self {
            Topic::Health => "health",
            Topic::Coverage => "coverage",
            Topic::Order => "order",
            Topic::Lease => "lease",
            Topic::Name => "name",
            Topic::Reload => "reload",
        }
    }
}

impl Events {
    /// Tells everybody who watches.
    pub fn tell(&self, topic: Topic, sentence: String, cause: Option<String>) {
        self.tell_moved(topic, sentence, cause, 0.0);
    }

    /// The same of something that sends so many answers per second elsewhere.
    pub fn tell_moved(&self, topic: Topic, sentence: String, cause: Option<String>, moved: f64) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.count += 1;
        let cause = cause.filter(|cause| !cause.is_empty());
        let moved_per_second = Some((moved * 10.0).round() / 10.0).filter(|moved| *moved > 0.0);
        let event = Arc::new(Event { number: ring.count, at, topic, sentence, cause, moved_per_second });
        if ring.events.len() == KEPT {
            ring.events.pop_front();
        }
        ring.events.push_back(event.clone());
        // Under the lock, so that they come in order. Nobody has to be there.
        let _ = self.fresh.send(event);
    }

    /// The kept events after this number, and those that come from now on.
    pub fn watch(&self, number: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.events.iter().filter(|event| event.number > number).cloned().collect(), self.fresh.subscribe())
    }

    /// The oldest kept event after this number.
    pub fn next_after(&self, number: u64) -> Option<Arc<Event>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.events.iter().find(|event| event.number > number).cloned()
    }

    /// The number of the last event; 0: there was none.
    pub fn count(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(events: &Events, count: usize) {
        (0..count).for_each(|number| events.tell(Topic::Order, number.to_string(), Some(String::new())));
    }

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let events = Events::default();
        tell(&events, KEPT + 10);
        let (kept, _) = events.watch(0);
        let numbers: Vec<u64> = kept.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (11..=KEPT as u64 + 10).collect::<Vec<_>>());
        assert_eq!(events.watch(KEPT as u64 + 9).0.len(), 1);
        assert_eq!((events.next_after(0).unwrap().number, events.next_after(KEPT as u64 + 10)), (11, None));
        assert_eq!(kept[0].cause, None, "an empty cause is none");
    }

    #[test]
    fn who_watches_gets_each_once_and_who_sleeps_is_told() {
        let events = Events::default();
        tell(&events, 3);
        let (past, mut fresh) = events.watch(1);
        tell(&events, 1);
        assert_eq!((past.len(), fresh.try_recv().unwrap().number), (2, 4));
        tell(&events, LAG + 50);
        assert!(matches!(fresh.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
    }
}
