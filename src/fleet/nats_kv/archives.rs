//! The archives of releases: pieces in a bucket of their own, which nobody follows.
//!
//! A piece is never changed, because its key has the digest of its archive; writing it again repairs
//! it. The bucket has a size, and the oldest pieces go first.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, LastRawMessageErrorKind, StorageType};
use tokio::time::timeout;

use super::{KvLink, REQUEST, no_answer};

/// Most octets of all archives, which is several of the largest.
const MOST_OF_ALL: i64 = 256 << 20;

impl KvLink {
    /// Writes a piece, and makes the bucket if there is none.
    pub(super) async fn store(&self, key: &str, octets: Vec<u8>) -> Result<(), String> {
        if !self.is_linked() {
            return Err("no NATS server can be reached".to_owned());
        }
        match self.put(key, octets.clone()).await {
            Err(PutFault::NoBucket) => self.make_archives().await?,
            Err(PutFault::Other(clause)) => return Err(clause),
            Ok(()) => return Ok(()),
        }
        match self.put(key, octets).await {
            Err(PutFault::NoBucket) => Err("JetStream has no leader now".to_owned()),
            Err(PutFault::Other(clause)) => Err(clause),
            Ok(()) => Ok(()),
        }
    }

    async fn put(&self, key: &str, octets: Vec<u8>) -> Result<(), PutFault> {
        let subject = format!("$KV.{}.{key}", self.archives);
        let writing = async {
            let acked = self.context.publish(subject, octets.into()).await?;
            acked.await
        };
        match timeout(REQUEST, writing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {
                Err(PutFault::NoBucket)
            }
            Ok(Err(error)) => Err(PutFault::Other(format!("NATS refuses it: {error}"))),
            Err(_) => Err(PutFault::Other(no_answer())),
        }
    }

    async fn make_archives(&self) -> Result<(), String> {
        let config = stream::Config {
            name: format!("KV_{}", self.archives),
            description: Some("The configurations of a fleet of Meridian nameservers".to_owned()),
            subjects: vec![format!("$KV.{}.>", self.archives)],
            max_messages_per_subject: 1,
            max_bytes: MOST_OF_ALL,
            storage: StorageType::File,
            num_replicas: self.replicas,
            discard: DiscardPolicy::Old,
            allow_direct: true,
            ..stream::Config::default()
        };
        match timeout(REQUEST, self.context.create_stream(config)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("the bucket of archives cannot be made: {error}")),
            Err(_) => Err(no_answer()),
        }
    }

    /// Reads a piece; `None`: it is not there.
    pub(super) async fn load(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        if !self.is_linked() {
            return Err("no NATS server can be reached".to_owned());
        }
        let subject = format!("$KV.{}.{key}", self.archives);
        let reading = async {
            let name = format!("KV_{}", self.archives);
            let stream = self.context.get_stream_no_info(name).await;
            let stream = stream.map_err(|error| error.to_string())?;
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message.payload.to_vec())),
                Err(error) if is_missing(error.kind()) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        timeout(REQUEST, reading)
            .await
            .unwrap_or_else(|_| Err(no_answer()))
    }
}

/// Whether there is no such piece, or no bucket of archives at all.
fn is_missing(kind: LastRawMessageErrorKind) -> bool {
    match kind {
        LastRawMessageErrorKind::NoMessageFound => true,
        LastRawMessageErrorKind::JetStream(answer) => {
            answer.error_code() == ErrorCode::STREAM_NOT_FOUND
        }
        _ => false,
    }
}

/// Why a piece was not written.
enum PutFault {
    NoBucket,
    Other(String),
}
