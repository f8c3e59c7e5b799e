//! The zones and services that the protocol tests ask for.

use crate::harness::{Server, Setup};

pub const ZONE: &str = r#"
$ORIGIN example.test.
$TTL 1h
@        SOA   ns1 hostmaster 7 4h 1h 2w 5m
         NS    ns1
         NS    ns2
         MX    10 mail
ns1      A     192.0.2.53
         AAAA  2001:db8::53
ns2      A     198.51.100.53
mail     A     203.0.113.25
host     A     192.0.2.1
         TXT   "words"
         TYPE65280 \# 3 010203
Mixed    A     192.0.2.9
a.b.ent  A     192.0.2.2
*.wild   A     192.0.2.3
sibling.wild TXT "here"
b.ent.wild TXT "deep"
www\.dot A     192.0.2.4
z\000\255\032z A 192.0.2.5
alias    CNAME host
nowhere  CNAME missing
outside  CNAME www.example.net.
one      CNAME two
two      CNAME three
three    CNAME four
four     CNAME host
circle   CNAME circle.other.test.
steered  CNAME www
web      HTTPS 0 www
svc      SRV   1 2 443 host
big      TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789a
         TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789b
         TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789c
         TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789d
         TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789e
         TXT   0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789f
www      TXT   "beside a service"

child    NS    ns.child
         NS    ns1
         DS    1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.child A     203.0.113.53
unsigned NS    ns.unsigned
ns.unsigned A  203.0.113.54
sister   NS    ns.child
"#;

/// A delegation with more glue than fits into 512 octets.
fn crowded() -> String {
    let servers =
        (0..16).map(|n| format!("crowded NS ns{n}.crowded\nns{n}.crowded A 203.0.113.{n}\n"));
    servers.collect::<String>()
}

const OTHER: &str = "
$ORIGIN other.test.
$TTL 1h
@      SOA  ns hostmaster 1 4h 1h 2w 10m
       NS   ns
ns     A    192.0.2.60
circle CNAME circle.example.test.
";

pub const CONFIG: &str = r#"
[[geo.networks]]
cidr = ["203.0.113.0/25", "2001:db8:1::/48", "127.0.0.0/8"]
location = "FRA"
[[geo.networks]]
cidr = ["198.51.100.0/24", "2001:db8:2::/48"]
location = "IAD"

[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"

[[services]]
name = "www.example.test"
ttl = 30
[services.endpoints]
fra = ["192.0.2.10", "2001:db8::10"]
iad = ["198.51.100.10", "2001:db8::20"]

[[services]]
name = "only4.example.test"
[services.endpoints]
fra = "192.0.2.11"
iad = "198.51.100.11"

[[services]]
name = "blind.example.test"
client_subnet = false
[services.endpoints]
fra = "192.0.2.12"
iad = "198.51.100.12"
"#;

/// A server with all of it.
pub fn server() -> Server {
    setup().start()
}

pub fn setup() -> Setup {
    let zone = format!("{ZONE}{}", crowded());
    Setup::new()
        .zone("example.test", &zone)
        .zone("other.test", OTHER)
        .server("nsid = \"ns1-test\"")
        .config(CONFIG)
}
