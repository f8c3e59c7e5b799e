//! The pages of a status: what is asked for, and how several pages become one.
//!
//! A server answers with a page of services at a time, so that neither its answer nor its work grows
//! without bound. The command follows the pages by itself, unless `--limit` asks for one of them. As
//! text, healthy services beyond the first page are only counted, so a large configuration takes few
//! calls.

use serde_json::Value;

use super::is_wide;
use crate::admin::ServerStatus;
use crate::cli::arguments::StatusArguments;
use crate::cli::client::AdminClient;

/// The path of the status.
const PATH: &str = "/v1/status";

/// A query, as its keys and values.
type StatusQuery = Vec<(&'static str, String)>;

/// The query of the request. JSON has every endpoint. Text has only endpoints with trouble, unless
/// the arguments select some.
fn selection(arguments: &StatusArguments) -> StatusQuery {
    let mut query = StatusQuery::new();
    for name in &arguments.service {
        query.push(("service", name.clone()));
    }
    let limit = arguments.limit.map(|limit| limit.to_string());
    let single = [
        ("match", &arguments.matching),
        ("region", &arguments.region),
        ("state", &arguments.state),
        ("limit", &limit),
        ("after", &arguments.after),
    ];
    for (key, value) in single {
        if let Some(value) = value {
            query.push((key, value.clone()));
        }
    }
    if arguments.down {
        query.push(("down", "true".to_owned()));
    }
    if !arguments.json && !is_wide(arguments) {
        query.push(("endpoints", "troubled".to_owned()));
    }
    query
}

/// The same query for the page after a service.
fn page_after(query: &StatusQuery, last: String) -> StatusQuery {
    let mut next = query.clone();
    next.retain(|(key, _)| *key != "after");
    next.push(("after", last));
    next
}

/// A status that is to be shown as text.
pub struct FoundStatus {
    /// The status, with the services of all pages that are shown.
    pub status: ServerStatus,
    /// How many healthy services are selected and not in it.
    pub unlisted: usize,
}

/// The status with the services that are to be shown as text: of several pages all that have
/// problems, and with `--wide` all.
///
/// # Errors
/// A sentence: the server cannot be asked, or it refuses the selection.
pub fn whole_status(
    client: &AdminClient,
    arguments: &StatusArguments,
) -> Result<FoundStatus, String> {
    let query = selection(arguments);
    let mut found = FoundStatus {
        status: page(client, &query)?,
        unlisted: 0,
    };
    if arguments.limit.is_some() || found.status.next.is_none() {
        return Ok(found);
    }
    if is_wide(arguments) || arguments.down || arguments.after.is_some() {
        add_pages(client, &query, &mut found.status)?;
    } else {
        found.replace_troubled(client, query)?;
    }
    Ok(found)
}

impl FoundStatus {
    /// Keeps the healthy services of the first page, and adds those of all pages that have problems.
    fn replace_troubled(
        &mut self,
        client: &AdminClient,
        mut query: StatusQuery,
    ) -> Result<(), String> {
        query.push(("down", "true".to_owned()));
        let mut troubled = page(client, &query)?;
        add_pages(client, &query, &mut troubled)?;
        let status = &mut self.status;
        status.services.retain(|service| service.well);
        status.services.append(&mut troubled.services);
        status.next = None;
        self.unlisted = status
            .services_matching
            .saturating_sub(status.services.len());
        Ok(())
    }
}

/// Asks for one page.
fn page(client: &AdminClient, query: &StatusQuery) -> Result<ServerStatus, String> {
    client.get(PATH, &borrowed(query))
}

/// Adds the services of all further pages.
fn add_pages(
    client: &AdminClient,
    query: &StatusQuery,
    status: &mut ServerStatus,
) -> Result<(), String> {
    while let Some(last) = status.next.take() {
        let page = page(client, &page_after(query, last))?;
        status.services.extend(page.services);
        status.next = page.next;
    }
    Ok(())
}

/// The status as JSON, with the services of all pages, or with those of the page that `--limit` asks
/// for.
///
/// # Errors
/// A sentence: the server cannot be asked, or it refuses the selection.
pub fn whole_json(client: &AdminClient, arguments: &StatusArguments) -> Result<Value, String> {
    let query = selection(arguments);
    let mut status: Value = client.get(PATH, &borrowed(&query))?;
    while arguments.limit.is_none()
        && let Some(last) = status["next"].as_str()
    {
        let mut page: Value = client.get(PATH, &borrowed(&page_after(&query, last.to_owned())))?;
        if let (Some(all), Some(more)) = (
            status["services"].as_array_mut(),
            page["services"].as_array_mut(),
        ) {
            all.append(more);
        }
        status["next"] = page["next"].take();
    }
    Ok(status)
}

/// The names of all services of a server.
///
/// # Errors
/// A sentence: the server cannot be asked.
pub fn service_names(client: &AdminClient) -> Result<Vec<String>, String> {
    let query = vec![("endpoints", "none".to_owned())];
    let mut status = page(client, &query)?;
    add_pages(client, &query, &mut status)?;
    let services = status.services.into_iter();
    Ok(services.map(|service| service.name).collect())
}

fn borrowed(query: &StatusQuery) -> Vec<(&str, &str)> {
    let mut pairs = Vec::with_capacity(query.len());
    for (key, value) in query {
        pairs.push((*key, value.as_str()));
    }
    pairs
}
