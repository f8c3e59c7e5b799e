//! The result for one name: its addresses, and whether the last lookups succeeded.
//!
//! IPv4 and IPv6 have separate answers, failures and retries. A family whose lookup fails keeps its
//! last good addresses. An answer that a family has no addresses is believed only while the other
//! family has some. A name that suddenly has no address at all counts as failed, because a mistake
//! in its zone is more likely than a service without endpoints.
//!
//! The type is pure: it neither looks anything up nor reads a clock.

use std::net::IpAddr;
use std::time::Duration;

use super::stub::{FamilyAnswer, LookupResult};
use super::{IpFamily, MOST_ADDRESSES, is_of_a_host};

/// The pause after a first failure. It doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause between two retries.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The addresses of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedName {
    families: [FamilyState; 2],
}

/// The addresses of one family of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FamilyState {
    /// The last result, or `None` before the first.
    latest: Option<LookupResult>,
    /// The last addresses that were found, sorted.
    last_good: Vec<IpAddr>,
    /// The TTL of those addresses in seconds.
    ttl: u32,
    /// Consecutive failures.
    failures: u32,
}

impl FamilyState {
    fn has_none(&self) -> bool {
        self.latest == Some(LookupResult::Nothing)
    }

    fn has_found(&self) -> bool {
        matches!(self.latest, Some(LookupResult::Addresses(_)))
    }
}

/// A change that operators want to know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverEvent {
    /// The new state, as a sentence that starts with the name: `does not resolve (A)`.
    pub sentence: String,
    /// The reason, or the state before.
    pub cause: Option<String>,
    /// Whether the name does not resolve.
    pub is_bad: bool,
}

impl ResolvedName {
    /// A name with addresses from before a restart. They are used until a lookup succeeds.
    pub fn remembered(addresses: Vec<IpAddr>, ttl: u32) -> ResolvedName {
        let mut families = <[FamilyState; 2]>::default();
        for state in &mut families {
            state.ttl = ttl;
        }
        for address in addresses {
            let state = &mut families[IpFamily::of(address) as usize];
            if is_of_a_host(address) && state.last_good.len() < MOST_ADDRESSES {
                state.last_good.push(address);
            }
        }
        ResolvedName { families }
    }

    /// Processes an answer about one family, and returns an event if operators should know about
    /// it.
    pub fn take(&mut self, family: IpFamily, answer: &FamilyAnswer) -> Option<ResolverEvent> {
        let before = self.clone();
        let state = &mut self.families[family as usize];
        state.latest = Some(answer.result.clone());
        if let LookupResult::Addresses(addresses) = &answer.result {
            state.last_good.clone_from(addresses);
            state.ttl = u32::try_from(answer.ttl.as_secs()).unwrap_or(u32::MAX);
            // The name works, so it is true that it no longer has addresses of the other family.
            let other = &mut self.families[family.other() as usize];
            if other.has_none() {
                other.last_good.clear();
            }
        }
        let failed = self.failure(family).is_some();
        let state = &mut self.families[family as usize];
        if failed {
            state.failures = state.failures.saturating_add(1);
        } else {
            state.failures = 0;
        }
        self.event_since(&before, family)
    }

