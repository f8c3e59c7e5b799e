//! The encrypted transports: DNS over TLS, HTTPS and QUIC.
//!
//! Each transport unpacks whole queries, passes them to a
//! `Conversation` and sends the reply. They share the
//! certificate in [`TlsIdentity`], which a reload replaces for new connections.

mod https;
mod identity;
mod quic;
mod tls;

pub use https::HttpsHandler;
pub use identity::{PemError, TlsIdentity};
pub use quic::QuicListener;
pub use tls::{GOODBYE, HANDSHAKE, TlsHandler};
