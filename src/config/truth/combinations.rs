//! Checks that combine others: `all`, `any`, or `at_least` a number `of` them.
//!
//! A combination may name other combinations, up to a limit on depth and on the number of checks.
//! A check that contains itself, directly or through others, is reported once for each cycle.

use super::checks::CombinationParts;
use super::model::{CheckConfig, CheckId, CheckKind};
use super::names::DeclaredNames;
use crate::config::document::{ConfigReport, SpannedList, TableField, WithOffset};
use crate::config::tables;
use crate::health::fold::CheckCombination;

/// Most checks that one combination may come to, counted through those inside it.
const MOST_LEAVES: usize = 64;
/// Most combinations inside one another.
const DEEPEST: usize = 8;

/// Whether a check combines others.
pub fn is_combined(raw: &tables::Check) -> bool {
    let lists = [&raw.all, &raw.any, &raw.of];
    lists.iter().any(|list| !list.is_absent()) || !raw.at_least.is_absent()
}

/// What is combined, and how; `parts` gets the places where the names stand.
pub fn resolve(
    raw: tables::Check,
    name: &WithOffset<String>,
    names: &mut DeclaredNames,
    parts: &mut CombinationParts,
    report: &mut ConfigReport,
) -> CheckKind {
    refuse_own_questions(&raw, report);
    let given = [
        raw.all.at(),
        raw.any.at(),
        raw.of.at().or(raw.at_least.at()),
    ];
    if let [_, second, ..] = given.into_iter().flatten().collect::<Vec<_>>()[..] {
        report.error(
            second,
            "a check combines others in one way: all, any, or at_least with of".to_owned(),
        );
    }
    let is_counted = !raw.of.is_absent() || !raw.at_least.is_absent();
    let least = if is_counted {
        let sentence = format!("check \"{}\" needs both at_least and of", name.value);
        let least = raw.at_least.clone().required(name.at, &sentence, report);
        raw.of
            .clone()
            .required(name.at, &sentence, report)
            .and(least)
    } else {
        None
    };
    let rule = match (&least, raw.any.is_absent()) {
        (Some(least), _) => CheckCombination::AtLeast(least.value.as_usize()),
        (None, false) => CheckCombination::Any,
        (None, true) => CheckCombination::All,
    };
    let list: Option<WithOffset<SpannedList<String>>> = [raw.all, raw.any, raw.of]
        .into_iter()
        .find(|list| !list.is_absent())
        .and_then(TableField::given);
    let Some(list) = list else {
        return CheckKind::Combined {
            rule,
            parts: Vec::new(),
        };
    };
    let length = list.value.len();
    if length == 0 {
        report.error(
            list.at,
            format!("check \"{}\" combines no checks", name.value),
        );
    }
    if let Some(least) = least.filter(|least| length > 0 && least.value.as_usize() > length) {
        report.error(
            least.at,
            format!("there are only {length} checks to be good"),
        );
    }
    for part in list.value {
        let Some(id) = names.find(&part, report).map(CheckId) else {
            continue;
        };
        if parts.iter().any(|known| known.value == id) {
            report.error(part.at, format!("check \"{}\" is listed twice", part.value));
        }
        parts.push(WithOffset {
            at: part.at,
            value: id,
        });
    }
    CheckKind::Combined {
        rule,
        parts: parts.iter().map(|part| part.value).collect(),
    }
}

