//! Declares the tables of the configuration file. One declaration makes the structure, its reader,
//! its defaults and its JSON Schema.
//!
//! [`tables!`](crate::config::document::table::tables) takes a table in the form of its
//! documentation. Each key has a type and one of four endings, which define its default:
//!
//! ```text
//! tcp_idle: BoundedDuration<100, 3_600_000> = "10s",  a default value, as a user would write it
//! workers: WholeNumber<1, 1024> => "one per core",    no value; the words describe the default
//! zone: Name => needed,                               the key is required
//! damping: Damping => table,                          a table whose keys have their own defaults
//! ```
//!
//! A key without an ending has no default. `= "2s" => "or the interval if that is shorter"` adds
//! words to a value. The reader of the file also reads the default value, so the same bounds apply.
//! The schema and the tables of `docs/configuration.md` show the same text; a test compares them.

use schemars::Schema;
use serde_json::Value;
use toml::de::DeValue;

use super::error::{ConfigReport, ValueError};
use super::read::{DocumentItem, ReadValue};

/// What a key means that is not in the file.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// This value, as JSON and TOML both write it.
    Value(&'static str),
    /// This value, and words that say where it is another.
    Adjusted(&'static str, &'static str),
    /// There is no fixed value; these words describe what happens.
    Described(&'static str),
    /// The key must be there.
    Needed,
    /// A table, whose own keys have their defaults.
    Table(&'static [Key]),
    /// Nothing that is worth a word.
    Unstated,
}

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What its absence means.
    pub absent: Absent,
}

impl Key {
    /// The default, as the schema and `docs/configuration.md` state it. `None`: no default.
    pub fn shown_default(&self) -> Option<String> {
        match self.absent {
            Absent::Value(text) => Some(marked(text)),
            Absent::Adjusted(text, words) => Some(format!("{}, {words}", marked(text))),
            Absent::Described(words) => Some(words.to_owned()),
            Absent::Needed => Some("*needed*".to_owned()),
            Absent::Table(keys) => {
                let mut values = Vec::new();
                for key in keys {
                    if let Absent::Value(text) = key.absent {
                        values.push(format!("{} = {text}", key.name));
                    }
                }
                Some(format!("`{{ {} }}`", values.join(", ")))
            }
            Absent::Unstated => None,
        }
    }

    /// Adds what its absence means to its property in the schema.
    fn describe(&self, property: &mut Value) {
        let Some(property) = property.as_object_mut() else {
            return;
        };
        if let Absent::Value(text) = self.absent {
            property.insert(
                "default".to_owned(),
                serde_json::from_str(text).unwrap_or(Value::Null),
            );
        }
        let sentence = match (self.absent, self.shown_default()) {
            (_, None) => return,
            (Absent::Needed, _) => "Needed.".to_owned(),
            (_, Some(shown)) => format!("Default: {}.", shown.replace('*', "")),
        };
        if let Some(Value::String(description)) = property.get_mut("description") {
            description.push(' ');
            description.push_str(&sentence);
        }
    }
}

/// A value in Markdown: numbers as they are, everything else as code.
fn marked(text: &str) -> String {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        text.to_owned()
    } else {
        format!("`{text}`")
    }
}

/// A declared table.
pub trait Table {
    /// Its keys, in the order of the declaration.
    const KEYS: &'static [Key];
}

/// Writes the defaults of a table, and the keys that it needs, into its schema.
pub fn describe<T: Table>(schema: &mut Schema) {
    let mut needed = Vec::new();
    for key in T::KEYS {
        if let Absent::Needed = key.absent {
            needed.push(Value::from(key.name));
        }
        if let Some(property) = schema.pointer_mut(&format!("/properties/{}", key.name)) {
            key.describe(property);
        }
    }
    if !needed.is_empty() {
        schema.insert("required".to_owned(), Value::from(needed));
    }
}

