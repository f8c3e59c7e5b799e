//! `meridian status` and `meridian reload`: they talk to a running server.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::{Reload, StatusArguments};
use super::client::Client;
use super::paper::{Paper, plain};
use crate::answer::explain::percent;
use crate::config::values::duration_text;
use crate::control::admin::{EndpointHealth, LastReload, RegionHealth, ServiceStatus, Status};

/// Prints what is going on.
pub fn status(arguments: &StatusArguments) -> Result<ExitCode, String> {
    let client = Client::new(&arguments.remote)?;
    if arguments.json {
        println!("{}", client.get::<serde_json::Value>("/v1/status", &[])?);
    } else {
        print(&client.get("/v1/status", &[])?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the server read everything anew.
pub fn reload(arguments: &Reload) -> Result<ExitCode, String> {
    let client = Client::new(&arguments.remote)?;
    let done: LastReload = client.post("/v1/reload")?;
    println!("reloaded in {} ms", done.milliseconds);
    done.messages.iter().for_each(|warning| println!("{}", plain(warning)));
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status) {
    let paper = Paper::stdout();
    let uptime = duration_text(Duration::from_secs(status.uptime_seconds));
    println!("{}", paper.bold(&format!("meridian {}, up {uptime}", status.version)));
    println!("{}", paper.bold(&plain(&status.summary)));
    println!("serves {} on {}", plain(&status.configuration), status.dns.join(", "));
    println!("{}\n", last_reload(status));
    let rows = status.zones.iter().map(|zone| vec![zone.name.clone(), zone.serial.to_string()]);
    paper.table(&["zone", "serial"], &rows.collect::<Vec<_>>());
    println!();
    let heads = ["service", "region", "share", "endpoint", "weight", "health", "for", "reason"];
    paper.table(&heads, &status.services.iter().flat_map(service_rows).collect::<Vec<_>>());
    println!();
    let age = |days: Option<u64>| days.map_or(String::new(), |days| format!("{days} days"));
    let rows = status.geodata.iter().map(|source| {
        vec![source.name.clone(), source.kind.clone(), age(source.age_days), source.path.clone().unwrap_or_default()]
    });
    paper.table(&["geodata", "kind", "age", "file"], &rows.collect::<Vec<_>>());
    println!("{}\n", paper.faint(&status.geodata_credit));
    let queries = status.queries.iter().filter(|(_, count)| **count > 0);
    let rows: Vec<Vec<String>> = queries.map(|(verdict, count)| vec![verdict.clone(), count.to_string()]).collect();
    if rows.is_empty() { println!("no queries yet") } else { paper.table(&["queries", "count"], &rows) }
}

/// A row for each endpoint.
fn service_rows(service: &ServiceStatus) -> Vec<Vec<String>> {
    let row = |region: &RegionHealth, endpoint: &EndpointHealth| {
        let since = endpoint.seconds.map_or(String::new(), |seconds| duration_text(Duration::from_secs(seconds)));
        vec![
            service.name.clone(),
            region.region.clone(),
            percent(region.share_percent),
            endpoint.endpoint.clone(),
            endpoint.weight.to_string(),
            endpoint.verdict.clone(),
            since,
            endpoint.reason.clone().unwrap_or_default(),
        ]
    };
    let rows =
        |region: &RegionHealth| region.endpoints.iter().map(|endpoint| row(region, endpoint)).collect::<Vec<_>>();
    service.health.iter().flat_map(rows).collect()
}

fn last_reload(status: &Status) -> String {
    let reloads = &status.reloads;
    let Some(last) = &reloads.last else { return "not reloaded since the start".to_owned() };
    let result = if last.ok { "done" } else { "refused" };
    let messages: String = last.messages.iter().map(|message| format!("\n  {}", plain(message))).collect();
    format!("reloads: {} done, {} refused; the last was {result}{messages}", reloads.ok, reloads.refused)
}
