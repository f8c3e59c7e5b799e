//! Why a bucket of orders does not count, in words for people and metrics.
//!
//! An alarm never changes what is in force. It says what an operator has to look at, and new orders
//! are refused while it lasts.

use std::fmt;

use crate::text::{counted, list, shown};

/// Most keys that an alarm names.
const MOST_NAMED: usize = 4;

/// Why the bucket does not count. What was seen before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrdersAlarm {
    /// There is none, and there was one.
    Gone,
    /// It was made anew, and not from what a server holds.
    Recreated,
    /// Its revisions have gone back.
    Older {
        /// The last revision of the bucket.
        theirs: u64,
        /// The last revision that was seen.
        ours: u64,
    },
    /// Orders are missing, and nobody has removed them.
    Emptied(Vec<String>),
}

impl OrdersAlarm {
    /// Its word in status and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            OrdersAlarm::Gone => "gone",
            OrdersAlarm::Recreated => "recreated",
            OrdersAlarm::Older { .. } => "older",
            OrdersAlarm::Emptied(_) => "emptied",
        }
    }

    /// Every word.
    pub const WORDS: [&str; 4] = ["gone", "recreated", "older", "emptied"];
}

impl fmt::Display for OrdersAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bucket of the fleet's orders ")?;
        match self {
            OrdersAlarm::Gone => f.write_str("is gone"),
            OrdersAlarm::Recreated => f.write_str("was made anew"),
            OrdersAlarm::Older { theirs, ours } => write!(
                f,
                "is older than what this server has seen (revision {theirs}, not {ours})"
            ),
            OrdersAlarm::Emptied(keys) if keys.is_empty() => f.write_str("was emptied"),
            OrdersAlarm::Emptied(keys) => {
                let named = shown(list(keys, MOST_NAMED)).to_string();
                let count = counted(keys.len() as u64, "order");
                write!(f, "lacks {count} that nobody has removed ({named})")
            }
        }
    }
}
