//! `[server]`, `[tls]` and `[limits]` as written: sockets, certificates and the rate limit.
//!
//! The certificate table is also used by `[admin]`. See [`tables`](super) for how a table is
//! declared.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::document::{SpannedList, tables};
use crate::config::values::addresses::ListenAddress;
use crate::config::values::plain::{BoundedDuration, SingleLine, WholeNumber};
use crate::config::values::services::MemorySize;
use crate::net::Cidr;

tables! {
    /// The nameserver's own sockets.
    Server {
        /// Addresses for UDP and TCP.
        listen: SpannedList<SocketAddr> = ["127.0.0.1:1053", "[::1]:1053"],
        /// Addresses for DNS over TLS (RFC 7858); the port is 853 where none is given. Needs
        /// `[tls]`.
        listen_tls: SpannedList<ListenAddress<853>> = [],
        /// Addresses for DNS over HTTPS (RFC 8484); the port is 443 where none is given. Needs
        /// `[tls]`.
        listen_https: SpannedList<ListenAddress<443>> = [],
        /// Addresses for DNS over QUIC (RFC 9250); the port is 853 where none is given. Needs
        /// `[tls]`.
        listen_quic: SpannedList<ListenAddress<853>> = [],
        /// Path of DNS over HTTPS, 1 to 255 octets that start with `/`.
        https_path: SingleLine<255> = "/dns-query",
        /// UDP threads per listen address, 1 to 1024.
        workers: WholeNumber<1, 1024> => "one per core",
        /// Content of the NSID option (RFC 5001), 1 to 128 octets.
        nsid: SingleLine<128> => "not answered",
        /// Whether DNS Cookies (RFC 7873) are supported.
        cookies: bool = true,
        /// File with one or two secrets for server cookies, 32 hexadecimal digits a line: the same
        /// on every server of an anycast set.
        cookie_secrets_file: PathBuf => "a secret of this process",
        /// Longest reply over UDP to a client without a valid cookie, 512 to 1232 octets.
        max_nocookie_response: WholeNumber<512, 1232> = 1232,
        /// Answer for `id.server.` and `hostname.bind.` in class CHAOS (RFC 4892), 1 to 255 octets.
        chaos_id: SingleLine<255> => "refused",
        /// Answer for `version.bind.` and `version.server.` in class CHAOS, 1 to 255 octets.
        chaos_version: SingleLine<255> => "refused",
        /// Networks that are answered.
        allow: SpannedList<Cidr> => "everybody",
        /// Networks that are refused, whatever `allow` says.
        deny: SpannedList<Cidr> = [],
        /// Networks that get no reply, whatever `allow` and `deny` say.
        drop: SpannedList<Cidr> = [],
        /// Networks of front ends that name each client by the PROXY protocol, version 2. Queries
        /// from there without a PROXY header are ignored. Not for QUIC.
        proxy_from: SpannedList<Cidr> = [],
        /// Most TCP, TLS, HTTPS and QUIC connections at a time, 1 to 1,000,000.
        tcp_connections: WholeNumber<1, 1_000_000> = 1000,
        /// Most of them at a time from one address, 1 to 1,000,000.
        tcp_connections_per_client: WholeNumber<1, 1_000_000> = 100,
        /// How long an idle connection is kept: a duration from 100ms to 1h.
        tcp_idle: BoundedDuration<100, 3_600_000> = "10s",
    }

    /// A certificate that clients are shown.
    Tls {
        /// File with the certificate (PEM), followed by the chain up to a known authority.
        certificate: PathBuf => "none; *needed* where somebody listens with it",
        /// File with its private key (PEM), of mode 600.
        key: PathBuf => "none; *needed* where somebody listens with it",
    }

    /// The memory of the process, and the rate limit for answers over UDP. Clients with a valid cookie and clients over TCP, TLS,
    /// HTTPS or QUIC are not counted.
    Limits {
        /// Whether the limit applies.
        enabled: bool = true,
        /// Sustained answers per second to one address, 1 to 100,000. Larger networks get more.
        rate: WholeNumber<1, 100_000> = 50,
        /// Answers to one address in a burst, 1 to 250,000, not below `rate`.
        burst: WholeNumber<1, 250_000> => "two and a half times `rate`",
        /// One of this many answers above the limit is sent without records and with TC, so that a
        /// real client retries over TCP; 0 to 100, 0: none.
        slip: WholeNumber<0, 100> = 1,
        /// Networks that are never limited.
        exempt: SpannedList<Cidr> = ["127.0.0.0/8", "::1"],
        /// Whether answers above the limit are only counted, and still sent.
        dry_run: bool = false,
        /// The most memory that a configuration may take, 32MB to 1TB. A start or a reload that
        /// needs more is refused.
        memory: MemorySize => "no limit of its own",
    }
}
