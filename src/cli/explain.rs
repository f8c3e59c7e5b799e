//! `meridian explain`: shows why a client gets its answer.
//!
//! The command asks a running server, perhaps another one of its fleet, or loads a configuration and decides as a server would that
//! has just started with it. This file also has the loading that other commands share.

use std::path::Path;
use std::process::ExitCode;

use super::arguments::{DEFAULT_ADMIN, ExplainArgs, RemoteArgs};
use super::client::AdminClient;
use crate::control::{LoadedState, any_draw, load};
use crate::daemon::progress;
use crate::explain::{
    CandidateFacts, ExplainQuestion, Explanation, PlaceFacts, RecordFacts, ServiceFacts, explain,
    percent,
};
use crate::terminal::{TextOutput, TextStyle, say, say_json};
use crate::text::shown;

/// The configuration if neither `--config` nor `--admin` is given.
const DEFAULT: &str = "meridian.toml";

/// Prints why a client gets an answer.
pub fn run(arguments: &ExplainArgs) -> Result<ExitCode, String> {
    let explanation = match (&arguments.admin, &arguments.at) {
        (Some(admin), _) => ask(arguments, admin)?,
        (None, Some(_)) => ask(arguments, DEFAULT_ADMIN)?,
        (None, None) => work_out(arguments)?,
    };
    if arguments.json {
        say_json(serde_json::json!(explanation));
    } else {
        print(&explanation, arguments.dnssec);
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks a running server.
fn ask(arguments: &ExplainArgs, admin: &str) -> Result<Explanation, String> {
    let (name, rtype) = (arguments.name.to_string(), arguments.rtype.to_string());
    let client = arguments.client.to_string();
    let mut query = vec![
        ("name", name.as_str()),
        ("type", &rtype),
        ("client", &client),
    ];
    for region in &arguments.down {
        query.push(("down", region));
    }
    if let Some(server) = &arguments.at {
        query.push(("at", server));
    }
    AdminClient::new(&RemoteArgs::to_read(admin, arguments.ca_file.as_deref()))?
        .get("/v1/explain", &query)
}

/// Decides as a server would that has just started with the configuration.
fn work_out(arguments: &ExplainArgs) -> Result<Explanation, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let question = ExplainQuestion {
        name: arguments.name.clone(),
        rtype: arguments.rtype,
        client: arguments.client,
        down: arguments.down.clone(),
    };
    explain(&loaded.snapshot, &question, any_draw())
}

/// Loads a configuration with everything that it names; `None` means `meridian.toml` here.
pub fn loaded(config: Option<&Path>) -> Result<LoadedState, String> {
    let file = config.unwrap_or(Path::new(DEFAULT));
    if config.is_none() && !file.exists() {
        return Err(format!(
            "there is no {DEFAULT} here; use a configuration with --config FILE, or ask a running server with \
             --admin URL (that of `meridian demo` is http://127.0.0.1:8053)"
        ));
    }
    progress::during("reading configuration, zones and databases", || {
        load(file, None).map_err(|mistakes| refusal(file, &mistakes))
    })
}

/// The message for a configuration that cannot be used, with every mistake.
pub fn refusal(file: &Path, mistakes: &[String]) -> String {
    format!(
        "{} cannot be used:\n  {}",
        file.display(),
        mistakes.join("\n  ")
    )
}

fn print(explanation: &Explanation, with_signatures: bool) {
    let output = TextOutput::stdout();
    output.bold(&format!("{}\n", shown(&explanation.summary)));
    print_facts(explanation, &output);
    if let Some(service) = &explanation.service {
        print_service(service, &output);
    }
    print_records(explanation, &output);
    if with_signatures {
        print_signatures(explanation, &output);
    }
    if !explanation.notes.is_empty() {
        say!();
    }
    for note in &explanation.notes {
        say!("note: {}", shown(note));
    }
}

fn print_records(explanation: &Explanation, output: &TextOutput) {
    if explanation.records.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = explanation.records.iter().map(record_row).collect();
    say!();
    output.table(&["answer", "ttl", "type", "data"], &rows);
}

fn print_signatures(explanation: &Explanation, output: &TextOutput) {
    say!();
    let zone = explanation.zone.as_deref().unwrap_or("the zone");
    let Some(signatures) = &explanation.signatures else {
        say!("{zone} is not signed here; ask the running server that signs it, with --admin URL");
        return;
    };
    let mut rows = Vec::new();
    for signature in signatures {
        rows.push(vec![
            signature.name.clone(),
            signature.covers.clone(),
            format!("{} {}", signature.algorithm, signature.key),
            signature.expires.clone(),
        ]);
    }
    output.table(&["signature of", "type", "key", "expires"], &rows);
}

fn record_row(record: &RecordFacts) -> Vec<String> {
    vec![
        record.name.clone(),
        record.ttl.to_string(),
        record.rtype.clone(),
        record.data.clone(),
    ]
}

fn print_facts(explanation: &Explanation, output: &TextOutput) {
    let client = &explanation.client;
    let given = format!("{} by its {}", client.given, client.by);
    print_fact(output, "client", given);
    print_fact(output, "place", place_text(&client.place));
    print_fact(
        output,
        "result",
        format!("{} ({})", explanation.result, explanation.rcode),
    );
    if let Some(scope) = explanation.scope {
        print_fact(
            output,
            "scope",
            format!("/{scope}: resolvers may use it for every client in that prefix"),
        );
    }
    if let Some(service) = &explanation.service {
        print_rules(service, output);
    }
}

/// `DE, Germany, EU, AS3320, from built-in`
fn place_text(place: &PlaceFacts) -> String {
    let mut parts = vec![place.to_string()];
    parts.extend(place.country_name.clone());
    parts.extend(place.continent.clone());
    if let Some(asn) = place.asn {
        parts.push(format!("AS{asn}"));
    }
    if let Some(source) = &place.source {
        parts.push(format!("from {source}"));
    }
    parts.join(", ")
}

/// Prints the rules of the service, the fence of the client, and the tiers.
fn print_rules(service: &ServiceFacts, output: &TextOutput) {
    let rules = format!(
        "order {}, pick {}, band {}, ttl {}",
        service.order, service.pick, service.band, service.ttl
    );
    let by_policy = match &service.policy {
        Some(policy) => format!(" by policy {policy}"),
        None => String::new(),
    };
    let named = format!("{}{by_policy}: {rules}", service.name);
    print_fact(output, "service", named);
    if let Some(fence) = &service.fence {
        let regions = fence.regions.join(", ");
        let text = format!("{}: {} get {regions}", fence.title(), fence.clients);
        print_fact(output, "fence", text);
    }
    let tiers: Vec<String> = service.tiers.iter().map(|tier| tier.join(" + ")).collect();
    print_fact(output, "tiers", tiers.join(" > "));
}

fn print_fact(output: &TextOutput, head: &str, text: String) {
    let head = format!("{head:8}");
    let text = format!("  {}", shown(text));
    output.line(&[(TextStyle::Faint, &head), (TextStyle::Plain, &text)]);
}

/// `120 km`, or nothing if the distance is unknown.
pub fn kilometres(distance: Option<f64>) -> String {
    match distance {
        Some(distance) => format!("{distance:.0} km"),
        None => String::new(),
    }
}

fn candidate_row(region: &CandidateFacts) -> Vec<String> {
    let (mut bias, mut biased) = (String::new(), String::new());
    if region.bias != 0 {
        bias = format!("{:+}%", region.bias);
        biased = kilometres(region.biased_km);
    }
    let mark = if region.serves { "*" } else { "" };
    vec![
        mark.to_owned(),
        region.region.clone(),
        kilometres(region.distance_km),
        bias,
        biased,
        region.weight.to_string(),
        percent(region.share_percent),
        region.tier.map_or(String::new(), |tier| tier.to_string()),
        region.reason.clone(),
    ]
}

fn print_service(service: &ServiceFacts, output: &TextOutput) {
    say!();
    let heads = [
        "",
        "region",
        "distance",
        "bias",
        "counts as",
        "weight",
        "share",
        "tier",
        "why",
    ];
    let mut rows = Vec::new();
    for candidate in &service.candidates {
        rows.push(candidate_row(candidate));
    }
    output.table(&heads, &rows);
    if !service.endpoints.is_empty() {
        say!();
        print_endpoints(service, output);
    }
}

fn print_endpoints(service: &ServiceFacts, output: &TextOutput) {
    let mut rows = Vec::new();
    for endpoint in &service.endpoints {
        let chance = match service.pick.as_str() {
            "round-robin" => "in turn".to_owned(),
            "sticky" => "this client always".to_owned(),
            _ => percent(endpoint.percent),
        };
        rows.push(vec![
            endpoint.region.clone(),
            endpoint.endpoint.clone(),
            endpoint.weight.to_string(),
            chance,
        ]);
    }
    output.table(&["region", "endpoint", "weight", "odds"], &rows);
}
