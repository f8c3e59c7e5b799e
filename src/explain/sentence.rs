//! Writes the summary of an explanation: one sentence with the answer and its reason.
//!
//! The sentence is made from the facts alone, so it says nothing that the JSON form does not.

use super::candidates::CandidateFacts;
use super::service::{EndpointFacts, ServiceFacts};
use super::{Explanation, RecordFacts};

/// Most endpoints that are named one by one.
const MOST_NAMED: usize = 4;

/// `NAME TYPE for CLIENT (PLACE): what, because why`
pub fn summary(explanation: &Explanation) -> String {
    let Explanation {
        name,
        rtype,
        client,
        ..
    } = explanation;
    let via = match &explanation.service {
        Some(service) if !explanation.names.is_empty() => format!("goes on to {}: ", service.name),
        _ => String::new(),
    };
    format!(
        "{name} {rtype} for {} ({}): {via}{}",
        client.given,
        client.place,
        outcome(explanation)
    )
}

fn outcome(explanation: &Explanation) -> String {
    match &explanation.service {
        Some(service) if service.tier.is_some() && !service.endpoints.is_empty() => {
            format!("{}, because {}", given(service), because(service))
        }
        Some(service) => format!("nothing, {}", why_nothing(service, &explanation.rtype)),
        None => unsteered(explanation),
    }
}

/// `because ...`, for a client that no region of the service serves.
fn why_nothing(service: &ServiceFacts, rtype: &str) -> String {
    let embargo = service
        .fence
        .as_ref()
        .filter(|fence| fence.regions.is_empty());
    if let Some(fence) = embargo {
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
        return format!(
            "because nobody knows the addresses of its aliases yet{}",
            fence(service)
        );
    }
    format!(
        "because every region is down and all_down is {}{}",
        service.all_down,
        fence(service)
    )
}

fn unsteered(explanation: &Explanation) -> String {
    let Explanation { rtype, zone, .. } = explanation;
    let zone = zone.as_deref().unwrap_or("the root");
    match explanation.result.as_str() {
        "refused" => "refused, because the name lies in no zone that is served here".to_owned(),
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
        [first, ..] => format!(
            "{} records, the first {} {}",
            records.len(),
            first.rtype,
            first.data
        ),
    }
}

/// `fra, 192.0.2.3` or `fra 192.0.2.3 (80%) or ams 192.0.2.9 (20%)`
fn given(service: &ServiceFacts) -> String {
    let endpoints = &service.endpoints;
    let many = usize::from(service.answers) > 1 && endpoints.len() > 1;
    let ahead = if many {
        format!("{} of ", endpoints.len().min(usize::from(service.answers)))
    } else {
        String::new()
    };
    match &endpoints[..] {
        [one] => format!("{}, {}", one.region, one.endpoint),
        some if some.len() <= MOST_NAMED => format!("{ahead}{}", alternatives(some, service)),
        some => {
            let mut regions: Vec<&str> = some
                .iter()
                .map(|endpoint| endpoint.region.as_str())
                .collect();
            regions.dedup();
            let count = if many { ahead } else { "one of ".to_owned() };
            format!("{}, {count}{} endpoints", join(&regions, "or"), some.len())
        }
    }
}

fn alternatives(endpoints: &[EndpointFacts], service: &ServiceFacts) -> String {
    let in_turn = service.pick == "round-robin";
    let one = |endpoint: &EndpointFacts| match in_turn {
        true => format!("{} {}", endpoint.region, endpoint.endpoint),
        false => format!(
            "{} {} ({})",
            endpoint.region,
            endpoint.endpoint,
            percent(endpoint.percent)
        ),
    };
    let all: Vec<String> = endpoints.iter().map(one).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    format!(
        "{}{}",
        join(&all, "or"),
        if in_turn { " in turn" } else { "" }
    )
}

/// 33.3% and 80%, never 100% for what is not certain.
pub fn percent(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    match text {
        "0" if value > 0.0 => "<0.1%".to_owned(),
        "100" if value < 100.0 => ">99.9%".to_owned(),
        _ => format!("{text}%"),
    }
}

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
                "nobody knows where the client is, and then the order listed decides{}",
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
    let rule = match service.all_regions_down {
        true => format!(
            "; every region is down, so the all-down rule {} answers",
            service.all_down
        ),
        false => String::new(),
    };
    format!("{reason}{}{rule}", fence(service))
}

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
    let (left, of) = if out.is_empty() {
        ("", format!(" of {allowed}"))
    } else {
        (" that is left", String::new())
    };
    format!(
        "{} the nearest{left}{of}{}{out}",
        is_or_are(serving),
        distances(serving, next)
    )
}

/// ` (12 km; next ams, 362 km)`
fn distances(serving: &[&CandidateFacts], next: Option<&CandidateFacts>) -> String {
    let own: Vec<String> = serving
        .iter()
        .filter_map(|region| kilometres(region))
        .collect();
    if own.is_empty() {
        return String::new();
    }
    let next =
        next.and_then(|region| Some(format!("; next {}, {}", region.region, kilometres(region)?)));
    format!(" ({}{})", own.join(", "), next.unwrap_or_default())
}

fn kilometres(region: &CandidateFacts) -> Option<String> {
    let distance = region.distance_km?;
    Some(match region.biased_km.filter(|_| region.bias != 0) {
        Some(biased) => format!("{distance:.0} km, counted as {biased:.0} km"),
        None => format!("{distance:.0} km"),
    })
}

fn is_or_are(serving: &[&CandidateFacts]) -> &'static str {
    if serving.len() > 1 {
        "they are"
    } else {
        "it is"
    }
}

/// `; fra is down`, for regions before the tier that serves, or in it and without clients.
fn left_out(service: &ServiceFacts) -> String {
    let out_of_it = |region: &CandidateFacts| {
        region.tier < service.tier
            || region.tier == service.tier && !region.serves && region.share_percent == 0.0
    };
    let before = service
        .candidates
        .iter()
        .filter(|region| region.tier.is_some() && out_of_it(region));
    let out: Vec<String> = before
        .map(|region| format!("{} {}", region.region, region.reason))
        .collect();
    if out.is_empty() {
        String::new()
    } else {
        format!("; {}", out.join(", "))
    }
}

fn fence(service: &ServiceFacts) -> String {
    let Some(fence) = &service.fence else {
        return String::new();
    };
    let regions: Vec<&str> = fence.regions.iter().map(String::as_str).collect();
    format!(
        "; fence {} ({}) leaves only {}",
        fence.title(),
        fence.clients,
        join(&regions, "and")
    )
}

/// `a, b or c`
fn join(items: &[&str], word: &str) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
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
