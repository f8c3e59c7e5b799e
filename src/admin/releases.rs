//! The calls for releases of the fleet's configuration: what is served where, and a new one.
//!
//! A release arrives in pieces, each small enough for the body of a call, and goes on to the engine at
//! once. The call that publishes it comes last, and is refused if the signature is not that of a key
//! that this server trusts.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bodies::read_body;
use super::changes::{ChangeAuthor, RoutineCall};
use super::context::AdminContext;
use super::error::{ApiError, AuditNote};
use super::openapi::{RequestBody, ResponseKind};
use super::overrides::ChangeDone;
use super::routes::{AdminRoute, run_to_end};
use crate::control::releases::{ReleasesHandle, ReleasesReport};
use crate::fleet::release::{PIECE, SignedRelease, is_digest, piece_key};

/// A piece of the archive of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PieceRequest {
    /// The digest of the archive: SHA-256, as 64 hexadecimal digits.
    pub digest: String,
    /// The number of the piece, from 0.
    pub piece: u32,
    /// At most 45,056 octets, in base64.
    pub octets: String,
}

/// The calls of this module.
pub fn routes() -> [AdminRoute; 3] {
    let list = AdminRoute::read(
        "/v1/releases",
        "The releases of the fleet's configuration: which server serves which, and what halts one",
        ResponseKind::json::<ReleasesReport>(),
        routing::get(list),
    );
    let piece = AdminRoute {
        body: Some(RequestBody::needed::<PieceRequest>()),
        errors: &[409],
        ..AdminRoute::change(
            Method::PUT,
            "/v1/releases/pieces",
            "Hands over a piece of the archive of a release; nothing serves it before the release \
             is published",
            ResponseKind::json::<ChangeDone>(),
            routing::put(put_piece),
        )
    };
    let publish = AdminRoute {
        body: Some(RequestBody::needed::<SignedRelease>()),
        errors: &[409, 504],
        ..AdminRoute::change(
            Method::POST,
            "/v1/releases",
            "Publishes a signed release whose archive was handed over, to ring 0 first",
            ResponseKind::json::<ChangeDone>(),
            routing::post(publish),
        )
    };
    [list, piece, publish]
}

async fn list(State(context): State<Arc<AdminContext>>) -> Json<ReleasesReport> {
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
        ApiError::new(axum::http::StatusCode::CONFLICT, sentence)
    })
}

async fn put_piece(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: PieceRequest = read_body(&body)?;
    releases_of(&context)?;
    let octets = STANDARD.decode(&request.octets).unwrap_or_default();
    if !is_digest(&request.digest) || octets.is_empty() || octets.len() > PIECE {
        return Err(ApiError::bad_request(
            "the digest, or the octets of the piece, are not what the API wants",
        ));
    }
    let key = piece_key(&request.digest, request.piece as usize);
    run_to_end(async move {
        releases_of(&context)?
            .put_piece(key, octets)
            .await
            .map_err(ApiError::from)
    })
    .await??;
    let done = ChangeDone {
        sentence: "the piece is there".to_owned(),
        kept: true,
    };
    // One call for each piece would hide everything else in the audit log.
    Ok((Extension(RoutineCall), Json(done)).into_response())
}

async fn publish(
    State(context): State<Arc<AdminContext>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let release: SignedRelease = read_body(&body)?;
    releases_of(&context)?;
    let author = author_of(&release);
    let pushing = async move {
        releases_of(&context)?
            .push(release)
            .await
            .map_err(ApiError::from)
    };
    let response = match run_to_end(pushing).await? {
        Ok(sentence) => {
            let note = AuditNote(sentence.clone());
            let kept = true;
            (Extension(note), Json(ChangeDone { sentence, kept })).into_response()
        }
        Err(error) => error.into_response(),
    };
    Ok((Extension(author), response).into_response())
}

/// Whom the audit log names.
fn author_of(release: &SignedRelease) -> ChangeAuthor {
    #[derive(Deserialize)]
    struct Signed {
        author: String,
        reason: String,
    }
    match serde_json::from_str::<Signed>(&release.manifest) {
        Ok(Signed { author, reason }) => ChangeAuthor { by: author, reason },
        Err(_) => ChangeAuthor::default(),
    }
}
