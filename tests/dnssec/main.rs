//! Keys and signatures of other programs, read and verified by ours, and the other way round: BIND's tools, ldns, Knot's
//! keymgr and OpenSSL.

mod keys;
mod programs;
mod signed_zone;
mod zones;
