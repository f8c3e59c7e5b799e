//! Digests of checks: the number by which all servers of a fleet know a check.
//!
//! Two servers compare their votes on a check only if both ask the same question of the same
//! endpoint. So a digest covers the check's name, the address, what a probe asks, what a good answer
//! is, and the timeout. It leaves out what each server may have of its own: how often it probes, how
//! many results change a state, its certificates, and the values of headers, which are often secrets.
//!
//! Digests cross the network, so their layout is fixed. Every text has its length before it, and every
//! kind of probe a number.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use crate::health::check::{
    CheckTls, GrpcCheck, HealthCheck, HttpCheck, HttpMethod, ProbeKind, ProbeTarget, RequestHeaders,
};

/// Makes digests. It remembers those of checks, which many targets share.
#[derive(Debug, Default)]
pub struct DigestMaker {
    checks: HashMap<*const HealthCheck, u64>,
}

impl DigestMaker {
    /// The digest of a target. Targets of one maker must live as long as it does.
    pub fn digest(&mut self, target: &ProbeTarget) -> u64 {
        let key = Arc::as_ptr(&target.check);
        let check = *self
            .checks
            .entry(key)
            .or_insert_with(|| digest_of_check(&target.check));
        let mut out = DigestWriter::new();
        out.number(check);
        out.address(target.address);
        out.finish()
    }
}

fn digest_of_check(check: &HealthCheck) -> u64 {
    let mut out = DigestWriter::new();
    out.text(&check.name);
    out.number(check.rules.timeout.as_millis() as u64);
    match &check.probe {
        ProbeKind::Tcp => out.number(1),
        ProbeKind::Http(http) => {
            out.number(2);
            out.http(http);
        }
        ProbeKind::Tls(tls) => {
            out.number(3);
            out.tls(Some(tls));
        }
        ProbeKind::Grpc(grpc) => {
            out.number(4);
            out.grpc(grpc);
        }
        ProbeKind::Dns(dns) => {
            out.number(5);
            out.text(&dns.name.to_string().to_ascii_lowercase());
            out.text(&dns.rtype.to_string());
        }
        ProbeKind::Exec(exec) => {
            out.number(6);
            out.text(&exec.program.to_string_lossy());
            out.number(exec.arguments.len() as u64);
            for argument in &exec.arguments {
                out.text(argument);
            }
        }
    }
    out.finish()
}

/// Hashes the parts of a definition.
struct DigestWriter(SipHasher24);

impl DigestWriter {
    fn new() -> DigestWriter {
        DigestWriter(SipHasher24::new_with_keys(
            0x6d65_7269_6469_616e,
            0x6368_6563_6b73,
        ))
    }

    fn finish(self) -> u64 {
        self.0.finish()
    }

    fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.write(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.number(0),
            Some(text) => {
                self.number(1);
                self.text(text);
            }
        }
    }

    fn address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(address) => self.0.write(&address.octets()),
            IpAddr::V6(address) => self.0.write(&address.octets()),
        }
        self.number(u64::from(address.port()));
    }

    fn tls(&mut self, tls: Option<&CheckTls>) {
        let Some(tls) = tls else {
            return self.number(0);
        };
        self.number(1);
        self.optional(tls.name.as_deref());
        self.number(u64::from(tls.certificate.verify));
    }

    fn headers(&mut self, headers: &RequestHeaders) {
        let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        self.number(names.len() as u64);
        for name in names {
            self.text(name);
        }
    }

    fn http(&mut self, http: &HttpCheck) {
        self.tls(http.tls.as_ref());
        self.number(match http.method {
            HttpMethod::Get => 1,
            HttpMethod::Head => 2,
            HttpMethod::Options => 3,
            HttpMethod::Post => 4,
        });
        self.text(&http.path);
        self.optional(http.host.as_deref());
        self.headers(&http.headers);
        let expect = &http.expect;
        self.number(expect.status.len() as u64);
        for (from, to) in &expect.status {
            self.number(u64::from(*from));
            self.number(u64::from(*to));
        }
        self.optional(expect.body.as_deref());
        let json = expect.json.as_ref();
        self.optional(json.map(|(pointer, _)| pointer.as_str()));
        self.optional(json.map(|(_, value)| value.as_str()));
        self.number(expect.headers.len() as u64);
        for (name, value) in &expect.headers {
            self.text(name);
            self.text(value);
        }
        self.number(
            expect
                .latency
                .map_or(0, |latency| latency.as_millis() as u64),
        );
    }

    fn grpc(&mut self, grpc: &GrpcCheck) {
        self.tls(grpc.tls.as_ref());
        self.optional(grpc.host.as_deref());
        self.headers(&grpc.headers);
        self.text(&grpc.service);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::check::HttpExpectation;
    use crate::health::machine::HealthRules;

    fn web() -> HttpCheck {
        HttpCheck {
            tls: None,
            method: HttpMethod::Get,
            path: "/health".into(),
            host: None,
            headers: Vec::new(),
            expect: HttpExpectation::default(),
        }
    }

    fn target(rules: HealthRules, http: HttpCheck, address: &str) -> ProbeTarget {
        let check = HealthCheck {
            name: "web".into(),
            rules,
            probe: ProbeKind::Http(http),
        };
        ProbeTarget {
            address: address.parse().unwrap(),
            check: Arc::new(check),
        }
    }

    fn digest(rules: HealthRules, http: HttpCheck, address: &str) -> u64 {
        DigestMaker::default().digest(&target(rules, http, address))
    }

    #[test]
    fn the_layout_is_fixed_because_other_releases_compare_it() {
        let rules = HealthRules::default();
        let expected = 0x699e_cac5_6426_12d5;
        assert_eq!(digest(rules, web(), "192.0.2.1:80"), expected);
    }

    #[test]
    fn what_is_asked_counts_and_how_often_does_not() {
        let rules = HealthRules::default();
        let digest_of = |http| digest(rules.clone(), http, "192.0.2.1:80");
        let plain = digest_of(web());
        let often = HealthRules {
            interval: Duration::from_secs(1),
            rise: 9,
            ..rules.clone()
        };
        assert_eq!(digest(often, web(), "192.0.2.1:80"), plain);
        let header = |value: &'static str| HttpCheck {
            headers: vec![("authorization".parse().unwrap(), value.parse().unwrap())],
            ..web()
        };
        assert_eq!(digest_of(header("one")), digest_of(header("two")));
        let patient = HealthRules {
            timeout: Duration::from_secs(9),
            ..rules.clone()
        };
        let post = HttpCheck {
            method: HttpMethod::Post,
            ..web()
        };
        let root = HttpCheck {
            path: "/".into(),
            ..web()
        };
        let expect = HttpExpectation {
            body: Some("ok".into()),
            ..HttpExpectation::default()
        };
        let others = [
            digest(patient, web(), "192.0.2.1:80"),
            digest(rules.clone(), web(), "192.0.2.2:80"),
            digest(rules.clone(), web(), "192.0.2.1:81"),
            digest(rules.clone(), web(), "[2001:db8::1]:80"),
            digest_of(post),
            digest_of(root),
            digest_of(HttpCheck { expect, ..web() }),
            digest_of(header("one")),
            plain,
        ];
        for (at, one) in others.iter().enumerate() {
            assert!(!others[..at].contains(one), "{at}");
        }
    }
}
