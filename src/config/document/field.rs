//! The keys of a table: whether a key is present, its value, and its place in the file.
//!
//! A [`TableField`] is a key without a default value: it is absent, refused or given. A
//! [`Setting`] is a key with a default, so it always has a value. [`NamedTables`] is a table whose
//! keys are names that the user chose, such as `[regions]`.

use std::mem::take;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::error::ConfigReport;
use super::read::{DocumentItem, ReadValue, SpannedList, WithOffset};

/// A key without a default value.
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

    /// The value, if it is good.
    pub fn get(&self) -> Option<&T> {
        if let TableField::Given(given) = self {
            Some(&given.value)
        } else {
            None
        }
    }

    /// Where the value stands.
    pub fn at(&self) -> Option<usize> {
        if let TableField::Given(given) = self {
            Some(given.at)
        } else {
            None
        }
    }

    /// A value as if it stood at this place.
    pub fn given_at(at: usize, value: T) -> Self {
        TableField::Given(WithOffset { at, value })
    }

    /// Whether the key is missing.
    pub fn is_absent(&self) -> bool {
        matches!(self, TableField::Absent)
    }

    /// Whether the key is there with a value that was refused.
    pub fn is_refused(&self) -> bool {
        matches!(self, TableField::Refused)
    }

    /// Reads the value of a key.
    pub fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Self
    where
        T: ReadValue,
    {
        match T::read(item, report) {
            Some(value) => TableField::Given(WithOffset { at: item.at, value }),
            None => TableField::Refused,
        }
    }

    /// The value with its place; a missing key is reported at `table`, the place of its table.
    pub fn required(
        self,
        table: usize,
        sentence: &str,
        report: &mut ConfigReport,
    ) -> Option<WithOffset<T>> {
        if self.is_absent() {
            report.error(table, sentence.to_owned());
        }
        self.given()
    }
}

impl<T: Default> TableField<T> {
    /// The value, or an empty one if the key is absent or refused. A refused value is in the
    /// report, so the configuration is not used.
    pub fn or_default(self) -> T {
        self.value().unwrap_or_default()
    }
}

impl TableField<PathBuf> {
    /// The path; a relative one lies in `folder`.
    pub fn path_in(self, folder: &Path) -> Option<PathBuf> {
        self.value().map(|path| folder.join(path))
    }
}

/// A list that can stand in several files.
pub trait Append: Sized {
    /// Adds the elements of another list behind its own.
    fn append(&mut self, more: Self);
}

impl<T> Append for SpannedList<T> {
    fn append(&mut self, mut more: Self) {
        Vec::append(self, &mut more);
    }
}

impl<T> Append for NamedTables<T> {
    fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }
}

impl<T: Append> TableField<T> {
    /// Adds the list that stands under the same key of another file.
    pub fn append(&mut self, more: TableField<T>) {
        *self = match (take(self), more) {
            (TableField::Given(mut all), TableField::Given(more)) => {
                all.value.append(more.value);
                TableField::Given(all)
            }
            (TableField::Absent, one) | (one, TableField::Absent) => one,
            (TableField::Refused, _) | (_, TableField::Refused) => TableField::Refused,
        };
    }
}

/// A key that has a default value, which stands here until the file states another.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    /// The value of the file, or the default. It is the default also where the file's value was
    /// refused: the report then keeps the configuration from being used.
    pub value: T,
    at: Option<usize>,
    is_absent: bool,
}

impl<T> Setting<T> {
    /// A key that is not in the file.
    pub fn unset(default: T) -> Self {
        Setting {
            value: default,
            at: None,
            is_absent: true,
        }
    }

    /// The value of this key, else that of `shared`, else the default.
    pub fn or(self, shared: &TableField<T>) -> T
    where
        T: Clone,
    {
        match shared.get() {
            Some(shared) if self.is_absent => shared.clone(),
            _ => self.value,
        }
    }

    /// Where the value stands; `None`: it is the default.
    pub fn at(&self) -> Option<usize> {
        self.at
    }

    /// Whether the key is missing. It is not if its value was refused.
    pub fn is_absent(&self) -> bool {
        self.is_absent
    }
}

/// What a key of a table holds.
pub trait Slot {
    /// Reads the value of the key.
    fn fill(&mut self, item: DocumentItem<'_>, report: &mut ConfigReport);
}

impl<T: ReadValue> Slot for TableField<T> {
    fn fill(&mut self, item: DocumentItem<'_>, report: &mut ConfigReport) {
        *self = TableField::read(item, report);
    }
}

impl<T: ReadValue> Slot for Setting<T> {
    fn fill(&mut self, item: DocumentItem<'_>, report: &mut ConfigReport) {
        self.is_absent = false;
        if let Some(value) = T::read(item, report) {
            self.value = value;
            self.at = Some(item.at);
        }
    }
}

/// A table whose keys are names that the user chose, in the order of the file.
#[derive(Debug, Clone)]
pub struct NamedTables<T>(pub Vec<NamedEntry<T>>);

impl<T> Default for NamedTables<T> {
    fn default() -> Self {
        NamedTables(Vec::new())
    }
}

/// One entry of a [`NamedTables`].
#[derive(Debug, Clone)]
pub struct NamedEntry<T> {
    /// The name and where it stands.
    pub name: WithOffset<String>,
    /// What it names.
    pub value: TableField<T>,
}

impl<T: ReadValue> ReadValue for NamedTables<T> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let mut entries = Vec::new();
        for (at, item) in item.entries(report)? {
            let name = WithOffset {
                at,
                value: item.key.to_owned(),
            };
            entries.push(NamedEntry {
                name,
                value: TableField::read(item, report),
            });
        }
        Some(NamedTables(entries))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = T::schema(generator);
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

macro_rules! schema_of_the_value {
    ($slot:ident) => {
        impl<T: ReadValue> JsonSchema for $slot<T> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($slot).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::schema(generator)
            }
        }
    };
}
schema_of_the_value!(TableField);
schema_of_the_value!(Setting);
