//! `[guard]` as written: the changes that a reload refuses without confirmation.

use crate::config::document::tables;
use crate::config::values::services::Percentage;

tables! {
    /// The changes that a reload refuses without confirmation.
    Guard {
        /// The largest part of the address space of any service that a reload may move to other
        /// regions, `"0%"` to `"100%"`.
        max_move: Percentage => "any",
        /// The smallest part of the clients of any service that may have a live region after a
        /// reload, `"0%"` to `"100%"`, where it is smaller than before.
        min_covered: Percentage => "any",
    }
}