/// Reads the default of a key as if it stood in a file.
pub fn read_default<T: ReadValue>(text: &'static str) -> T {
    let mut report = ConfigReport::new();
    let value = DeValue::parse(text).ok();
    let read = value.and_then(|value| {
        T::read(
            DocumentItem {
                key: "default",
                at: 0,
                base: 0,
                value: value.get_ref(),
            },
            &mut report,
        )
    });
    read.expect("a test reads the default of every key")
}

/// Reports a key that its table does not have.
pub fn refuse_key(key: &str, at: usize, known: &[Key], report: &mut ConfigReport) {
    let hint = report.hint(key, known.iter().map(|key| key.name));
    let sentence = match hint {
        Some(_) => format!("unknown key \"{key}\""),
        None => {
            let names: Vec<_> = known.iter().map(|key| key.name).collect();
            format!("unknown key \"{key}\"; known here: {}", names.join(", "))
        }
    };
    report.error(at, ValueError::with_hint(sentence, hint));
}

/// A field's name as a key: `type` is a word of Rust, so its field is `r#type`.
pub const fn bare(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// The type of a key: a [`Setting`] where it has a default value, else a [`Field`].
macro_rules! slot_type {
    ($kind:ty = $value:tt) => { $crate::config::document::Setting<$kind> };
    ($kind:ty) => { $crate::config::document::TableField<$kind> };
}
pub(crate) use slot_type;

/// A key that is not in the file. The default is read once.
macro_rules! slot_unset {
    ($kind:ty = $value:tt) => {{
        static DEFAULT: std::sync::OnceLock<$kind> = std::sync::OnceLock::new();
        let default = DEFAULT
            .get_or_init(|| $crate::config::document::table::read_default(stringify!($value)));
        $crate::config::document::Setting::unset(default.clone())
    }};
    ($kind:ty) => {
        $crate::config::document::TableField::Absent
    };
}
pub(crate) use slot_unset;

/// What the absence of a key means.
macro_rules! slot_absent {
    ($kind:ty) => {
        $crate::config::document::table::Absent::Unstated
    };
    ($kind:ty = $value:tt) => {
        $crate::config::document::table::Absent::Value(stringify!($value))
    };
    ($kind:ty = $value:tt => $words:literal) => {
        $crate::config::document::table::Absent::Adjusted(stringify!($value), $words)
    };
    ($kind:ty => needed) => {
        $crate::config::document::table::Absent::Needed
    };
    ($kind:ty => table) => {
        $crate::config::document::table::Absent::Table(
            <$kind as $crate::config::document::table::Table>::KEYS,
        )
    };
    ($kind:ty => $words:literal) => {
        $crate::config::document::table::Absent::Described($words)
    };
}
pub(crate) use slot_absent;

/// Declares tables; the head of this module says how.
macro_rules! tables {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$key_meta:meta])* $key:ident: $kind:ty $(= $value:tt)? $(=> $absent:tt)?,)*
    })*) => {$(
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields, default)]
        #[schemars(transform = $crate::config::document::table::describe::<$name>)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$key_meta])* pub $key: $crate::config::document::table::slot_type!($kind $(= $value)?),)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $crate::config::document::table::slot_unset!($kind $(= $value)?),)* }
            }
        }

        impl $crate::config::document::table::Table for $name {
            const KEYS: &'static [$crate::config::document::table::Key] = &[
                $($crate::config::document::table::Key {
                    name: $crate::config::document::table::bare(stringify!($key)),
                    absent: $crate::config::document::table::slot_absent!($kind $(= $value)? $(=> $absent)?),
                },)*
            ];
        }

        impl $crate::config::document::ReadValue for $name {
            fn read(
                item: $crate::config::document::DocumentItem<'_>,
                report: &mut $crate::config::document::ConfigReport,
            ) -> Option<Self> {
                use $crate::config::document::table::{Table, bare, refuse_key};
                use $crate::config::document::Slot;
                let mut table = Self::default();
                for (at, item) in item.entries(report)? {
                    match item.key {
                        $(key if key == bare(stringify!($key)) => table.$key.fill(item, report),)*
                        key => refuse_key(key, at, Self::KEYS, report),
                    }
                }
                Some(table)
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }
    )*};
}
pub(crate) use tables;
