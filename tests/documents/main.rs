//! What the documents tell people to type is typed here, and gives what they say it gives.

#[path = "../harness/mod.rs"]
mod harness;
// The clients speak more of its words.
#[allow(dead_code)]
#[path = "../clients/programs.rs"]
mod programs;

mod console;
mod examples;
mod failures;
mod guide;
mod packaging;
mod readme;
