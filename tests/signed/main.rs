//! Signed zones as others see them: delv and unbound validate every kind of answer while regions die, keys change and the
//! clock is moved. A program that is not installed fails its test, with the name of the Debian package that has it.

#[path = "../harness/mod.rs"]
mod harness;

mod programs;
mod world;

mod answers;
mod bootstrap;
mod compact;
mod elsewhere;
mod failover;
mod hashed;
mod multi_signer;
mod presigned;
mod presigned_hashes;
mod presigned_steered;
mod rolls;
mod serials;
mod time;
mod token;
mod validator;
