//! Control: load everything, publish it whole or refuse it whole.

pub mod process;

pub mod load;

pub mod reload;

pub use load::{AtlasCache, Loaded, load};
pub use reload::{Control, Refused};
