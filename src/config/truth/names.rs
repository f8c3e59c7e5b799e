//! The names of regions, checks, policies and the like, and which of them are used.
//!
//! [`DeclaredNames`] gives each name an id, its position in the file. It reports invalid and
//! unknown names, suggests a similar one, and warns of names that nothing uses.

use std::collections::HashMap;

use crate::config::document::{ConfigReport, NamedEntry, ValueError, WithOffset};

/// The declared names of one kind, in the order of the file. An index into the list is the id.
pub struct DeclaredNames {
    kind: &'static str,
    declared: Vec<WithOffset<String>>,
    ids: HashMap<String, u16>,
    used: Vec<bool>,
}

impl DeclaredNames {
    /// Collects the names. Reports invalid names, and those after the 65,535th.
    pub fn declare<T>(
        kind: &'static str,
        entries: &[NamedEntry<T>],
        report: &mut ConfigReport,
    ) -> Self {
        let declared: Vec<WithOffset<String>> =
            entries.iter().map(|entry| entry.name.clone()).collect();
        for name in declared.iter().filter(|name| !is_name(&name.value)) {
            let sentence = format!(
                "\"{}\" is no {kind} name; it takes 1 to 63 of a-z, 0-9 and -",
                name.value
            );
            report.error(name.at, sentence);
        }
        if let Some(name) = declared.get(usize::from(u16::MAX)) {
            report.error(name.at, format!("there are more than 65535 {kind}s"));
        }
        let mut ids: HashMap<String, u16> = HashMap::with_capacity(declared.len());
        for (name, id) in declared.iter().zip(0..=u16::MAX) {
            // One file cannot have a key twice, but two files can.
            if let Some(first) = ids.get(&name.value) {
                let first = report.line(declared[usize::from(*first)].at);
                let before = first.seen_from(&report.line(name.at));
                let sentence = format!("there is a {kind} \"{}\" already in {before}", name.value);
                report.error(name.at, sentence);
            } else {
                ids.insert(name.value.clone(), id);
            }
        }
        let used = vec![false; declared.len()];
        DeclaredNames {
            kind,
            declared,
            ids,
            used,
        }
    }

    /// The id of a name, which is marked as used. An unknown name is reported.
    pub fn find(&mut self, name: &WithOffset<String>, report: &mut ConfigReport) -> Option<u16> {
        let found = self.find_unused(name, report);
        if let Some(id) = found {
            self.used[usize::from(id)] = true;
        }
        found
    }

    /// The id of a name, without marking it as used.
    pub fn find_unused(&self, name: &WithOffset<String>, report: &mut ConfigReport) -> Option<u16> {
        let found = self.ids.get(&name.value).copied();
        if found.is_none() {
            let hint = report.hint(
                &name.value,
                self.declared.iter().map(|declared| declared.value.as_str()),
            );
            let sentence = format!("there is no {} \"{}\"", self.kind, name.value);
            report.error(name.at, ValueError::with_hint(sentence, hint));
        }
        found
    }

    /// The name of an id.
    pub fn name(&self, id: u16) -> &str {
        self.declared
            .get(usize::from(id))
            .map_or("", |name| &name.value)
    }

    /// Warns of every name that nothing uses.
    pub fn warn_unused(&self, report: &mut ConfigReport) {
        for (name, is_used) in self.declared.iter().zip(&self.used) {
            if !is_used {
                let sentence = format!("{} \"{}\" is used by no service", self.kind, name.value);
                report.warning(name.at, sentence);
            }
        }
    }
}

/// Whether a text can be such a name: 1 to 63 of a-z, 0-9 and -.
pub fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_allowed(octet: u8) -> bool {
    octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-'
}
