//! The guard of reloads: a change that sends too much of a service elsewhere at once, or leaves too many clients without a
//! live region, is more often a slip than meant.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::explain::percent;
use crate::foresight::coverage::{Coverage, FEWEST_QUERIES};
use crate::foresight::coverages::{ClientCounts, coverages, noted_in};
use crate::foresight::{CatalogWithConfig, NotedTraffic, ServiceMove, compare};

/// What whoever asks for a reload means to be done, whatever the guard says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfirmedRisks {
    /// Clients are sent elsewhere.
    pub moves: bool,
    /// Clients are left without a live region.
    pub uncovers: bool,
}

/// A service of which another part of the clients has a live region after a change. Its JSON form is stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageChange {
    /// The service.
    pub name: String,
    /// `A`, `AAAA`, `MX` or `SRV`.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The part that has one before, in per cent: of the address space, or of the queries noted lately if that is less.
    pub before_percent: f64,
    /// The part that has one after.
    pub after_percent: f64,
    /// Where those are that have none after: `: Germany, France and 3 more countries`; those whom a fence leaves none are
    /// not among them.
    #[serde(skip)]
    lost: String,
}

/// Why a reload from one to the other would be refused; `None`: it would not. What the server has noted of who asks counts
/// like the address space.
pub fn refusal(before: CatalogWithConfig<'_>, after: CatalogWithConfig<'_>) -> Option<String> {
    let limit = before.1.max_move?;
    match compare(before, after, &NotedTraffic::of(before.0)) {
        Ok(moves) => refusal_of(limit, &moves),
        Err(sentence) => Some(sentence),
    }
}

/// The same of what moves, under a limit from 0.0 to 1.0: a sentence that names the service of which the most moves.
pub fn refusal_of(limit: f64, moves: &[ServiceMove]) -> Option<String> {
    let limit = limit * 100.0;
    let above = moves.iter().map(most).filter(|(_, part, _)| *part > limit);
    let (worst, part, of) = above
        .clone()
        .max_by(|(_, one, _), (_, other, _)| one.total_cmp(other))?;
    let others = match above.count() - 1 {
        0 => String::new(),
        1 => ", and of one other too much".to_owned(),
        others => format!(", and of {others} others too much"),
    };
    Some(format!(
        "{} of {of} of {} ({}) would be sent elsewhere{others}, and [guard] max_move allows {}; if that is meant, use \
         `meridian reload --yes-move`",
        percent(part),
        worst.name,
        worst.rtype,
        percent(limit)
    ))
}

/// The changes of coverage from one catalog to another with everything up.
///
/// # Errors
/// A sentence: `traffic` cannot be read.
pub fn coverage_with_all_up(
    before: &Catalog,
    after: &Catalog,
    traffic: &NotedTraffic,
) -> Result<Vec<CoverageChange>, String> {
    let old = coverages(
        before,
        None,
        &noted_in(before, traffic)?,
        &ClientCounts::of(before),
    );
    let new = coverages(
        after,
        None,
        &noted_in(after, traffic)?,
        &ClientCounts::of(after),
    );
    Ok(changes_of_coverage((before, &old), (after, &new)))
}

/// Services of which another part of the clients is covered after a change; one that is new is compared with a whole.
pub fn changes_of_coverage(
    (before, old): (&Catalog, &[Vec<Coverage>]),
    (after, new): (&Catalog, &[Vec<Coverage>]),
) -> Vec<CoverageChange> {
    let mut known: HashMap<(String, &str), f64> = HashMap::new();
    for (service, families) in before.services.iter().zip(old) {
        let parts = families.iter().map(|it| {
            (
                (service.name.to_string(), &it.rtype[..]),
                it.least_covered_percent(),
            )
        });
        known.extend(parts);
    }
    let mut changes = Vec::new();
    for (service, families) in after.services.iter().zip(new) {
        let name = service.name.to_string();
        for coverage in families {
            let before_percent = known
                .get(&(name.clone(), &coverage.rtype[..]))
                .copied()
                .unwrap_or(100.0);
            let (after_percent, rtype) = (coverage.least_covered_percent(), coverage.rtype.clone());
            if before_percent != after_percent {
                let (name, lost) = (name.clone(), coverage.where_to());
                changes.push(CoverageChange {
                    name,
                    rtype,
                    before_percent,
                    after_percent,
                    lost,
                });
            }
        }
    }
    changes
}

/// Why these changes are refused under `[guard] min_covered`, from 0.0 to 1.0; `None`: they are not.
pub fn uncovering(limit: f64, changes: &[CoverageChange]) -> Option<String> {
    let limit = limit * 100.0;
    let below = changes
        .iter()
        .filter(|it| it.after_percent < limit && it.after_percent < it.before_percent);
    let worst = below.min_by(|one, other| one.after_percent.total_cmp(&other.after_percent))?;
    let CoverageChange {
        name,
        rtype,
        before_percent,
        after_percent,
        lost,
    } = worst;
    let (before, after, limit) = (
        percent(*before_percent),
        percent(*after_percent),
        percent(limit),
    );
    Some(format!(
        "{after} of the clients of {name} ({rtype}) would have a live region instead of {before}{lost}, and [guard] \
         min_covered wants {limit}; if that is meant, use `meridian reload --yes`"
    ))
}

/// The greater part that moves, in per cent, and of what.
fn most(moved: &ServiceMove) -> (&ServiceMove, f64, &'static str) {
    let traffic = moved
        .traffic
        .as_ref()
        .filter(|traffic| traffic.queries >= FEWEST_QUERIES);
    match traffic
        .map(|traffic| traffic.moved_percent)
        .filter(|part| *part > moved.moved_percent)
    {
        Some(part) => (moved, part, "the traffic noted lately"),
        None => (moved, moved.moved_percent, "the address space"),
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
            sentence.starts_with("70% of the traffic noted lately of a.example. (A) would be sent"),
            "{sentence}"
        );
    }
}