/// A combination asks nobody itself, so every key about asking belongs to its parts.
fn refuse_own_questions(raw: &tables::Check, report: &mut ConfigReport) {
    let keys = [
        ("type", raw.r#type.at()),
        ("port", raw.port.at()),
        ("path", raw.path.at()),
        ("method", raw.method.at()),
        ("expect", raw.expect.at()),
        ("host", raw.host.at()),
        ("tls", raw.tls.at()),
        ("verify", raw.verify.at()),
        ("ca_file", raw.ca_file.at()),
        ("client_cert", raw.client_cert.at()),
        ("client_key", raw.client_key.at()),
        ("headers", raw.headers.at()),
        ("expiry_warning", raw.expiry_warning.at()),
        ("service", raw.service.at()),
        ("query", raw.query.at()),
        ("query_type", raw.query_type.at()),
        ("program", raw.program.at()),
        ("arguments", raw.arguments.at()),
        ("interval", raw.interval.at()),
        ("quick", raw.quick.at()),
        ("timeout", raw.timeout.at()),
        ("fall", raw.fall.at()),
        ("rise", raw.rise.at()),
        ("damping", raw.damping.at()),
    ];
    for (key, at) in keys {
        if let Some(at) = at {
            report.error(
                at,
                format!("a check that combines others asks nobody itself, so it has no {key}"),
            );
        }
    }
}

/// Reports circles, and combinations that come to too much. `places` is by check.
pub fn check(checks: &[CheckConfig], places: &[CombinationParts], report: &mut ConfigReport) {
    let sizes = sizes(places);
    let mut told = vec![false; places.len()];
    for (at, size) in sizes.iter().enumerate() {
        match size {
            None => tell_circle(at, checks, places, &sizes, &mut told, report),
            Some(size) if size.depth > DEEPEST || size.leaves > MOST_LEAVES => {
                let place = places[at].first().map_or(0, |part| part.at);
                report.error(place, size.sentence(&checks[at].name));
            }
            Some(_) => {}
        }
    }
}

#[derive(Clone, Copy)]
struct Size {
    depth: usize,
    leaves: usize,
}

impl Size {
    /// Refuses a check of this size.
    fn sentence(self, name: &str) -> String {
        format!(
            "check \"{name}\" comes to {} checks in {} levels; at most are {MOST_LEAVES} in {DEEPEST}",
            self.leaves, self.depth
        )
    }
}

/// The size of every check; `None` for those on a cycle or above one. In topological order (Kahn
/// 1962), so that neither a long chain nor many ways to one part take long.
fn sizes(places: &[CombinationParts]) -> Vec<Option<Size>> {
    let mut wholes = vec![Vec::new(); places.len()];
    let mut missing: Vec<usize> = places.iter().map(Vec::len).collect();
    for (whole, parts) in places.iter().enumerate() {
        for part in parts {
            wholes[usize::from(part.value.0)].push(whole);
        }
    }
    let mut sizes: Vec<Option<Size>> = vec![None; places.len()];
    let mut ready: Vec<usize> = (0..places.len()).filter(|&at| missing[at] == 0).collect();
    while let Some(at) = ready.pop() {
        sizes[at] = Some(size_above(&places[at], &sizes));
        for &whole in &wholes[at] {
            missing[whole] -= 1;
            if missing[whole] == 0 {
                ready.push(whole);
            }
        }
    }
    sizes
}

/// The size of a check from those of its parts; one without parts is one leaf.
fn size_above(parts: &CombinationParts, sizes: &[Option<Size>]) -> Size {
    let mut depth = 0;
    let mut leaves: usize = 0;
    for part in parts {
        if let Some(size) = sizes[usize::from(part.value.0)] {
            depth = depth.max(size.depth + 1);
            leaves = leaves.saturating_add(size.leaves);
        }
    }
    Size {
        depth,
        leaves: leaves.max(1),
    }
}

/// Follows unfinished parts until one comes again; each circle is told once, where it closes.
fn tell_circle(
    start: usize,
    checks: &[CheckConfig],
    places: &[CombinationParts],
    sizes: &[Option<Size>],
    told: &mut [bool],
    report: &mut ConfigReport,
) {
    let mut way: Vec<(usize, usize)> = Vec::new();
    let mut at = start;
    while !told[at] {
        told[at] = true;
        let next = places[at]
            .iter()
            .find(|part| sizes[usize::from(part.value.0)].is_none());
        let Some(next) = next else { return };
        way.push((at, next.at));
        at = usize::from(next.value.0);
    }
    // Behind a circle that was told already nothing is on this way.
    let Some(first) = way.iter().position(|(known, _)| *known == at) else {
        return;
    };
    let names: Vec<&str> = way[first..]
        .iter()
        .map(|(known, _)| checks[*known].name.as_str())
        .take(8)
        .collect();
    let place = way.last().map_or(0, |(_, place)| *place);
    report.error(
        place,
        format!(
            "check \"{}\" combines itself: {} -> {}",
            names[0],
            names.join(" -> "),
            names[0]
        ),
    );
}
