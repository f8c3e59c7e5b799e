//! Reads values from the document tree of the TOML parser.
//!
//! serde stops at the first mistake. This reader continues: it adds the mistake to the
//! [`ConfigReport`], leaves the value out, and reads the next one, so that one run reports every
//! mistake in a file. A type that can be read implements [`ReadValue`], or [`TextValue`] if its
//! value is a string. Both traits also describe the value for the JSON Schema.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::error::{ConfigReport, ValueError};

/// A list with the place of each element.
pub type SpannedList<T> = Vec<WithOffset<T>>;

/// The elements of a list without their places.
pub fn values_of<T>(list: SpannedList<T>) -> Vec<T> {
    list.into_iter().map(|element| element.value).collect()
}

/// A value together with the place at which it starts.
#[derive(Debug, Clone)]
pub struct WithOffset<T> {
    /// Offset in octets, as the [`ConfigReport`] counts them.
    pub at: usize,
    /// The value.
    pub value: T,
}

/// A value of the document, with the key it belongs to.
#[derive(Clone, Copy)]
pub struct DocumentItem<'d> {
    /// The key; for an element of a list, the key of the list.
    pub key: &'d str,
    /// The offset at which the value starts.
    pub at: usize,
    /// The offset at which its file starts.
    pub base: usize,
    /// The value.
    pub value: &'d DeValue<'d>,
}

impl<'d> DocumentItem<'d> {
    /// A value inside this one.
    fn inner(&self, key: &'d str, value: &'d Spanned<DeValue<'d>>) -> DocumentItem<'d> {
        DocumentItem {
            key,
            at: self.base + value.span().start,
            base: self.base,
            value: value.get_ref(),
        }
    }

    /// Reports that something else was expected.
    pub fn refuse(&self, expected: &str, hint: Option<String>, report: &mut ConfigReport) {
        let sentence = format!(
            "{}: expected {expected}, found {}",
            self.key,
            describe(self.value)
        );
        report.error(self.at, ValueError::with_hint(sentence, hint));
    }

    /// The keys of a table with where they stand, in the order of the file.
    pub fn entries(&self, report: &mut ConfigReport) -> Option<Vec<(usize, DocumentItem<'d>)>> {
        let Some(table) = self.value.as_table() else {
            self.refuse("a table", None, report);
            return None;
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let at = self.base + key.span().start;
            entries.push((at, self.inner(key.get_ref(), value)));
        }
        Some(entries)
    }

    /// The elements of a list; a single value counts as a list of one if `single` allows it.
    pub fn elements(
        &self,
        single: bool,
        report: &mut ConfigReport,
    ) -> Option<Vec<DocumentItem<'d>>> {
        if let Some(array) = self.value.as_array() {
            let elements = array.iter().map(|value| self.inner(self.key, value));
            Some(elements.collect())
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
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self>;

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
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
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
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
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

/// A list. Refused elements are left out, so that the others can be checked; a list of nothing
/// else is refused.
impl<T: ReadValue> ReadValue for Vec<WithOffset<T>> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        read_elements(item.elements(false, report)?, report)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let element = T::schema(generator);
        json_schema!({ "type": "array", "items": element })
    }
}

/// A list, or a single value that stands for a list of one.
#[derive(Debug, Clone)]
pub struct OneOrMore<T>(pub Vec<WithOffset<T>>);

impl<T: ReadValue> ReadValue for OneOrMore<T> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
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
    report: &mut ConfigReport,
) -> Option<Vec<WithOffset<T>>> {
    let written = elements.len();
    let mut good = Vec::with_capacity(written);
    for item in elements {
        if let Some(value) = T::read(item, report) {
            good.push(WithOffset { at: item.at, value });
        }
    }
    if written > 0 && good.is_empty() {
        None
    } else {
        Some(good)
    }
}

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
