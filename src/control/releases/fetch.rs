//! Gets the archive of a release and unpacks it.
//!
//! The engine has it in pieces, or it lies at an HTTPS address. Only octets with the digest that was
//! signed are unpacked, so it does not matter whom they come from. What has not arrived yet is asked
//! for again later.

use std::time::Duration;

use super::store::ReleaseStore;
use crate::control::running::Control;
use crate::fleet::order_carrier::OrderCommander;
use crate::fleet::release::{ArchiveFacts, ReleaseFault, piece_key};
use crate::health::probe::reasons::innermost;
use crate::health::probe::{AlpnProtocol, TrustStore};

/// How long an HTTPS server may take for an archive.
const TIME: Duration = Duration::from_secs(60);

/// Gets an archive and unpacks it.
///
/// # Errors
/// It cannot be had yet, is another one, or cannot be unpacked.
pub(super) async fn fetch(
    control: &Control,
    commander: &OrderCommander,
    store: ReleaseStore,
    facts: ArchiveFacts,
) -> Result<(), ReleaseFault> {
    let archive = match &facts.url {
        Some(url) => download(url, &facts).await?,
        None => gather(commander, &facts).await?,
    };
    facts.check(&archive)?;
    let workers = &control.threads.releases;
    let unpacked = workers.run(move || store.unpack(&facts.digest, &archive));
    unpacked
        .await
        .unwrap_or_else(|not_done| Err(ReleaseFault::Incomplete(not_done.to_string())))
}

/// All pieces of an archive.
async fn gather(commander: &OrderCommander, facts: &ArchiveFacts) -> Result<Vec<u8>, ReleaseFault> {
    let pieces = facts.pieces();
    let mut archive = Vec::new();
    for piece in 0..pieces {
        match commander.load(piece_key(&facts.digest, piece)).await {
            Ok(Some(octets)) => archive.extend_from_slice(&octets),
            Ok(None) => {
                return Err(ReleaseFault::Incomplete(format!(
                    "piece {} of {pieces} of its archive has not arrived",
                    piece + 1
                )));
            }
            Err(clause) => {
                return Err(ReleaseFault::Incomplete(format!(
                    "its archive cannot be read now: {clause}"
                )));
            }
        }
        if archive.len() as u64 > facts.octets {
            return Err(ReleaseFault::WrongDigest);
        }
    }
    Ok(archive)
}

fn unreachable(url: &str, error: &reqwest::Error) -> ReleaseFault {
    ReleaseFault::Incomplete(format!("{url}: {}", innermost(error)))
}

/// The archive at an HTTPS address.
async fn download(url: &str, facts: &ArchiveFacts) -> Result<Vec<u8>, ReleaseFault> {
    let response = client()?.get(url).send().await;
    let response = response.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(|error| unreachable(url, &error))?;
    let mut archive = Vec::new();
    while archive.len() as u64 <= facts.octets {
        match response.chunk().await {
            Ok(Some(octets)) => archive.extend_from_slice(&octets),
            Ok(None) => break,
            Err(error) => return Err(unreachable(url, &error)),
        }
    }
    if archive.len() as u64 == facts.octets {
        return Ok(archive);
    }
    // A page of the web server, or a file that is still being put there.
    Err(ReleaseFault::Incomplete(format!(
        "{url}: what is there is not {} octets long",
        facts.octets
    )))
}

/// A client that speaks HTTPS only, with the authorities of the system.
fn client() -> Result<reqwest::Client, ReleaseFault> {
    let (trust, _) = TrustStore::from_system().map_err(ReleaseFault::Incomplete)?;
    let tls = (*trust.settings(true, AlpnProtocol::Http1)).clone();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .timeout(TIME)
        .build();
    client.map_err(|error| ReleaseFault::Incomplete(innermost(&error).to_string()))
}
