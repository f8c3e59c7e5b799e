//! The guard refuses a reload that changes too much at once.
//!
//! `[guard] max_move` limits the part of a service's clients that a reload may send elsewhere.
//! `[guard] min_covered` is the part of the clients that must have a live region. A reload beyond
//! these limits is more often a mistake than intended, so an operator has to confirm it.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::explain::percent;
use crate::foresight::coverage::{Coverage, FEWEST_QUERIES};
use crate::foresight::coverages::{ClientCounts, coverages, noted_in};
use crate::foresight::{CatalogWithConfig, NotedTraffic, ServiceMove, compare};

/// The risks that the operator has confirmed, so that the guard does not check them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfirmedRisks {
    /// Clients are sent elsewhere.
    pub moves: bool,
    /// Clients are left without a live region.
    pub uncovers: bool,
}

/// A service whose covered part of the clients changes. Its JSON form is stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageChange {
    /// The service.
    pub name: String,
    /// `A`, `AAAA`, `MX` or `SRV`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The part that has one before, in per cent: of the address space, or of the recently
    /// recorded queries if that is less.
    pub before_percent: f64,
    /// The part that has one after.
    pub after_percent: f64,
    /// Where the clients without a live region are: `: Germany, France and 3 more countries`.
    /// Clients that a fence leaves without a region are not among them.
    #[serde(skip)]
    lost: String,
}

/// Why `[guard] max_move` refuses a reload; `None`: it does not. The traffic that the server has
/// sampled counts like the address space.
pub fn refusal(before: CatalogWithConfig<'_>, after: CatalogWithConfig<'_>) -> Option<String> {
    let limit = before.1.max_move?;
    match compare(before, after, &NotedTraffic::of(before.0)) {
        Ok(moves) => refusal_of(limit, &moves),
        Err(sentence) => Some(sentence),
    }
}

/// Why the limits of a configuration refuse these changes; `None`: they do not.
pub fn refusal_by(
    config: &Config,
    services: &[ServiceMove],
    coverage: &[CoverageChange],
) -> Option<String> {
    if let Some(limit) = config.max_move
        && let Some(sentence) = refusal_of(limit, services)
    {
        return Some(sentence);
    }
    uncovering(config.min_covered?, coverage)
}

/// Why these moves are refused under a limit from 0.0 to 1.0: a sentence that names the service
/// that moves most.
fn refusal_of(limit: f64, moves: &[ServiceMove]) -> Option<String> {
    let limit = limit * 100.0;
    let mut above = Vec::new();
    for service in moves {
        let moved = LargestMove::of(service);
        if moved.percent > limit {
            above.push(moved);
        }
    }
    let worst = above
        .iter()
        .max_by(|one, other| one.percent.total_cmp(&other.percent))?;
    let others = others(above.len() - 1);
    Some(format!(
        "{} of {} of {} ({}) would be sent elsewhere{others}, and [guard] max_move allows {}; if \
         that is meant, use `meridian reload --yes-move`",
        percent(worst.percent),
        worst.base,
        worst.service.name,
        worst.service.rtype,
        percent(limit)
    ))
}

/// How coverage changes from one catalog to another when every endpoint is up.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn coverage_with_all_up(
    before: &Catalog,
    after: &Catalog,
    traffic: &NotedTraffic,
) -> Result<Vec<CoverageChange>, String> {
    let old = coverage_with_all_up_of(before, traffic)?;
    let new = coverage_with_all_up_of(after, traffic)?;
    Ok(changes_of_coverage((before, &old), (after, &new)))
}

fn coverage_with_all_up_of(
    catalog: &Catalog,
    traffic: &NotedTraffic,
) -> Result<Vec<Vec<Coverage>>, String> {
    let noted = noted_in(catalog, traffic)?;
    Ok(coverages(catalog, None, &noted, &ClientCounts::of(catalog)))
}

/// The services whose covered part of the clients changes. A new service is compared with full
/// coverage.
pub fn changes_of_coverage(
    (before, old): (&Catalog, &[Vec<Coverage>]),
    (after, new): (&Catalog, &[Vec<Coverage>]),
) -> Vec<CoverageChange> {
    let known = least_covered(before, old);
    let mut changes = Vec::new();
    for (service, families) in after.services.iter().zip(new) {
        let name = service.name.to_string();
        for coverage in families {
            let before_percent = known
                .get(&(name.clone(), &coverage.rtype[..]))
                .copied()
                .unwrap_or(100.0);
            let after_percent = coverage.least_covered_percent();
            if before_percent != after_percent {
                changes.push(CoverageChange {
                    name: name.clone(),
                    rtype: coverage.rtype.clone(),
                    before_percent,
                    after_percent,
                    lost: coverage.where_to(),
                });
            }
        }
    }
    changes
}

