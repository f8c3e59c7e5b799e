//! Tests of the step of the controller, without threads: every flow is a list of changes.

use std::net::IpAddr;

use tokio::sync::oneshot;

use super::*;
use crate::control::ConfigOrigin;
use crate::control::build::with_services;
use crate::control::clock::{BootTime, Deadline};
use crate::control::leases::Lease;
use crate::control::outcome::{Ended, PendingChange};
use crate::control::overrides::{
    FleetOrder, OrderScope, Override, OverrideAction, OverrideKind, OverrideLift, OverrideSubject,
};
use crate::fleet::desired::BucketMark;
use crate::steering::Share;

const ZONE: &str =
    "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";
const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
    [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

/// A server whose time is given in seconds, and what its last step wanted.
struct Play {
    state: ControlState,
    now: u64,
    builds: Vec<BuildJob>,
    published: usize,
}

fn load(configuration: &str) -> crate::control::LoadedState {
    let origin = ConfigOrigin::BuiltIn {
        configuration: configuration.to_owned(),
        zone: ZONE,
    };
    origin
        .load(None)
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn clocks(seconds: u64) -> ClockReading {
    let elapsed = Duration::from_secs(seconds);
    ClockReading {
        boot: BootTime::default().after(elapsed),
        wall: elapsed,
    }
}

impl Play {
    fn new() -> Play {
        let loaded = load(CONFIGURATION);
        let inputs = ControlInputs::new(Arc::new(loaded.config), Arc::default(), Arc::default());
        let derived = Derived::first(&inputs, BootTime::default());
        let files = LoadedFiles {
            atlas: loaded.atlas,
            prints: loaded.prints,
            sources: loaded.sources,
        };
        let state = ControlState::new(
            inputs,
            derived,
            Arc::new(loaded.snapshot),
            files,
            None,
            clocks(0),
        );
        Play {
            state,
            now: 0,
            builds: Vec::new(),
            published: 0,
        }
    }

    /// Takes in a change; builds are put aside until [`Play::finish_build`].
    fn step(&mut self, change: Change) -> Option<u64> {
        let effects = self.state.step(
            change,
            StepFacts {
                clocks: clocks(self.now),
                observations: None,
            },
        );
        self.published = 0;
        for action in effects.actions {
            match action {
                Action::Build(job) => self.builds.push(*job),
                Action::Publish(_) => self.published += 1,
                _ => {}
            }
        }
        for answer in effects.replies {
            answer.send(&[]);
        }
        effects.compiled
    }

    /// The reply to a change; `None`: it is not due yet.
    fn ask<T>(&mut self, change: impl FnOnce(ChangeReply<T>) -> Change) -> Option<T> {
        let (reply, mut result) = oneshot::channel();
        self.step(change(reply));
        result.try_recv().ok()
    }

    fn give(
        &mut self,
        region: &str,
        action: OverrideAction,
        seconds: Option<u64>,
    ) -> PendingChange {
        let subject = OverrideSubject {
            service: None,
            region: Some(region.to_owned()),
            endpoint: None,
        };
        let order = self.order(subject, action, seconds);
        self.ask(|reply| Change::Override { order, reply })
            .unwrap()
            .unwrap()
    }

    fn order(
        &self,
        subject: OverrideSubject,
        action: OverrideAction,
        seconds: Option<u64>,
    ) -> Override {
        let ends = seconds
            .map(|seconds| Deadline::after(clocks(self.now).boot, Duration::from_secs(seconds)));
        let (reason, by) = (String::new(), "me".to_owned());
        Override {
            subject,
            action,
            reason,
            by,
            since: 0,
            ends,
            pace: None,
            scope: OrderScope::default(),
        }
    }

    fn lease(&mut self, address: &str) -> PendingChange {
        let ends = Deadline::after(clocks(self.now).boot, Duration::from_secs(30));
        let lease = Lease {
            service: "www.example.com".to_owned(),
            region: "fra".to_owned(),
            address: address.parse().unwrap(),
            weight: 100,
            port: None,
            ttl: 30,
            ends,
            by: "me".to_owned(),
            server: String::new(),
            renewed_at: 0,
        };
        self.ask(|reply| Change::Lease { lease, reply })
            .unwrap()
            .unwrap()
    }

    fn expire(&mut self) -> Ended {
        self.ask(|reply| Change::Expire { reply }).unwrap()
    }

    /// Compiles the build that is under way; says which edition is served then.
    fn finish_build(&mut self) -> Option<u64> {
        let built = self.builds.remove(0).compile();
        self.step(Change::Built(Box::new(built)))
    }

    /// What a reload of this configuration reads at this moment.
    fn draft(&self, configuration: &str) -> Box<ReloadDraft> {
        let loaded = load(configuration);
        let inputs = ControlInputs {
            base: Arc::new(loaded.config),
            ..self.state.inputs.clone()
        };
        let derived = Derived::first(&inputs, BootTime::default());
        let is_plain = Arc::ptr_eq(&inputs.base, &derived.config);
        Box::new(ReloadDraft {
            base: inputs.base.clone(),
            plain: load(configuration).snapshot,
            overlaid: (!is_plain).then(|| with_services(&loaded.snapshot, &derived.config)),
            derived,
            rest: DraftRest {
                names: inputs.names.clone(),
                files: LoadedFiles {
                    atlas: loaded.atlas,
                    prints: loaded.prints,
                    sources: loaded.sources,
                },
                state: None,
            },
        })
    }

    /// Whether a region takes clients.
    fn serves(&self, region: usize) -> bool {
        self.state.snapshot.live.availability().services[0].regions[region].share > Share::NONE
    }

    /// The endpoints of Frankfurt that answers are made from.
    fn endpoints(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for endpoint in &self.state.derived.config.services[0].regions[0].endpoints {
            if let crate::config::EndpointTarget::Address(address) = endpoint.target {
                addresses.push(address);
            }
        }
        addresses
    }
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

#[test]
fn a_drain_is_in_force_when_its_step_ends_and_ends_by_itself() {
    let mut play = Play::new();
    let pending = play.give("fra", OverrideAction::Drain, Some(60));
    assert_eq!((pending.edition, play.published), (None, 1));
    assert!(!play.serves(0) && play.serves(1));
    play.now = 59;
    assert!(play.expire().orders.is_empty());
    play.now = 60;
    assert_eq!(play.expire().orders.len(), 1);
    assert!(play.serves(0));
}

#[test]
fn an_override_can_be_removed_and_an_unknown_subject_is_refused() {
    let mut play = Play::new();
    play.give("iad", OverrideAction::ForceDown, None);
    assert!(!play.serves(1));
    let subject = |region: &str| OverrideSubject {
        service: None,
        region: Some(region.to_owned()),
        endpoint: None,
    };
    let lift = |region: &str| {
        let lift = lift_of(subject(region), OrderScope::default());
        |reply| Change::Lift { lift, reply }
    };
    play.ask(lift("iad")).unwrap().unwrap();
    assert!(play.serves(1));
    assert!(play.ask(lift("lhr")).unwrap().is_err());
}

fn lift_of(subject: OverrideSubject, scope: OrderScope) -> OverrideLift {
    OverrideLift {
        subject,
        kind: OverrideKind::Force,
        scope,
        by: "me".to_owned(),
        reason: String::new(),
    }
}

#[test]
fn orders_of_the_fleet_are_in_force_at_once_and_those_for_here_count_in_their_place() {
    let mut play = Play::new();
    let subject = OverrideSubject {
        region: Some("iad".to_owned()),
        ..OverrideSubject::default()
    };
    let order = Override {
        scope: OrderScope::Fleet,
        ..play.order(subject.clone(), OverrideAction::ForceDown, None)
    };
    let seen = |revision| {
        Arc::new(DesiredMemory {
            fleet: "world".to_owned(),
            mark: BucketMark::default(),
            revision,
            keys: std::collections::BTreeMap::new(),
        })
    };
    let fleet = |play: &mut Play, order, revision| {
        let (orders, seen) = (vec![order], seen(revision));
        play.ask(|reply| Change::FleetOrders {
            orders,
            seen,
            reply,
        })
        .unwrap()
        .unwrap()
    };
    fleet(&mut play, FleetOrder::Give(order.clone()), 2);
    assert!(!play.serves(1));
    assert_eq!(play.state.seen.as_ref().unwrap().revision, 2);
    let here = Override {
        scope: OrderScope::HereOnly,
        action: OverrideAction::ForceUp,
        ..order
    };
    play.ask(|reply| Change::Override { order: here, reply })
        .unwrap()
        .unwrap();
    assert!(play.serves(1), "it counts here");
    assert_eq!(play.state.inputs.book.all().count(), 2);
    let lift = lift_of(subject.clone(), OrderScope::HereOnly);
    play.ask(|reply| Change::Lift { lift, reply })
        .unwrap()
        .unwrap();
    assert!(!play.serves(1), "the fleet's order is in force again");
    let lift = lift_of(subject, OrderScope::Fleet);
    fleet(&mut play, FleetOrder::Lift(lift), 3);
    assert!(play.serves(1));
}

#[test]
fn a_lease_is_served_once_its_services_are_built_and_delays_no_drain() {
    let mut play = Play::new();
    let first = play.lease("192.0.2.8");
    assert_eq!((first.edition, play.builds.len()), (Some(1), 1));
    assert_eq!(
        play.endpoints(),
        addresses(&["192.0.2.1"]),
        "it is not served yet"
    );
    play.give("iad", OverrideAction::Drain, None);
    assert!(!play.serves(1), "a drain waits for no build");
    assert_eq!(play.finish_build(), Some(1));
    assert_eq!(play.endpoints(), addresses(&["192.0.2.1", "192.0.2.8"]));
    assert!(!play.serves(1), "the build did not undo the drain");
}

#[test]
fn changes_during_a_build_are_covered_by_the_next_build() {
    let mut play = Play::new();
    play.lease("192.0.2.8");
    play.lease("192.0.2.9");
    play.give("fra", OverrideAction::Weight { weight: 7 }, None);
    assert_eq!(play.builds.len(), 1, "one at a time");
    assert_eq!(play.finish_build(), Some(1));
    assert_eq!(play.builds.len(), 1);
    assert_eq!(play.finish_build(), Some(3));
    assert!(play.builds.is_empty());
    assert_eq!(
        play.endpoints(),
        addresses(&["192.0.2.1", "192.0.2.8", "192.0.2.9"])
    );
    assert_eq!(play.state.derived.config.regions[0].weight, 7);
}

#[test]
fn a_lease_that_is_not_renewed_leaves() {
    let mut play = Play::new();
    play.lease("192.0.2.8");
    play.finish_build();
    play.now = 20;
    assert_eq!(play.lease("192.0.2.8").edition, None, "only renewed");
    play.now = 49;
    assert!(play.expire().leases.is_empty());
    play.now = 50;
    let ended = play.expire();
    assert_eq!((ended.leases.len(), ended.edition), (1, Some(2)));
    assert_eq!(play.finish_build(), Some(2));
    assert_eq!(play.endpoints(), addresses(&["192.0.2.1"]));
}

#[test]
fn a_build_that_failed_is_tried_again_at_the_next_tick() {
    let mut play = Play::new();
    play.lease("192.0.2.8");
    play.builds.clear();
    play.step(Change::BuildFailed);
    play.ask(|reply| Change::Tick { reply }).unwrap();
    assert!(play.finish_build().is_some());
    assert_eq!(play.endpoints(), addresses(&["192.0.2.1", "192.0.2.8"]));
}

#[test]
fn a_reload_waits_for_the_build_and_keeps_what_was_leased_since_it_was_read() {
    let mut play = Play::new();
    let draft = play.draft(&CONFIGURATION.replace("192.0.2.1\"", "192.0.2.3\""));
    play.give("iad", OverrideAction::Drain, None);
    play.lease("192.0.2.8");
    let (reply, mut done) = oneshot::channel();
    play.step(Change::Reload { draft, reply });
    assert!(done.try_recv().is_err());
    assert_eq!(play.finish_build(), Some(1));
    assert!(
        done.try_recv().is_err(),
        "its services are built anew with the lease"
    );
    assert_eq!(play.endpoints(), addresses(&["192.0.2.1", "192.0.2.8"]));
    play.finish_build();
    assert!(done.try_recv().is_ok() && play.builds.is_empty());
    assert_eq!(play.endpoints(), addresses(&["192.0.2.3", "192.0.2.8"]));
    assert!(!play.serves(1), "a reload undoes no drain");
}

#[test]
fn a_reload_without_anything_between_is_served_at_once() {
    let mut play = Play::new();
    play.lease("192.0.2.8");
    play.finish_build();
    let draft = play.draft(&CONFIGURATION.replace("192.0.2.1\"", "192.0.2.3\""));
    assert_eq!(play.ask(|reply| Change::Reload { draft, reply }), Some(()));
    assert!(play.builds.is_empty());
    assert_eq!(play.endpoints(), addresses(&["192.0.2.3", "192.0.2.8"]));
}

#[test]
fn a_snapshot_that_is_not_served_any_more_is_not_widened() {
    let mut play = Play::new();
    let narrow = play.state.snapshot.clone();
    play.give("fra", OverrideAction::Drain, None);
    let live = narrow.live.widened(&narrow.catalog);
    play.step(Change::Widened { narrow, live });
    assert!(play.published == 0 && !play.serves(0));
    let narrow = play.state.snapshot.clone();
    let live = narrow.live.widened(&narrow.catalog);
    play.step(Change::Widened { narrow, live });
    assert!(play.published == 1 && !play.serves(0));
}

#[test]
fn names_that_are_the_same_need_no_build() {
    let mut play = Play::new();
    let names = crate::resolve::KnownNames::new();
    assert_eq!(
        play.ask(|reply| Change::Resolved {
            names,
            kept: None,
            reply
        }),
        Some(0)
    );
    assert!(play.builds.is_empty());
}
