//! The file as written: the sockets and their limits. What [`raw`](super::raw) says of all tables holds here.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::listen::ListenAddress;
use super::read::{SpannedList, tables};
use super::values::{BoundedDuration, SingleLine, WholeNumber};
use crate::net::Cidr;

tables! {
    /// The nameserver's own sockets.
    Server {
        /// Addresses for UDP and TCP. Default `["127.0.0.1:1053", "[::1]:1053"]`.
        listen: SpannedList<SocketAddr>,
        /// Addresses for DNS over TLS (RFC 7858); the port is 853 where none is given. Default `[]`. Needs `[tls]`.
        listen_tls: SpannedList<ListenAddress<853>>,
        /// Addresses for DNS over HTTPS (RFC 8484); the port is 443 where none is given. Default `[]`. Needs `[tls]`.
        listen_https: SpannedList<ListenAddress<443>>,
        /// Addresses for DNS over QUIC (RFC 9250); the port is 853 where none is given. Default `[]`. Needs `[tls]`.
        listen_quic: SpannedList<ListenAddress<853>>,
        /// Where DNS is answered over HTTPS, 1 to 255 octets that start with `/`. Default `"/dns-query"`.
        #[schemars(extend("default" = "/dns-query"))]
        https_path: SingleLine<255>,
        /// UDP threads per listen address, 1 to 1024. Default: one per core.
        workers: WholeNumber<1, 1024>,
        /// What NSID (RFC 5001) answers, 1 to 128 octets. Default: NSID is not answered.
        nsid: SingleLine<128>,
        /// Whether DNS Cookies (RFC 7873) are answered. Default `true`.
        #[schemars(extend("default" = true))]
        cookies: bool,
        /// File with one or two secrets that server cookies are made with, 32 hexadecimal digits a line: the same on every
        /// server of an anycast set. Default: a secret of this process.
        cookie_secrets_file: PathBuf,
        /// Longest reply over UDP to a client without a good cookie, 512 to 1232 octets. Default 1232.
        #[schemars(extend("default" = 1232))]
        max_nocookie_response: WholeNumber<512, 1232>,
        /// What `id.server.` and `hostname.bind.` are in class CHAOS (RFC 4892), 1 to 255 octets. Default: refused.
        chaos_id: SingleLine<255>,
        /// What `version.bind.` and `version.server.` are in class CHAOS, 1 to 255 octets. Default: refused.
        chaos_version: SingleLine<255>,
        /// Networks that are answered. Default: every one.
        allow: SpannedList<Cidr>,
        /// Networks that are refused, whatever `allow` says. Default `[]`.
        deny: SpannedList<Cidr>,
        /// Networks that hear nothing, whatever the others say. Default `[]`.
        drop: SpannedList<Cidr>,
        /// Networks of fronts that say with the PROXY protocol, version 2, who each client is; what comes from there without
        /// that is passed over. Not for QUIC. Default `[]`.
        proxy_from: SpannedList<Cidr>,
        /// Most TCP, TLS, HTTPS and QUIC connections at a time, 1 to 1,000,000. Default 1000.
        #[schemars(extend("default" = 1000))]
        tcp_connections: WholeNumber<1, 1_000_000>,
        /// Most of them at a time from one address, 1 to 1,000,000. Default 100.
        #[schemars(extend("default" = 100))]
        tcp_connections_per_client: WholeNumber<1, 1_000_000>,
        /// How long an idle connection is kept: a duration from 100ms to 1h. Default `"10s"`.
        #[schemars(extend("default" = "10s"))]
        tcp_idle: BoundedDuration<100, 3_600_000>,
    }

    /// A certificate that is shown to clients.
    Tls {
        /// File with the certificate (PEM), the chain up to a known authority behind it. Needed where somebody listens with it.
        certificate: PathBuf,
        /// File with its private key (PEM), of mode 600. Needed where somebody listens with it.
        key: PathBuf,
    }

    /// How often one network is answered over UDP; whoever shows a good cookie or comes over a connection is not counted.
    Limits {
        /// Whether anybody is limited. Default `true`.
        #[schemars(extend("default" = true))]
        enabled: bool,
        /// Answers per second to one address for good, 1 to 100,000. Default 50. A network is answered more often, the
        /// larger it is.
        #[schemars(extend("default" = 50))]
        rate: WholeNumber<1, 100_000>,
        /// Answers to one address at once, 1 to 250,000, not below `rate`. Default: two and a half times `rate`.
        burst: WholeNumber<1, 250_000>,
        /// Every so many answers above the limit, one is sent without records and with TC, so that a client who is no
        /// forgery comes over TCP; 0 to 100, 0: none. Default 1: every one.
        #[schemars(extend("default" = 1))]
        slip: WholeNumber<0, 100>,
        /// Networks that are never limited. Default `["127.0.0.0/8", "::1"]`.
        exempt: SpannedList<Cidr>,
        /// Whether what is above the limit is only counted, and answered all the same. Default `false`.
        #[schemars(extend("default" = false))]
        dry_run: bool,
    }
}
