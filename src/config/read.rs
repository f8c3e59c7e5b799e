//! Reading the document tree into the structures of `raw`, key by key, so that one mistake never hides another.
//!
//! serde stops at the first mistake, hence this small reader: [`tables!`](crate::config::read::tables) declares a
//! table once, and from that one declaration come the structure, its reader and its JSON Schema.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::error::{ConfigReport, ValueError};

/// A list with the place of each element.
pub type SpannedList<T> = Vec<WithOffset<T>>;

/// A value together with the byte of the file at which it starts.
#[derive(Debug, Clone)]
pub struct WithOffset<T> {
    /// Byte offset into the file.
    pub at: usize,
    /// The value.
    pub value: T,
}

/// A key of a table, as far as it could be read.
#[derive(Debug, Clone, Default)]
pub enum TableField<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there, its value was refused, and the report says so already.
    Refused,
    /// The key is there and its value is good.
    Given(WithOffset<T>),
}

impl<T> TableField<T> {
    /// The value with its place.
    pub fn given(self) -> Option<WithOffset<T>> {
        if let TableField::Given(given) = self {
            Some(given)
        } else {
            None
        }
    }

    /// The value alone.
    pub fn value(self) -> Option<T> {
        self.given().map(|given| given.value)
    }

    /// The value, or `default` (also for a refused one: the report then keeps the configuration from being used).
    pub fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// Where the value stands.
    pub fn at(&self) -> Option<usize> {
        if let TableField::Given(given) = self {
            Some(given.at)
        } else {
            None
        }
    }

    /// Whether the key is missing.
    pub fn is_absent(&self) -> bool {
        matches!(self, TableField::Absent)
    }

    /// Whether the key is there with a value that was refused.
    pub fn is_refused(&self) -> bool {
        matches!(self, TableField::Refused)
    }

    /// The value with its place; a missing key is reported at `table`, the place of its table.
    pub fn required(
        self,
        table: usize,
        sentence: &str,
        report: &mut ConfigReport<'_>,
    ) -> Option<WithOffset<T>> {
        if self.is_absent() {
            report.error(table, sentence.to_owned());
        }
        self.given()
    }
}

/// A value of the document, with the key it belongs to.
#[derive(Clone, Copy)]
pub struct DocumentItem<'d> {
    /// The key; for an element of a list, the key of the list.
    pub key: &'d str,
    /// Where the value starts.
    pub at: usize,
    /// The value.
    pub value: &'d DeValue<'d>,
}

impl<'d> DocumentItem<'d> {
    /// Reports that something else was expected.
    pub fn refuse(&self, expected: &str, hint: Option<String>, report: &mut ConfigReport<'_>) {
        let sentence = format!(
            "{}: expected {expected}, found {}",
            self.key,
            describe(self.value)
        );
        report.error(self.at, ValueError::with_hint(sentence, hint));
    }

    /// The keys of a table with where they stand, in the order of the file.
    pub fn entries(
        &self,
        report: &mut ConfigReport<'_>,
    ) -> Option<impl Iterator<Item = (usize, DocumentItem<'d>)> + use<'d>> {
        let Some(table) = self.value.as_table() else {
            self.refuse("a table", None, report);
            return None;
        };
        Some(table.iter().map(|(key, value)| {
            let item = DocumentItem {
                key: key.get_ref(),
                at: value.span().start,
                value: value.get_ref(),
            };
            (key.span().start, item)
        }))
    }

    /// The elements of a list; a single value counts as a list of one if `single` allows it.
    pub fn elements(
        &self,
        single: bool,
        report: &mut ConfigReport<'_>,
    ) -> Option<Vec<DocumentItem<'d>>> {
        if let Some(array) = self.value.as_array() {
            let element = |value: &'d toml::Spanned<DeValue<'d>>| DocumentItem {
                key: self.key,
                at: value.span().start,
                value: value.get_ref(),
            };
            Some(array.iter().map(element).collect())
        } else if single {
            Some(vec![*self])
        } else {
            self.refuse("a list", None, report);
            None
        }
    }
}

/// A type that can be read from a value. Mistakes go to the report; `None` means there was one.
pub trait ReadValue: Sized {
    /// Reads the value.
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self>;

    /// The values that can be read, as JSON Schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A type that is written as a string.
pub trait TextValue: Sized {
    /// What the string must be: "an IP address".
    fn expected() -> String;

    /// The value of the string.
    fn from_text(text: &str) -> Result<Self, ValueError>;

