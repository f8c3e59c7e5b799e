//! Finds whom a parent wants to be notified when the CDS records of a zone have changed (RFC 9859).
//!
//! The parent says so in DSYNC records below its own name: for the one zone, for all of its zones by a
//! wildcard, or at `_dsync` right below its apex. Where the first question is answered negatively, the
//! SOA record of the answer tells where the parent's apex is (section 4.1).

use std::net::SocketAddr;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::serialize::binary::BinEncodable;

use super::UpstreamServers;
use super::parent::{address, hickory_name, look_up, wire_name};
use super::stub::describe;
use crate::dns::{Name, RecordType as OwnType, WireReader};

/// The label of the records.
const DSYNC: &[u8] = b"_dsync";
/// The scheme of a NOTIFY message (section 2.1).
const NOTIFY: u8 = 1;
/// The most targets of one parent that are notified.
const MOST_TARGETS: usize = 4;

/// Where a parent wants NOTIFY messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyTarget {
    /// The host, for people.
    pub host: String,
    /// One of its addresses, with the port of the record.
    pub address: SocketAddr,
}

/// Whom the parent of a zone wants to be notified about records of this type. Must be called inside a
/// tokio runtime.
///
/// # Errors
/// A sentence: the records or the address of a target cannot be looked up.
pub async fn notify_targets(
    zone: &Name,
    rtype: OwnType,
    upstream: &UpstreamServers,
) -> Result<Vec<NotifyTarget>, String> {
    let (resolver, timeout) = (upstream.resolver()?, upstream.timeout());
    let mut targets = Vec::new();
    for (host, port) in wanted(zone, rtype, upstream).await? {
        let name = hickory_name(&host).map_err(|error| error.to_string())?;
        match address(&resolver, &name, timeout).await {
            Some(ip) => targets.push(NotifyTarget {
                host: host.to_string(),
                address: SocketAddr::new(ip, port),
            }),
            None => return Err(format!("{host}, which the parent names, has no address")),
        }
    }
    Ok(targets)
}

/// Hosts and ports.
async fn wanted(
    zone: &Name,
    rtype: OwnType,
    upstream: &UpstreamServers,
) -> Result<Vec<(Name, u16)>, String> {
    let (resolver, timeout) = (upstream.resolver()?, upstream.timeout());
    let mut place = LabelPlace {
        before: 1,
        behind: 1,
    };
    loop {
        let Some(name) = place.name(zone) else {
            return Ok(Vec::new());
        };
        match look_up(
            &resolver,
            &name,
            RecordType::from(OwnType::DSYNC.0),
            timeout,
        )
        .await
        {
            Ok(records) => return Ok(targets_of(&records, rtype)),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let above = none.soa.as_ref().and_then(|soa| wire_name(&soa.name));
                match place.next(zone, above.as_ref()) {
                    Some(next) => place = next,
                    None => return Ok(Vec::new()),
                }
            }
            Err(error) => return Err(describe(&error, timeout)),
        }
    }
}

/// Where the label stands in the name that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LabelPlace {
    /// How many labels of the zone's name stand in front of it.
    before: usize,
    /// How many labels of the zone's name are not behind it.
    behind: usize,
}

impl LabelPlace {
    /// What is asked after a negative answer. `parent` is the zone of its SOA record.
    fn next(self, zone: &Name, parent: Option<&Name>) -> Option<LabelPlace> {
        let parent = parent.filter(|parent| zone.is_within(parent))?;
        let below = zone.label_count().checked_sub(parent.label_count())?;
        if below > self.behind {
            return Some(LabelPlace {
                before: below,
                behind: below,
            });
        }
        (self.before > 0 && below > 0).then_some(LabelPlace { before: 0, ..self })
    }

    fn name(self, zone: &Name) -> Option<Name> {
        let mut name = zone.clone();
        for _ in 0..self.behind {
            name = name.parent()?;
        }
        name = name.child(DSYNC).ok()?;
        let labels: Vec<&[u8]> = zone.labels().take(self.before).collect();
        for label in labels.into_iter().rev() {
            name = name.child(label).ok()?;
        }
        Some(name)
    }
}

fn targets_of(records: &Lookup, rtype: OwnType) -> Vec<(Name, u16)> {
    let mut targets = Vec::new();
    for record in records.answers() {
        if u16::from(record.record_type()) != OwnType::DSYNC.0 {
            continue;
        }
        let Ok(data) = record.data.to_bytes() else {
            continue;
        };
        if let Some(target) = target_of(&data, rtype)
            && !targets.contains(&target)
            && targets.len() < MOST_TARGETS
        {
            targets.push(target);
        }
    }
    targets
}

/// The host and the port of one record (section 2), if it is about this type.
fn target_of(data: &[u8], rtype: OwnType) -> Option<(Name, u16)> {
    let mut reader = WireReader::at(data, 0)?;
    let (about, scheme, port) = (reader.u16()?, reader.u8()?, reader.u16()?);
    let host = Name::from_wire(reader.rest()).ok()?;
    let is_good = about == rtype.0 && scheme == NOTIFY && port != 0 && !host.is_root();
    is_good.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn rfc9859_section_4_1_the_names_that_are_asked_one_after_the_other() {
        for (zone, parent, asked) in [
            (
                "example.com",
                "com",
                &["example._dsync.com", "_dsync.com"][..],
            ),
            (
                "city.ise.mie.jp",
                "jp",
                &[
                    "city._dsync.ise.mie.jp",
                    "city.ise.mie._dsync.jp",
                    "_dsync.jp",
                ],
            ),
            ("example.com", "example.com", &["example._dsync.com"]),
        ] {
            let (zone, parent) = (name(zone), name(parent));
            let mut place = Some(LabelPlace {
                before: 1,
                behind: 1,
            });
            let mut found = Vec::new();
            while let Some(now) = place {
                found.push(now.name(&zone).unwrap().to_string());
                place = now.next(&zone, Some(&parent));
            }
            assert_eq!(found, asked);
        }
    }

    #[test]
    fn rfc9859_section_2_a_record_about_cds_names_a_host_and_a_port() {
        let data = [&[0, 59, 1, 0x14, 0xe9][..], name("scan.test").as_wire()].concat();
        assert_eq!(
            target_of(&data, OwnType::CDS),
            Some((name("scan.test"), 5353))
        );
        assert_eq!(target_of(&data, OwnType::CSYNC), None);
        let other = [&[0, 59, 2][..], &data[3..]].concat();
        assert_eq!(target_of(&other, OwnType::CDS), None, "another scheme");
        assert_eq!(target_of(&data[..6], OwnType::CDS), None);
    }
}
