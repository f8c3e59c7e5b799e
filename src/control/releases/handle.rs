//! The releases of a fleet, for the rest of the program: a handle to the task that follows them.
//!
//! What the task knows is published as a [`ReleasesReport`], which readers take without a lock. Who
//! pushes a release hands its pieces and then its manifest to the task, and is answered when the engine
//! has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::control::outcome::ChangeRefusal;
use crate::fleet::release::{ReleaseManifest, SignedRelease};
use crate::fleet::rings::ReleaseState;

/// Most calls that wait for the task.
const MOST_WAITING: usize = 256;

/// The releases of the fleet as this server sees them. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasesReport {
    /// The name of the fleet.
    pub fleet: String,
    /// The name of this server.
    pub server: String,
    /// Its ring.
    pub ring: u8,
    /// Whether a release can be pushed through this server now.
    pub ready: bool,
    /// The number of the release that this server serves; 0: its own files.
    pub serving: u64,
    /// The number that the next release has to have.
    pub next: u64,
    /// The newest release; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseManifest>,
    /// `none`, `rolling`, `halted` or `done`.
    pub state: String,
    /// Who has halted it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<ReleaseHalt>,
    /// Why the newest value of the engine does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What every server says.
    pub servers: Vec<ServerRelease>,
    /// Releases that this server did not take, by reason, since its start.
    pub refused: BTreeMap<String, u64>,
}

/// Who has halted a release, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseHalt {
    /// The name of the server.
    pub by: String,
    /// Why, as a clause.
    pub why: String,
}

/// What a server says of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerRelease {
    /// The name of the server.
    pub name: String,
    /// Its ring.
    pub ring: u8,
    /// Whether its votes arrive.
    pub in_touch: bool,
    /// The number of the release that it serves; 0: its own files.
    pub serving: u64,
    /// The newest release that it has seen.
    pub release: u64,
    /// What became of that one there.
    pub state: ReleaseState,
    /// Why, as a clause; may be empty.
    pub why: String,
}

/// Receives a sentence about a release that was pushed.
pub(super) type PushReply = oneshot::Sender<Result<String, ChangeRefusal>>;

/// What the task is asked for.
pub(super) enum ReleaseCall {
    /// To write a piece of an archive.
    Piece {
        /// Its key.
        key: String,
        /// The piece.
        octets: Vec<u8>,
        /// Receives a sentence if it was not written.
        reply: oneshot::Sender<Result<(), ChangeRefusal>>,
    },
    /// To publish a release.
    Push(Box<SignedRelease>, PushReply),
}

/// What the rest of the program knows of releases.
pub struct ReleasesHandle {
    calls: mpsc::Sender<ReleaseCall>,
    report: Arc<ArcSwap<ReleasesReport>>,
}

/// The ends of a handle that the task holds.
pub(super) struct ReleasesEnds {
    pub(super) calls: mpsc::Receiver<ReleaseCall>,
    pub(super) report: Arc<ArcSwap<ReleasesReport>>,
}

impl ReleasesHandle {
    /// A handle, and the ends for its task.
    pub(super) fn new() -> (ReleasesHandle, ReleasesEnds) {
        let (send, calls) = mpsc::channel(MOST_WAITING);
        let report = Arc::<ArcSwap<ReleasesReport>>::default();
        let ends = ReleasesEnds {
            calls,
            report: report.clone(),
        };
        let calls = send;
        (ReleasesHandle { calls, report }, ends)
    }

    /// What is known of releases.
    pub fn report(&self) -> Arc<ReleasesReport> {
        self.report.load_full()
    }

    /// Writes a piece of an archive.
    ///
    /// # Errors
    /// A sentence: it was not written.
    pub async fn put_piece(&self, key: String, octets: Vec<u8>) -> Result<(), ChangeRefusal> {
        let (reply, result) = oneshot::channel();
        self.call(ReleaseCall::Piece { key, octets, reply })?;
        result.await.unwrap_or_else(ended)
    }

    /// Publishes a release, and returns what is true then, as a sentence.
    ///
    /// # Errors
    /// A sentence: it was not published, or may not have been.
    pub async fn push(&self, release: SignedRelease) -> Result<String, ChangeRefusal> {
        let (reply, result) = oneshot::channel();
        self.call(ReleaseCall::Push(Box::new(release), reply))?;
        result.await.unwrap_or_else(ended)
    }

    fn call(&self, call: ReleaseCall) -> Result<(), ChangeRefusal> {
        self.calls.try_send(call).map_err(|_| {
            ChangeRefusal::Busy("too many calls wait already; repeat it in a moment".to_owned())
        })
    }
}

fn ended<T>(_: oneshot::error::RecvError) -> Result<T, ChangeRefusal> {
    Err(ChangeRefusal::NotTaken("the server is ending".to_owned()))
}
