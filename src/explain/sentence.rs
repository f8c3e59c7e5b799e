//! Writes the summary of an explanation: one sentence with the answer and its reason.
//!
//! The sentence is made from the facts alone, so it says nothing that the JSON form does not. It
//! names the query, the client, the endpoints that may be returned, and the rule that selects them:
//! order and distance, the regions that are out, the fence, and the all-down rule.

use super::candidates::CandidateFacts;
use super::service::{EndpointFacts, ServiceFacts};
use super::{Explanation, RecordFacts};

/// Most endpoints that are named one by one.
const MOST_NAMED: usize = 4;

/// The summary: `NAME TYPE for CLIENT (PLACE): ANSWER, because REASON`.
pub fn summary(explanation: &Explanation) -> String {
    let Explanation {
        name,
        rtype,
        client,
        ..
    } = explanation;
    let via = match &explanation.service {
        Some(service) if !explanation.names.is_empty() => format!("alias of {}: ", service.name),
        _ => String::new(),
    };
    format!(
        "{name} {rtype} for {} ({}): {via}{}",
        client.given,
        client.place,
        answer(explanation)
    )
}

/// The answer with its reason.
fn answer(explanation: &Explanation) -> String {
    match &explanation.service {
        Some(service) if service.tier.is_some() && !service.endpoints.is_empty() => {
            format!("{}, because {}", endpoints(service), because(service))
        }
        Some(service) => format!("nothing, {}", because_empty(service, &explanation.rtype)),
        None => unsteered(explanation),
    }
}

/// The reason why no region of the service serves the client: `because ...`.
fn because_empty(service: &ServiceFacts, rtype: &str) -> String {
    if let Some(fence) = &service.fence
        && fence.regions.is_empty()
    {
        return format!(
            "fenced: no region is meant for these clients (fence {}, {})",
            fence.title(),
            fence.clients
        );
    }
    if service.tiers.is_empty() {
        return format!(
            "because no region for this client has an endpoint that answers {rtype}{}",
            fence(service)
        );
    }
    if !service.all_regions_down {
        return format!("because its aliases are not resolved yet{}", fence(service));
    }
    format!(
        "because every region is down and all_down is {}{}",
        service.all_down,
        fence(service)
    )
}

/// The answer to a query that no service answers.
fn unsteered(explanation: &Explanation) -> String {
    let Explanation { rtype, zone, .. } = explanation;
    let zone = zone.as_deref().unwrap_or("the root");
    match explanation.result.as_str() {
        "refused" => "refused, because the name is in no zone of this server".to_owned(),
        "no-name" => format!("NXDOMAIN, because the zone {zone} has no such name"),
        "no-data" => {
            format!("no records, because the zone {zone} has the name but no {rtype} there")
        }
        "referral" => format!("a referral, because the zone {zone} delegates the name"),
        "static" => format!("{}, from the zone {zone}", records(&explanation.records)),
        other => format!("{} ({other})", explanation.rcode),
    }
}

fn records(records: &[RecordFacts]) -> String {
    match records {
        [] => "no records".to_owned(),
        [one] => format!("{} {}", one.rtype, one.data),
        [RecordFacts { rtype, data, .. }, ..] => {
            format!("{} records, the first {rtype} {data}", records.len())
        }
    }
}

/// The endpoints that may be returned: `fra, 192.0.2.3`, or with their odds
/// `fra 192.0.2.3 (80%) or ams 192.0.2.9 (20%)`.
fn endpoints(service: &ServiceFacts) -> String {
    let endpoints = &service.endpoints;
    if let [endpoint] = &endpoints[..] {
        return format!("{}, {}", endpoint.region, endpoint.endpoint);
    }
    let answers = usize::from(service.answers).min(endpoints.len());
    if endpoints.len() <= MOST_NAMED {
        let alternatives = alternatives(endpoints, service);
        return match answers {
            0 | 1 => alternatives,
            _ => format!("{answers} of {alternatives}"),
        };
    }
    some_of(answers, endpoints)
}

/// Too many endpoints to be named.
fn some_of(answers: usize, endpoints: &[EndpointFacts]) -> String {
    let mut regions: Vec<&str> = endpoints.iter().map(|one| one.region.as_str()).collect();
    regions.dedup();
    let (regions, all) = (join(&regions, "or"), endpoints.len());
    match answers {
        0 | 1 => format!("{regions}, one of {all} endpoints"),
        _ => format!("{regions}, {answers} of {all} endpoints"),
    }
}

fn alternatives(endpoints: &[EndpointFacts], service: &ServiceFacts) -> String {
    let in_turn = service.pick == "round-robin";
    let mut alternatives = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let mut text = format!("{} {}", endpoint.region, endpoint.endpoint);
        if !in_turn {
            text.push_str(&format!(" ({})", percent(endpoint.percent)));
        }
        alternatives.push(text);
    }
    let mut text = join(&alternatives, "or");
    if in_turn {
        text.push_str(" in turn");
    }
    text
}

