//! What is asked of the task of releases: pieces of an archive, and then the release itself.
//!
//! The engine takes a release only if nobody else has published one meanwhile. Whoever pushes waits in
//! a task of its own, so a call that waits delays no step.

use super::handle::ReleaseCall;
use super::{RELEASE, ReleaseRunner};
use crate::control::outcome::ChangeRefusal;
use crate::fleet::order_carrier::{KeyWrite, OrderCommander, WriteFault};
use crate::fleet::release::SignedRelease;

const NOT_READY: &str = "no NATS server can be reached, or the releases of the fleet cannot be read \
                         yet: the release was not published";

impl ReleaseRunner {
    /// Begins what a call asks for.
    pub(super) fn obey(&mut self, call: ReleaseCall) {
        let commander = self.commander.clone();
        match call {
            ReleaseCall::Piece { key, octets, reply } => {
                tokio::spawn(async move {
                    let stored = commander.store(key, octets).await;
                    drop(reply.send(stored.map_err(not_written)));
                });
            }
            ReleaseCall::Push(release, reply) => {
                let begun = self.begin_push(&release);
                tokio::spawn(async move { reply.send(push(&commander, begun).await) });
            }
        }
    }

    /// The value that publishes a release, and its number.
    fn begin_push(&self, release: &SignedRelease) -> Result<(KeyWrite, u64), ChangeRefusal> {
        self.expect_ready()?;
        let manifest = release.verify(&self.config.trusted_keys, &self.fleet);
        let manifest = manifest.map_err(|fault| {
            ChangeRefusal::Unfit(format!("this server refuses the release: {fault}"))
        })?;
        let next = self.member.memory().seen + 1;
        if manifest.number != next {
            return Err(ChangeRefusal::Unfit(format!(
                "somebody else was first: the next release has the number {next}; push it again"
            )));
        }
        let write = KeyWrite {
            key: RELEASE.to_owned(),
            value: release.text(),
            expected: self.revisions.get(RELEASE).copied().unwrap_or(0),
        };
        Ok((write, manifest.number))
    }
}

impl ReleaseRunner {
    /// Whether the newest release is known, so that the next one can be published.
    fn expect_ready(&self) -> Result<(), ChangeRefusal> {
        if self.is_linked && self.is_current {
            return Ok(());
        }
        Err(ChangeRefusal::NotTaken(NOT_READY.to_owned()))
    }
}

/// Writes a release, and says what is true then.
async fn push(
    commander: &OrderCommander,
    begun: Result<(KeyWrite, u64), ChangeRefusal>,
) -> Result<String, ChangeRefusal> {
    let (write, number) = begun?;
    match commander.write(write).await {
        Ok(_) => Ok(published(number)),
        Err(fault) => Err(refusal(fault)),
    }
}

fn not_written(clause: String) -> ChangeRefusal {
    ChangeRefusal::NotTaken(format!(
        "a piece of the archive was not written: {clause}; nothing has changed"
    ))
}

fn published(number: u64) -> String {
    format!("release {number} is published; ring 0 serves it first")
}

fn refusal(fault: WriteFault) -> ChangeRefusal {
    match fault {
        WriteFault::NotMade(clause) => {
            ChangeRefusal::NotTaken(format!("the release was not published: {clause}"))
        }
        WriteFault::Unconfirmed(clause) => ChangeRefusal::Unconfirmed(format!(
            "it is not known whether the release was published: {clause}; `meridian releases` shows it"
        )),
        WriteFault::Conflict(_) => ChangeRefusal::Unfit(
            "somebody else was first: the release was not published; push it again".to_owned(),
        ),
    }
}
