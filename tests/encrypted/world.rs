//! A server with every transport, and the certificate that it shows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Question, Server, Setup};

/// The name in its certificate.
pub const NAME: &str = "ns.example.test";

pub const ZONE: &str = r#"
$ORIGIN example.test.
$TTL 1h
@        SOA   ns hostmaster 7 4h 1h 2w 17
         NS    ns
ns       A     192.0.2.53
host     A     192.0.2.1
mixed  60 A    192.0.2.1
       30 AAAA 2001:db8::1
alias  20 CNAME host
sub      NS    ns.sub
ns.sub   A     192.0.2.54
$GENERATE 1-200 many A 198.51.100.$
"#;

pub const SERVICES: &str = r#"
[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"
[[services]]
name = "www.example.test"
ttl = 17
[services.endpoints]
fra = "192.0.2.10"
iad = "192.0.2.20"
"#;

/// A certificate for [`NAME`] and its key, in PEM.
pub fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a name");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Writes them where the server looks; the key is for its owner alone.
pub fn write(folder: &Path, (certificate, key): &(String, String)) {
    std::fs::write(folder.join("key.pem"), key).expect("the temporary folder can be written");
    let secret = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.join("key.pem"), secret).expect("it is ours");
    std::fs::write(folder.join("certificate.pem"), certificate)
        .expect("the temporary folder can be written");
}

pub fn setup() -> Setup {
    let listeners =
        ["tls", "https", "quic"].map(|transport| format!("listen_{transport} = [\"127.0.0.1:0\"]"));
    let setup = Setup::new()
        .zone("example.test", ZONE)
        .config(SERVICES)
        .server(&listeners.join("\n"));
    let setup = setup.config("[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n");
    write(setup.folder(), &pair());
    setup
}

pub fn server() -> Server {
    setup().start()
}

/// As DNS over QUIC wants it, and DNS over HTTPS likes it.
pub fn question(name: &str, rtype: u16) -> Question {
    Question {
        id: 0,
        ..Question::new(name, rtype)
    }
}
