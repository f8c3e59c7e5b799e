//! The written list of differences, as predicates: `docs/differential.md` says of each what it is and who is right.

use std::collections::BTreeSet;

use crate::compare::{Part, View};
use crate::harness::{Record, Transport};
use crate::names::Name;
use crate::queries::Asked;
use crate::zones::Zone;

/// A difference between our reply and another one's.
pub struct Case<'c> {
    pub asked: &'c Asked,
    pub who: &'c str,
    pub ours: &'c View,
    pub theirs: &'c View,
    pub parts: &'c [Part],
    /// What Knot, NSD and BIND say.
    pub all: &'c [View],
    pub zones: &'c [Zone],
}

/// One item of the list.
pub struct Item {
    pub name: &'static str,
    pub applies: fn(&Case<'_>) -> bool,
}

/// In the order of the document; the first that applies explains a difference.
pub const ITEMS: [Item; 18] = [
    Item {
        name: "any",
        applies: any,
    },
    Item {
        name: "any-at-dname",
        applies: any_at_dname,
    },
    Item {
        name: "optional-glue",
        applies: optional_glue,
    },
    Item {
        name: "short-glue",
        applies: short_glue,
    },
    Item {
        name: "wildcard-glue",
        applies: wildcard_glue,
    },
    Item {
        name: "optional-addresses",
        applies: optional_addresses,
    },
    Item {
        name: "soa-ttl",
        applies: soa_ttl,
    },
    Item {
        name: "circle",
        applies: circle,
    },
    Item {
        name: "long-chain",
        applies: long_chain,
    },
    Item {
        name: "other-zone",
        applies: other_zone,
    },
    Item {
        name: "ds-after-alias",
        applies: ds_after_alias,
    },
    Item {
        name: "alias-itself",
        applies: alias_itself,
    },
    Item {
        name: "wildcard-dname",
        applies: wildcard_dname,
    },
    Item {
        name: "nested-zones",
        applies: nested_zones,
    },
    Item {
        name: "undelegated-child",
        applies: undelegated_child,
    },
    Item {
        name: "empty-wildcard",
        applies: empty_wildcard,
    },
    Item {
        name: "nsec-at-cut",
        applies: nsec_at_cut,
    },
    Item {
        name: "opt-out-name",
        applies: opt_out_name,
    },
];

const CNAME: u16 = 5;
const DNAME: u16 = 39;
const NSEC3: u16 = 50;

/// ANY gets one HINFO from us (RFC 8482 section 4.2), everything from others.
fn any(case: &Case<'_>) -> bool {
    let only = |parts: &[Part]| {
        parts
            .iter()
            .all(|part| matches!(part, Part::Answer | Part::Additional))
    };
    let refuses =
        |record: &Record| record.rtype == 13 && record.data.starts_with("0752464338343832");
    case.asked.question.rtype == 255
        && only(case.parts)
        && case.ours.answers.iter().any(refuses)
        && !case.theirs.answers.is_empty()
}

/// BIND takes the CNAME made from a DNAME for the answer to ANY; we go on, as RFC 6672 section 3.2 says.
fn any_at_dname(case: &Case<'_>) -> bool {
    let redirected = case
        .theirs
        .answers
        .iter()
        .any(|record| record.rtype == DNAME);
    case.who == "BIND"
        && case.asked.question.rtype == 255
        && redirected
        && case.theirs.rcode == 0
        && case.theirs.answers.is_subset(&case.ours.answers)
}

/// Glue that is not in the delegated domain may be given or not (RFC 9471 section 3.2).
fn optional_glue(case: &Case<'_>) -> bool {
    case.parts == [Part::Additional]
        && case.ours.refers()
        && case
            .ours
            .additionals
            .symmetric_difference(&case.theirs.additionals)
            .all(|record| is_beside(case, record))
}

/// BIND leaves glue out that does not fit into a datagram, without TC; ours fits, because more of its names are compressed.
fn short_glue(case: &Case<'_>) -> bool {
    case.parts == [Part::Additional]
        && case.ours.refers()
        && case.who == "BIND"
        && case.asked.transport == Transport::Udp
        && case.theirs.additionals.is_subset(&case.ours.additionals)
}

/// Addresses of name servers that only a wildcard has: Knot and NSD make glue of it, BIND and we do not.
fn wildcard_glue(case: &Case<'_>) -> bool {
    let stated: BTreeSet<String> = case
        .zones
        .iter()
        .flat_map(|zone| &zone.records)
        .map(|record| record.owner.lower().to_string())
        .collect();
    let (ours, theirs) = (&case.ours.additionals, &case.theirs.additionals);
    case.parts == [Part::Additional]
        && case.ours.refers()
        && ours
            .difference(theirs)
            .all(|record| is_beside(case, record))
        && theirs
            .difference(ours)
            .all(|record| is_beside(case, record) || !stated.contains(&record.owner))
}

/// Whether an address belongs to a name outside the domain that is delegated.
fn is_beside(case: &Case<'_>, record: &Record) -> bool {
    !case
        .ours
        .authorities
        .iter()
        .any(|ns| is_within(&record.owner, &ns.owner))
}

/// Addresses beside an answer may be given or not (RFC 1034 section 4.3.2 step 6: "which may be useful").
fn optional_addresses(case: &Case<'_>) -> bool {
    case.parts == [Part::Additional] && !case.ours.refers() && !case.ours.answers.is_empty()
}

/// BIND gives the SOA of a negative answer to a question for SOA a TTL of 0 (its `zero-no-soa-ttl`).
fn soa_ttl(case: &Case<'_>) -> bool {
    let no_ttl = |view: &View| -> Vec<Record> {
        view.authorities
            .iter()
            .map(|record| Record {
                ttl: 0,
                ..record.clone()
            })
            .collect()
    };
    case.who == "BIND"
        && case.asked.question.rtype == 6
        && case.parts == [Part::Authority]
        && no_ttl(case.ours) == no_ttl(case.theirs)
}

/// Aliases that lead back: each link once from all, and SERVFAIL besides from BIND.
fn circle(case: &Case<'_>) -> bool {
    let aliases = || {
        case.ours
            .answers
            .iter()
            .filter(|record| record.rtype == CNAME)
    };
    let back = aliases().any(|last| aliases().any(|first| first.owner == last.data));
    let ends = aliases().any(|last| !aliases().any(|first| first.owner == last.data));
    case.who == "BIND" && case.parts == [Part::Rcode] && case.theirs.rcode == 2 && back && !ends
}

/// After how many links of a chain a server leaves the rest to the resolver is its own affair.
fn long_chain(case: &Case<'_>) -> bool {
    let links = |view: &View| {
        view.answers
            .iter()
            .filter(|record| record.rtype == CNAME)
            .count()
    };
    let (ours, theirs) = (links(case.ours), links(case.theirs));
    let same_way = case.ours.answers.is_subset(&case.theirs.answers)
        || case.theirs.answers.is_subset(&case.ours.answers);
    same_way && ours.max(theirs) >= 11
}

/// A chain that leads into another zone that is served here: RFC 1034 section 4.3.2 step 3a goes on there. BIND and
/// NSD stop in some cases; Knot always does, or stays in the zone where it began even for names of a deeper one.
fn other_zone(case: &Case<'_>) -> bool {
    let leaves = |record: &Record| {
        record.rtype == CNAME && zone_of(case, &record.owner) != zone_of(case, &record.data)
    };
    let stops = case.theirs.rcode == 0 && case.theirs.answers.is_subset(&case.ours.answers);
    (stops || case.who == "Knot")
        && case
            .theirs
            .answers
            .intersection(&case.ours.answers)
            .any(leaves)
}

/// DS asked of an alias that leads to the apex of a zone whose upper zone is served too: the upper one answers
/// (RFC 4035 section 3.1.4.1), where Knot and BIND ask the zone itself.
fn ds_after_alias(case: &Case<'_>) -> bool {
    let leads_to_apex = |record: &Record| {
        record.rtype == CNAME
            && case
                .zones
                .iter()
                .any(|zone| zone.origin.to_string() == record.data)
    };
    matches!(case.who, "Knot" | "BIND")
        && case.asked.question.rtype == 43
        && case.parts == [Part::Authority]
        && case.ours.answers.iter().any(leads_to_apex)
}

/// RRSIG and NSEC may stand beside a CNAME: two servers look for them at the alias itself and do not follow it.
fn alias_itself(case: &Case<'_>) -> bool {
    matches!(case.asked.question.rtype, 46 | 47)
        && case.theirs.rcode == 0
        && case.theirs.answers.is_subset(&case.ours.answers)
        && case.ours.answers.iter().any(|record| record.rtype == CNAME)
}

/// A DNAME at a wildcard: RFC 6672 section 3.3 leaves it undefined.
fn wildcard_dname(case: &Case<'_>) -> bool {
    let redirects = |record: &Record| record.rtype == DNAME && record.owner.starts_with("*.");
    let answered = case
        .ours
        .answers
        .iter()
        .chain(&case.theirs.answers)
        .any(redirects);
    let stated = case.zones.iter().flat_map(|zone| &zone.records);
    let covers = |owner: &Name| {
        is_within(
            &case.asked.name.lower().to_string(),
            &owner.parent().to_string(),
        )
    };
    let matching = stated
        .filter(|record| record.rtype == "DNAME" && record.owner.is_wildcard())
        .any(|record| covers(&record.owner.lower()));
    answered || matching
}

/// NSD lets what the upper zone says below a cut make names in the deeper zone; Knot and BIND say what we say.
fn nested_zones(case: &Case<'_>) -> bool {
    let like_us = |other: &View| {
        let gave_up = other.rcode == 2;
        gave_up
            || other.rcode == case.ours.rcode
                && other.answers.is_empty() == case.ours.answers.is_empty()
            || [alias_itself, other_zone].iter().any(|item| {
                item(&Case {
                    who: "Knot",
                    theirs: other,
                    ..*case
                })
            })
    };
    let asked = case.asked.name.lower().to_string();
    let links = case
        .ours
        .answers
        .iter()
        .filter(|record| record.rtype == CNAME)
        .map(|record| &record.data);
    let nested = [&asked].into_iter().chain(links).any(|name| {
        case.zones
            .iter()
            .filter(|zone| is_within(name, &zone.origin.to_string()))
            .count()
            > 1
    });
    case.who == "NSD" && nested && [0, 2].iter().all(|&other| like_us(&case.all[other]))
}

/// DS of a zone that is served here, but not delegated by the zone above, which is served here too: Knot and BIND say
/// what the zone above would say if there were none below, mostly that there is no such name. That would hide the zone
/// (RFC 8020); NSD and we say NODATA.
fn undelegated_child(case: &Case<'_>) -> bool {
    let name = case.asked.name.lower();
    let delegates = |zone: &Zone| {
        zone.records.iter().any(|record| {
            record.rtype == "NS" && record.owner.lower() == name && zone.origin != name
        })
    };
    matches!(case.who, "BIND" | "Knot")
        && case.asked.question.rtype == 43
        && case.zones.iter().any(|zone| zone.origin == name)
        && !case.zones.iter().any(delegates)
        && case.ours.rcode == 0
}

/// No data, because the wildcard that matches is an empty name: we add the NSEC record that shows it. Its next name lies
/// below the wildcard, so the record has the label `*`.
fn empty_wildcard(case: &Case<'_>) -> bool {
    // The TTL of the SOA record may differ as well (`soa-ttl`).
    let without_soa = |records: &BTreeSet<Record>| -> BTreeSet<Record> {
        let others = records.iter();
        let others = others.filter(|record| record.rtype != 6 && !record.data.starts_with("0006"));
        others.cloned().collect()
    };
    let (ours, theirs) = (
        without_soa(&case.ours.authorities),
        without_soa(&case.theirs.authorities),
    );
    let shows = |record: &&Record| record.rtype == 47 && record.data.contains("012a");
    let mut extra = ours.difference(&theirs);
    case.parts == [Part::Authority]
        && theirs.is_subset(&ours)
        && ours.difference(&theirs).any(|record| shows(&record))
        && extra.all(|record| shows(&record) || record.data.starts_with("002f"))
}

/// NSEC at a delegation: BIND gives the record of the upper zone, Knot and we refer to the lower one.
fn nsec_at_cut(case: &Case<'_>) -> bool {
    case.who == "BIND"
        && case.asked.question.rtype == 47
        && case.ours.refers()
        && case.theirs.answers.iter().any(|record| record.rtype == 47)
}

/// The origin of the zone that holds a name.
fn zone_of(case: &Case<'_>, name: &str) -> Option<String> {
    let origins = case
        .zones
        .iter()
        .map(|zone| zone.origin.to_string())
        .filter(|origin| is_within(name, origin));
    origins.max_by_key(String::len)
}

/// Both in presentation form and lower case.
fn is_within(name: &str, above: &str) -> bool {
    name == above || name.ends_with(&format!(".{above}")) && !name.ends_with(&format!("\\.{above}"))
}

/// Knot proves nothing below a name that has no NSEC3 record because of opt-out, and leaves AA out.
fn opt_out_name(case: &Case<'_>) -> bool {
    let opts_out = |record: &Record| record.rtype == NSEC3 && record.data.starts_with("0101");
    case.who == "Knot"
        && case.ours.rcode == 3
        && case.ours.authorities.iter().any(opts_out)
        && case.theirs.rcode == 3
        && case.theirs.authorities.is_empty()
}
