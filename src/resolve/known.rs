//! What is known of one name: the last good addresses of each family, and whether they could be looked up when they last
//! were due. Pure.
//!
//! Each family has its own answers, failures and retries. Only one thing needs both: that a name has nothing of a family is
//! believed while the other family has addresses. A name that suddenly has no address at all has failed, since a mistake
//! over there is likelier than that nobody is to be served any more.

use std::net::IpAddr;
use std::time::Duration;

use super::ask::{FamilyAnswer, LookupResult};
use super::{IpFamily, MOST_ADDRESSES, is_of_a_host};

/// How long after a failure a family is asked for again; twice as long after each further one, up to the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedName {
    families: [FamilyState; 2],
}

/// What is known of one family of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FamilyState {
    /// What it last was asked for came to; `None`: there was no answer yet.
    latest: Option<LookupResult>,
    /// The last addresses that were found, in order.
    last_good: Vec<IpAddr>,
    /// How long those hold, in seconds.
    ttl: u32,
    /// Failures in a row.
    failures: u32,
}

/// Something that people want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverEvent {
    /// What is true now, behind the name: `does not resolve (A)`.
    pub sentence: String,
    /// How it came about.
    pub cause: Option<String>,
    /// It does not resolve.
    pub is_bad: bool,
}

impl ResolvedName {
    /// What was known before a restart: last good addresses, which hold until there is something newer.
    pub fn remembered(addresses: Vec<IpAddr>, ttl: u32) -> ResolvedName {
        let families = IpFamily::ALL.map(|family| {
            let is_usable =
                |address: &IpAddr| IpFamily::of(*address) == family && is_of_a_host(*address);
            let last_good = addresses
                .iter()
                .copied()
                .filter(is_usable)
                .take(MOST_ADDRESSES)
                .collect();
            FamilyState {
                last_good,
                ttl,
                ..FamilyState::default()
            }
        });
        ResolvedName { families }
    }

    /// Takes in an answer about one family; what people want to know of it. A family that nobody can tell anything about
    /// keeps its last good addresses.
    pub fn take(&mut self, family: IpFamily, answer: &FamilyAnswer) -> Option<ResolverEvent> {
        let before = self.clone();
        let state = &mut self.families[family as usize];
        state.latest = Some(answer.found.clone());
        if let LookupResult::Addresses(addresses) = &answer.found {
            state.last_good.clone_from(addresses);
            state.ttl = u32::try_from(answer.ttl.as_secs()).unwrap_or(u32::MAX);
            let other = &mut self.families[family.other() as usize];
            // The name is well, so it is true that it has nothing of the other family any more.
            if other.latest == Some(LookupResult::Nothing) {
                other.last_good.clear();
            }
        }
        let failed = self.failure(family).is_some();
        let failures = &mut self.families[family as usize].failures;
        *failures = if failed {
            failures.saturating_add(1)
        } else {
            0
        };
        self.news(family, &before)
    }

    /// The addresses to go by: the last good ones, IPv4 before IPv6, in order.
    pub fn addresses(&self) -> Vec<IpAddr> {
        IpFamily::ALL
            .iter()
            .flat_map(|family| self.addresses_of(*family))
            .copied()
            .collect()
    }

    /// Those of one family.
    pub fn addresses_of(&self, family: IpFamily) -> &[IpAddr] {
        let state = self.state(family);
        let other_is_well = matches!(
            self.state(family.other()).latest,
            Some(LookupResult::Addresses(_))
        );
        if state.latest == Some(LookupResult::Nothing) && other_is_well {
            &[]
        } else {
            &state.last_good
        }
    }

    /// Whether it is known what the name has of a family: addresses, or that there are none.
    pub fn is_known(&self, family: IpFamily) -> bool {
        let has_none = || self.state(family).latest == Some(LookupResult::Nothing);
        !self.addresses_of(family).is_empty()
            || has_none() && !self.addresses_of(family.other()).is_empty()
    }

    /// Families that had no answer yet.
    pub fn untried(&self) -> usize {
        self.families
            .iter()
            .filter(|state| state.latest.is_none())
            .count()
    }

    /// How long the addresses hold, in seconds; `None`: there are none.
    pub fn ttl(&self) -> Option<u32> {
        let with_some = IpFamily::ALL
            .into_iter()
            .filter(|family| !self.addresses_of(*family).is_empty());
        with_some.map(|family| self.state(family).ttl).min()
    }

