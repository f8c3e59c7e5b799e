//! Explains why a client gets its answer.
//!
//! Nothing is computed a second time. The reply comes from [`crate::answer`] and is parsed again,
//! the decision is the server's own, and the order of regions comes from the rules that the
//! catchment was compiled from. This module puts them into words for `meridian explain`, the API
//! and the console. A what-if question names regions that are assumed to be down.

mod candidates;
mod place;
mod reply;
mod sentence;
mod service;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::steered::{decide, family_shown};
use crate::answer::{Disposition, QueryContext, RoundRobinCounters, Snapshot};
use crate::catalog::{Availability, Catalog, LiveState, Lookup, ServiceId, SteeredService};
use crate::dns::{Name, RecordType, SearchName};
use crate::steering::{PickMethod, Share};

pub use candidates::CandidateFacts;
use candidates::SWITCHED_OFF;
pub use place::{PlaceFacts, SourceFacts};
pub use reply::{ExplainClient, ParseClientError, RecordFacts, SignatureFacts};
pub use sentence::percent;
pub use service::{
    EndpointFacts, FenceFacts, ServiceFacts, all_down_word, fences_of, order_word, pick_word,
};

use service::ExplainedView;

/// Why a client gets an answer. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// A summary in one sentence.
    pub summary: String,
    /// The query name.
    pub name: String,
    /// The query type.
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
    /// The records of one reply that this client may get now. If the service picks by weight or in
    /// turn, the next reply may differ.
    pub records: Vec<RecordFacts>,
    /// SCOPE PREFIX-LENGTH (RFC 7871), if the client is a subnet.
    pub scope: Option<u8>,
    /// The aliases that lead to the service, starting with the query name; empty if the query name
    /// is the service itself.
    pub names: Vec<String>,
    /// The service that answers; absent if the answer is not steered.
    pub service: Option<ServiceFacts>,
    /// The signatures that the client gets with the reply if it asks for them; absent if the zone is
    /// not signed.
    pub signatures: Option<Vec<SignatureFacts>>,
    /// Regions that the question assumed to be down.
    pub down: Vec<String>,
    /// Further remarks, a sentence each.
    pub notes: Vec<String>,
}

/// The client and its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientFacts {
    /// The address or subnet of the question.
    pub given: String,
    /// The address that is looked up; IPv4 if an IPv6 address embeds one.
    pub looked_up: IpAddr,
    /// What located the client: `address` or `subnet`.
    pub by: String,
    /// Its location, as the geodata have it.
    pub place: PlaceFacts,
}

/// A query that is to be explained.
#[derive(Debug, Clone)]
pub struct ExplainQuestion {
    /// The query name.
    pub name: Name,
    /// The query type.
    pub rtype: RecordType,
    /// The client that sends the query.
    pub client: ExplainClient,
    /// Names of regions that are assumed to be down.
    pub down: Vec<String>,
}

/// Explains the answer to one question. `draw` is a uniformly random number that picks the example
/// among the replies that weights allow.
///
/// # Errors
/// A sentence that names a region which is not configured.
pub fn explain(
    snapshot: &Snapshot,
    question: &ExplainQuestion,
    draw: u64,
) -> Result<Explanation, String> {
    let live = without(snapshot, &question.down)?;
    let live = live.as_ref().unwrap_or(&snapshot.live);
    // An explanation must not use up a turn of a client.
    let turns = RoundRobinCounters::new(snapshot.catalog.services.len());
    let context = QueryContext {
        live,
        turns: &turns,
        ..snapshot.context(draw)
    };
    let read = reply::ask(&question.name, question.rtype, &question.client, &context);
    let steered = SteeredName::of(&snapshot.catalog, question.rtype, &read.names);
    let zone = snapshot.catalog.zone_of(&question.name);
    let signatures = is_signed(&snapshot.catalog, &question.name)
        .then(|| reply::signatures(&question.name, question.rtype, &question.client, &context));
    let mut explanation = Explanation {
        summary: String::new(),
        name: question.name.to_string(),
        rtype: question.rtype.to_string(),
        client: client_facts(&snapshot.catalog, &question.client),
        result: word(read.disposition).to_owned(),
        rcode: read.rcode,
        zone: zone.map(|zone| zone.origin.to_string()),
        records: read.records,
        scope: read.scope,
        names: steered.aliases,
        service: None,
        signatures,
        down: question.down.clone(),
        notes: Vec::new(),
    };
    if let Some(id) = steered.service {
        let steering = SteeringQuestion {
            catalog: &snapshot.catalog,
            live,
            question,
            draw,
        };
        steering.add_service(&mut explanation, id);
    }
    explanation.summary = sentence::summary(&explanation);
    Ok(explanation)
}

/// Whether the zone of a name is signed here.
fn is_signed(catalog: &Catalog, name: &Name) -> bool {
    let Some(search) = SearchName::from_wire(name.to_lower().as_wire()) else {
        return false;
    };
    let zone = catalog.names.look_up(&search).zone();
    let signed = catalog.signed.as_ref();
    zone.zip(signed)
        .is_some_and(|(zone, signed)| signed.zone(zone).is_some())
}

/// The live state with these regions down; `None` if the list is empty.
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

