//! A signed zone with something of every kind, a signed zone below it, and steered names.

use std::path::Path;

use crate::harness::Setup;

pub const ZONE: &str = r#"
$TTL 300
@ SOA ns1 hostmaster 1 7200 1800 259200 30
@ NS ns1
@ MX 10 mail
ns1 A 127.0.0.1
mail A 192.0.2.9
host A 192.0.2.1
host AAAA 2001:db8::1
text TXT "words"
UPPER CNAME Host
outside CNAME www.elsewhere.example.
deep.ent.names A 192.0.2.2
*.wild A 192.0.2.3
*.wild TXT "w"
*.alias CNAME host
x.other A 192.0.2.5
dname DNAME other
insecure NS ns.insecure
ns.insecure A 192.0.2.6
secure NS ns.secure
secure DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.secure A 192.0.2.7
"#;

pub const BELOW: &str = "
$TTL 300
@ SOA ns1.example.test. hostmaster.example.test. 1 7200 1800 259200 30
@ NS ns1.example.test.
host A 192.0.2.1
";

const OWN_KEYS: &str = r#"
[zones.dnssec]
sign = "*"
generate = true
"#;

const ELSEWHERE: &str = r#"
[zones.dnssec]
sign = "*"
keys = "elsewhere"
bundle = "signatures.bundle"
"#;

const CONFIG: &str = r#"
[state]
directory = "state"

[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"
"#;

pub const SERVICES: &str = r#"
[[services]]
name = "www.example.test"
ttl = 30
order = "none"
[services.endpoints]
fra = "192.0.2.10"
iad = ["192.0.2.20", "2001:db8::20"]

[[services]]
name = "*.www.example.test"
ttl = 30
order = "none"
[services.endpoints]
fra = "192.0.2.10"
iad = ["192.0.2.20", "2001:db8::20"]

[[services]]
name = "several.example.test"
ttl = 30
answers = 2
order = "none"
https = "1 . alpn=h2"
[services.endpoints]
fra = ["192.0.2.11", "192.0.2.12", "2001:db8::11"]
iad = ["192.0.2.21", "2001:db8::21"]

[[services]]
name = "sticky.example.test"
ttl = 30
answers = 2
order = "none"
pick = "sticky"
[services.endpoints]
fra = ["192.0.2.11", "192.0.2.12"]
iad = ["192.0.2.21"]

[[services]]
name = "turns.example.test"
ttl = 30
answers = 2
order = "none"
pick = "round-robin"
[services.endpoints]
fra = ["192.0.2.11", "192.0.2.12"]
iad = ["192.0.2.21"]

[[services]]
name = "named.example.test"
ttl = 30
order = "none"
[services.endpoints]
fra = { cname = "host.example.test" }
iad = { cname = "www.elsewhere.example" }

[[services]]
name = "mx.example.test"
ttl = 30
order = "none"
answers = 2
[services.endpoints]
fra = [{ mx = "10 mail.example.test." }]
iad = [{ mx = "20 mail.elsewhere.example." }]

[[services]]
name = "_sip._tcp.example.test"
ttl = 30
order = "none"
[services.endpoints]
fra = [{ srv = "1 1 443 mail.example.test." }]
iad = [{ srv = "1 1 443 mail.elsewhere.example." }]
"#;

/// Both zones, signed, with these services.
pub fn setup(services: &str) -> Setup {
    zones().config(OWN_KEYS).config(CONFIG).config(services)
}

/// The same with serials that rise by themselves, in one of two ways.
pub fn setup_rising(rule: &str, services: &str) -> Setup {
    let policy = format!("policies.own = {{ zones = [\"example.test\"], serial = \"{rule}\" }}\n");
    zones()
        .config(OWN_KEYS)
        .config(&policy)
        .config(CONFIG)
        .config(services)
}

/// The same with another key of `[zones.dnssec]`.
pub fn setup_with(key: &str, services: &str) -> Setup {
    let keys = format!("{OWN_KEYS}{key}\n");
    zones().config(&keys).config(CONFIG).config(services)
}

/// The same with another kind of denial.
pub fn setup_denying(denial: &str, services: &str) -> Setup {
    setup(services).config(&policy(denial))
}

/// The policy of both zones.
pub fn policy(denial: &str) -> String {
    let zones = r#"zones = ["example.test", "below.example.test"]"#;
    format!("[zones.dnssec.policies.denying]\n{zones}\ndenial = \"{denial}\"\n")
}

/// The same for a server without keys.
pub fn setup_elsewhere(services: &str, bundle: &[u8]) -> Setup {
    zones()
        .file("signatures.bundle", bundle)
        .config(ELSEWHERE)
        .config(CONFIG)
        .config(services)
}

/// A zone that is signed in its file on a server without keys.
pub fn setup_elsewhere_presigned(text: &str, services: &str, bundle: &[u8]) -> Setup {
    Setup::new()
        .zone("example.test", text)
        .file("signatures.bundle", bundle)
        .config(ELSEWHERE)
        .config(CONFIG)
        .config(services)
}

/// A zone that is signed in its file, with the keys of a folder for its steered names.
pub fn setup_presigned(text: &str, keys: &Path, services: &str) -> Setup {
    Setup::new()
        .zone("example.test", text)
        .config(&format!("[zones.dnssec]\nkeys = \"{}\"\n", keys.display()))
        .config(CONFIG)
        .config(services)
}

fn zones() -> Setup {
    Setup::new()
        .zone("example.test", ZONE)
        .zone("below.example.test", BELOW)
}