    /// Further keywords for the schema.
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl<T: TextValue> ReadValue for T {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
        let refusal = match item.value.as_str().map(T::from_text) {
            Some(Ok(value)) => return Some(value),
            Some(Err(refusal)) => refusal,
            None => ValueError::default(),
        };
        match refusal.sentence {
            Some(_) => report.error(item.at, refusal),
            None => item.refuse(&T::expected(), refusal.hint, report),
        }
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <T as TextValue>::schema()
    }
}

impl ReadValue for bool {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
        let value = item.value.as_bool();
        if value.is_none() {
            item.refuse("true or false", None, report);
        }
        value
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A list. Refused elements are left out, so that the others can be checked; a list of nothing else is refused.
impl<T: ReadValue> ReadValue for Vec<WithOffset<T>> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
        read_elements(item.elements(false, report)?, report)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let element = T::schema(generator);
        json_schema!({ "type": "array", "items": element })
    }
}

/// A list, or a single value that stands for a list of one.
#[derive(Debug)]
pub struct OneOrMore<T>(pub Vec<WithOffset<T>>);

impl<T: ReadValue> ReadValue for OneOrMore<T> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
        read_elements(item.elements(true, report)?, report).map(OneOrMore)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, more) = (
            T::schema(generator),
            Vec::<WithOffset<T>>::schema(generator),
        );
        json_schema!({ "anyOf": [one, more] })
    }
}

fn read_elements<T: ReadValue>(
    elements: Vec<DocumentItem<'_>>,
    report: &mut ConfigReport<'_>,
) -> Option<Vec<WithOffset<T>>> {
    let written = elements.len();
    let read = |item: DocumentItem<'_>| {
        T::read(item, report).map(|value| WithOffset { at: item.at, value })
    };
    let good: Vec<_> = elements.into_iter().filter_map(read).collect();
    (written == 0 || !good.is_empty()).then_some(good)
}

/// A table whose keys are names that the user chose, in the order of the file.
#[derive(Debug)]
pub struct NamedTables<T>(pub Vec<NamedEntry<T>>);

/// One entry of a [`NamedTables`] table.
#[derive(Debug)]
pub struct NamedEntry<T> {
    /// The name and where it stands.
    pub name: WithOffset<String>,
    /// What it names.
    pub value: TableField<T>,
}

impl<T: ReadValue> ReadValue for NamedTables<T> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
        let entries = item.entries(report)?;
        let entry = |(at, item): (usize, DocumentItem<'_>)| NamedEntry {
            name: WithOffset {
                at,
                value: item.key.to_owned(),
            },
            value: read_field(item, report),
        };
        Some(NamedTables(entries.map(entry).collect()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = T::schema(generator);
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// Reads the value of a key.
pub fn read_field<T: ReadValue>(
    item: DocumentItem<'_>,
    report: &mut ConfigReport<'_>,
) -> TableField<T> {
    match T::read(item, report) {
        Some(value) => TableField::Given(WithOffset { at: item.at, value }),
        None => TableField::Refused,
    }
}

/// Reports a key that its table does not have.
pub fn refuse_key(key: &str, at: usize, known: &[&str], report: &mut ConfigReport<'_>) {
    let known = || known.iter().map(|key| bare(key));
    let hint = report.hint(key, known());
    let sentence = match hint {
        Some(_) => format!("unknown key \"{key}\""),
        None => format!(
            "unknown key \"{key}\"; known here: {}",
            known().collect::<Vec<_>>().join(", ")
        ),
    };
    report.error(at, ValueError::with_hint(sentence, hint));
}

/// A field's name as a key: `type` is a word of Rust, so its field is `r#type`.
pub fn bare(field: &str) -> &str {
    field.trim_start_matches("r#")
}

impl<T: ReadValue> JsonSchema for TableField<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

/// Declares tables: the structure, its reader and its schema.
macro_rules! tables {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $key:ident: $kind:ty,)* })*) => {$(
        #[derive(Debug, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields, default)]
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $key: $crate::config::read::TableField<$kind>,)* }

        impl $crate::config::read::ReadValue for $name {
            fn read(
                item: $crate::config::read::DocumentItem<'_>,
                report: &mut $crate::config::error::ConfigReport<'_>,
            ) -> Option<Self> {
                use $crate::config::read::{bare, read_field, refuse_key};
                let mut table = Self::default();
                for (at, item) in item.entries(report)? {
                    match item.key {
                        $(key if key == bare(stringify!($key)) => table.$key = read_field(item, report),)*
                        key => refuse_key(key, at, &[$(stringify!($key)),*], report),
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

/// A value as it is named in a sentence.
fn describe(value: &DeValue<'_>) -> String {
    const LONGEST: usize = 60;
    match value {
        DeValue::String(text) if text.chars().count() > LONGEST => {
            format!(
                "\"{}...\"",
                text.chars()
                    .take(LONGEST)
                    .collect::<String>()
                    .escape_debug()
            )
        }
        DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
