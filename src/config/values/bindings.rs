//! Service bindings (RFC 9460): the HTTPS and SVCB records of a service without address hints.
//!
//! The data is written as in a zone file. The hints depend on the client, so they are refused here
//! and added to each reply. A [`SvcbTemplate`] is therefore cut where they belong.

use schemars::{Schema, json_schema};

use crate::config::document::{TextValue, ValueError};
use crate::dns::RecordType;
use crate::zone;

const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// The record data without hints, cut where the hints belong. Parameters are in the order of their
/// keys (RFC 9460 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvcbTemplate {
    /// HTTPS or SVCB.
    pub rtype: RecordType,
    /// Priority 0: the record is an alias of another name and has no hints (section 2.4.2).
    pub is_alias: bool,
    /// Priority, target and the parameters before ipv4hint.
    pub head: Box<[u8]>,
    /// The parameters between ipv4hint and ipv6hint.
    pub middle: Box<[u8]>,
    /// The parameters after ipv6hint.
    pub tail: Box<[u8]>,
}

impl SvcbTemplate {
    /// The whole data with these addresses as hints, each family's one behind the other.
    pub fn data(&self, v4: &[u8], v6: &[u8]) -> Vec<u8> {
        let mut data = self.head.to_vec();
        append_hint(4, v4, &mut data);
        data.extend_from_slice(&self.middle);
        append_hint(6, v6, &mut data);
        data.extend_from_slice(&self.tail);
        data
    }
}

/// Appends a parameter with this key (RFC 9460 section 7.3), if there are addresses.
fn append_hint(key: u16, addresses: &[u8], data: &mut Vec<u8>) {
    if !addresses.is_empty() {
        data.extend_from_slice(&key.to_be_bytes());
        data.extend_from_slice(&(addresses.len() as u16).to_be_bytes());
        data.extend_from_slice(addresses);
    }
}

/// `https = "1 . alpn=h2,h3"`
#[derive(Debug, Clone)]
pub struct HttpsText(pub SvcbTemplate);

/// `svcb = "1 . alpn=dot port=8530"`
#[derive(Debug, Clone)]
pub struct SvcbText(pub SvcbTemplate);

impl TextValue for HttpsText {
    fn expected() -> String {
        "the data of an HTTPS record as in a zone file, such as \"1 . alpn=h2,h3\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        SvcbTemplate::from_text(RecordType::HTTPS, text).map(HttpsText)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ +\\S" })
    }
}

impl TextValue for SvcbText {
    fn expected() -> String {
        "the data of an SVCB record as in a zone file, such as \"1 . alpn=dot\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        SvcbTemplate::from_text(RecordType::SVCB, text).map(SvcbText)
    }

    fn schema() -> Schema {
        HttpsText::schema()
    }
}

impl SvcbTemplate {
    fn from_text(rtype: RecordType, text: &str) -> Result<SvcbTemplate, ValueError> {
        let data = zone::parse_data(rtype, text)?;
        let Some(parameters) = parameters(&data) else {
            let sentence = format!("the data of this {rtype} record cannot be told apart");
            return Err(ValueError::from(sentence));
        };
        let mut keys = parameters.iter().map(|(key, _)| *key);
        if keys.any(|key| key == IPV4_HINT || key == IPV6_HINT) {
            let sentence = "the hints are the service's own addresses, as each client gets them; leave them out here";
            return Err(ValueError::from(sentence.to_owned()));
        }
        Ok(SvcbTemplate::cut(rtype, &data, &parameters))
    }

    /// Cuts the data where the hints of both families belong.
    fn cut(rtype: RecordType, data: &[u8], parameters: &[(u16, usize)]) -> SvcbTemplate {
        let before_v4 = start_of(IPV4_HINT, parameters).unwrap_or(data.len());
        let before_v6 = start_of(IPV6_HINT, parameters).unwrap_or(data.len());
        SvcbTemplate {
            rtype,
            is_alias: data.starts_with(&[0, 0]),
            head: data[..before_v4].into(),
            middle: data[before_v4..before_v6].into(),
            tail: data[before_v6..].into(),
        }
    }
}

/// Where the first parameter begins whose key is not below this one.
fn start_of(key: u16, parameters: &[(u16, usize)]) -> Option<usize> {
    let found = parameters.iter().find(|(known, _)| *known >= key);
    found.map(|(_, start)| *start)
}

/// Key and beginning of each parameter.
fn parameters(data: &[u8]) -> Option<Vec<(u16, usize)>> {
    let mut at = 2;
    // The labels of the target, to the root's.
    while let Some(length @ 1..) = data.get(at).copied() {
        at += 1 + usize::from(length);
    }
    at += 1;
    let mut parameters = Vec::new();
    while at < data.len() {
        let head = data.get(at..)?.first_chunk::<4>()?;
        let [key_high, key_low, length_high, length_low] = *head;
        parameters.push((u16::from_be_bytes([key_high, key_low]), at));
        at += 4 + usize::from(u16::from_be_bytes([length_high, length_low]));
    }
    (at == data.len()).then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_cut_where_its_hints_belong() {
        let HttpsText(binding) =
            HttpsText::from_text("1 . ech=AAAA alpn=h2,h3 port=8443 key10=x").unwrap();
        assert!(!binding.is_alias);
        assert_eq!(
            &*binding.head,
            b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x20\xfb"
        );
        assert_eq!(&*binding.middle, b"\0\x05\0\x03\0\0\0");
        assert_eq!(&*binding.tail, b"\0\x0a\0\x01x");
    }

    #[test]
    fn an_alias_has_a_target_and_nothing_else() {
        let HttpsText(binding) = HttpsText::from_text("0 pool.example.net.").unwrap();
        assert!(binding.is_alias && binding.middle.is_empty() && binding.tail.is_empty());
    }

    #[test]
    fn what_is_no_binding_is_told() {
        let told = |text: &str| {
            HttpsText::from_text(text)
                .unwrap_err()
                .sentence
                .unwrap_or_default()
        };
        assert!(told("1 . ipv4hint=192.0.2.1").contains("leave them out here"));
        for wrong in [
            "",
            "1",
            "one .",
            "1 . alpn",
            "1 pool.example.net",
            "70000 .",
            "1 . port=h2",
            "1 . mandatory=ipv6hint",
        ] {
            assert!(told(wrong).contains("HTTPS"), "{wrong}: {}", told(wrong));
        }
    }
}
