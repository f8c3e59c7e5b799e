//! Compares two configurations as written, setting by setting.
//!
//! `plan` and the reload preview show the result. Tables are compared key by key. A list of tables
//! with a `name`, such as the services, is compared by name, so that an insertion does not show as
//! a change of everything after it. Other lists are values. This module does no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A setting whose value differs between two configurations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// The path from the top of the configuration: `services.www.example.com.ttl`.
    pub key: String,
    /// Its value before; null: it was absent.
    pub before: Option<Value>,
    /// Its value after; null: it is absent.
    pub after: Option<Value>,
}

/// Every setting that differs, in the order of the first configuration, then new ones.
pub fn settings(before: &Value, after: &Value) -> Vec<SettingChange> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

/// Compares one setting with everything below it.
fn walk(key: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<SettingChange>) {
    if before == after {
        return;
    }
    let (Some(old), Some(new)) = (NamedParts::of(before), NamedParts::of(after)) else {
        return found.push(SettingChange {
            key: key.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        });
    };
    let count = found.len();
    for (name, value) in &old.0 {
        walk(&below(key, name), Some(value), new.get(name), found);
    }
    for (name, value) in &new.0 {
        if old.get(name).is_none() {
            walk(&below(key, name), None, Some(value), found);
        }
    }
    let is_reordered = before.is_some() && after.is_some() && old.0.len() == new.0.len();
    if found.len() == count && is_reordered {
        found.push(SettingChange {
            key: format!("{key} (order)"),
            before: Some(old.names()),
            after: Some(new.names()),
        });
    }
}

/// The path of a part of `key`.
fn below(key: &str, name: &str) -> String {
    if key.is_empty() {
        name.to_owned()
    } else {
        format!("{key}.{name}")
    }
}

/// The parts of a table, or of a list of tables that have names.
struct NamedParts<'v>(Vec<(&'v str, &'v Value)>);

impl<'v> NamedParts<'v> {
    /// The parts of a value, none if it is absent. `None`: it is a value without named parts.
    fn of(value: Option<&'v Value>) -> Option<NamedParts<'v>> {
        let mut parts = Vec::new();
        match value {
            None => {}
            Some(Value::Object(table)) => {
                for (name, value) in table {
                    parts.push((name.as_str(), value));
                }
            }
            Some(Value::Array(list)) if !list.is_empty() => {
                for value in list {
                    parts.push((value.get("name")?.as_str()?, value));
                }
            }
            Some(_) => return None,
        }
        Some(NamedParts(parts))
    }

    fn get(&self, wanted: &str) -> Option<&'v Value> {
        for (name, value) in &self.0 {
            if *name == wanted {
                return Some(value);
            }
        }
        None
    }

    /// The names as a list.
    fn names(&self) -> Value {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &str, after: &str) -> Vec<String> {
        let text =
            |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), Value::to_string);
        let found = settings(
            &toml::from_str(before).unwrap(),
            &toml::from_str(after).unwrap(),
        );
        found
            .iter()
            .map(|it| format!("{}: {} > {}", it.key, text(&it.before), text(&it.after)))
            .collect()
    }

    #[test]
    fn changes_are_listed_by_their_path_from_the_top() {
        let before = "[regions.fra]\nweight = 1\n[[services]]\nname = \"www.example.com\"\nttl = 30\n\
                      [services.endpoints]\nfra = \"192.0.2.1\"\n";
        let after = "[regions.iad]\n[regions.fra]\nweight = 2\n[[services]]\nname = \"new.example.com\"\n\
                     [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = [\"192.0.2.1\"]\n";
        let found = changes(before, after);
        assert!(
            found.contains(&"regions.fra.weight: 1 > 2".to_owned()),
            "{found:?}"
        );
        assert!(
            found.contains(&"services.www.example.com.ttl: 30 > none".to_owned()),
            "{found:?}"
        );
        let endpoints =
            "services.www.example.com.endpoints.fra: \"192.0.2.1\" > [\"192.0.2.1\"]".to_owned();
        assert!(found.contains(&endpoints), "{found:?}");
        assert!(
            found.contains(&"services.new.example.com.name: none > \"new.example.com\"".to_owned()),
            "{found:?}"
        );
        assert_eq!(changes(before, before), [""; 0]);
    }
}
