//! Notifies parents when the CDS records of a zone have changed (RFC 9859).
//!
//! What a parent was notified of is kept in the state directory, as a digest of the CDS and CDNSKEY
//! records, so a restart notifies nobody again. Without a state directory, what is served at the start
//! counts as known. Each change is told at most [`ATTEMPTS`] times until it is acknowledged, with longer
//! and longer pauses: a parent that has not heard of it finds the records when it looks for them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::net::UdpSocket;

use super::clock::BootTime;
use super::keep::{self, StateList};
use super::running::Control;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::dns::{CLASS_IN, Name, RecordType};
use crate::resolve::{NotifyTarget, notify_targets};

/// How often the task looks for changes.
const LOOK: Duration = Duration::from_secs(1);
/// How often a change is told until it is acknowledged.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; each further one is four times as long.
const PAUSE: Duration = Duration::from_secs(60);
/// How long to wait for the acknowledgement of each datagram.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Opcode NOTIFY, with AA (RFC 1996 section 3.7).
const FLAGS: u16 = 0x2400;
/// The flag of a reply.
const REPLY: u16 = 0x8000;

/// What the parent of a zone was notified of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ToldRecords {
    /// The apex.
    zone: String,
    /// The digest of the CDS and CDNSKEY records: 32 hexadecimal digits.
    records: String,
}

/// A change that is to be told.
struct PendingNotice {
    zone: Name,
    records: String,
    attempts: u32,
    /// Not before.
    next: BootTime,
}

/// What was told and what is to be.
#[derive(Default)]
struct NoticeBook {
    told: BTreeMap<String, String>,
    pending: Vec<PendingNotice>,
    /// What is served now was told at an earlier start, or counts as told.
    is_begun: bool,
    /// The catalog that was looked at last.
    seen: Weak<Catalog>,
}

impl Control {
    /// Notifies the parents of zones whose CDS records change. Runs until it is dropped.
    pub async fn notify_parents(self: Arc<Control>) {
        let mut book = NoticeBook::default();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let config = self.state().derived.config.clone();
            if config.dnssec.as_ref().is_some_and(|it| it.notify_parent) {
                self.look_for_notices(&mut book, &config).await;
            }
        }
    }

    async fn look_for_notices(&self, book: &mut NoticeBook, config: &Config) {
        let catalog = self.snapshot().catalog.clone();
        let directory = self.state_directory();
        if !book.is_begun {
            let path = directory.as_ref().map(|it| it.path().to_owned());
            let list = path.map(|path| keep::look::<ToldRecords>(&path, keep::NOTICES));
            for told in list.map_or_else(Vec::new, |list| list.items) {
                book.told.insert(told.zone, told.records);
            }
        }
        if !Weak::ptr_eq(&book.seen, &Arc::downgrade(&catalog)) {
            book.seen = Arc::downgrade(&catalog);
            book.look(&catalog, directory.is_none() && !book.is_begun);
            book.is_begun = true;
        }
        if book.tell_next(config).await {
            self.keep_notices(book);
        }
    }

    /// Has what was told written to the state directory.
    fn keep_notices(&self, book: &NoticeBook) {
        let Some(directory) = self.state_directory() else {
            return;
        };
        let mut items = Vec::new();
        for (zone, records) in &book.told {
            items.push(ToldRecords {
                zone: zone.clone(),
                records: records.clone(),
            });
        }
        let list = StateList {
            items,
            ..StateList::default()
        };
        let write = Arc::new(move || keep::save(&directory, keep::NOTICES, &list));
        self.hand_to_writer(keep::NOTICES, write);
    }
}

impl NoticeBook {
    /// Finds the zones whose records are others than those that were told.
    fn look(&mut self, catalog: &Catalog, counts_as_told: bool) {
        let mut served = BTreeMap::new();
        for zone in &catalog.zones {
            if let Some(records) = digest(catalog, &zone.origin) {
                served.insert(zone.origin.to_lower().to_string(), (zone, records));
            }
        }
        self.told.retain(|zone, _| served.contains_key(zone));
        self.pending.clear();
        for (name, (zone, records)) in served {
            if counts_as_told {
                self.told.insert(name, records);
            } else if self.told.get(&name) != Some(&records) {
                self.pending.push(PendingNotice {
                    zone: zone.origin.clone(),
                    records,
                    attempts: 0,
                    next: BootTime::now(),
                });
            }
        }
    }

