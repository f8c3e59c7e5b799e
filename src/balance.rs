//! How load is balanced over the regions and endpoints of a service: rates, learned demand,
//! capacity, least load.
//!
//! [`traffic_rates`] counts how many answers each region gives per second. [`traffic_model`] learns
//! from them how much each group of clients asks, and [`spill`] computes the shares that keep every
//! region within its capacity. [`least_load`] turns the loads that endpoints report into weights.
//! All of it is arithmetic on values: `control` calls it when health, traffic or reports change,
//! and puts the results into the availability that is compiled next.

pub mod least_load;
pub mod spill;
pub mod traffic_model;
pub mod traffic_rates;
