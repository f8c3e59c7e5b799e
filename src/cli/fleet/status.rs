//! `meridian fleet status`: all servers of a fleet on one page, through any of them.
//!
//! The worst problem comes first, in one sentence. Then there is a row for each server, what all of
//! them answer together, and only where there are some: checks about which servers differ, orders with
//! their authors and where they are in force, and orders of single servers.

use std::process::ExitCode;
use std::time::Duration;

use crate::admin::{ClockDifference, FleetOrderStatus, FleetRates, FleetServerStatus, FleetStatus};
use crate::cli::arguments::FleetStatusArgs;
use crate::cli::client::AdminClient;
use crate::config::values::duration_text;
use crate::control::fleet::differing::DifferingCheck;
use crate::explain::percent;
use crate::fleet::server_report::ServerRole;
use crate::terminal::{TextOutput, say, say_json};
use crate::text::{counted, list, shown};

/// Digits of a fingerprint that are shown.
const DIGITS: usize = 8;
/// Most names in a cell.
const MOST_NAMES: usize = 8;

/// Prints the state of a fleet.
pub fn run(arguments: &FleetStatusArgs) -> Result<ExitCode, String> {
    let client = AdminClient::new(&arguments.remote)?;
    if arguments.json {
        say_json(client.get::<serde_json::Value>("/v1/fleet", &[])?);
    } else {
        print(&client.get("/v1/fleet", &[])?);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &FleetStatus) {
    let output = TextOutput::stdout();
    output.bold(&shown(&status.summary).to_string());
    say!("{}", head(status));
    if let Some(refusal) = &status.refusal {
        say!("NATS refuses reports: {}", shown(refusal));
    }
    say!();
    print_servers(&output, &status.servers);
    print_rates(&output, &status.rates);
    if !status.differing.is_empty() {
        print_differing(&output, &status.differing);
    }
    if !status.orders.is_empty() {
        print_orders(&output, &status.orders);
    }
    print_here_only(&output, status);
}

fn print_differing(output: &TextOutput, differing: &[DifferingCheck]) {
    say!();
    let rows: Vec<_> = differing.iter().map(differing_row).collect();
    let heads = ["check", "endpoint", "agreed", "otherwise", "same"];
    output.table(&heads, &rows);
}

fn print_orders(output: &TextOutput, orders: &[FleetOrderStatus]) {
    say!();
    let rows: Vec<_> = orders.iter().map(order_row).collect();
    let heads = ["order", "by", "left", "why", "revision", "where"];
    output.table(&heads, &rows);
}

/// `fleet world, seen from ams; NATS connected for 3h; 3 of 3 groups in touch`.
fn head(status: &FleetStatus) -> String {
    let link = match status.linked_seconds {
        Some(seconds) => format!("NATS connected for {}", age(seconds)),
        None => "no NATS server connected".to_owned(),
    };
    let quorum = if status.quorum {
        ""
    } else {
        ", too few to decide"
    };
    format!(
        "fleet {}, seen from {}; {link}; {} of {} groups in touch{quorum}",
        shown(&status.name),
        shown(&status.server),
        status.fresh_groups,
        status.known_groups
    )
}

fn print_servers(output: &TextOutput, servers: &[FleetServerStatus]) {
    let rows: Vec<Vec<String>> = servers.iter().map(server_row).collect();
    let heads = [
        "server",
        "group",
        "state",
        "version",
        "revision",
        "up",
        "clock ahead by",
        "queries/s",
        "orders",
        "differs on",
    ];
    output.table(&heads, &rows);
    if servers.iter().any(|server| server.odd_revision) {
        say!("* another configuration than most");
    }
}

fn server_row(server: &FleetServerStatus) -> Vec<String> {
    let differing = match server.differing {
        0 => String::new(),
        differing => counted(differing, "check"),
    };
    vec![
        server.name.clone(),
        server.group.clone(),
        state_text(server),
        server.version.clone().unwrap_or_default(),
        revision_text(server),
        server.uptime_seconds.map(age).unwrap_or_default(),
        server.clock.map(clock_text).unwrap_or_default(),
        server.queries_per_second.map(rate).unwrap_or_default(),
        orders_text(server),
        differing,
    ]
}

/// `well`, `SILENT for 12m`. What is wrong must be seen among many rows.
fn state_text(server: &FleetServerStatus) -> String {
    let mut state = match server.state.as_str() {
        "here" | "well" => server.state.clone(),
        state => state.to_uppercase(),
    };
    if let Some(seconds) = server.silent_seconds {
        state += &format!(" for {}", age(seconds));
    }
    if server.role == Some(ServerRole::Probe) {
        state += " (probe)";
    }
    state
}

/// The first digits of a revision, with a star if most servers have another.
fn revision_text(server: &FleetServerStatus) -> String {
    let all = server.revision.as_deref().unwrap_or_default();
    let mut digits: String = all.chars().take(DIGITS).collect();
    if server.odd_revision {
        digits.push('*');
    }
    digits
}

/// Up to which revision orders are in force.
fn orders_text(server: &FleetServerStatus) -> String {
    let mut orders = text(server.orders_revision);
    if server.orders_current == Some(false) {
        orders += " (stale)";
    }
    orders
}

/// `+0.3 ms ± 0.4`, or `at least -0.1 ms` while the way back is not known.
fn clock_text(clock: ClockDifference) -> String {
    // Adding nothing turns a negative zero into a positive one.
    let ms = (clock.ahead_ms * 10.0).round() / 10.0 + 0.0;
    match clock.uncertainty_ms {
        Some(bound) => format!("{ms:+.1} ms ± {bound:.1}"),
        None => format!("at least {ms:+.1} ms"),
    }
}

fn print_rates(output: &TextOutput, rates: &FleetRates) {
    say!();
    let servers = counted(rates.servers, "nameserver");
    let results = results_text(rates);
    say!(
        "{:.1} queries/s on {servers}{results}",
        rates.queries_per_second
    );
    let rows = region_rows(rates);
    if !rows.is_empty() {
        output.table(&["region", "answers/s", "share"], &rows);
    }
}

/// `: no-name 20.1, steered 1420.0`, or nothing.
fn results_text(rates: &FleetRates) -> String {
    let mut text = String::new();
    for (word, rate) in &rates.queries {
        let sign = if text.is_empty() { ":" } else { "," };
        text += &format!("{sign} {} {rate:.1}", shown(word));
    }
    text
}

/// A row for each region; none if nothing is answered.
fn region_rows(rates: &FleetRates) -> Vec<Vec<String>> {
    let sum: f64 = rates.regions.values().sum();
    let mut rows = Vec::new();
    for (region, answers) in rates.regions.iter().filter(|_| sum > 0.0) {
        let share = percent(answers / sum * 100.0);
        rows.push(vec![region.clone(), rate(*answers), share]);
    }
    rows
}

fn differing_row(differing: &DifferingCheck) -> Vec<String> {
    let agreed = match differing.agreed_seconds {
        Some(seconds) => format!("{} for {}", differing.agreed, age(seconds)),
        None => "nothing".to_owned(),
    };
    let (mut otherwise, mut agrees) = (Vec::new(), Vec::new());
    for says in &differing.says {
        match says.seconds {
            Some(seconds) => {
                otherwise.push(format!(
                    "{}: {} for {}",
                    says.server,
                    says.vote,
                    age(seconds)
                ));
            }
            None if says.vote == differing.agreed => agrees.push(says.server.clone()),
            None => otherwise.push(format!("{}: {}", says.server, says.vote)),
        }
    }
    vec![
        differing.check.clone(),
        differing.endpoint.clone(),
        agreed,
        list(&otherwise, MOST_NAMES),
        list(&agrees, MOST_NAMES),
    ]
}

fn order_row(order: &FleetOrderStatus) -> Vec<String> {
    let left = match order.seconds_left {
        Some(seconds) => age(seconds),
        None => "until lifted".to_owned(),
    };
    vec![
        order.order.clone(),
        order.by.clone(),
        left,
        order.reason.clone(),
        text(order.revision),
        places(order),
    ]
}

/// `all 3`, or `2 of 4, NOT on sin, unknown on lax`.
fn places(order: &FleetOrderStatus) -> String {
    let here = order.in_force.len();
    let all = here + order.missing.len() + order.unknown.len();
    if order.revision.is_none() {
        return order.in_force.join(", ");
    }
    if here == all {
        return format!("all {all}");
    }
    let mut places = format!("{here} of {all}");
    for (word, names) in [("NOT on", &order.missing), ("unknown on", &order.unknown)] {
        if !names.is_empty() {
            places += &format!(", {word} {}", list(names, MOST_NAMES));
        }
    }
    places
}

/// Orders of other servers only; those of the server that was asked are among its orders.
fn print_here_only(output: &TextOutput, status: &FleetStatus) {
    let mut rows = Vec::new();
    for server in &status.servers {
        if server.name != status.server {
            for sentence in &server.here_only {
                rows.push(vec![server.name.clone(), sentence.clone()]);
            }
        }
    }
    if !rows.is_empty() {
        say!();
        output.table(&["server", "order of this server only"], &rows);
    }
}

fn age(seconds: u64) -> String {
    duration_text(Duration::from_secs(seconds))
}

fn rate(rate: f64) -> String {
    format!("{rate:.1}")
}

fn text(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
