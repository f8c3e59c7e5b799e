//! RFC 3403: what NAPTR records lead to.

use crate::harness::Setup;

const NAPTR: u16 = 35;

const ZONE: &str = r#"$TTL 60
@       SOA   ns h 1 2 3 4 5
        NS    ns
ns      A     192.0.2.53
a       NAPTR 1 1 "A" "x" "" host
s       NAPTR 1 1 "s" "x" "" _sip._tcp
u       NAPTR 1 1 "U" "x" "!^.*$!sip:info@example.test!" .
more    NAPTR 1 1 ""  "x" "" a
host    A     192.0.2.1
        AAAA  2001:db8::1
        SRV   9 9 9 host
_sip._tcp SRV 1 2 5060 host
        A     192.0.2.9
"#;

#[test]
fn section_4_1_the_flag_says_what_is_added() {
    let server = Setup::new().zone("example.test", ZONE).start();
    let added = |name: &str| server.ask(name, NAPTR).send().expect_authoritative(true);
    added("a.example.test").expect_additional(&[
        "host.example.test. 60 A 192.0.2.1",
        "host.example.test. 60 AAAA 2001:db8::1",
    ]);
    let host = "04686f7374076578616d706c65047465737400";
    added("s.example.test").expect_additional(&[&format!(
        "_sip._tcp.example.test. 60 TYPE33 0001000213c4{host}"
    )]);
    added("u.example.test").expect_additional(&[]);
    added("more.example.test").expect_additional(&[]);
}
