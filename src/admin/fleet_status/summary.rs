//! The first line of the fleet's page: the most serious problem, and how many others there are.
//!
//! What keeps the fleet from deciding or from being ordered something comes first, then servers that
//! are missing, then what only differs.

use super::FleetStatus;
use super::servers::{DISPUTED, FleetServerStatus, REPORTS_ONLY, SILENT, VOTES_ONLY};
use crate::text::{counted, list};

/// Most names in a sentence.
const MOST_NAMES: usize = 4;
/// A clock that is at least this far off is a problem, in milliseconds: DNS cookies allow 5 minutes,
/// certificates and signatures less, and people compare logs.
const FAR_OFF: f64 = 1000.0;

/// The summary. `is_alone`: the fleet has no NATS servers.
pub(super) fn summary(status: &FleetStatus, is_alone: bool) -> String {
    let problems = problems(status, is_alone);
    match &problems[..] {
        [] => {
            let servers = counted(status.servers.len(), "server");
            format!("{servers}, all well")
        }
        [only] => only.clone(),
        [worst, others @ ..] => format!("{worst}; and {} more", others.len()),
    }
}

/// Every problem, the worst first.
fn problems(status: &FleetStatus, is_alone: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !status.linked && !is_alone {
        let server = &status.server;
        problems.push(format!(
            "{server} reaches no NATS server, so the others are shown as they were"
        ));
    }
    if let Some(alarm) = &status.orders_alarm {
        problems.push(alarm.clone());
    }
    if !status.quorum {
        problems.push(format!(
            "{} of {} groups are in touch, too few to decide",
            status.fresh_groups, status.known_groups
        ));
    }
    for (state, what) in [
        (DISPUTED, "is the name of two servers, so neither votes"),
        (SILENT, "is silent"),
        (REPORTS_ONLY, "does not vote"),
        (VOTES_ONLY, "votes and does not report"),
    ] {
        name_all(&mut problems, &status.servers, what, |it| it.state == state);
    }
    if !status.strangers.is_empty() {
        let names = list(&status.strangers, MOST_NAMES);
        problems.push(format!(
            "{names}: no check in common with {}; perhaps another fleet of the same name",
            status.server
        ));
    }
    let missing = status.orders.iter().find(|order| !order.missing.is_empty());
    if let Some(order) = missing {
        let names = list(&order.missing, MOST_NAMES);
        problems.push(format!("{} is not in force on {names}", order.order));
    }
    let says = "serves another configuration than most";
    name_all(&mut problems, &status.servers, says, |it| it.odd_revision);
    name_all(&mut problems, &status.servers, "has a wrong clock", |it| {
        let clock = it.clock.unwrap_or_default();
        clock.ahead_ms.abs() - clock.uncertainty_ms.unwrap_or_default() >= FAR_OFF
    });
    if !status.differing.is_empty() {
        let checks = counted(status.differing.len(), "check");
        problems.push(format!("servers say different things about {checks}"));
    }
    problems
}

/// A problem with each server that has it: `iad, sin: is silent`.
fn name_all(
    problems: &mut Vec<String>,
    servers: &[FleetServerStatus],
    what: &str,
    has_it: impl Fn(&FleetServerStatus) -> bool,
) {
    let mut names = Vec::new();
    for server in servers.iter().filter(|server| has_it(server)) {
        names.push(server.name.clone());
    }
    if let [only] = &names[..] {
        problems.push(format!("{only} {what}"));
    } else if !names.is_empty() {
        problems.push(format!("{}: each {what}", list(&names, MOST_NAMES)));
    }
}