/// What the sentence says about this number of other services.
fn others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", and of one other too much".to_owned(),
        others => format!(", and of {others} others too much"),
    }
}

/// By service and record type, the part of the clients with a live region, in per cent.
fn least_covered<'c>(
    catalog: &Catalog,
    of_services: &'c [Vec<Coverage>],
) -> HashMap<(String, &'c str), f64> {
    let mut known = HashMap::new();
    for (service, families) in catalog.services.iter().zip(of_services) {
        for coverage in families {
            let key = (service.name.to_string(), &coverage.rtype[..]);
            known.insert(key, coverage.least_covered_percent());
        }
    }
    known
}

/// The change that leaves the fewest clients covered, of those that fall below the limit.
fn least_covered_below(limit: f64, changes: &[CoverageChange]) -> Option<&CoverageChange> {
    let below = changes
        .iter()
        .filter(|it| it.after_percent < limit && it.after_percent < it.before_percent);
    below.min_by(|one, other| one.after_percent.total_cmp(&other.after_percent))
}

/// Why these changes are refused under `[guard] min_covered`, from 0.0 to 1.0; `None`: they are
/// not.
pub fn uncovering(limit: f64, changes: &[CoverageChange]) -> Option<String> {
    let limit = limit * 100.0;
    let CoverageChange {
        name,
        rtype,
        before_percent,
        after_percent,
        lost,
    } = least_covered_below(limit, changes)?;
    let before = percent(*before_percent);
    let after = percent(*after_percent);
    let limit = percent(limit);
    Some(format!(
        "{after} of the clients of {name} ({rtype}) would have a live region instead of \
         {before}{lost}, and [guard] min_covered wants {limit}; if that is meant, use `meridian \
         reload --yes`"
    ))
}

/// The part of a service that moves, of the address space or of the sampled traffic, whichever is
/// larger.
struct LargestMove<'m> {
    service: &'m ServiceMove,
    percent: f64,
    /// What the part is measured in, for messages.
    base: &'static str,
}

impl LargestMove<'_> {
    fn of(service: &ServiceMove) -> LargestMove<'_> {
        if let Some(traffic) = &service.traffic
            && traffic.queries >= FEWEST_QUERIES
            && traffic.moved_percent > service.moved_percent
        {
            return LargestMove {
                service,
                percent: traffic.moved_percent,
                base: "the traffic recorded recently",
            };
        }
        LargestMove {
            service,
            percent: service.moved_percent,
            base: "the address space",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::TrafficMove;

    #[test]
    fn the_worst_is_named() {
        let moved = |name: &str, moved_percent| ServiceMove {
            name: name.to_owned(),
            rtype: "A".to_owned(),
            moved_percent,
            traffic: None,
            regions: Vec::new(),
        };
        let moves = [
            moved("a.example.", 31.0),
            moved("b.example.", 64.2),
            moved("c.example.", 30.0),
        ];
        let sentence = refusal_of(0.3, &moves).unwrap();
        let expected = "64.2% of the address space of b.example. (A) would be sent elsewhere, and of one other too much, \
                        and [guard] max_move allows 30%; if that is meant, use `meridian reload --yes-move`";
        assert_eq!(sentence, expected);
        assert_eq!(
            refusal_of(0.3, &moves[2..]),
            None,
            "the limit itself is allowed"
        );
        assert_eq!(refusal_of(0.642, &moves), None);
    }

    #[test]
    fn traffic_counts_where_there_is_enough_of_it() {
        let moved = |queries| {
            let traffic = Some(TrafficMove {
                queries,
                moved_percent: 70.0,
            });
            let (name, rtype) = ("a.example.".to_owned(), "A".to_owned());
            [ServiceMove {
                name,
                rtype,
                moved_percent: 5.0,
                traffic,
                regions: Vec::new(),
            }]
        };
        assert_eq!(refusal_of(0.3, &moved(99)), None);
        let sentence = refusal_of(0.3, &moved(100)).unwrap();
        assert!(
            sentence.starts_with(
                "70% of the traffic recorded recently of a.example. (A) would be sent"
            ),
            "{sentence}"
        );
    }
}
