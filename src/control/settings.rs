//! Compares two configurations as written, setting by setting.
//!
//! This module does no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A key of the configuration that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// Its way from the top: `services.www.example.com.ttl`.
    pub key: String,
    /// Its value before; null: it was not there.
    pub before: Option<Value>,
    /// Its value after; null: it is gone.
    pub after: Option<Value>,
}

/// Every key that differs, in the order of the first.
pub fn settings(before: &Value, after: &Value) -> Vec<SettingChange> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

fn walk(key: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<SettingChange>) {
    if before == after {
        return;
    }
    let parts = |value: Option<&Value>| value.map_or(Some(Vec::new()), named);
    let (Some(old), Some(new)) = (parts(before), parts(after)) else {
        return found.push(SettingChange {
            key: key.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        });
    };
    let value = |parts: &[(String, Value)], name: &str| {
        parts
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, it)| it.clone())
    };
    let added = new
        .iter()
        .filter(|(name, _)| !old.iter().any(|(known, _)| known == name));
    let reordered = before.is_some() && after.is_some() && old.len() == new.len();
    let count = found.len();
    for (name, _) in old.iter().chain(added) {
        let path = if key.is_empty() {
            name.clone()
        } else {
            format!("{key}.{name}")
        };
        walk(
            &path,
            value(&old, name).as_ref(),
            value(&new, name).as_ref(),
            found,
        );
    }
    if found.len() == count && reordered {
        let names = |parts: &[(String, Value)]| {
            Value::from(parts.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>())
        };
        let (before, after) = (Some(names(&old)), Some(names(&new)));
        found.push(SettingChange {
            key: format!("{key} (order)"),
            before,
            after,
        });
    }
}

/// The parts of a table, or of a list of tables that have names; `None`: a value.
fn named(value: &Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(table) => Some(
            table
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        ),
        Value::Array(list) => {
            let name = |it: &Value| Some((it.get("name")?.as_str()?.to_owned(), it.clone()));
            list.iter()
                .map(name)
                .collect::<Option<Vec<_>>>()
                .filter(|list| !list.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
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
    fn keys_are_told_by_their_way_from_the_top() {
        let before = "[regions.fra]\nweight = 1\n[[services]]\nname = \"www.example.com\"\nttl = 30\n\
                      [services.endpoints]\nfra = \"192.0.2.1\"\n";
        let after = "[regions.iad]\n[regions.fra]\nweight = 2\n[[services]]\nname = \"new.example.com\"\n\
                     [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = [\"192.0.2.1\"]\n";
        let found = told(before, after);
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
        assert_eq!(told(before, before), [""; 0]);
    }
}
