//! Orders: what can be ordered about what, and when it ends.

use std::path::Path;

use super::*;
use crate::config;
use crate::control::book::{MOST, OverrideBook};
use crate::control::clock::BootTime;

const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n[regions.spare]\n\
    [[services]]\nname = \"www.example.com\"\n[services.endpoints]\n\
    fra = [\"192.0.2.1\", \"2001:db8::1\"]\niad = { cname = \"lb.example.net\" }\n";

fn subject(service: &str, region: &str, endpoint: &str) -> OverrideSubject {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    OverrideSubject {
        service: part(service),
        region: part(region),
        endpoint: part(endpoint),
    }
}

fn at(seconds: u64) -> BootTime {
    BootTime::default().after(Duration::from_secs(seconds))
}

/// One that ends so many seconds after the boot.
fn order(region: &str, action: OverrideAction, until: Option<u64>) -> Override {
    let (reason, by) = ("new kernel".to_owned(), "ops".to_owned());
    let ends = until.map(|seconds| Deadline::after(at(0), Duration::from_secs(seconds)));
    Override {
        subject: subject("", region, ""),
        action,
        reason,
        by,
        since: 100,
        ends,
        pace: None,
        scope: OrderScope::default(),
    }
}

#[test]
fn an_override_replaces_one_of_its_kind_and_leaves_other_kinds() {
    let mut book = OverrideBook::default();
    assert_eq!(
        book.give(order("fra", OverrideAction::ForceUp, None)),
        Ok(None)
    );
    assert_eq!(
        book.give(order("fra", OverrideAction::Drain, None)),
        Ok(None)
    );
    assert_eq!(
        book.give(order("fra", OverrideAction::ForceDown, None)),
        Ok(Some(order("fra", OverrideAction::ForceUp, None)))
    );
    assert_eq!(book.iter().count(), 2);
    assert_eq!(
        book.lift(
            &subject("", "iad", ""),
            OverrideKind::Drain,
            OrderScope::Plain
        ),
        None
    );
    assert!(
        book.lift(
            &subject("", "fra", ""),
            OverrideKind::Force,
            OrderScope::Plain
        )
        .is_some()
    );
    assert_eq!(book.iter().count(), 1);
}

#[test]
fn orders_end_by_themselves() {
    let mut book = OverrideBook::of(vec![
        order("fra", OverrideAction::Drain, Some(200)),
        order("iad", OverrideAction::Drain, None),
    ]);
    assert_eq!(book.expire(at(199)), []);
    assert_eq!(
        book.expire(at(200)),
        [order("fra", OverrideAction::Drain, Some(200))]
    );
    assert_eq!(book.expire(at(u64::MAX)), []);
    assert_eq!(book.iter().count(), 1);
}

#[test]
fn a_full_book_refuses_new_overrides_and_allows_replacements() {
    let mut book = OverrideBook::of(
        (0..MOST + 5)
            .map(|at| order(&at.to_string(), OverrideAction::Drain, None))
            .collect(),
    );
    assert_eq!(book.iter().count(), MOST);
    assert!(
        book.give(order("one more", OverrideAction::Drain, None))
            .is_err()
    );
    assert!(
        book.give(order("0", OverrideAction::Drain, Some(1)))
            .is_ok()
    );
}

#[test]
fn subjects_are_found_in_the_configuration_or_hinted_at() {
    let config = config::parse(CONFIGURATION, Path::new("meridian.toml"))
        .unwrap()
        .config;
    let resolve = |service, region, endpoint| subject(service, region, endpoint).resolve(&config);
    let full = resolve("WWW.Example.com.", "fra", "2001:DB8::0:1").unwrap();
    assert_eq!(full.to_string(), "2001:db8::1 in fra of www.example.com");
    assert_eq!(
        resolve("www.example.com", "iad", "LB.example.net")
            .unwrap()
            .endpoint
            .unwrap(),
        "lb.example.net"
    );
    assert_eq!(
        resolve("www.example.com", "iad", "").unwrap().to_string(),
        "iad of www.example.com"
    );
    assert_eq!(resolve("", "spare", "").unwrap().to_string(), "spare");
    for (service, region, endpoint, sentence) in [
        (
            "",
            "fre",
            "",
            "there is no region \"fre\" (did you mean \"fra\"?)",
        ),
        (
            "",
            "nowhere",
            "",
            "there is no region \"nowhere\"; there are fra, iad, spare",
        ),
        (
            "ww.example.com",
            "",
            "",
            "there is no service \"ww.example.com\" (did you mean \"www.example.com\"?)",
        ),
        (
            "www.example.com",
            "spare",
            "",
            "www.example.com has no region \"spare\"; it has fra, iad",
        ),
        (
            "www.example.com",
            "fra",
            "192.0.2.2",
            "www.example.com has no endpoint \"192.0.2.2\" in fra (did you mean \"192.0.2.1\"?)",
        ),
    ] {
        assert_eq!(resolve(service, region, endpoint), Err(sentence.to_owned()));
    }
}

