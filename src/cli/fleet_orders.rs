//! `meridian orders`: what a fleet was ordered, and the restoration of its orders.
//!
//! The log is read from the fleet's bucket through any of its servers. It has the last 64 orders of
//! each subject, with their authors, reasons, and the servers that wrote them.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::{OrdersCommand, OrdersLogArgs, RestoreArgs};
use super::client::AdminClient;
use super::orders;
use crate::admin::{ChangeDone, PastOrder, PastOrders, RestoreRequest};
use crate::config::values::duration_text;
use crate::terminal::{TextOutput, say, say_json};
use crate::text::shown;

/// Runs a command of `meridian orders`.
pub fn run(command: &OrdersCommand) -> Result<ExitCode, String> {
    match command {
        OrdersCommand::Log(log) => print_log(log),
        OrdersCommand::Restore(restore) => restore_orders(restore),
    }
}

fn print_log(arguments: &OrdersLogArgs) -> Result<ExitCode, String> {
    let mut query: Vec<(&str, &str)> = Vec::new();
    if let Some(region) = &arguments.region {
        query.push(("region", region));
    }
    if let Some(service) = &arguments.service {
        query.push(("service", service));
    }
    let client = AdminClient::new(&arguments.remote)?;
    let past: PastOrders = client.get("/v1/orders/log", &query)?;
    if arguments.json {
        say_json(serde_json::to_value(&past).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    if past.fleet.is_none() {
        say!("this server has no fleet that keeps orders; its own are in its log");
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for order in &past.orders {
        rows.push(row(order));
    }
    if rows.is_empty() {
        say!("nothing was ordered");
    } else {
        let heads = ["revision", "ago", "order", "by", "through", "why"];
        TextOutput::stdout().table(&heads, &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(order: &PastOrder) -> Vec<String> {
    let mut says = order.sentence.clone();
    if let Some(until) = order.until {
        let lasting = until.saturating_sub(order.at);
        let lasting = duration_text(Duration::from_secs(lasting));
        says.push_str(&format!(" for {lasting}"));
    }
    vec![
        order.revision.to_string(),
        duration_text(Duration::from_secs(order.seconds_ago)),
        says,
        order.by.clone(),
        order.server.clone(),
        order.reason.clone(),
    ]
}

fn restore_orders(arguments: &RestoreArgs) -> Result<ExitCode, String> {
    let body = RestoreRequest {
        by: orders::by(arguments.by.as_deref())?,
    };
    let client = AdminClient::new(&arguments.remote)?;
    let done: ChangeDone = client.post("/v1/orders/restore", &body)?;
    say!("{}", shown(&done.sentence));
    Ok(ExitCode::SUCCESS)
}
