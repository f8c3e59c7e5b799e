//! The guard of reloads: a change that sends too much of a service elsewhere at once is more often a slip than meant.

use crate::answer::explain::percent;
use crate::answer::foresight::{Made, ServiceMove, Traffic, compare};

/// Fewer queries than these say nothing of the rest.
const FEWEST_QUERIES: u64 = 100;

/// Why a reload from one to the other would be refused; `None`: it would not. What the server has noted of who asks counts
/// like the address space.
pub fn refusal(before: Made<'_>, after: Made<'_>) -> Option<String> {
    let limit = before.1.max_move?;
    match compare(before, after, &Traffic::of(before.0)) {
        Ok(moves) => refusal_of(limit, &moves),
        Err(sentence) => Some(sentence),
    }
}

/// The same of what moves, under a limit from 0.0 to 1.0: a sentence that names the service of which the most moves.
pub fn refusal_of(limit: f64, moves: &[ServiceMove]) -> Option<String> {
    let limit = limit * 100.0;
    let above = moves.iter().map(most).filter(|(_, part, _)| *part > limit);
    let (worst, part, of) = above.clone().max_by(|(_, one, _), (_, other, _)| one.total_cmp(other))?;
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

/// The greater part that moves, in per cent, and of what.
fn most(moved: &ServiceMove) -> (&ServiceMove, f64, &'static str) {
    let traffic = moved.traffic.as_ref().filter(|traffic| traffic.queries >= FEWEST_QUERIES);
    match traffic.map(|traffic| traffic.moved_percent).filter(|part| *part > moved.moved_percent) {
        Some(part) => (moved, part, "the traffic noted lately"),
        None => (moved, moved.moved_percent, "the address space"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::foresight::TrafficMove;

    #[test]
    fn the_worst_is_named() {
        let moved = |name: &str, moved_percent| ServiceMove {
            name: name.to_owned(),
            rtype: "A".to_owned(),
            moved_percent,
            traffic: None,
            regions: Vec::new(),
        };
        let moves = [moved("a.example.", 31.0), moved("b.example.", 64.2), moved("c.example.", 30.0)];
        let sentence = refusal_of(0.3, &moves).unwrap();
        let expected = "64.2% of the address space of b.example. (A) would be sent elsewhere, and of one other too much, \
                        and [guard] max_move allows 30%; if that is meant, use `meridian reload --yes-move`";
        assert_eq!(sentence, expected);
        assert_eq!(refusal_of(0.3, &moves[2..]), None, "the limit itself is allowed");
        assert_eq!(refusal_of(0.642, &moves), None);
    }

    #[test]
    fn traffic_counts_where_there_is_enough_of_it() {
        let moved = |queries| {
            let traffic = Some(TrafficMove { queries, moved_percent: 70.0 });
            let (name, rtype) = ("a.example.".to_owned(), "A".to_owned());
            [ServiceMove { name, rtype, moved_percent: 5.0, traffic, regions: Vec::new() }]
        };
        assert_eq!(refusal_of(0.3, &moved(99)), None);
        let sentence = refusal_of(0.3, &moved(100)).unwrap();
        assert!(sentence.starts_with("70% of the traffic noted lately of a.example. (A) would be sent"), "{sentence}");
    }
}