/// Formats a percentage: `33.3%`, `80%`; never `0%` or `100%` for a value between them.
pub fn percent(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    match text {
        "0" if value > 0.0 => "<0.1%".to_owned(),
        "100" if value < 100.0 => ">99.9%".to_owned(),
        _ => format!("{text}%"),
    }
}

/// The rule that selects the regions that serve.
fn because(service: &ServiceFacts) -> String {
    let located = service
        .candidates
        .iter()
        .any(|region| region.distance_km.is_some());
    let serving: Vec<&CandidateFacts> = service
        .candidates
        .iter()
        .filter(|region| region.serves)
        .collect();
    let reason = match service.order.as_str() {
        "nearest" if !located => {
            format!(
                "the location of the client is unknown, so the listed order decides{}",
                left_out(service)
            )
        }
        "nearest" => nearest(service, &serving),
        "priority" => format!(
            "{} the first listed{}",
            is_or_are(&serving),
            left_out(service)
        ),
        _ => format!("every region shares every client{}", left_out(service)),
    };
    let mut text = format!("{reason}{}", fence(service));
    if service.all_regions_down {
        text.push_str(&format!(
            "; every region is down, so the all-down rule {} answers",
            service.all_down
        ));
    }
    text
}

/// The reason of regions that are nearest: `it is the nearest of 4 (423 km; next ams, 586 km)`.
fn nearest(service: &ServiceFacts, serving: &[&CandidateFacts]) -> String {
    let allowed = service
        .candidates
        .iter()
        .filter(|region| region.tier.is_some())
        .count();
    if allowed == 1 {
        return format!(
            "it is the only region for this client{}",
            distances(serving, None)
        );
    }
    let next = service
        .candidates
        .iter()
        .find(|region| region.tier > service.tier);
    let out = left_out(service);
    let of = if out.is_empty() {
        format!("of {allowed}")
    } else {
        "that is left".to_owned()
    };
    format!(
        "{} the nearest {of}{}{out}",
        is_or_are(serving),
        distances(serving, next)
    )
}

/// The distances of the regions that serve and of the next one: ` (12 km; next ams, 362 km)`.
fn distances(serving: &[&CandidateFacts], next: Option<&CandidateFacts>) -> String {
    let mut own = Vec::new();
    for region in serving {
        own.extend(kilometres(region));
    }
    if own.is_empty() {
        return String::new();
    }
    let mut text = own.join(", ");
    if let Some(next) = next
        && let Some(distance) = kilometres(next)
    {
        text.push_str(&format!("; next {}, {distance}", next.region));
    }
    format!(" ({text})")
}

fn kilometres(region: &CandidateFacts) -> Option<String> {
    let distance = region.distance_km?;
    Some(match region.biased_km {
        Some(biased) if region.bias != 0 => {
            format!("{distance:.0} km, counted as {biased:.0} km")
        }
        _ => format!("{distance:.0} km"),
    })
}

fn is_or_are(serving: &[&CandidateFacts]) -> &'static str {
    if serving.len() > 1 {
        "they are"
    } else {
        "it is"
    }
}

/// The preferred regions that do not serve, with their reasons: `; fra is down`.
fn left_out(service: &ServiceFacts) -> String {
    let mut out = Vec::new();
    for region in &service.candidates {
        if is_left_out(region, service.tier) {
            out.push(format!("{} {}", region.region, region.reason));
        }
    }
    if out.is_empty() {
        String::new()
    } else {
        format!("; {}", out.join(", "))
    }
}

/// Whether a region is in a tier before the one that serves, or in that tier and without clients.
fn is_left_out(region: &CandidateFacts, active: Option<usize>) -> bool {
    let is_before = region.tier < active;
    let is_idle = region.tier == active && !region.serves && region.share_percent == 0.0;
    region.tier.is_some() && (is_before || is_idle)
}

/// The fence that applies: `; fence 1 (countries IN) leaves only bom`.
fn fence(service: &ServiceFacts) -> String {
    let Some(fence) = &service.fence else {
        return String::new();
    };
    format!(
        "; fence {} ({}) leaves only {}",
        fence.title(),
        fence.clients,
        join(&fence.regions, "and")
    )
}

/// Joins a list with commas and a word before its last item: `a, b or c`.
fn join<T: AsRef<str>>(items: &[T], word: &str) -> String {
    let Some((last, first)) = items.split_last() else {
        return "nothing".to_owned();
    };
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    let last = last.as_ref();
    if first.is_empty() {
        last.to_owned()
    } else {
        format!("{} {word} {last}", first.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_not_rounded_to_certainty() {
        let shown = [0.0, 0.01, 33.333, 80.0, 99.99, 100.0].map(percent);
        assert_eq!(shown, ["0%", "<0.1%", "33.3%", "80%", ">99.9%", "100%"]);
    }

    #[test]
    fn lists_are_joined_as_people_do() {
        assert_eq!(join(&["a", "b", "c"], "or"), "a, b or c");
        assert_eq!(join(&["a"], "or"), "a");
    }
}
