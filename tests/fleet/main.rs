//! Fleets: simulated, and real ones with a NATS server.

mod simulation;
