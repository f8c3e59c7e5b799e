//! `meridian explain`

use std::path::Path;
use std::process::ExitCode;

use super::arguments::{ExplainArgs, RemoteArgs};
use super::client::AdminClient;
use crate::control::{LoadedState, any_draw, load};
use crate::daemon::progress;
use crate::explain::{
    CandidateFacts, ExplainQuestion, Explanation, ServiceFacts, explain, percent,
};
use crate::terminal::{TextOutput, TextStyle, say, say_json};
use crate::text::shown;

/// The configuration if neither option says another.
const DEFAULT: &str = "meridian.toml";

/// Says why a client gets an answer.
pub fn run(arguments: &ExplainArgs) -> Result<ExitCode, String> {
    let explanation = match &arguments.admin {
        Some(admin) => ask(arguments, admin)?,
        None => work_out(arguments)?,
    };
    if arguments.json {
        say_json(serde_json::json!(explanation));
    } else {
        print(&explanation);
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
    query.extend(
        arguments
            .down
            .iter()
            .map(|region| ("down", region.as_str())),
    );
    AdminClient::new(&RemoteArgs::to_read(admin, arguments.ca_file.as_deref()))?
        .get("/v1/explain", &query)
}

/// Works it out from the configuration, as a server of it would that has just been started.
fn work_out(arguments: &ExplainArgs) -> Result<Explanation, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let question = ExplainQuestion {
        name: arguments.name.clone(),
        rtype: arguments.rtype,
        asker: arguments.client,
        down: arguments.down.clone(),
    };
    explain(&loaded.snapshot, &question, any_draw())
}

/// A configuration with everything that it names; `None` is the one here.
pub fn loaded(config: Option<&Path>) -> Result<LoadedState, String> {
    let file = config.unwrap_or(Path::new(DEFAULT));
    if config.is_none() && !file.exists() {
        return Err(format!(
            "there is no {DEFAULT} here; name a configuration with --config FILE, or ask a running server with \
             --admin URL (that of `meridian demo` is http://127.0.0.1:8053)"
        ));
    }
    let read = || load(file, None).map_err(|mistakes| refusal(file, &mistakes));
    progress::during("reading configuration, zones and databases", read)
}

/// Why a configuration cannot be used, with every mistake.
pub fn refusal(file: &Path, mistakes: &[String]) -> String {
    format!(
        "{} cannot be used:\n  {}",
        file.display(),
        mistakes.join("\n  ")
    )
}

fn print(explanation: &Explanation) {
    let paper = TextOutput::stdout();
    paper.bold(&format!("{}\n", shown(&explanation.summary)));
    print_facts(explanation, &paper);
    if let Some(service) = &explanation.service {
        print_service(service, &paper);
    }
    let record = |record: &crate::explain::RecordFacts| {
        vec![
            record.name.clone(),
            record.ttl.to_string(),
            record.rtype.clone(),
            record.data.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = explanation.records.iter().map(record).collect();
    if !rows.is_empty() {
        say!();
        paper.table(&["answer", "ttl", "type", "data"], &rows);
    }
    if !explanation.notes.is_empty() {
        say!();
    }
    explanation
        .notes
        .iter()
        .for_each(|note| say!("note: {}", shown(note)));
}

fn print_facts(explanation: &Explanation, paper: &TextOutput) {
    let client = &explanation.client;
    let line = |head: &str, text: String| {
        let text = format!("  {}", shown(text));
        paper.line(&[
            (TextStyle::Faint, &format!("{head:8}")),
            (TextStyle::Plain, &text),
        ]);
    };
    let of = |part: &Option<String>| part.clone();
    let source = of(&client.place.source).map(|source| format!("from {source}"));
    let network = client.place.asn.map(|asn| format!("AS{asn}"));
    let place = [
        Some(client.place.to_string()),
        of(&client.place.country_name),
        of(&client.place.continent),
        network,
        source,
    ];
    line("client", format!("{} by its {}", client.given, client.by));
    line(
        "place",
        place.into_iter().flatten().collect::<Vec<_>>().join(", "),
    );
    line(
        "result",
        format!("{} ({})", explanation.result, explanation.rcode),
    );
    if let Some(scope) = explanation.scope {
        line(
            "scope",
            format!("/{scope}: resolvers give it to everybody in that prefix"),
        );
    }
    if let Some(service) = &explanation.service {
        let rules = format!(
            "order {}, pick {}, band {}, ttl {}",
            service.order, service.pick, service.band, service.ttl
        );
        line("service", format!("{}: {rules}", service.name));
        if let Some(fence) = &service.fence {
            line(
                "fence",
                format!(
                    "{}: {} get {}",
                    fence.title(),
                    fence.clients,
                    fence.regions.join(", ")
                ),
            );
        }
        let tiers: Vec<String> = service.tiers.iter().map(|tier| tier.join(" + ")).collect();
        line("tiers", tiers.join(" > "));
    }
}

fn print_service(service: &ServiceFacts, paper: &TextOutput) {
    say!();
    let kilometres = |distance: Option<f64>| {
        distance.map_or(String::new(), |distance| format!("{distance:.0} km"))
    };
    let row = |region: &CandidateFacts| {
        let biased = if region.bias == 0 {
            String::new()
        } else {
            kilometres(region.biased_km)
        };
        let bias = if region.bias == 0 {
            String::new()
        } else {
            format!("{:+}%", region.bias)
        };
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
    };
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
    paper.table(
        &heads,
        &service.candidates.iter().map(row).collect::<Vec<_>>(),
    );
    if service.endpoints.is_empty() {
        return;
    }
    say!();
    let rows = service.endpoints.iter().map(|endpoint| {
        let chance = match service.pick.as_str() {
            "round-robin" => "in turn".to_owned(),
            "sticky" => "this client always".to_owned(),
            _ => percent(endpoint.percent),
        };
        vec![
            endpoint.region.clone(),
            endpoint.endpoint.clone(),
            endpoint.weight.to_string(),
            chance,
        ]
    });
    paper.table(
        &["region", "endpoint", "weight", "odds"],
        &rows.collect::<Vec<_>>(),
    );
}
