//! What is known of one name: its last good addresses, and whether they could be looked up when they last were due. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::ask::{Answer, Found};
use super::{MOST_ADDRESSES, is_of_a_host};

/// How long after a failure the name is asked for again; twice as long after each further one, up to the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The last good addresses, IPv4 before IPv6, in order.
    pub addresses: Vec<IpAddr>,
    /// How long they hold, in seconds.
    pub ttl: u32,
    /// Why it did not resolve when it was last due; the addresses are older then. `None`: it did.
    pub failure: Option<String>,
    /// Whether there was a first result.
    pub tried: bool,
    failures: u32,
}

/// Something that people want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What is true now, behind the name: `does not resolve`.
    pub sentence: String,
    /// How it came about.
    pub cause: Option<String>,
    /// It does not resolve.
    pub is_bad: bool,
}

impl Resolved {
    /// What was known before a restart: last good addresses, which hold until there is something newer.
    pub fn remembered(mut addresses: Vec<IpAddr>, ttl: u32) -> Resolved {
        addresses.retain(|address| is_of_a_host(*address));
        addresses.truncate(2 * MOST_ADDRESSES);
        Resolved { addresses, ttl, ..Resolved::default() }
    }

    /// Takes in an answer; what people want to know of it. A family that nobody knows anything about keeps its last good
    /// addresses. A name that does not exist or has no address at all has failed as well: a mistake over there is likelier
    /// than that nobody is to be served any more.
    pub fn take(&mut self, answer: &Answer) -> Option<News> {
        let before = std::mem::replace(&mut self.tried, true).then(|| self.clone());
        let [v4, v6] = &answer.families;
        let mut addresses = self.addresses_of(v4, IpAddr::is_ipv4);
        addresses.extend(self.addresses_of(v6, IpAddr::is_ipv6));
        self.failure = self.failure_of(v4, v6);
        if [v4, v6].iter().any(|family| matches!(family, Found::Addresses(_))) {
            self.ttl = u32::try_from(answer.ttl.as_secs()).unwrap_or(u32::MAX);
            self.addresses = addresses;
        }
        self.failures = if self.failure.is_some() { self.failures.saturating_add(1) } else { 0 };
        self.news(before)
    }

    /// Whether the same is to be done with both.
    pub fn is_like(&self, other: &Resolved) -> bool {
        let told = |known: &Resolved| (known.tried, known.ttl, known.failure.clone());
        self.addresses == other.addresses && told(self) == told(other)
    }

