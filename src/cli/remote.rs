//! `meridian status` and `meridian reload`, which talk to a running server.
//!
//! `status` shows every endpoint of services with trouble, and one line for each other service. The
//! server does the selection, so that a large configuration stays cheap to look at.

mod pages;

use std::process::ExitCode;
use std::time::Duration;

use pages::FoundStatus;
pub use pages::service_names;

use super::arguments::{ReloadArgs, StatusArguments};
use super::client::AdminClient;
use crate::admin::{
    EndpointHealth, LastReload, RegionHealth, ReloadBody, ServerStatus, ServiceStatus,
};
use crate::config::values::duration_text;
use crate::control::fleet::orders::report::OrdersReport;
use crate::control::fleet::report::FleetReport;
use crate::control::overrides::OrderRecord;
use crate::control::releases::ReleasesReport;
use crate::explain::{SourceFacts, percent};
use crate::terminal::{TextOutput, say, say_json};
use crate::text::{counted, list, shown};

/// Most healthy services, and most zones, with a line of their own unless `--wide` is given.
const MOST_LINES: usize = 20;
/// Most regions in the line of a service.
const MOST_REGIONS: usize = 8;

/// Prints the state of the server.
pub fn status(arguments: &StatusArguments) -> Result<ExitCode, String> {
    let client = AdminClient::new(&arguments.remote)?;
    if arguments.live || arguments.ready {
        let path = if arguments.ready {
            "/readyz"
        } else {
            "/healthz"
        };
        say!("{}", client.sign_of_life(path)?.trim());
    } else if arguments.json {
        say_json(pages::whole_json(&client, arguments)?);
    } else {
        print(&pages::whole_status(&client, arguments)?, arguments);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether healthy services are shown with their endpoints, too.
fn is_wide(arguments: &StatusArguments) -> bool {
    arguments.wide || arguments.region.is_some() || !arguments.service.is_empty()
}

/// Makes the server reload its configuration, zones and geodata.
pub fn reload(arguments: &ReloadArgs) -> Result<ExitCode, String> {
    let client = AdminClient::new(&arguments.remote)?;
    let done: LastReload = client.post(
        "/v1/reload",
        &ReloadBody {
            yes_move: arguments.yes_move,
            yes: arguments.yes,
        },
    )?;
    say!("reloaded in {} ms", done.milliseconds);
    for warning in &done.messages {
        say!("{}", shown(warning));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(found: &FoundStatus, arguments: &StatusArguments) {
    let status = &found.status;
    let output = TextOutput::stdout();
    print_head(&output, status, arguments);
    print_zones(&output, status, arguments);
    say!();
    print_services(&output, found, is_wide(arguments));
    if let Some(next) = &status.next {
        let after = shown(next);
        say!("there are more services: add `--after {after}` for the next ones\n");
    }
    if !status.orders.is_empty() {
        let rows: Vec<Vec<String>> = status.orders.iter().map(order_row).collect();
        output.table(&["order", "says", "by", "left", "why"], &rows);
        say!();
    }
    print_geodata(&output, status);
    print_queries(&output, status);
}

/// Prints the summary, the version and what is served.
fn print_head(output: &TextOutput, status: &ServerStatus, arguments: &StatusArguments) {
    print_summary(output, status);
    say!(
        "serves {} on {}",
        shown(&status.configuration),
        shown(status.dns.join(", "))
    );
    if arguments.wide {
        say!(
            "configuration and zones have the fingerprint {}",
            shown(&status.fingerprint)
        );
    }
    if let Some(fleet) = &status.fleet {
        say!("{}", fleet_line(fleet));
    }
    if let Some(announcement) = &status.announcement {
        let since = duration_text(Duration::from_secs(announcement.since_seconds));
        let (state, reason) = (shown(&announcement.state), shown(&announcement.reason));
        say!("announcer {state} since {since}: {reason}");
    }
    say!("{}\n", last_reload(status));
}

fn print_summary(output: &TextOutput, status: &ServerStatus) {
    let summary = shown(&status.summary).to_string();
    let uptime = duration_text(Duration::from_secs(status.uptime_seconds));
    let version = format!("meridian {}, up {uptime}", shown(&status.version));
    // If some clients have no live region, the summary comes first.
    if status.services_uncovered == 0 {
        output.bold(&version);
        output.bold(&summary);
    } else {
        output.bold(&summary);
        output.bold(&version);
    }
}

/// `fleet world: 3 of 3 groups in touch, outvoted on 2 checks`.
fn fleet_line(fleet: &FleetReport) -> String {
    let mut line = format!(
        "fleet {}: {} of {} groups in touch",
        shown(&fleet.name),
        fleet.fresh_groups,
        fleet.known_groups
    );
    if !fleet.linked {
        line += ", no NATS server can be reached";
    }
    if !fleet.quorum {
        line += ", too few to decide";
    }
    if fleet.disputed {
        line += ", another server has the name of this one";
    }
    if fleet.needs_restart {
        line += ", a changed [fleet] waits for a restart";
    }
    if fleet.outvoted > 0 {
        line += &format!(", outvoted on {}", counted(fleet.outvoted, "check"));
    }
    if let Some(orders) = &fleet.orders {
        line += &orders_clause(orders);
    }
    if let Some(releases) = &fleet.releases {
        line += &releases_clause(releases);
    }
    line
}

/// `; release 7 of 8, halted by ns1`
fn releases_clause(releases: &ReleasesReport) -> String {
    let mut clause = match releases.serving {
        0 => "; own files".to_owned(),
        number => format!("; release {number}"),
    };
    if let Some(newest) = &releases.release
        && newest.number != releases.serving
    {
        clause += &format!(" of {}", newest.number);
    }
    if let Some(halt) = &releases.halted {
        clause += &format!(", halted by {}: {}", shown(&halt.by), shown(&halt.why));
    }
    clause
}

/// `; orders of revision 17`, and what is wrong with them.
fn orders_clause(orders: &OrdersReport) -> String {
    let mut clause = format!("; orders of revision {}", orders.revision);
    if let Some(alarm) = &orders.alarm {
        clause += &format!(", ALARM: {}", shown(alarm));
    } else if !orders.linked || !orders.current {
        clause += ", which cannot be changed now";
    }
    if orders.here_only > 0 {
        clause += &format!(
            ", {} on this server only",
            counted(orders.here_only, "order")
        );
    }
    clause
}

fn print_zones(output: &TextOutput, status: &ServerStatus, arguments: &StatusArguments) {
    if status.zones.len() > MOST_LINES && !arguments.wide {
        say!(
            "{} zones; `--wide` lists them with their serials",
            status.zones.len()
        );
    } else {
        let mut rows = Vec::new();
        for zone in &status.zones {
            rows.push(vec![zone.name.clone(), zone.serial.to_string()]);
        }
        output.table(&["zone", "serial"], &rows);
    }
}

fn source_row(source: &SourceFacts) -> Vec<String> {
    let age = match source.age_days {
        Some(days) => counted(days, "day"),
        None => String::new(),
    };
    vec![
        source.name.clone(),
        source.kind.clone(),
        age,
        source.path.clone().unwrap_or_default(),
    ]
}

fn print_geodata(output: &TextOutput, status: &ServerStatus) {
    let rows: Vec<Vec<String>> = status.geodata.iter().map(source_row).collect();
    output.table(&["geodata", "kind", "age", "file"], &rows);
    output.faint(&format!("{}\n", shown(&status.geodata_credit)));
}

fn print_queries(output: &TextOutput, status: &ServerStatus) {
    let mut rows = Vec::new();
    for (disposition, count) in &status.queries {
        if *count > 0 {
            rows.push(vec![disposition.clone(), count.to_string()]);
        }
    }
    if rows.is_empty() {
        say!("no queries yet")
    } else {
        output.table(&["queries", "count"], &rows)
    }
}

/// Prints a row for each endpoint of the services with trouble, then a row for each other service.
fn print_services(output: &TextOutput, found: &FoundStatus, wide: bool) {
    let (mut endpoint_rows, mut well) = (Vec::new(), Vec::new());
    for service in &found.status.services {
        if wide || !service.well {
            push_endpoint_rows(&mut endpoint_rows, service);
        } else {
            well.push(well_row(service));
        }
    }
    if !endpoint_rows.is_empty() {
        let heads = [
            "service", "region", "share", "endpoint", "weight", "health", "for", "order", "reason",
        ];
        output.table(&heads, &endpoint_rows);
        say!();
    }
    if !well.is_empty() || found.unlisted > 0 {
        print_well(output, &well, found.unlisted);
    }
    if found.status.services.is_empty() {
        say!("no service to show\n");
    }
}

/// A line for each healthy service, [`MOST_LINES`] at most. `others`: how many more there are.
fn print_well(output: &TextOutput, well: &[Vec<String>], others: usize) {
    let listed = &well[..well.len().min(MOST_LINES)];
    if !listed.is_empty() {
        output.table(&["service", "health", "regions", "answers/s"], listed);
    }
    let more = well.len() - listed.len() + others;
    if more > 0 {
        say!("and {more} more, all of them healthy; `--wide` lists every endpoint");
    }
    say!();
}

/// The row of a healthy service.
fn well_row(service: &ServiceStatus) -> Vec<String> {
    let mut rate = 0.0;
    for region in &service.health {
        rate += region.answers_per_second;
    }
    let health = if service.checked { "well" } else { "unchecked" };
    vec![
        service.name.clone(),
        health.to_owned(),
        list(&service.regions, MOST_REGIONS),
        format!("{rate:.1}"),
    ]
}

/// Adds a row for each endpoint of a service.
fn push_endpoint_rows(rows: &mut Vec<Vec<String>>, service: &ServiceStatus) {
    for region in &service.health {
        for endpoint in &region.endpoints {
            let since = match endpoint.seconds {
                Some(seconds) => duration_text(Duration::from_secs(seconds)),
                None => String::new(),
            };
            rows.push(vec![
                service.name.clone(),
                region.region.clone(),
                percent(region.share_percent),
                endpoint.endpoint.clone(),
                endpoint.weight.to_string(),
                endpoint.verdict.clone(),
                since,
                order_of(region, endpoint),
                reason_of(endpoint),
            ]);
        }
    }
}

/// Why the last probe failed; for a name also what it resolves to.
fn reason_of(endpoint: &EndpointHealth) -> String {
    let mut parts = Vec::new();
    parts.extend(endpoint.not_probed.clone());
    parts.extend(endpoint.reason.clone());
    if let Some(alias) = &endpoint.alias {
        parts.push(format!("of {alias}"));
    }
    // Without any address, this is the reason of the failed probe already.
    if endpoint.alias.is_some() || !endpoint.addresses.is_empty() {
        parts.extend(endpoint.unresolved.clone());
    }
    if !endpoint.addresses.is_empty() {
        parts.push(format!("at {}", endpoint.addresses.join(", ")));
    }
    parts.join("; ")
}

/// The override of an endpoint in a few words; the table of overrides has the details.
fn order_of(region: &RegionHealth, endpoint: &EndpointHealth) -> String {
    let ordered = endpoint.order.as_deref().or(region.order.as_deref());
    let mut words = ordered.unwrap_or_default();
    if let Some((action, _)) = words.split_once(" by ") {
        words = action;
    }
    words = words.trim_start_matches("is ");
    match (ordered, endpoint.leased) {
        (None, true) => "leased".to_owned(),
        (Some(_), true) => format!("leased, {words}"),
        (_, false) => words.to_owned(),
    }
}

fn order_row(
    OrderRecord {
        order,
        ending,
        milliseconds_to_go,
        moved_percent,
    }: &OrderRecord,
) -> Vec<String> {
    let left = match ending.seconds_left {
        Some(seconds) => duration_text(Duration::from_secs(seconds)),
        None => "until lifted".to_owned(),
    };
    vec![
        order.subject.to_string(),
        match (milliseconds_to_go, moved_percent) {
            (Some(1..), Some(moved)) => format!("{}, {moved}% by now", order.as_clause()),
            _ => order.as_clause(),
        },
        order.by.clone(),
        left,
        order.reason.clone(),
    ]
}

fn last_reload(status: &ServerStatus) -> String {
    let reloads = &status.reloads;
    let Some(last) = &reloads.last else {
        return "not reloaded since the start".to_owned();
    };
    let result = if last.ok { "done" } else { "refused" };
    let mut text = format!(
        "reloads: {} done, {} refused; the last was {result}",
        reloads.ok, reloads.refused
    );
    for message in &last.messages {
        text.push_str(&format!("\n  {}", shown(message)));
    }
    text
}
