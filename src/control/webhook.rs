//! The webhook: sends every event to one URL, in order.
//!
//! A delivery that fails is tried again with growing pauses, and given up after some minutes. Later
//! events wait in the log of events; if too many wait, the oldest are lost and a warning says how
//! many. The URL and the token come from the configuration in force at the time of each try.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, header};

use super::events::Event;
use super::private_file::read_token;
use super::running::Control;
use crate::config;
use crate::health::probe::reasons::innermost;
use crate::health::probe::{AlpnProtocol, TrustStore};
use crate::text::counted;

/// How long one try may take.
const TIME: Duration = Duration::from_secs(10);
/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Tries for one event, over about three minutes. Later events wait in the log of events.
const TRIES: u32 = 10;

impl Control {
    /// Sends every event to the configured webhook. Runs until it is dropped.
    pub async fn deliver_events(self: Arc<Control>) {
        let (mut last, mut client) = (0, None);
        let (_, mut fresh) = self.events().watch(u64::MAX);
        loop {
            while let Some(event) = self.events().next_after(last) {
                if event.number > last + 1 && self.webhook().webhook.is_some() {
                    let lost = counted(event.number - last - 1, "event");
                    tracing::warn!(
                        "not sent to the webhook, because newer ones took their place: {lost}"
                    );
                }
                last = event.number;
                self.deliver(&mut client, &event).await;
            }
            if fresh.recv().await == Err(tokio::sync::broadcast::error::RecvError::Closed) {
                return;
            }
        }
    }

    fn webhook(&self) -> config::EventsConfig {
        self.state().derived.config.events.clone()
    }

    async fn deliver(&self, client: &mut Option<Client>, event: &Event) {
        let mut reason = String::new();
        for attempt in 0..TRIES {
            // A reload may have changed the webhook since the last try.
            let hook = self.webhook();
            let Some(url) = &hook.webhook else { return };
            match self.send(client, url, &hook, event).await {
                Ok(()) => return,
                Err(why) => reason = why,
            }
            if attempt + 1 < TRIES {
                tracing::debug!("the webhook failed: {reason}");
                tokio::time::sleep(pause(attempt)).await;
            }
        }
        tracing::warn!(
            "event {} was not taken by the webhook, given up after {TRIES} tries: {reason}",
            event.number
        );
    }

    async fn send(
        &self,
        client: &mut Option<Client>,
        url: &str,
        hook: &config::EventsConfig,
        event: &Event,
    ) -> Result<(), String> {
        if client.is_none() {
            *client = Some(make_client()?);
        }
        let client = client.as_ref().ok_or("there is no HTTP client")?;
        let body = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        let mut request = client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(file) = hook.token_file.clone() {
            // Reading the file may block, so it happens on another thread.
            let token = self.threads.secrets.run(move || read_token(&file)).await;
            request = request.bearer_auth(token.map_err(|busy| busy.to_string())??.as_str());
        }
        let response = request.send().await.map_err(|error| innermost(&error))?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("it answered {status}"))
        }
    }
}

/// How long to wait after this failure, counted from 0.
fn pause(failure: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failure))
        .min(LONGEST_PAUSE)
}

/// An HTTP client that trusts the roots of the system. It follows no redirects, because events
/// contain internal names.
fn make_client() -> Result<Client, String> {
    let (trust, _) = TrustStore::from_system()?;
    let client = Client::builder()
        .tls_backend_preconfigured((*trust.settings(true, AlpnProtocol::Http1)).clone());
    let client = client
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIME);
    client
        .user_agent("meridian")
        .build()
        .map_err(|error| format!("no HTTP client can be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<u128> = [0, 1, 2, 6, 7, 100]
            .map(|failure| pause(failure).as_millis())
            .to_vec();
        assert_eq!(pauses, [500, 1000, 2000, 32_000, 60_000, 60_000]);
    }
}