    /// The addresses to use: the last good ones, sorted, IPv4 before IPv6.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let [v4, v6] = IpFamily::ALL.map(|family| self.addresses_of(family));
        [v4, v6].concat()
    }

    /// The addresses of one family.
    pub fn addresses_of(&self, family: IpFamily) -> &[IpAddr] {
        let state = self.state(family);
        if state.has_none() && self.state(family.other()).has_found() {
            &[]
        } else {
            &state.last_good
        }
    }

    /// Whether it is known which addresses of a family the name has, possibly none.
    pub fn is_known(&self, family: IpFamily) -> bool {
        if !self.addresses_of(family).is_empty() {
            return true;
        }
        self.state(family).has_none() && !self.addresses_of(family.other()).is_empty()
    }

    /// The number of families without a first result.
    pub fn untried(&self) -> usize {
        let [v4, v6] = &self.families;
        usize::from(v4.latest.is_none()) + usize::from(v6.latest.is_none())
    }

    /// The TTL of the addresses in seconds. `None` without addresses.
    pub fn ttl(&self) -> Option<u32> {
        let mut shortest = None;
        for family in IpFamily::ALL {
            if !self.addresses_of(family).is_empty() {
                let ttl = self.state(family).ttl;
                shortest = Some(ttl.min(shortest.unwrap_or(ttl)));
            }
        }
        shortest
    }

    /// Whether both have the same addresses and problems, so that nothing needs to be updated.
    pub fn is_like(&self, other: &ResolvedName) -> bool {
        self.addresses() == other.addresses()
            && self.ttl() == other.ttl()
            && self.untried() == other.untried()
            && self.complaint() == other.complaint()
            && IpFamily::ALL.map(|family| self.is_known(family))
                == IpFamily::ALL.map(|family| other.is_known(family))
    }

    /// How long to wait before retrying a failed lookup. `None` if the last lookup succeeded, so
    /// that the next is due when its answer expires.
    pub fn retry_after(&self, family: IpFamily) -> Option<Duration> {
        let doublings = self.state(family).failures.checked_sub(1)?.min(16);
        Some((FIRST_RETRY * (1 << doublings)).min(LONGEST_RETRY))
    }

    /// Why the name does not resolve: `does not resolve: there is no such name`, or
    /// `does not resolve (AAAA): ...` if only one family fails.
    pub fn complaint(&self) -> Option<String> {
        match IpFamily::ALL.map(|family| self.failure(family)) {
            [None, None] => None,
            [Some(v4), Some(v6)] if v4 == v6 => Some(format!("does not resolve: {v4}")),
            [Some(v4), Some(v6)] => Some(format!("does not resolve: A: {v4}; AAAA: {v6}")),
            [Some(reason), None] => Some(format!("does not resolve (A): {reason}")),
            [None, Some(reason)] => Some(format!("does not resolve (AAAA): {reason}")),
        }
    }

    fn state(&self, family: IpFamily) -> &FamilyState {
        &self.families[family as usize]
    }

    /// Why the last lookup of a family failed. `None` if it succeeded.
    fn failure(&self, family: IpFamily) -> Option<&str> {
        match &self.state(family).latest {
            None => Some("no answer yet"),
            Some(LookupResult::Failed(reason)) => Some(reason),
            Some(LookupResult::Nothing) if self.state(family.other()).has_none() => {
                Some("it has no address")
            }
            Some(LookupResult::Nothing | LookupResult::Addresses(_)) => None,
        }
    }

    /// What has changed for operators since `before`.
    fn event_since(&self, before: &ResolvedName, family: IpFamily) -> Option<ResolverEvent> {
        let was_tried = before.state(family).latest.is_some();
        let had_failed = was_tried && before.failure(family).is_some();
        let now = self.addresses_of(family);
        let earlier = before.addresses_of(family);
        if let Some(reason) = self.failure(family) {
            if had_failed {
                return None;
            }
            let mut sentence = format!("does not resolve ({family})");
            if !now.is_empty() {
                sentence.push_str("; its last addresses stay in use: ");
                sentence.push_str(&list(now, family));
            }
            return Some(ResolverEvent {
                sentence,
                cause: Some(reason.to_owned()),
                is_bad: true,
            });
        }
        if had_failed {
            return Some(ResolverEvent {
                sentence: format!("resolves again: {}", list(now, family)),
                cause: None,
                is_bad: false,
            });
        }
        if !was_tried || now == earlier {
            return None;
        }
        Some(ResolverEvent {
            sentence: format!("has other addresses now: {}", list(now, family)),
            cause: Some(format!("before: {}", list(earlier, family))),
            is_bad: false,
        })
    }
}

