//! Explains why a client gets its answer.
//!
//! Nothing is computed a second time. The reply comes from [`crate::answer`] and is read back, the
//! decision is the server's own, and the order of regions comes from the rules that the catchment
//! was compiled from. This room puts them into words: for `meridian explain`, the API and the
//! console. Regions may be taken as down to ask what if.

mod candidates;
mod place;
mod reply;
mod sentence;
mod service;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::steered::{decide, family_shown};
use crate::answer::{Disposition, RoundRobinCounters, Snapshot};
use crate::catalog::{Availability, Catalog, LiveState, Lookup, ServiceId};
use crate::dns::{Name, RecordType, SearchName};
use crate::steering::Share;

pub use candidates::CandidateFacts;
use candidates::SWITCHED_OFF;
pub use place::{PlaceFacts, SourceFacts};
pub use reply::{ExplainClient, NoAsker, RecordFacts};
pub use sentence::percent;
pub use service::{
    EndpointFacts, FenceFacts, ServiceFacts, all_down_word, fences_of, order_word, pick_word,
};

use service::ExplainedView;

/// Why a client gets an answer. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// One sentence with what matters.
    pub summary: String,
    /// The name asked for.
    pub name: String,
    /// The record type asked for.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The client.
    pub client: ClientFacts,
    /// The result of the query: `steered`, `static`, `no-data`, `no-name`, `referral`, `refused`,
    /// `failed`.
    pub result: String,
    /// The response code.
    pub rcode: String,
    /// The zone that holds the name.
    pub zone: Option<String>,
    /// A reply, as this client may get it now. Where the pick is by weight or in turn, another may
    /// come next.
    pub records: Vec<RecordFacts>,
    /// SCOPE PREFIX-LENGTH (RFC 7871), if the client is a subnet.
    pub scope: Option<u8>,
    /// The names that aliases lead through before the service, the question's first; empty if it is
    /// asked directly.
    pub names: Vec<String>,
    /// The service that answers, if one does.
    pub service: Option<ServiceFacts>,
    /// Regions that were taken as down because the question said so.
    pub down: Vec<String>,
    /// What else is good to know, a sentence each.
    pub notes: Vec<String>,
}

/// The client and its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientFacts {
    /// As asked for: an address, or a subnet.
    pub given: String,
    /// The address that is looked up: IPv4 where an IPv6 form carries one.
    pub looked_up: IpAddr,
    /// `address` or `subnet`: what decides.
    pub by: String,
    /// Where it is.
    pub place: PlaceFacts,
}

/// The question of an explanation.
#[derive(Debug, Clone)]
pub struct ExplainQuestion {
    /// Any name.
    pub name: Name,
    /// Any type.
    pub rtype: RecordType,
    /// The client.
    pub asker: ExplainClient,
    /// Regions to be taken as down.
    pub down: Vec<String>,
}

/// Explains one answer. `draw` is uniform; it picks the example among the replies that weights
/// allow.
///
/// # Errors
/// A sentence about a region that is not configured.
pub fn explain(
    snapshot: &Snapshot,
    question: &ExplainQuestion,
    draw: u64,
) -> Result<Explanation, String> {
    let live = without(snapshot, &question.down)?;
    let live = live.as_ref().unwrap_or(&snapshot.live);
    // An explanation must not take a turn away from a client.
    let turns = RoundRobinCounters::new(snapshot.catalog.services.len());
    let context = crate::answer::QueryContext {
        live,
        turns: &turns,
        ..snapshot.context(draw)
    };
    let read = reply::ask(&question.name, question.rtype, &question.asker, &context);
    let (names, service) = service_of(&snapshot.catalog, question, &read.names);
    let mut explanation = Explanation {
        summary: String::new(),
        name: question.name.to_string(),
        rtype: question.rtype.to_string(),
        client: client_facts(&snapshot.catalog, &question.asker),
        result: word(read.disposition).to_owned(),
        rcode: read.rcode,
        zone: snapshot
            .catalog
            .zone_of(&question.name)
            .map(|zone| zone.origin.to_string()),
        records: read.records,
        scope: read.scope,
        names,
        service: None,
        down: question.down.clone(),
        notes: Vec::new(),
    };
    if let Some(id) = service {
        add_service(&mut explanation, snapshot, live, question, id, draw);
    }
    explanation.summary = sentence::summary(&explanation);
    Ok(explanation)
}

/// The live state with these regions down; `None` for no regions.
fn without(snapshot: &Snapshot, down: &[String]) -> Result<Option<LiveState>, String> {
    let catalog = &snapshot.catalog;
    if let Some(unknown) = down.iter().find(|name| !catalog.regions.contains(name)) {
        return Err(format!(
            "there is no region {unknown:?}; the regions are {}",
            catalog.regions.join(", ")
        ));
    }
    if down.is_empty() {
        return Ok(None);
    }
    let availability = take_down(catalog, snapshot.live.availability().clone(), down);
    Ok(Some(LiveState::compile(
        catalog,
        &availability,
        Some(&snapshot.live),
    )))
}

