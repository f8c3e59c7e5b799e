//! Notifies parents when the CDS records of a zone have changed (RFC 9859).
//!
//! What a parent was notified of is kept in the state directory, as a digest of the CDS and CDNSKEY
//! records, so a restart notifies nobody again. Without a state directory, what is served at the start
//! counts as known. Each change is told at most [`ATTEMPTS`] times until it is acknowledged, with longer
//! and longer pauses: a parent that has not heard of it finds the records when it looks for them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::net::UdpSocket;

use super::clock::BootTime;
use super::keep::{self, StateList};
use super::running::Control;
use crate::catalog::{Catalog, CatalogZone};
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
/// The opcode (RFC 1996 section 3.1).
const NOTIFY: u16 = 0x2000;
/// The flag AA, which a NOTIFY message has (RFC 1996 section 3.7).
const AUTHORITATIVE: u16 = 0x0400;
/// The flag of a reply.
const REPLY: u16 = 0x8000;
/// The flag and the opcode of a reply.
const EXPECTED: u16 = 0xf800;

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
    /// The apex.
    zone: String,
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
                self.look(&mut book, &config).await;
            }
        }
    }

    async fn look(&self, book: &mut NoticeBook, config: &Config) {
        let catalog = self.snapshot().catalog.clone();
        self.begin_notices(book, &catalog);
        book.look(&catalog);
        if book.tell_next(config).await {
            self.keep_notices(book);
        }
    }

    /// Reads what was told before the start.
    fn begin_notices(&self, book: &mut NoticeBook, catalog: &Catalog) {
        if std::mem::replace(&mut book.is_begun, true) {
            return;
        }
        let Some(directory) = self.state_directory() else {
            book.told = served(catalog);
            return;
        };
        let list: StateList<ToldRecords> = keep::look(directory.path(), keep::NOTICES);
        for told in list.items {
            book.told.insert(told.zone, told.records);
        }
    }

    /// Has what was told written to the state directory.
    fn keep_notices(&self, book: &NoticeBook) {
        if let Some(place) = self.state_directory() {
            let list = book.list();
            let save = Arc::new(move || keep::save(&place, keep::NOTICES, &list));
            self.hand_to_writer(keep::NOTICES, save);
        }
    }
}

impl NoticeBook {
    fn list(&self) -> StateList<ToldRecords> {
        let mut list = StateList::default();
        for (zone, records) in &self.told {
            list.items.push(ToldRecords {
                zone: zone.clone(),
                records: records.clone(),
            });
        }
        list
    }

