//! A bucket that is stale, emptied, made anew or gone removes no order, whatever else happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// `+...` is in force, `-` removes.
fn check(_: &str, value: &str) -> Result<bool, String> {
    match value.as_bytes().first() {
        Some(b'+') => Ok(true),
        Some(b'-') => Ok(false),
        _ => Err("is neither + nor -".to_owned()),
    }
}

fn mark(id: u64, epoch: u64) -> String {
    let by = "ams".to_owned();
    serde_json::to_string(&BucketMark { id, epoch, by }).unwrap()
}

fn entry(key: &str, revision: u64, value: &str) -> BucketEntry {
    BucketEntry {
        key: key.to_owned(),
        revision,
        value: Some(value.as_bytes().to_vec()),
    }
}

/// The newest entry of each key of a history, whose first entry has revision 1.
fn snapshot(history: &[(String, String)]) -> BucketSnapshot {
    let mut newest = BTreeMap::new();
    for (at, (key, value)) in history.iter().enumerate() {
        newest.insert(key.clone(), entry(key, at as u64 + 1, value));
    }
    BucketSnapshot {
        last_revision: history.len() as u64,
        entries: newest.into_values().collect(),
    }
}

fn history(values: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut history = vec![(MARK.to_owned(), mark(7, 1))];
    for (key, value) in values {
        history.push(((*key).to_owned(), (*value).to_owned()));
    }
    history
}

/// What a history leaves in force.
fn left_by(history: &[(String, String)]) -> BTreeMap<String, String> {
    let mut left = BTreeMap::new();
    for (key, value) in history.iter().filter(|(key, _)| key != MARK) {
        match check(key, value) {
            Ok(true) => drop(left.insert(key.clone(), value.clone())),
            Ok(false) => drop(left.remove(key)),
            Err(_) => {}
        }
    }
    left
}

fn in_force_of(state: &DesiredState) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (key, entry) in state.memory().iter().flat_map(|memory| &memory.keys) {
        if entry.in_force {
            values.insert(key.clone(), entry.value.clone());
        }
    }
    values
}

/// The same after a restart, from what was on disk.
fn restarted(state: &DesiredState) -> DesiredState {
    let text = serde_json::to_string(&state.memory()).unwrap();
    DesiredState::new("world", serde_json::from_str(&text).unwrap(), check)
}

fn following(history: &[(String, String)]) -> DesiredState {
    let mut state = DesiredState::new("world", None, check);
    let news = state.take_snapshot(&snapshot(history));
    assert_eq!(news.need, None);
    assert!(state.is_current());
    state
}

#[test]
fn a_server_makes_a_bucket_only_if_it_has_never_seen_one() {
    let mut state = DesiredState::new("world", None, check);
    assert_eq!(state.take_missing().need, Some(BucketNeed::Bucket));
    let blank = BucketSnapshot::default();
    assert_eq!(state.take_snapshot(&blank).need, Some(BucketNeed::Mark));
    assert!(!state.is_current());
    // Purged before this server saw it: that is not a new one.
    let purged = BucketSnapshot {
        last_revision: 9,
        entries: Vec::new(),
    };
    assert_eq!(state.take_snapshot(&purged).need, None);
    assert_eq!(state.alarm(), Some(&OrdersAlarm::Emptied(Vec::new())));
    let mut state = following(&history(&[("a", "+1")]));
    assert_eq!(state.take_missing(), DesiredNews::default());
    assert_eq!(state.alarm(), Some(&OrdersAlarm::Gone));
    let mut state = restarted(&state);
    assert_eq!(state.take_missing().need, None);
    assert_eq!(state.alarm(), Some(&OrdersAlarm::Gone));
    // Another fleet has its own.
    let memory = state.memory().cloned();
    let mut moved = DesiredState::new("moon", memory, check);
    assert_eq!(moved.take_missing().need, Some(BucketNeed::Bucket));
}

#[test]
fn changes_come_once_and_in_their_order() {
    let mut state = following(&history(&[("a", "+1"), ("b", "+1"), ("a", "+2")]));
    let news = state.take_entry(&entry("b", 5, "-"));
    assert_eq!(
        news.changes,
        [DesiredChange {
            key: "b".to_owned(),
            revision: 5,
            value: Some("-".to_owned()),
            before: Some("+1".to_owned()),
        }]
    );
    for (key, revision, value) in [("b", 5, "-"), ("b", 3, "+1"), ("a", 4, "+2")] {
        let news = state.take_entry(&entry(key, revision, value));
        assert_eq!(news, DesiredNews::default(), "delivered twice");
    }
    assert_eq!((state.revision(), state.expected("a")), (5, 4));
    assert_eq!(state.expected("new"), 0);
}

