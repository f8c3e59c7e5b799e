//! The data of MX and SRV records, as a zone file writes it.
//!
//! An endpoint may be such a record. The reader of zone files reads its data. The host name in it
//! is kept separately, because a check probes the addresses of that name.

use crate::config::document::{TextValue, ValueError};
use crate::dns::{Name, RecordType};
use crate::zone;

/// A mail exchanger or the host of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetHost {
    /// Where it leads.
    pub name: Name,
    /// MX or SRV.
    pub rtype: RecordType,
    /// The whole data of the record, uncompressed.
    pub data: Box<[u8]>,
}

/// `mx = "10 mx.example.com."`
#[derive(Debug, Clone)]
pub struct MxText(pub TargetHost);

/// `srv = "10 5 5060 sip.example.com."`
#[derive(Debug, Clone)]
pub struct SrvText(pub TargetHost);

impl TextValue for MxText {
    fn expected() -> String {
        "the data of an MX record as in a zone file, such as \"10 mx.example.com.\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        TargetHost::from_text(RecordType::MX, 2, text).map(MxText)
    }
}

impl TextValue for SrvText {
    fn expected() -> String {
        "the data of an SRV record as in a zone file, such as \"10 5 5060 sip.example.com.\""
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        TargetHost::from_text(RecordType::SRV, 6, text).map(SrvText)
    }
}

impl TargetHost {
    /// The name stands behind `before` octets of numbers (RFC 1035 section 3.3.9, RFC 2782).
    fn from_text(rtype: RecordType, before: usize, text: &str) -> Result<TargetHost, ValueError> {
        let data = zone::parse_data(rtype, text)?;
        let name = data
            .get(before..)
            .and_then(|wire| Name::from_wire(wire).ok())
            .filter(|name| *name != Name::root());
        let name =
            name.ok_or_else(|| ValueError::from(format!("this {rtype} record leads to no host")))?;
        Ok(TargetHost { name, rtype, data })
    }
}
