//! The guard of reloads: a change that sends too much of a service elsewhere at once is more often a slip than meant.

use crate::answer::explain::percent;
use crate::answer::foresight::{Made, ServiceMove, compare};

/// Why a reload from one to the other would be refused; `None`: it would not.
pub fn refusal(before: Made<'_>, after: Made<'_>) -> Option<String> {
    let limit = before.1.max_move?;
    refusal_of(limit, &compare(before, after))
}

/// The same of what moves, under a limit from 0.0 to 1.0: a sentence that names the service of which the most moves.
pub fn refusal_of(limit: f64, moves: &[ServiceMove]) -> Option<String> {
    let limit = limit * 100.0;
    let above = moves.iter().filter(|moved| moved.moved_percent > limit);
    let worst = above.clone().max_by(|one, other| one.moved_percent.total_cmp(&other.moved_percent))?;
    let others = match above.count() - 1 {
        0 => String::new(),
        1 => ", and of one other too much".to_owned(),
        others => format!(", and of {others} others too much"),
    };
    Some(format!(
        "{} of the address space of {} ({}) would be sent elsewhere{others}, and [guard] max_move allows {}; if that is \
         meant, use `meridian reload --yes-move`",
        percent(worst.moved_percent),
        worst.name,
        worst.rtype,
        percent(limit)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_named() {
        let moved = |name: &str, moved_percent| ServiceMove {
            name: name.to_owned(),
            rtype: "A".to_owned(),
            moved_percent,
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
}