    /// Whether the same is to be done with both.
    pub fn is_like(&self, other: &ResolvedName) -> bool {
        let same_known = |family: &IpFamily| self.is_known(*family) == other.is_known(*family);
        self.addresses() == other.addresses()
            && self.ttl() == other.ttl()
            && self.untried() == other.untried()
            && self.complaint() == other.complaint()
            && IpFamily::ALL.iter().all(same_known)
    }

    /// How long after a failure a family is due again; `None`: it has not failed, and is due when its answer expires.
    pub fn retry_after(&self, family: IpFamily) -> Option<Duration> {
        let doublings = self.state(family).failures.checked_sub(1)?.min(16);
        Some((AGAIN.0 * (1 << doublings)).min(AGAIN.1))
    }

    /// Why it does not resolve, for people: `does not resolve: there is no such name`, or `does not resolve (AAAA): ...`
    /// where only one family does not.
    pub fn complaint(&self) -> Option<String> {
        match IpFamily::ALL.map(|family| self.failure(family)) {
            [None, None] => None,
            [Some(one), Some(other)] if one == other => Some(format!("does not resolve: {one}")),
            [Some(v4), Some(v6)] => Some(format!("does not resolve: A: {v4}; AAAA: {v6}")),
            [Some(reason), None] => Some(format!("does not resolve (A): {reason}")),
            [None, Some(reason)] => Some(format!("does not resolve (AAAA): {reason}")),
        }
    }

    fn state(&self, family: IpFamily) -> &FamilyState {
        &self.families[family as usize]
    }

    /// Why a family could not be looked up when it last was due; `None`: it could.
    fn failure(&self, family: IpFamily) -> Option<&str> {
        match &self.state(family).latest {
            None => Some("no answer yet"),
            Some(LookupResult::Failed(reason)) => Some(reason),
            Some(LookupResult::Nothing)
                if self.state(family.other()).latest == Some(LookupResult::Nothing) =>
            {
                Some("it has no address")
            }
            Some(LookupResult::Nothing | LookupResult::Addresses(_)) => None,
        }
    }

    fn news(&self, family: IpFamily, before: &ResolvedName) -> Option<ResolverEvent> {
        let was_tried = before.state(family).latest.is_some();
        let had_failed = was_tried && before.failure(family).is_some();
        let (now, earlier) = (self.addresses_of(family), before.addresses_of(family));
        let Some(reason) = self.failure(family) else {
            if had_failed {
                let sentence = format!("resolves again: {}", list(now, family));
                return Some(ResolverEvent {
                    sentence,
                    cause: None,
                    is_bad: false,
                });
            }
            let cause = format!("before: {}", list(earlier, family));
            let sentence = format!("has other addresses now: {}", list(now, family));
            return (was_tried && now != earlier).then_some(ResolverEvent {
                sentence,
                cause: Some(cause),
                is_bad: false,
            });
        };
        let sentence = match now {
            [] => format!("does not resolve ({family})"),
            kept => format!(
                "does not resolve ({family}); what it last came to is kept: {}",
                list(kept, family)
            ),
        };
        (!had_failed).then(|| ResolverEvent {
            sentence,
            cause: Some(reason.to_owned()),
            is_bad: true,
        })
    }
}

fn list(addresses: &[IpAddr], family: IpFamily) -> String {
    match addresses {
        [] => format!("no {family}"),
        some => some
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
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

    fn answer(found: LookupResult) -> FamilyAnswer {
        FamilyAnswer {
            found,
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
        // A family that a name gave up is not kept, nor does it come back when the other one fails later.
        let mut row = [good(), vec![(V6, LookupResult::Nothing)]].concat();
        assert_eq!(shown(&after(&row).0), "192.0.2.1");
        row.extend([(V4, found(&["192.0.2.1"])), (V4, failed())]);
        assert_eq!(shown(&after(&row).0), "192.0.2.1");
    }

    #[test]
    fn a_family_that_never_was_known_is_told_from_one_that_is_not_there() {
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
    fn people_are_told_of_changes() {
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
            "does not resolve (A); what it last came to is kept: 192.0.2.1"
        );
        let back = [kept.to_vec(), vec![(V4, found(&["192.0.2.1"]))]].concat();
        assert_eq!(after(&back).1.unwrap(), "resolves again: 192.0.2.1");
    }

    #[test]
    fn what_fails_is_asked_for_less_and_less_each_family_by_itself() {
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
