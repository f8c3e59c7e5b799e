//! Values mean the same on every server, and what is none is named.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn clocks(wall: u64) -> ClockReading {
    ClockReading {
        wall: Duration::from_secs(wall),
        ..ClockReading::now()
    }
}

fn subject(region: &str, service: &str, endpoint: &str) -> OverrideSubject {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    OverrideSubject {
        region: part(region),
        service: part(service),
        endpoint: part(endpoint),
    }
}

fn order(action: OverrideAction) -> Override {
    Override {
        subject: subject("fra", "www.example.com", ""),
        action,
        reason: "new kernel".to_owned(),
        by: "ops".to_owned(),
        since: 1000,
        ends: None,
        pace: None,
        scope: OrderScope::Fleet,
    }
}

#[test]
fn an_override_arrives_as_it_was_written_with_its_end() {
    let now = clocks(1000);
    let written = Override {
        ends: Some(Deadline::after(now.boot, Duration::from_secs(7200))),
        pace: Some(ChangePace {
            from_percent: 12.5,
            over_seconds: 900,
            returning: false,
            arrives: Deadline::after(now.boot, Duration::from_secs(900)),
        }),
        ..order(OverrideAction::Drain)
    };
    let text = OrderValue::of(&written, "ns1", &now).text();
    let key = key_of(&written.subject, OverrideKind::Drain);
    assert_eq!(key, "drain.fra.www=2Eexample=2Ecom.=");
    assert_eq!(check(&key, &text), Ok(true));
    // On a machine whose clock counts from another boot, ten seconds later.
    let later = ClockReading {
        wall: Duration::from_secs(1010),
        boot: now.boot.after(Duration::from_secs(1_000_000)),
    };
    let value = OrderValue::read(&text).unwrap();
    let Some(FleetOrder::Give(arrived)) = value.order_at(&later) else {
        panic!("{text}");
    };
    assert_eq!(arrived.ends.unwrap().left(later.boot).as_secs(), 7190);
    let pace = arrived.pace.clone().unwrap();
    assert_eq!(pace.arrives.left(later.boot).as_secs(), 890);
    let plain = Override {
        ends: written.ends,
        pace: written.pace.clone(),
        ..arrived
    };
    assert_eq!(plain, written);
    assert_eq!(
        value.sentence(),
        "fra of www.example.com is drained over 15m"
    );
    // When its time is over, it is as if it were removed.
    assert!(matches!(
        value.order_at(&clocks(1000 + 7200)),
        Some(FleetOrder::Lift(_))
    ));
}

#[test]
fn a_removal_says_by_whom() {
    let lift = OverrideLift {
        subject: subject("fra", "", ""),
        kind: OverrideKind::Weight,
        scope: OrderScope::Fleet,
        by: "ops".to_owned(),
        reason: "done".to_owned(),
    };
    let value = OrderValue::of_end(&lift, "ns1", &clocks(5));
    assert_eq!(check("weight.fra.=.=", &value.text()), Ok(false));
    assert_eq!(value.order_at(&clocks(5)), Some(FleetOrder::Lift(lift)));
    assert_eq!(value.sentence(), "fra: weight removed");
    let removal = removal_of("drain.a=2Eb.=.=", "ops", "ns1", &clocks(5));
    assert_eq!(removal.subject, subject("a.b", "", ""));
    assert_eq!(check("drain.a=2Eb.=.=", &removal.text()), Ok(false));
}

#[test]
fn what_is_no_order_is_named() {
    let good = OrderValue::of(&order(OverrideAction::ForceUp), "ns1", &clocks(5)).text();
    let key = "force.fra.www=2Eexample=2Ecom.=";
    assert_eq!(check(key, &good), Ok(true));
    for (from, to, clause) in [
        ("{", "", "is no order: "),
        ("\"version\":1", "\"version\":2", "is of version 2, not 1"),
        (
            "\"kind\":\"force\"",
            "\"kind\":\"rule\"",
            "is of the unknown kind \"rule\"",
        ),
        (
            "\"kind\":\"force\"",
            "\"kind\":\"drain\"",
            "which has another key",
        ),
        (
            "\"region\":\"fra\"",
            "\"region\":\"iad\"",
            "which has another key",
        ),
        (
            "\"region\":\"fra\"",
            "\"endpoint\":\"fra\"",
            "has no subject",
        ),
        ("force-up", "drain", "orders something else than a force"),
        ("force-up", "explode", "is no order: "),
        ("new kernel", "new\\u0007", "with control characters"),
        ("\"by\":\"ops\",", "", "is no order: "),
    ] {
        let bad = good.replacen(from, to, 1);
        let told = check(key, &bad).unwrap_err();
        assert!(told.contains(clause), "{bad}: {told}");
    }
    for (action, clause) in [
        (
            OverrideAction::Weight { weight: 1_000_001 },
            "has the weight 1000001",
        ),
        (
            OverrideAction::Shift {
                percent: 101.0,
                to: None,
            },
            "shifts 101%",
        ),
    ] {
        let bad = order(action);
        let key = key_of(&bad.subject, bad.action.kind());
        let told = check(&key, &OrderValue::of(&bad, "ns1", &clocks(5)).text()).unwrap_err();
        assert!(told.contains(clause), "{told}");
    }
}

proptest! {
    #[test]
    fn subjects_have_different_keys_that_nats_takes_and_that_can_be_read_back(
        parts in prop::collection::vec((".{0,12}", ".{0,12}", ".{0,12}"), 1..20)
    ) {
        let mut known: BTreeMap<String, OverrideSubject> = BTreeMap::new();
        for (region, service, endpoint) in parts {
            let subject = subject(&region, &service, &endpoint);
            let key = key_of(&subject, OverrideKind::Shift);
            let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-_=.".contains(&octet);
            prop_assert!(key.bytes().all(is_allowed) && !key.contains(".."), "{key}");
            let before = known.entry(key.clone()).or_insert_with(|| subject.clone());
            prop_assert_eq!(&*before, &subject);
            let removal = removal_of(&key, "ops", "ns1", &clocks(5));
            prop_assert_eq!(removal.subject, subject);
        }
    }

    #[test]
    fn whatever_is_in_a_bucket_is_refused_or_an_order(text in ".{0,200}", key in ".{0,40}") {
        let _ = check(&key, &text);
        let _ = removal_of(&key, "ops", "ns1", &clocks(5)).order_at(&clocks(5));
    }
}