#[test]
fn an_order_reads_as_it_was_written() {
    let all = [
        OverrideAction::Drain,
        OverrideAction::ForceUp,
        OverrideAction::ForceDown,
        OverrideAction::Weight { weight: 7 },
    ];
    for action in all {
        let order = Override {
            subject: subject("www.example.com", "fra", ""),
            ..order("", action, Some(65))
        };
        let now = ClockReading {
            boot: at(5),
            wall: Duration::from_secs(1000),
        };
        let record = order.record(&now);
        let text = serde_json::to_string(&record).unwrap();
        assert!(
            text.contains("\"until\":1060,\"seconds_left\":60"),
            "{text}"
        );
        let read: OrderRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read,
            OrderRecord {
                order: Override {
                    ends: None,
                    ..order.clone()
                },
                ..record
            },
            "{text}"
        );
        let after = ClockReading {
            boot: at(15),
            wall: Duration::ZERO,
        };
        let revived = read.revived(Some(Duration::from_secs(10)), &after);
        assert_eq!(
            revived, order,
            "ten seconds later, whatever the wall clock says"
        );
    }
    assert_eq!(
        order("fra", OverrideAction::Drain, None).sentence(),
        "is drained by ops: new kernel"
    );
}

fn shift(percent: f64, pace: Option<ChangePace>) -> Override {
    Override {
        pace,
        ..order("fra", OverrideAction::Shift { percent, to: None }, None)
    }
}

fn pace(from_percent: f64, over_seconds: u64, arrives: u64) -> ChangePace {
    ChangePace {
        from_percent,
        over_seconds,
        returning: false,
        arrives: Deadline::after(at(arrives), Duration::ZERO),
    }
}

#[test]
fn a_gradual_shift_moves_steadily_to_its_goal() {
    for (from, to) in [(0.0, 20.0), (20.0, 0.0), (20.0, 10.0), (33.3, 100.0)] {
        let order = shift(to, Some(pace(from, 1800, 2800)));
        let moved: Vec<f64> = (1000..=2801)
            .map(|second| order.moved(at(second)))
            .collect();
        assert_eq!((moved[0], moved[1801]), (from / 100.0, to / 100.0));
        let steps: Vec<f64> = moved
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) * (to - from).signum())
            .collect();
        assert!(
            steps.iter().all(|step| (0.0..=0.01).contains(step)),
            "{from} to {to}"
        );
        let changes = steps.iter().filter(|step| **step > 0.0).count();
        assert!(
            changes < 180,
            "{changes} of 1800 seconds work out the answers anew"
        );
        assert!((moved[900] - (from + to) / 200.0).abs() < 0.005);
    }
}

#[test]
fn a_gradual_shift_continues_after_a_restart_where_it_would_be() {
    let order = shift(40.0, Some(pace(20.0, 600, 1600)));
    let written = ClockReading {
        boot: at(1300),
        wall: Duration::from_secs(5000),
    };
    let text = serde_json::to_string(&order.record(&written)).unwrap();
    assert!(
        text.contains("\"action\":\"shift\",\"percent\":40.0")
            && text.contains("\"moved_percent\":"),
        "{text}"
    );
    let read: OrderRecord = serde_json::from_str(&text).unwrap();
    let after = ClockReading {
        boot: at(50),
        wall: Duration::ZERO,
    };
    let revived = read.revived(Some(Duration::from_secs(100)), &after);
    assert_eq!(revived.moved(after.boot), order.moved(at(1400)));
    assert!(!revived.is_underway(at(250)) && revived.moved(at(250)) == 0.4);
}

#[test]
fn a_file_from_before_shifts_existed_still_loads() {
    let text = "{\"region\":\"fra\",\"action\":\"drain\",\"reason\":\"\",\"by\":\"ops\",\"since\":1,\"until\":null,\
                \"seconds_left\":null}";
    let read: OrderRecord = serde_json::from_str(text).unwrap();
    let revived = read.revived(
        None,
        &ClockReading {
            boot: at(5),
            wall: Duration::ZERO,
        },
    );
    assert_eq!((revived.pace.clone(), revived.moved(at(5))), (None, 1.0));
}

#[test]
fn a_gradual_shift_starts_where_the_previous_one_is_and_returns_from_the_same_region() {
    let mut book = OverrideBook::default();
    let there = OverrideAction::Shift {
        percent: 40.0,
        to: Some("iad".to_owned()),
    };
    book.give(Override {
        action: there,
        ..shift(40.0, Some(pace(0.0, 100, 200)))
    })
    .unwrap();
    let mut back = shift(0.0, Some(pace(0.0, 100, 250)));
    book.set_out(&mut back, at(150));
    assert!((back.pace.as_ref().unwrap().from_percent - 20.0).abs() < 0.5);
    assert_eq!(
        back.action,
        OverrideAction::Shift {
            percent: 0.0,
            to: Some("iad".to_owned())
        }
    );
    assert_eq!(book.progress(at(150)).len(), 1);
    assert!(book.progress(at(200)).is_empty());
}
