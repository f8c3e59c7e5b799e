//! What a roll waits for, in one sentence for people.
//!
//! The end of a wait is told by the wall clock, from what was over when it was counted last. While
//! no server counts, because none runs, the end moves.

use super::{KeyLabel, RollKind, RollPhase, ZoneRoll};
use crate::dnssec::key_file::time_for_people;

impl ZoneRoll {
    /// What is replaced by what: `rolls the ZSK from 1 (ED25519) to 2 (ED25519)`.
    pub fn title(&self) -> String {
        let (old, new) = (names(&self.old), names(&self.new));
        match self.kind {
            _ if self.is_cancelled() => "keeps its keys".to_owned(),
            RollKind::Unsign => "goes back to unsigned".to_owned(),
            RollKind::Algorithm => format!("changes the algorithm: from {old} to {new}"),
            RollKind::Ksk if self.old.is_empty() => format!("becomes secure with {new}"),
            RollKind::Zsk => format!("rolls the ZSK from {old} to {new}"),
            RollKind::Ksk => format!("rolls the KSK from {old} to {new}"),
            RollKind::Csk => format!("rolls the key from {old} to {new}"),
        }
    }

    /// What it waits for now.
    pub fn sentence(&self) -> String {
        if self.is_under_way() && self.needed == 0 {
            return "waits for the server, which takes it in with its next reload".to_owned();
        }
        let (old, new, until) = (names(&self.old), names(&self.new), self.until());
        match self.phase {
            RollPhase::SignAhead => format!(
                "{new} signs too; waits until {until}, when the last cached answer without its \
                 signature has expired"
            ),
            RollPhase::Publish => format!(
                "{new} is published; waits until {until}, when the last cached DNSKEY set without \
                 it has expired"
            ),
            RollPhase::Submit if self.is_parent_ready => self.parent_sentence(&until),
            RollPhase::Submit => self.request(),
            RollPhase::Retire => format!(
                "{new} signs the zone; waits until {until}, when the last cached signature of {old} \
                 has expired"
            ),
            RollPhase::SignBehind => format!(
                "{old} is published no more; waits until {until}, when the last cached DNSKEY set \
                 with it has expired"
            ),
            RollPhase::Done => self.end(),
        }
    }

    /// The parent has what it was asked for.
    fn parent_sentence(&self, until: &str) -> String {
        if self.kind == RollKind::Unsign {
            return format!(
                "the parent has removed the DS records; waits until {until}, when the last cached \
                 one has expired"
            );
        }
        format!(
            "the parent has the DS record of {}; waits until {until}, when the last cached DS set \
             without it has expired",
            names(&self.new)
        )
    }

    /// What the parent is to do.
    fn request(&self) -> String {
        let note = match self.parent_note.as_str() {
            "" => String::new(),
            note => format!(" (last answer: {note})"),
        };
        if self.kind == RollKind::Unsign {
            return format!(
                "waits for the parent to remove all DS records{note}; ask your registrar, or it \
                 takes the CDS record"
            );
        }
        let removal = match self.old.is_empty() {
            true => String::new(),
            false => format!(" and to remove that of {}", names(&self.old)),
        };
        format!(
            "waits for the parent to publish the DS record of {}{removal}{note}; ask your \
             registrar, or it takes the CDS record",
            names(&self.new)
        )
    }

    fn end(&self) -> String {
        let at = time_for_people(self.floor);
        match self.kind {
            _ if self.is_cancelled() => format!("a roll was taken back on {at}"),
            RollKind::Unsign => format!(
                "no DS record is left in any cache since {at}; take the zone out of sign, and reload"
            ),
            _ => format!("done on {at}"),
        }
    }

    /// When the present wait is over.
    fn until(&self) -> String {
        let left = self.needed.saturating_sub(self.waited);
        // Up to the next full minute.
        time_for_people(self.counted.saturating_add(left).saturating_add(59))
    }
}

/// The keys of one side.
fn names(labels: &[KeyLabel]) -> String {
    let mut names = Vec::new();
    for label in labels {
        names.push(label.to_string());
    }
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(" and "),
    }
}