#[test]
fn every_kind_of_bucket_that_does_not_count_has_its_words() {
    let ours = history(&[("drain.fra", "+1"), ("b", "-")]);
    let gone_by = |entries: Vec<BucketEntry>| BucketSnapshot {
        last_revision: 3,
        entries,
    };
    let deleted = BucketEntry {
        value: None,
        ..entry("drain.fra", 9, "")
    };
    let mut other = ours.clone();
    other[0].1 = mark(8, 1);
    for (snapshot, sentence) in [
        (snapshot(&other), "was made anew"),
        (
            snapshot(&ours[..2]),
            "is older than what this server has seen (revision 2, not 3)",
        ),
        (
            gone_by(vec![entry(MARK, 1, &ours[0].1)]),
            "lacks 1 order that nobody has removed (drain.fra)",
        ),
        (
            gone_by(vec![entry(MARK, 1, &ours[0].1), deleted.clone()]),
            "lacks 1 order that nobody has removed (drain.fra)",
        ),
        (gone_by(Vec::new()), "was emptied"),
        (gone_by(vec![entry(MARK, 1, "x")]), "was emptied"),
    ] {
        let mut state = following(&ours);
        let news = state.take_snapshot(&snapshot);
        assert_eq!(news, DesiredNews::default());
        let told = state.alarm().unwrap().to_string();
        assert_eq!(told, format!("the bucket of the fleet's orders {sentence}"));
        assert_eq!(in_force_of(&state), left_by(&ours));
        assert!(OrdersAlarm::WORDS.contains(&state.alarm().unwrap().word()));
        // Nothing that arrives from it counts.
        let news = state.take_entry(&entry("drain.fra", 10, "-"));
        assert_eq!(news.need, Some(BucketNeed::Snapshot));
        assert!(news.changes.is_empty());
    }
    // A key that is deleted by hand while it is followed.
    let mut state = following(&ours);
    state.take_entry(&deleted);
    assert_eq!(state.alarm().unwrap().word(), "emptied");
    assert_eq!(in_force_of(&state), left_by(&ours));
}

#[test]
fn garbage_is_named_and_the_next_value_counts() {
    let mut state = following(&history(&[("a", "+1")]));
    let long = "+".repeat(MOST_OCTETS + 1);
    for (revision, value, clause) in [
        (3, "hello", "is neither + nor -"),
        (4, long.as_str(), "has 6145 octets, more than 6144"),
    ] {
        let news = state.take_entry(&entry("a", revision, value));
        assert!(news.changes.is_empty());
        assert_eq!(news.refused[0].clause, clause);
        assert_eq!(state.expected("a"), revision, "a writer may replace it");
    }
    let news = state.take_entry(&BucketEntry {
        value: Some(vec![0xff]),
        ..entry("b", 5, "")
    });
    assert_eq!(news.refused[0].clause, "is no UTF-8");
    assert_eq!(in_force_of(&state)["a"], "+1");
    assert_eq!(state.take_entry(&entry("a", 6, "-")).changes.len(), 1);
    assert!(state.alarm().is_none());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut values = vec![(MARK.to_owned(), mark(7, 1))];
    for number in 0..=MOST_KEYS {
        values.push((format!("k{number}"), "+".to_owned()));
    }
    let mut state = DesiredState::new("world", None, check);
    let news = state.take_snapshot(&snapshot(&values));
    assert_eq!(news.changes.len(), MOST_KEYS);
    assert_eq!(news.refused.len(), 1);
    assert!(news.refused[0].clause.contains("beyond the 10000 keys"));
    assert!(!state.has_room("another", 9) && state.has_room("k0", 9));
    let long = format!("+{}", "x".repeat(MOST_OCTETS - 1));
    let (mut state, mut refused) = (following(&history(&[])), 0);
    for number in 0..=(MOST_OF_ALL / MOST_OCTETS) {
        let key = format!("k{number}");
        let news = state.take_entry(&entry(&key, number as u64 + 2, &long));
        refused += news.refused.len();
    }
    assert_eq!(refused, 1);
}

#[test]
fn a_restored_bucket_is_followed_by_all_and_says_what_is_gone() {
    let ours = history(&[("a", "+1"), ("b", "+1"), ("c", "-")]);
    let mut behind = following(&ours[..2]);
    let mut state = following(&ours);
    state.take_missing();
    // The bucket is new, and somebody has put something into it.
    let foreign = [entry(MARK, 1, &mark(9, 1)), entry("d", 2, "+1")];
    state.take_snapshot(&BucketSnapshot {
        last_revision: 2,
        entries: foreign.to_vec(),
    });
    let mut written = vec![
        (MARK.to_owned(), mark(9, 1)),
        ("d".to_owned(), "+1".to_owned()),
    ];
    for key in state.restoration() {
        let expected = written.iter().rposition(|(known, _)| *known == key.key);
        assert_eq!(key.expected, expected.map_or(0, |at| at as u64 + 1));
        written.push((key.key, key.value.unwrap_or_else(|| "-".to_owned())));
    }
    let next = state.next_mark(11, "iad");
    assert_eq!(next.epoch, 2);
    written.push((MARK.to_owned(), serde_json::to_string(&next).unwrap()));
    for state in [&mut state, &mut behind] {
        state.take_snapshot(&snapshot(&written));
        assert!(state.is_current());
        let ab = ["a", "b"].map(|key| (key.to_owned(), "+1".to_owned()));
        assert_eq!(in_force_of(state), BTreeMap::from(ab));
        assert_eq!(state.revision(), written.len() as u64);
    }
    // Restored from a server that was behind: what it does not have is out of force everywhere.
    let mut fewer = written.clone();
    fewer.retain(|(key, _)| key != "b");
    fewer.last_mut().unwrap().1 = mark(12, 3);
    let news = state.take_snapshot(&snapshot(&fewer));
    let gone: Vec<&DesiredChange> = news
        .changes
        .iter()
        .filter(|it| it.value.is_none())
        .collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].key.as_str(), gone[0].before.as_deref()),
        ("b", Some("+1"))
    );
    // The bucket of before is none of ours any more.
    state.take_snapshot(&snapshot(&ours));
    assert_eq!(state.alarm(), Some(&OrdersAlarm::Recreated));
}

