//! The generic reader of TOML documents, which knows no key and no value of Meridian.
//!
//! [`read`] turns the document tree of the TOML parser into values. [`field`] holds the value of a
//! key. [`table`] declares tables: their keys, types and defaults. [`error`] collects the mistakes
//! with their places in the file. The folders beside this one build on it: `values` defines the
//! syntax of single values, `tables` the keys, and `truth` resolves them to the configuration.

pub mod error;
pub mod field;
pub mod read;
pub mod table;

pub use error::{ConfigReport, ValueError, nearest};
pub use field::{NamedEntry, NamedTables, Setting, Slot, TableField};
pub use read::{DocumentItem, OneOrMore, ReadValue, SpannedList, TextValue, WithOffset, values_of};
pub(crate) use table::tables;
