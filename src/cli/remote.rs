//! `meridian status` and `meridian reload`: they talk to a running server.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::{ReloadArgs, StatusArguments};
use super::client::AdminClient;
use crate::admin::{
    EndpointHealth, LastReload, RegionHealth, ReloadBody, ServerStatus, ServiceStatus,
};
use crate::config::values::duration_text;
use crate::control::orders::OrderRecord;
use crate::explain::percent;
use crate::foresight::coverage::Coverage;
use crate::terminal::{TextOutput, say, say_json};
use crate::text::{counted, list, shown};

/// Most services that are well, and most zones, that have a line of their own unless all are asked for.
const MOST_LINES: usize = 20;
/// Most regions in the line of a service.
const MOST_REGIONS: usize = 8;

/// Prints what is going on.
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
        say_json(client.get::<serde_json::Value>("/v1/status", &selection(arguments))?);
    } else {
        print(&client.get("/v1/status", &selection(arguments))?, arguments);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked for. JSON has every endpoint; people are shown those that matter, unless they name some.
fn selection(arguments: &StatusArguments) -> Vec<(&str, &str)> {
    let mut query: Vec<(&str, &str)> = arguments
        .service
        .iter()
        .map(|name| ("service", name.as_str()))
        .collect();
    query.extend(
        arguments
            .region
            .iter()
            .map(|name| ("region", name.as_str())),
    );
    if arguments.down {
        query.push(("down", "true"));
    }
    if !arguments.json && !is_wide(arguments) {
        query.push(("endpoints", "troubled"));
    }
    query
}

/// Whether services that are well are shown with their endpoints.
fn is_wide(arguments: &StatusArguments) -> bool {
    arguments.wide || arguments.region.is_some() || !arguments.service.is_empty()
}

/// Makes the server read everything anew.
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
    done.messages
        .iter()
        .for_each(|warning| say!("{}", shown(warning)));
    Ok(ExitCode::SUCCESS)
}

fn print(status: &ServerStatus, arguments: &StatusArguments) {
    let paper = TextOutput::stdout();
    let summary = shown(&status.summary).to_string();
    // Nothing is to be seen before it while somebody has no live region.
    let is_whole = status
        .services
        .iter()
        .flat_map(|service| &service.coverage)
        .all(Coverage::is_whole);
    if !is_whole {
        paper.bold(&summary);
    }
    let uptime = duration_text(Duration::from_secs(status.uptime_seconds));
    paper.bold(&format!("meridian {}, up {uptime}", shown(&status.version)));
    if is_whole {
        paper.bold(&summary);
    }
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
    say!("{}\n", last_reload(status));
    if status.zones.len() > MOST_LINES && !arguments.wide {
        say!(
            "{} zones; `--wide` lists them with their serials",
            status.zones.len()
        );
    } else {
        let rows = status
            .zones
            .iter()
            .map(|zone| vec![zone.name.clone(), zone.serial.to_string()]);
        paper.table(&["zone", "serial"], &rows.collect::<Vec<_>>());
    }
    say!();
    print_services(&paper, &status.services, is_wide(arguments));
    if !status.orders.is_empty() {
        let rows: Vec<Vec<String>> = status.orders.iter().map(order_row).collect();
        paper.table(&["order", "says", "by", "left", "why"], &rows);
        say!();
    }
    let age = |days: Option<u64>| days.map_or(String::new(), |days| counted(days, "day"));
    let rows = status.geodata.iter().map(|source| {
        vec![
            source.name.clone(),
            source.kind.clone(),
            age(source.age_days),
            source.path.clone().unwrap_or_default(),
        ]
    });
    paper.table(
        &["geodata", "kind", "age", "file"],
        &rows.collect::<Vec<_>>(),
    );
    paper.faint(&format!("{}\n", shown(&status.geodata_credit)));
    let queries = status.queries.iter().filter(|(_, count)| **count > 0);
    let rows: Vec<Vec<String>> = queries
        .map(|(verdict, count)| vec![verdict.clone(), count.to_string()])
        .collect();
    if rows.is_empty() {
        say!("no queries yet")
    } else {
        paper.table(&["queries", "count"], &rows)
    }
}