    /// Finds the zones whose records are others than those that were told, in a new catalog.
    fn look(&mut self, catalog: &Arc<Catalog>) {
        if Weak::ptr_eq(&self.seen, &Arc::downgrade(catalog)) {
            return;
        }
        self.seen = Arc::downgrade(catalog);
        let served = served(catalog);
        self.told.retain(|zone, _| served.contains_key(zone));
        self.pending.clear();
        for (zone, records) in served {
            if self.told.get(&zone) != Some(&records) {
                self.pending.push(PendingNotice::new(zone, records));
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
        if !notice.tell(config).await {
            self.pending.push(notice);
            return false;
        }
        self.told.insert(notice.zone, notice.records);
        true
    }
}

impl PendingNotice {
    fn new(zone: String, records: String) -> PendingNotice {
        PendingNotice {
            zone,
            records,
            attempts: 0,
            next: BootTime::now(),
        }
    }

    /// Makes one attempt. Returns whether it is the last one.
    async fn tell(&mut self, config: &Config) -> bool {
        self.attempts += 1;
        match tell_parent(config, &self.zone).await {
            Ok(0) => true,
            Ok(count) => self.note_success(count),
            Err(reason) => self.note_failure(&reason),
        }
    }

    fn note_success(&self, servers: usize) -> bool {
        let zone = &self.zone;
        tracing::info!(%zone, "the parent was notified of new CDS records at {servers} servers");
        true
    }

    /// Returns whether it was the last attempt.
    fn note_failure(&mut self, reason: &str) -> bool {
        tracing::warn!(zone = %self.zone, "the parent cannot be notified of CDS records: {reason}");
        self.next = BootTime::now().after(pause(self.attempts));
        self.attempts >= ATTEMPTS
    }
}

/// The pause after so many attempts.
fn pause(attempts: u32) -> Duration {
    PAUSE.saturating_mul(4_u32.saturating_pow(attempts.saturating_sub(1)))
}

/// The digests of the records of all zones that have some.
fn served(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut served = BTreeMap::new();
    for zone in &catalog.zones {
        if let Some(records) = digest(catalog, &zone.origin) {
            served.insert(name_of(zone), records);
        }
    }
    served
}

fn name_of(zone: &CatalogZone) -> String {
    zone.origin.to_lower().to_string()
}

/// A digest of the records by which a zone asks its parent for something; `None`: it has none.
fn digest(catalog: &Catalog, zone: &Name) -> Option<String> {
    let mut hasher = SipHasher24::new();
    let mut is_any = false;
    for rtype in [RecordType::CDS, RecordType::CDNSKEY] {
        is_any |= put_records(&mut hasher, rtype, catalog.plain_data_at(zone, rtype));
    }
    is_any.then(|| format!("{:032x}", hasher.finish128().as_u128()))
}

/// Returns whether there are records.
fn put_records(sum: &mut SipHasher24, rtype: RecordType, mut data: Vec<Vec<u8>>) -> bool {
    data.sort();
    for record in &data {
        sum.write_u16(rtype.0);
        sum.write_u64(record.len() as u64);
        sum.write(record);
    }
    !data.is_empty()
}

/// Tells everybody whom the parent of a zone names; returns how many.
async fn tell_parent(config: &Config, zone: &str) -> Result<usize, String> {
    let zone = Name::parse(zone, &Name::root()).map_err(|error| error.to_string())?;
    let targets = notify_targets(&zone, RecordType::CDS, &config.resolver.servers()).await?;
    for target in &targets {
        tell(&zone, target).await?;
    }
    Ok(targets.len())
}

/// Sends a NOTIFY message until it is acknowledged.
async fn tell(zone: &Name, target: &NotifyTarget) -> Result<(), String> {
    let what = match exchange(&message(zone), target.address).await {
        Ok(Some(0)) => return Ok(()),
        Ok(Some(rcode)) => format!("refuses it with response code {rcode}"),
        Ok(None) => "does not acknowledge it".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("{} ({}): {what}", target.host, target.address))
}

/// The response code of the reply; `None`: there is none.
async fn exchange(message: &[u8], to: SocketAddr) -> io::Result<Option<u8>> {
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
async fn heard(socket: &UdpSocket, sent: &[u8]) -> io::Result<u8> {
    let mut room = [0; 512];
    loop {
        let size = socket.recv(&mut room).await?;
        if let Some(code) = rcode_of_reply(sent, room.split_at(size).0) {
            return Ok(code);
        }
    }
}

fn message(zone: &Name) -> Vec<u8> {
    let id = RandomState::new().hash_one(zone.as_wire()) as u16;
    let mut message = id.to_be_bytes().to_vec();
    message.extend((NOTIFY | AUTHORITATIVE).to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(zone.to_lower().as_wire());
    message.extend(RecordType::CDS.0.to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    message
}

/// The response code, if this is the reply to the message.
fn rcode_of_reply(message: &[u8], reply: &[u8]) -> Option<u8> {
    let flags = flags_of(reply)?;
    let is_ours = message.get(..2) == reply.get(..2) && flags & EXPECTED == REPLY | NOTIFY;
    is_ours.then_some((flags & 15) as u8)
}

fn flags_of(message: &[u8]) -> Option<u16> {
    let flags = message.get(2..)?.first_chunk()?;
    Some(u16::from_be_bytes(*flags))
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