    /// Tells the parent of one zone, if one is due. Returns whether it need not be told any more.
    async fn tell_next(&mut self, config: &Config) -> bool {
        let now = BootTime::now();
        let Some(at) = self.pending.iter().position(|it| it.next <= now) else {
            return false;
        };
        let mut notice = self.pending.remove(at);
        notice.attempts += 1;
        let zone = &notice.zone;
        match tell_parent(config, zone).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(%zone, "the parent was notified of new CDS records at {count} servers")
            }
            Err(reason) if notice.attempts < ATTEMPTS => {
                tracing::warn!(%zone, "the parent cannot be notified of CDS records: {reason}");
                let pause = PAUSE.saturating_mul(4_u32.saturating_pow(notice.attempts - 1));
                notice.next = BootTime::now().after(pause);
                self.pending.push(notice);
                return false;
            }
            Err(reason) => tracing::warn!(
                %zone,
                "the parent is not notified of CDS records any more: {reason}; it finds them when it looks"
            ),
        }
        self.told
            .insert(zone.to_lower().to_string(), notice.records);
        true
    }
}

/// A digest of the records by which a zone asks its parent for something; `None`: it has none.
fn digest(catalog: &Catalog, zone: &Name) -> Option<String> {
    let mut hasher = SipHasher24::new();
    let mut is_any = false;
    for rtype in [RecordType::CDS, RecordType::CDNSKEY] {
        let mut data = catalog.plain_data_at(zone, rtype);
        data.sort();
        for record in data {
            is_any = true;
            hasher.write_u16(rtype.0);
            hasher.write_u64(record.len() as u64);
            hasher.write(&record);
        }
    }
    is_any.then(|| format!("{:032x}", hasher.finish128().as_u128()))
}

/// Tells everybody whom the parent of a zone names; returns how many.
async fn tell_parent(config: &Config, zone: &Name) -> Result<usize, String> {
    let targets = notify_targets(zone, RecordType::CDS, &config.resolver.servers()).await?;
    for target in &targets {
        tell(zone, target).await?;
    }
    Ok(targets.len())
}

/// Sends a NOTIFY message until it is acknowledged.
async fn tell(zone: &Name, target: &NotifyTarget) -> Result<(), String> {
    let failed = |reason: String| format!("{} ({}): {reason}", target.host, target.address);
    let message = message(zone);
    let reply = exchange(&message, target.address)
        .await
        .map_err(|error| failed(error.to_string()))?;
    match reply {
        None => Err(failed("does not acknowledge it".to_owned())),
        Some(0) => Ok(()),
        Some(rcode) => Err(failed(format!("refuses it with response code {rcode}"))),
    }
}

/// The response code of the reply; `None`: there is none.
async fn exchange(message: &[u8], to: SocketAddr) -> std::io::Result<Option<u8>> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    for wait in WAITS {
        socket.send(message).await?;
        match tokio::time::timeout(wait, heard(&socket, message)).await {
            Ok(rcode) => return rcode.map(Some),
            Err(_) => continue,
        }
    }
    Ok(None)
}

/// Waits for the reply to a message.
async fn heard(socket: &UdpSocket, message: &[u8]) -> std::io::Result<u8> {
    let mut buffer = [0; 512];
    loop {
        let size = socket.recv(&mut buffer).await?;
        let reply = buffer.get(..size).unwrap_or_default();
        if let Some(rcode) = rcode_of_reply(message, reply) {
            return Ok(rcode);
        }
    }
}

fn message(zone: &Name) -> Vec<u8> {
    let id = RandomState::new().hash_one(zone.as_wire()) as u16;
    let mut message = id.to_be_bytes().to_vec();
    message.extend(FLAGS.to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(zone.to_lower().as_wire());
    message.extend(RecordType::CDS.0.to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    message
}

/// The response code, if this is the reply to the message.
fn rcode_of_reply(message: &[u8], reply: &[u8]) -> Option<u8> {
    let (head, flags) = (reply.get(..2)?, reply.get(2..4)?.first_chunk::<2>()?);
    let flags = u16::from_be_bytes(*flags);
    let is_reply = flags & REPLY != 0 && flags & 0x7800 == FLAGS & 0x7800;
    (message.get(..2)? == head && is_reply).then_some((flags & 15) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1996_section_4_7_only_the_reply_to_the_message_counts() {
        let message = message(&"Example.test".parse().unwrap());
        assert_eq!(&message[2..4], [0x24, 0]);
        assert!(message.ends_with(b"\x07example\x04test\0\0\x3b\0\x01"));
        let mut reply = message.clone();
        assert_eq!(rcode_of_reply(&message, &reply), None, "no reply");
        reply[2] |= 0x80;
        assert_eq!(rcode_of_reply(&message, &reply), Some(0));
        reply[3] = 5;
        assert_eq!(rcode_of_reply(&message, &reply), Some(5));
        reply[0] ^= 1;
        assert_eq!(rcode_of_reply(&message, &reply), None, "another id");
        assert_eq!(rcode_of_reply(&message, &message[..3]), None);
    }
}