/// The availability with these regions down in every service.
pub fn take_down(
    catalog: &Catalog,
    mut availability: Availability,
    down: &[String],
) -> Availability {
    for (service, now) in catalog.services.iter().zip(&mut availability.services) {
        for region in service.view_regions() {
            let name = catalog.regions.get(usize::from(region.region.0));
            if name.is_some_and(|name| down.contains(name))
                && let Some(now) = now.regions.get_mut(region.listed)
            {
                now.share = Share::NONE;
                now.last_good = false;
                now.seen_alive.fill(false);
                now.reason = Some(SWITCHED_OFF.to_owned());
            }
        }
    }
    availability
}

/// The first name of the chain that a service answers for, and the names before it.
fn service_of(
    catalog: &Catalog,
    question: &ExplainQuestion,
    chain: &[Name],
) -> (Vec<String>, Option<ServiceId>) {
    let mut names = Vec::new();
    for name in chain {
        if let Some(id) = service_at(catalog, name, question.rtype) {
            return (names, Some(id));
        }
        names.push(name.to_string());
    }
    (Vec::new(), None)
}

/// The service that answers for a name and a type.
fn service_at(catalog: &Catalog, name: &Name, rtype: RecordType) -> Option<ServiceId> {
    let search = SearchName::from_wire(name.to_lower().as_wire())?;
    let (Lookup::Found(node) | Lookup::Wildcard(node)) = catalog.names.look_up(&search) else {
        return None;
    };
    let service = catalog.services.get(node.service?.0 as usize)?;
    family_shown(service, rtype).and(node.service)
}

fn client_facts(catalog: &Catalog, asker: &ExplainClient) -> ClientFacts {
    let looked_up = asker.seen().address();
    ClientFacts {
        given: asker.to_string(),
        looked_up,
        by: if asker.is_subnet() {
            "subnet"
        } else {
            "address"
        }
        .to_owned(),
        place: PlaceFacts::of(&catalog.atlas, looked_up),
    }
}

fn add_service(
    explanation: &mut Explanation,
    snapshot: &Snapshot,
    live: &LiveState,
    question: &ExplainQuestion,
    id: ServiceId,
    draw: u64,
) {
    let catalog = &snapshot.catalog;
    let Some(service) = catalog.services.get(id.0 as usize) else {
        return;
    };
    let Some(family) = family_shown(service, question.rtype) else {
        return;
    };
    let mut unresolved = Vec::new();
    for alias in &service.unresolved {
        let families: Vec<String> = alias.families.iter().map(ToString::to_string).collect();
        let families = families.join(" and ");
        let region = catalog.region_name(alias.region).unwrap_or_default();
        unresolved.push(format!(
            "{region} may lack something: nobody knows {families} of {} yet",
            alias.name
        ));
    }
    let live_view = live.service(id).and_then(|live| live.view(family));
    let (Some(view), Some(now)) = (service.view(family), live_view) else {
        explanation.notes.push(format!(
            "{} has no endpoint that answers {}",
            service.name, question.rtype
        ));
        explanation.notes.extend(unresolved);
        return;
    };
    let subnet = question
        .asker
        .subnet()
        .filter(|subnet| service.client_subnet && subnet.source > 0);
    let source = question.asker.source();
    let decision = decide(service, now, source, subnet.as_ref(), draw, || 0);
    let explained = ExplainedView {
        catalog,
        live,
        id,
        service,
        family,
        view,
        decision: &decision,
    };
    explanation.notes = notes(explanation, question, service.client_subnet, &explained);
    let facts = explained.facts();
    for candidate in &facts.candidates {
        for order in &candidate.orders {
            explanation
                .notes
                .push(format!("{} {order}", candidate.region));
        }
    }
    explanation.notes.extend(unresolved);
    explanation.service = Some(facts);
}

fn notes(
    explanation: &Explanation,
    question: &ExplainQuestion,
    subnet_used: bool,
    explained: &ExplainedView<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let subnet = question.asker.is_subnet();
    if subnet && !subnet_used {
        notes.push(
            "the service does not use client subnets: it answers by the resolver's own address"
                .to_owned(),
        );
    } else if subnet && !explained.decision.located.by_subnet {
        notes.push(
            "the subnet is private or special-purpose space: the resolver's own address decides"
                .to_owned(),
        );
    }
    if subnet && !explanation.names.is_empty() {
        notes.push(format!(
            "the reply ends with the alias; the resolver asks for {} next",
            explained.service.name
        ));
    }
    if explained.service.answers > 1
        && explained.service.pick == crate::steering::PickMethod::Weighted
    {
        notes.push(format!(
            "a reply holds up to {} endpoints; the odds are of coming first",
            explained.service.answers
        ));
    }
    if explanation.client.place.coarse {
        notes.push("the geodata know only the country or state of this client".to_owned());
    }
    notes.extend(explained.unplaced());
    notes
}

/// The result of a query in one word.
pub fn word(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Dropped => "dropped",
        Disposition::Limited => "limited",
        Disposition::Malformed => "malformed",
        Disposition::NotImplemented => "not-implemented",
        Disposition::BadVersion => "bad-version",
        Disposition::Refused => "refused",
        Disposition::Static => "static",
        Disposition::Steered => "steered",
        Disposition::NoData => "no-data",
        Disposition::NxDomain => "no-name",
        Disposition::Referral => "referral",
        Disposition::Failed => "failed",
    }
}

#[cfg(test)]
mod tests;