    /// How long after an answer it is due again.
    pub fn due_after(&self, answer: &Answer) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        if self.failures > 0 { (AGAIN.0 * (1 << doublings)).min(AGAIN.1) } else { answer.ttl }
    }

    /// Why it does not resolve, for people: `does not resolve: there is no such name`.
    pub fn complaint(&self) -> Option<String> {
        let reason = if self.tried { self.failure.as_deref()? } else { "no answer yet" };
        Some(format!("does not resolve: {reason}"))
    }

    fn addresses_of(&self, found: &Found, is_of_it: fn(&IpAddr) -> bool) -> Vec<IpAddr> {
        match found {
            Found::Addresses(addresses) => addresses.clone(),
            Found::Nothing => Vec::new(),
            Found::Failed(_) => self.addresses.iter().copied().filter(is_of_it).collect(),
        }
    }

    /// A family that fails while the other one is there is missed only where it was there before.
    fn failure_of(&self, v4: &Found, v6: &Found) -> Option<String> {
        let missed = |is_of_it: fn(&IpAddr) -> bool| self.addresses.iter().any(is_of_it);
        match (v4, v6) {
            (Found::Nothing, Found::Nothing) => Some("it has no address".to_owned()),
            (Found::Failed(reason), Found::Addresses(_)) => missed(IpAddr::is_ipv4).then(|| reason.clone()),
            (Found::Addresses(_), Found::Failed(reason)) => missed(IpAddr::is_ipv6).then(|| reason.clone()),
            (Found::Failed(reason), _) | (_, Found::Failed(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    fn news(&self, before: Option<Resolved>) -> Option<News> {
        let (listed, failed) = (list(&self.addresses), before.as_ref().is_some_and(|before| before.failure.is_some()));
        match (&self.failure, before) {
            (Some(_), Some(_)) if failed => None,
            (Some(reason), _) if self.addresses.is_empty() => {
                Some(News { sentence: "does not resolve".to_owned(), cause: Some(reason.clone()), is_bad: true })
            }
            (Some(reason), _) => {
                let sentence = format!("does not resolve; what it last came to is kept: {listed}");
                Some(News { sentence, cause: Some(reason.clone()), is_bad: true })
            }
            (None, Some(_)) if failed => {
                Some(News { sentence: format!("resolves again: {listed}"), cause: None, is_bad: false })
            }
            (None, Some(before)) if before.addresses != self.addresses => {
                let cause = Some(format!("before: {}", list(&before.addresses)));
                Some(News { sentence: format!("has other addresses now: {listed}"), cause, is_bad: false })
            }
            (None, _) => None,
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn found(texts: &[&str]) -> Found {
        Found::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn failed() -> Found {
        Found::Failed("no answer within 2s".to_owned())
    }

    fn answer(v4: Found, v6: Found) -> Answer {
        Answer { families: [v4, v6], ttl: Duration::from_secs(60), until: Instant::now() }
    }

    fn after(answers: &[Answer]) -> (String, Option<String>, Option<String>) {
        let mut known = Resolved::default();
        let news = answers.iter().map(|answer| known.take(answer)).last().flatten();
        (list(&known.addresses), known.complaint(), news.map(|news| news.sentence))
    }

    #[test]
    fn the_last_good_addresses_are_kept_by_family() {
        let good = || answer(found(&["192.0.2.1"]), found(&["2001:db8::1"]));
        let all = "192.0.2.1, 2001:db8::1".to_owned();
        assert_eq!(after(&[good()]), (all.clone(), None, None));
        for bad in
            [answer(failed(), failed()), answer(Found::Nothing, Found::Nothing), answer(failed(), Found::Nothing)]
        {
            let (kept, complaint, news) = after(&[good(), bad.clone()]);
            assert_eq!(kept, all, "{bad:?}");
            assert!(complaint.unwrap().starts_with("does not resolve: "));
            assert!(news.unwrap().contains("kept: 192.0.2.1, 2001:db8::1"));
            assert_eq!(after(&[good(), bad.clone(), bad]).2, None, "said once");
        }
        let half = answer(found(&["192.0.2.9"]), failed());
        let (kept, complaint, _) = after(&[good(), half.clone()]);
        assert_eq!(kept, "192.0.2.9, 2001:db8::1");
        assert!(complaint.is_some());
        assert_eq!(after(&[half]).1, None, "nobody misses a family that never was there");
        assert_eq!(after(&[good(), answer(found(&["192.0.2.9"]), Found::Nothing)]).0, "192.0.2.9");
    }

    #[test]
    fn people_are_told_of_changes() {
        let at = |text: &str| answer(found(&[text]), Found::Nothing);
        assert_eq!(after(&[]).1.unwrap(), "does not resolve: no answer yet");
        assert_eq!(after(&[answer(failed(), failed())]).2.unwrap(), "does not resolve");
        assert_eq!(after(&[at("192.0.2.1"), at("192.0.2.2")]).2.unwrap(), "has other addresses now: 192.0.2.2");
        let back = [at("192.0.2.1"), answer(failed(), failed()), at("192.0.2.1")];
        assert_eq!(after(&back).2.unwrap(), "resolves again: 192.0.2.1");
    }

    #[test]
    fn what_fails_is_asked_for_less_and_less() {
        let mut known = Resolved::default();
        let (good, bad) = (answer(found(&["192.0.2.1"]), Found::Nothing), answer(failed(), failed()));
        let mut due = |answer: &Answer| {
            known.take(answer);
            known.due_after(answer).as_secs()
        };
        assert_eq!([due(&good), due(&bad), due(&bad), due(&bad)], [60, 1, 2, 4]);
        let later: Vec<u64> = (0..40).map(|_| due(&bad)).collect();
        assert_eq!(later.last(), Some(&30));
        assert_eq!(due(&good), 60);
    }
}
