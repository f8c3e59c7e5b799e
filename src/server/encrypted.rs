//! The encrypted transports: DNS over TLS, HTTPS and QUIC. Each hands whole queries to the one answer path and sends its
//! octets as they are.

mod https;
mod identity;
mod quic;
mod tls;

pub use https::HttpsHandler;
pub use identity::{PemError, TlsIdentity};
pub use quic::QuicListener;
pub use tls::{GOODBYE, HANDSHAKE, TlsHandler};