/// The availability with these regions marked as down in every service.
pub fn take_down(
    catalog: &Catalog,
    mut availability: Availability,
    down: &[String],
) -> Availability {
    for (service, now) in catalog.services.iter().zip(availability.services_mut()) {
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

/// The service at the end of a chain of aliases.
struct SteeredName {
    /// The names before the service; empty if there is no service.
    aliases: Vec<String>,
    service: Option<ServiceId>,
}

impl SteeredName {
    /// Finds the first name of the chain that a service answers for.
    fn of(catalog: &Catalog, rtype: RecordType, chain: &[Name]) -> SteeredName {
        let mut aliases = Vec::new();
        for name in chain {
            let service = service_at(catalog, name, rtype);
            if service.is_some() {
                return SteeredName { aliases, service };
            }
            aliases.push(name.to_string());
        }
        SteeredName {
            aliases: Vec::new(),
            service: None,
        }
    }
}

/// The service that answers for a name and a type.
fn service_at(catalog: &Catalog, name: &Name, rtype: RecordType) -> Option<ServiceId> {
    let search = SearchName::from_wire(name.to_lower().as_wire())?;
    let (Lookup::Found(node) | Lookup::Wildcard(node)) = catalog.names.look_up(&search) else {
        return None;
    };
    let service = catalog.services.get(node.service()?.0 as usize)?;
    family_shown(service, rtype).and(node.service())
}

fn client_facts(catalog: &Catalog, client: &ExplainClient) -> ClientFacts {
    let looked_up = client.lookup_address().address();
    let by = if client.is_subnet() {
        "subnet"
    } else {
        "address"
    };
    ClientFacts {
        given: client.to_string(),
        looked_up,
        by: by.to_owned(),
        place: PlaceFacts::of(&catalog.atlas, looked_up),
    }
}

/// A question, and the state in which a service answers it.
struct SteeringQuestion<'m> {
    catalog: &'m Catalog,
    live: &'m LiveState,
    question: &'m ExplainQuestion,
    draw: u64,
}

impl SteeringQuestion<'_> {
    /// Explains the decision of the service that answers, with notes about it.
    fn add_service(&self, explanation: &mut Explanation, id: ServiceId) {
        let Some(service) = self.catalog.services.get(id.0 as usize) else {
            return;
        };
        let Some(family) = family_shown(service, self.question.rtype) else {
            return;
        };
        let live_view = self.live.service(id).and_then(|live| live.view(family));
        let (Some(view), Some(now)) = (service.view(family), live_view) else {
            explanation.notes.push(format!(
                "{} has no endpoint that answers {}",
                service.name, self.question.rtype
            ));
            explanation.notes.extend(self.unresolved_notes(service));
            return;
        };
        let client = &self.question.client;
        let subnet = client
            .subnet()
            .filter(|subnet| service.client_subnet && subnet.source > 0);
        let decision = decide(
            service,
            now,
            client.source(),
            subnet.as_ref(),
            self.draw,
            || 0,
        );
        let explained = ExplainedView {
            catalog: self.catalog,
            live: self.live,
            id,
            service,
            family,
            view,
            decision: &decision,
            address: decision.located.address(client.source(), subnet.as_ref()),
        };
        let facts = explained.facts();
        explanation.notes = notes(explanation, client, &explained);
        explanation.notes.extend(override_notes(&facts));
        explanation.notes.extend(self.unresolved_notes(service));
        explanation.service = Some(facts);
    }

    /// A note for each alias of an endpoint that is not resolved yet.
    fn unresolved_notes(&self, service: &SteeredService) -> Vec<String> {
        let mut notes = Vec::new();
        for alias in &service.unresolved {
            let families: Vec<String> = alias.families.iter().map(ToString::to_string).collect();
            notes.push(format!(
                "{} may lack endpoints: {} is not resolved yet ({})",
                self.catalog.region_name(alias.region).unwrap_or_default(),
                alias.name,
                families.join(" and ")
            ));
        }
        notes
    }
}

/// A note for each operator override of a region.
fn override_notes(facts: &ServiceFacts) -> Vec<String> {
    let mut notes = Vec::new();
    for candidate in &facts.candidates {
        for order in &candidate.orders {
            notes.push(format!("{} {order}", candidate.region));
        }
    }
    notes
}

/// Notes about the client subnet, the service and the geodata.
fn notes(
    explanation: &Explanation,
    client: &ExplainClient,
    explained: &ExplainedView<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let service = explained.service;
    if client.is_subnet() {
        notes.extend(subnet_note(explained));
        if !explanation.names.is_empty() {
            notes.push(format!(
                "the reply ends with the alias; the resolver queries {} next",
                service.name
            ));
        }
    }
    if service.answers > 1 && service.pick == PickMethod::Weighted {
        notes.push(format!(
            "a reply holds up to {} endpoints; the odds are of coming first",
            service.answers
        ));
    }
    if explanation.client.place.coarse {
        notes.push("the geodata know only the country or state of this client".to_owned());
    }
    notes.extend(explained.unknown_place_note());
    notes
}

/// Why the client subnet does not decide, if it does not.
fn subnet_note(explained: &ExplainedView<'_>) -> Option<String> {
    if !explained.service.client_subnet {
        let note = "the service does not use client subnets: the resolver's own address decides";
        return Some(note.to_owned());
    }
    if !explained.decision.located.by_subnet {
        let note = "the subnet is private or special-purpose: the resolver's own address decides";
        return Some(note.to_owned());
    }
    None
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