/// A row for each endpoint of services that are not well, then a line for each that is.
fn print_services(paper: &TextOutput, services: &[ServiceStatus], wide: bool) {
    let (troubled, well): (Vec<_>, Vec<_>) =
        services.iter().partition(|service| wide || !service.well);
    if !troubled.is_empty() {
        let heads = [
            "service", "region", "share", "endpoint", "weight", "health", "for", "order", "reason",
        ];
        paper.table(
            &heads,
            &troubled
                .into_iter()
                .flat_map(service_rows)
                .collect::<Vec<_>>(),
        );
        say!();
    }
    if !well.is_empty() {
        let rows: Vec<Vec<String>> = well
            .iter()
            .take(MOST_LINES)
            .map(|service| well_row(service))
            .collect();
        paper.table(&["service", "health", "regions", "answers/s"], &rows);
        match well.len().saturating_sub(MOST_LINES) {
            0 => {}
            more => say!("and {more} more, all of them well; `--wide` lists every endpoint"),
        }
        say!();
    }
    if services.is_empty() {
        say!("no service to be shown\n");
    }
}

/// A service that is well.
fn well_row(service: &ServiceStatus) -> Vec<String> {
    let rate: f64 = service
        .health
        .iter()
        .map(|region| region.answers_per_second)
        .sum();
    let health = if service.checked { "well" } else { "unchecked" };
    vec![
        service.name.clone(),
        health.to_owned(),
        list(&service.regions, MOST_REGIONS),
        format!("{rate:.1}"),
    ]
}

/// A row for each endpoint.
fn service_rows(service: &ServiceStatus) -> Vec<Vec<String>> {
    let row = |region: &RegionHealth, endpoint: &EndpointHealth| {
        let since = endpoint.seconds.map_or(String::new(), |seconds| {
            duration_text(Duration::from_secs(seconds))
        });
        vec![
            service.name.clone(),
            region.region.clone(),
            percent(region.share_percent),
            endpoint.endpoint.clone(),
            endpoint.weight.to_string(),
            endpoint.verdict.clone(),
            since,
            order_of(region, endpoint),
            reason_of(endpoint),
        ]
    };
    let rows = |region: &RegionHealth| {
        region
            .endpoints
            .iter()
            .map(|endpoint| row(region, endpoint))
            .collect::<Vec<_>>()
    };
    service.health.iter().flat_map(rows).collect()
}

/// Why the last probe was not good; of a name, what it comes to, too.
fn reason_of(endpoint: &EndpointHealth) -> String {
    let reason = endpoint.reason.clone();
    // Where there is no address, this is the reason already.
    let has_some = endpoint.alias.is_some() || !endpoint.addresses.is_empty();
    let unresolved = endpoint.unresolved.clone().filter(|_| has_some);
    let alias = endpoint.alias.as_ref().map(|alias| format!("of {alias}"));
    let addresses =
        (!endpoint.addresses.is_empty()).then(|| format!("at {}", endpoint.addresses.join(", ")));
    let not_probed = endpoint.not_probed.clone();
    [not_probed, reason, alias, unresolved, addresses]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// What is ordered of an endpoint, in a few words; all about it is in the table of orders.
fn order_of(region: &RegionHealth, endpoint: &EndpointHealth) -> String {
    let ordered = endpoint.order.as_deref().or(region.order.as_deref());
    let words = ordered.map(|order| {
        order
            .split(" by ")
            .next()
            .unwrap_or(order)
            .trim_start_matches("is ")
    });
    match (words, endpoint.leased) {
        (None, true) => "leased".to_owned(),
        (Some(words), true) => format!("leased, {words}"),
        (words, false) => words.unwrap_or_default().to_owned(),
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
    let left = |seconds: u64| duration_text(Duration::from_secs(seconds));
    vec![
        order.subject.to_string(),
        match (milliseconds_to_go, moved_percent) {
            (Some(1..), Some(moved)) => format!("{}, {moved}% by now", order.words()),
            _ => order.words(),
        },
        order.by.clone(),
        ending
            .seconds_left
            .map_or_else(|| "until lifted".to_owned(), left),
        order.reason.clone(),
    ]
}

fn last_reload(status: &ServerStatus) -> String {
    let reloads = &status.reloads;
    let Some(last) = &reloads.last else {
        return "not reloaded since the start".to_owned();
    };
    let result = if last.ok { "done" } else { "refused" };
    let messages: String = last
        .messages
        .iter()
        .map(|message| format!("\n  {}", shown(message)))
        .collect();
    format!(
        "reloads: {} done, {} refused; the last was {result}{messages}",
        reloads.ok, reloads.refused
    )
}