/// What happens to a server, or what it is told.
#[derive(Debug, Clone)]
enum Event {
    /// The next values arrive, some of them twice.
    Follow(usize),
    /// The bucket as it was, or is, at a place of its history.
    Snapshot(usize),
    /// The bucket without some keys.
    Emptied(u64),
    /// A bucket of another mark, with these values.
    Other(usize),
    Missing,
    Restart,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (1_usize..4).prop_map(Event::Follow),
        (0_usize..60).prop_map(Event::Snapshot),
        any::<u64>().prop_map(Event::Emptied),
        (0_usize..60).prop_map(Event::Other),
        Just(Event::Missing),
        Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..60)
}

fn values() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop::sample::select(vec!["a", "b", "c", "d"]);
    let value = prop::sample::select(vec!["+1", "+2", "-"]);
    prop::collection::vec((key, value), 0..60).prop_map(|values| history(&values))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_order_is_ever_removed_but_by_a_value(history in values(), events in events()) {
        let mut state = DesiredState::new("world", None, check);
        // How much of the history has counted.
        let mut seen = 0;
        let mut is_following = false;
        for event in events {
            match event {
                Event::Follow(count) if is_following => {
                    for (key, value) in history.iter().skip(seen).take(count) {
                        seen += 1;
                        let next = entry(key, seen as u64, value);
                        state.take_entry(&next);
                        state.take_entry(&next);
                    }
                }
                Event::Follow(_) => {}
                Event::Snapshot(at) => {
                    let at = at.clamp(1, history.len());
                    state.take_snapshot(&snapshot(&history[..at]));
                    is_following = at >= seen;
                    prop_assert_eq!(state.is_current(), is_following);
                    seen = seen.max(at);
                }
                Event::Emptied(mask) if seen > 0 => {
                    let mut emptied = snapshot(&history[..seen]);
                    let mut number = 0;
                    emptied.entries.retain(|_| {
                        number += 1;
                        mask >> number & 1 == 1
                    });
                    state.take_snapshot(&emptied);
                    is_following = state.is_current();
                }
                Event::Other(at) if seen > 0 => {
                    let mut other = history[..at.clamp(1, history.len())].to_vec();
                    other[0].1 = mark(8, 1);
                    state.take_snapshot(&snapshot(&other));
                    prop_assert_eq!(state.alarm(), Some(&OrdersAlarm::Recreated));
                    is_following = false;
                }
                Event::Missing if seen > 0 => {
                    state.take_missing();
                    prop_assert_eq!(state.alarm(), Some(&OrdersAlarm::Gone));
                    is_following = false;
                }
                Event::Restart => {
                    state = restarted(&state);
                    is_following = false;
                }
                _ => {}
            }
            prop_assert_eq!(in_force_of(&state), left_by(&history[..seen]));
        }
    }

    #[test]
    fn of_writers_who_know_the_same_revision_one_is_first(orders in prop::collection::vec((0..3_usize, 0..2_usize, any::<bool>()), 1..40)) {
        let mut bucket = history(&[]);
        let mut servers: Vec<DesiredState> = (0..3).map(|_| following(&bucket)).collect();
        for (at, (writer, key, is_late)) in orders.into_iter().enumerate() {
            let key = ["a", "b"][key];
            let expected = servers[writer].expected(key);
            let last = bucket.iter().rposition(|(known, _)| known == key);
            let is_first = expected == last.map_or(0, |at| at as u64 + 1);
            if is_first {
                bucket.push((key.to_owned(), format!("+{at}")));
            }
            // A conflict is a server that lags.
            prop_assert!(is_first || servers[writer].revision() < bucket.len() as u64);
            for (number, server) in servers.iter_mut().enumerate() {
                if !is_late || number != (writer + 1) % 3 {
                    server.take_snapshot(&snapshot(&bucket));
                }
            }
        }
        for server in &mut servers {
            server.take_snapshot(&snapshot(&bucket));
            prop_assert_eq!(in_force_of(server), left_by(&bucket));
        }
    }
}
