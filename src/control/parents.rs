//! The task that asks the parents of zones whose rolls wait for them.
//!
//! One zone is asked about after the other, each for a minute at most. What the servers answer goes to
//! the [`ParentBoard`](super::rolls::ParentBoard), where the rolls find it.

use std::sync::Arc;
use std::time::Duration;

use super::running::Control;
use crate::config::Config;
use crate::dns::Name;
use crate::dnssec::rollover::{DsAnswer, ParentAnswer};
use crate::resolve::ask_parent;

/// How often the task looks for parents to ask.
const LOOK: Duration = Duration::from_secs(1);

impl Control {
    /// Asks the parents of zones whose rolls wait for them. Runs until it is dropped.
    pub async fn keep_parents(self: Arc<Control>) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            for zone in self.parents.due() {
                let config = self.state().derived.config.clone();
                match ask(&config, &zone).await {
                    Ok(answer) => self.parents.note(zone, answer),
                    Err(reason) => self.parents.note_not_found(zone, reason),
                }
            }
        }
    }
}

/// Asks every server of a zone's parent.
///
/// # Errors
/// A sentence: its servers are not found.
async fn ask(config: &Config, zone: &Name) -> Result<ParentAnswer, String> {
    let dnssec = config.dnssec.as_ref();
    let servers = dnssec.map_or(&[][..], |dnssec| &dnssec.parent_servers);
    let mut answer = ParentAnswer::default();
    for (server, records) in ask_parent(zone, servers, &config.resolver.servers()).await? {
        answer.servers.push(DsAnswer {
            server: server.to_string(),
            records,
        });
    }
    Ok(answer)
}
