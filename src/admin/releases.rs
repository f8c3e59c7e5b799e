//! The calls for releases of the fleet's configuration: what is served where, and a new one.
//!
//! A release arrives in pieces, each small enough for the body of a call, and goes on to the engine at
//! once. The call that publishes it comes last, and is refused if the signature is not that of a key
//! that this server trusts.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bodies::read_body;
use super::changes::{ChangeAuthor, RoutineCall};
use super::context::AdminContext;
use super::error::{ApiError, AuditNote};
use crate::control::releases::{ReleasesHandle, ReleasesReport};
use crate::fleet::release::{PIECE, ReleaseManifest, SignedRelease, is_piece_key};

/// A piece of the archive of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PieceRequest {
    /// The digest of the archive (SHA-256, as 64 hexadecimal digits), a dot, and the number of the
    /// piece, from 0.
    pub key: String,
    /// At most 45,056 octets, in base64.
    pub octets: String,
}

/// A release that is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The signed release: a JSON object, as a text.
    pub release: String,
}

/// What is true after a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseDone {
    /// It as a sentence.
    pub sentence: String,
}

/// What is served where.
pub async fn list(State(context): State<Arc<AdminContext>>) -> Json<ReleasesReport> {
    let releases = context.control.releases();
    let report = releases.map(|releases| ReleasesReport::clone(&releases.report()));
    Json(report.unwrap_or_default())
}

/// The releases of the fleet.
///
/// # Errors
/// 409: the server follows none.
fn releases_of(context: &AdminContext) -> Result<&ReleasesHandle, ApiError> {
    context.control.releases().ok_or_else(|| {
        let sentence = "this server follows no releases: its configuration has no [fleet.releases]";
        ApiError::new(StatusCode::CONFLICT, sentence)
    })
}

/// Takes a piece of an archive.
///
/// # Errors
/// It is none, or the engine does not take it.
pub async fn put_piece(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: PieceRequest = read_body(&body)?;
    let releases = releases_of(&context)?;
    let (key, octets) = request.read()?;
    releases.put_piece(key, octets).await?;
    let sentence = "the piece is there".to_owned();
    let done = ReleaseDone { sentence };
    // One call for each piece would hide everything else in the audit log.
    Ok((Extension(RoutineCall), Json(done)).into_response())
}

impl PieceRequest {
    /// The key of the piece in the engine, and its octets.
    fn read(self) -> Result<(String, Vec<u8>), ApiError> {
        let octets = STANDARD.decode(&self.octets).unwrap_or_default();
        if !is_piece_key(&self.key) || octets.is_empty() || octets.len() > PIECE {
            return Err(ApiError::bad_request(
                "the key, or the octets of the piece, are not what the API wants",
            ));
        }
        Ok((self.key, octets))
    }
}

/// Takes a release. What is published is so even if the client leaves.
///
/// # Errors
/// It is none, its signature does not count, or the engine does not take it.
pub async fn publish(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: ReleaseRequest = read_body(&body)?;
    let releases = releases_of(&context)?;
    let release = read_release(&request)?;
    let author = author_of(&release);
    let response = match releases.push(release).await {
        Ok(sentence) => {
            let note = AuditNote(sentence.clone());
            (Extension(note), Json(ReleaseDone { sentence })).into_response()
        }
        Err(refusal) => ApiError::from(refusal).into_response(),
    };
    Ok((Extension(author), response).into_response())
}

fn read_release(request: &ReleaseRequest) -> Result<SignedRelease, ApiError> {
    SignedRelease::read(request.release.as_bytes()).map_err(|fault| {
        let sentence = format!("this server refuses the release: {fault}");
        ApiError::new(StatusCode::CONFLICT, sentence)
    })
}

/// Whom the audit log names.
fn author_of(release: &SignedRelease) -> ChangeAuthor {
    let read: Result<ReleaseManifest, _> = serde_json::from_str(&release.manifest);
    read.map_or_else(|_| ChangeAuthor::default(), signed_by)
}

fn signed_by(manifest: ReleaseManifest) -> ChangeAuthor {
    ChangeAuthor {
        by: manifest.author,
        reason: manifest.reason,
    }
}