fn list(addresses: &[IpAddr], family: IpFamily) -> String {
    if addresses.is_empty() {
        return format!("no {family}");
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::IpFamily::{V4, V6};
    use super::*;

    fn found(texts: &[&str]) -> LookupResult {
        LookupResult::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn failed() -> LookupResult {
        LookupResult::Failed("no answer within 2s".to_owned())
    }

    fn answer(result: LookupResult) -> FamilyAnswer {
        FamilyAnswer {
            result,
            ttl: Duration::from_secs(60),
            until: Instant::now(),
        }
    }

    /// What is known after these answers, and the last of the news.
    fn after(answers: &[(IpFamily, LookupResult)]) -> (ResolvedName, Option<String>) {
        let mut known = ResolvedName::default();
        let mut news = None;
        for (family, found) in answers {
            news = known.take(*family, &answer(found.clone()));
        }
        (known, news.map(|news| news.sentence))
    }

    fn shown(known: &ResolvedName) -> String {
        known
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn good() -> Vec<(IpFamily, LookupResult)> {
        vec![(V4, found(&["192.0.2.1"])), (V6, found(&["2001:db8::1"]))]
    }

    #[test]
    fn the_last_good_addresses_are_kept_by_family() {
        assert_eq!(after(&good()).0.complaint(), None);
        for bad in [
            [failed(), failed()],
            [LookupResult::Nothing, LookupResult::Nothing],
            [failed(), LookupResult::Nothing],
        ] {
            let [v4, v6] = bad.clone();
            let (known, _) = after(&[good(), vec![(V4, v4), (V6, v6)]].concat());
            assert_eq!(shown(&known), "192.0.2.1, 2001:db8::1", "{bad:?}");
            assert!(
                known.complaint().unwrap().starts_with("does not resolve"),
                "{bad:?}"
            );
        }
        let (known, _) =
            after(&[good(), vec![(V6, failed()), (V4, found(&["192.0.2.9"]))]].concat());
        assert_eq!(shown(&known), "192.0.2.9, 2001:db8::1");
        assert_eq!(
            known.complaint().unwrap(),
            "does not resolve (AAAA): no answer within 2s"
        );
        // A family that a name gave up is not kept, nor does it come back when the other one fails
        // later.
        let mut row = [good(), vec![(V6, LookupResult::Nothing)]].concat();
        assert_eq!(shown(&after(&row).0), "192.0.2.1");
        row.extend([(V4, found(&["192.0.2.1"])), (V4, failed())]);
        assert_eq!(shown(&after(&row).0), "192.0.2.1");
    }

    #[test]
    fn an_unknown_family_is_distinguished_from_a_missing_one() {
        let (half, _) = after(&[(V4, failed()), (V6, found(&["2001:db8::1"]))]);
        assert_eq!([V4, V6].map(|family| half.is_known(family)), [false, true]);
        assert_eq!(
            half.complaint().unwrap(),
            "does not resolve (A): no answer within 2s"
        );
        let (whole, _) = after(&[(V4, LookupResult::Nothing), (V6, found(&["2001:db8::1"]))]);
        assert_eq!([V4, V6].map(|family| whole.is_known(family)), [true, true]);
        assert_eq!(whole.complaint(), None);
        let (waiting, _) = after(&[(V6, found(&["2001:db8::1"]))]);
        assert_eq!(
            waiting.complaint().unwrap(),
            "does not resolve (A): no answer yet"
        );
        assert_eq!((waiting.untried(), waiting.is_known(V4)), (1, false));
        let (nothing, _) = after(&[(V4, LookupResult::Nothing), (V6, LookupResult::Nothing)]);
        assert!(
            !nothing.is_known(V4) && !nothing.is_known(V6),
            "no address at all is a failure"
        );
        assert_eq!(
            nothing.complaint().unwrap(),
            "does not resolve: it has no address"
        );
    }

    #[test]
    fn changes_are_logged() {
        assert_eq!(
            after(&[]).0.complaint().unwrap(),
            "does not resolve: no answer yet"
        );
        assert_eq!(
            after(&[(V6, failed())]).1.unwrap(),
            "does not resolve (AAAA)"
        );
        assert_eq!(
            after(&[(V6, failed()), (V6, failed())]).1,
            None,
            "said once"
        );
        let moved = [(V4, found(&["192.0.2.1"])), (V4, found(&["192.0.2.2"]))];
        assert_eq!(
            after(&moved).1.unwrap(),
            "has other addresses now: 192.0.2.2"
        );
        let kept = [(V4, found(&["192.0.2.1"])), (V4, failed())];
        assert_eq!(
            after(&kept).1.unwrap(),
            "does not resolve (A); its last addresses stay in use: 192.0.2.1"
        );
        let back = [kept.to_vec(), vec![(V4, found(&["192.0.2.1"]))]].concat();
        assert_eq!(after(&back).1.unwrap(), "resolves again: 192.0.2.1");
    }

    #[test]
    fn failed_lookups_are_retried_less_and_less_for_each_family() {
        let mut known = ResolvedName::default();
        let mut due = |family, found: LookupResult| {
            known.take(family, &answer(found));
            known.retry_after(family).map(|pause| pause.as_secs())
        };
        assert_eq!(
            due(V6, found(&["2001:db8::1"])),
            None,
            "when its answer expires"
        );
        let row: Vec<_> = (0..7).map(|_| due(V4, failed())).collect();
        assert_eq!(row, [1, 2, 4, 8, 16, 30, 30].map(Some));
        assert_eq!(
            due(V6, found(&["2001:db8::1"])),
            None,
            "one family does not wait for the other"
        );
        assert_eq!(due(V4, failed()), Some(30));
        assert_eq!(due(V4, found(&["192.0.2.1"])), None);
        assert_eq!(due(V4, failed()), Some(1));
    }
}
