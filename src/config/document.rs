//! The text of a configuration file, before anybody knows what it means.
//!
//! [`read`] turns the document tree of the TOML parser into values. [`field`] holds the value of a key, and [`table`] declares
//! tables: their keys, types and defaults. [`error`] collects the mistakes with their places. This folder knows no key and no
//! value of Meridian: `values` says how values are written, `tables` which keys there are, and `truth` what they come to.
//! Each of these four folders uses only those before it.

pub mod error;
pub mod field;
pub mod read;
pub mod table;

pub use error::{ConfigReport, ValueError, nearest};
pub use field::{NamedEntry, NamedTables, Setting, Slot, TableField};
pub use read::{DocumentItem, OneOrMore, ReadValue, SpannedList, TextValue, WithOffset};
pub(crate) use table::tables;
