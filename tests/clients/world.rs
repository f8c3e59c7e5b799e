//! The zone and services that the clients ask for.

use crate::harness::Setup;

pub const ZONE: &str = "
$ORIGIN example.test.
$TTL 1h
@     SOA  ns1 hostmaster 1 4h 1h 2w 30
      NS   ns1
ns1   A    127.0.0.1
host  A    192.0.2.1
alias CNAME www
";

pub const CONFIG: &str = r#"
[[geo.networks]]
cidr = ["203.0.113.0/24", "127.0.0.2/32", "2001:db8:1::/48", "127.0.0.1/32"]
location = "FRA"
[[geo.networks]]
cidr = ["198.51.100.0/24", "127.0.0.3/32", "2001:db8:2::/48"]
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
"#;

pub fn setup() -> Setup {
    Setup::new()
        .zone("example.test", ZONE)
        .server("nsid = \"ns1-test\"")
        .config(CONFIG)
}
