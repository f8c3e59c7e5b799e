//! The thread that talks to one token, and how others ask it.
//!
//! There is one thread for each token, and it stays until the process ends: a module that was loaded
//! is never unloaded, because few bear that. Requests wait in a queue and are carried out one after
//! the other. Whoever asks waits for a time and then gives up; until the thread comes back from what
//! it hangs in, everybody else is refused at once, so a token that hangs costs one wait and no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::session::TokenSession;
use crate::dnssec::SigningAlgorithm;
use crate::dnssec::token_uri::{TokenAddress, TokenObject};

/// How long a signature may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a new key may take. Modules make RSA keys slowly.
const PATIENCE_FOR_KEYS: Duration = Duration::from_secs(120);
/// Requests that may wait for one token; there are as many as threads that sign.
const QUEUE: usize = 64;

/// The lines to all tokens of this process.
static LINES: LazyLock<Mutex<HashMap<TokenAddress, TokenLine>>> = LazyLock::new(Mutex::default);

/// What the thread is to do.
type TokenJob = Box<dyn FnOnce(&mut TokenSession) + Send>;

/// How others reach the thread of a token.
#[derive(Clone)]
pub(super) struct TokenLine {
    jobs: SyncSender<(u64, TokenJob)>,
    progress: Arc<LineProgress>,
}

/// How far a thread has come, by the numbers of its jobs.
#[derive(Default)]
struct LineProgress {
    /// The number of the last job that was asked for.
    asked: AtomicU64,
    /// The number of the last job that was done.
    done: AtomicU64,
    /// The highest number of a job that somebody has given up.
    given_up: AtomicU64,
}

impl LineProgress {
    /// Whether the thread still hangs in what somebody has given up.
    fn is_stalled(&self) -> bool {
        self.given_up.load(Ordering::Acquire) > self.done.load(Ordering::Acquire)
    }
}

impl TokenLine {
    /// The line to a token, whose thread is started the first time.
    ///
    /// # Errors
    /// A sentence: there is no thread to be had.
    pub(super) fn to(address: TokenAddress) -> Result<TokenLine, String> {
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&address) {
            return Ok(line.clone());
        }
        let session = TokenSession::new(address.clone());
        let (jobs, waiting) = sync_channel(QUEUE);
        let line = TokenLine {
            jobs,
            progress: Arc::default(),
        };
        let progress = line.progress.clone();
        thread::Builder::new()
            .name("token".to_owned())
            .spawn(move || work(session, &waiting, &progress))
            .map_err(|error| format!("there is no thread for the token: {error}"))?;
        lines.insert(address, line.clone());
        Ok(line)
    }

    /// Signs a message.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn sign(
        &self,
        object: TokenObject,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, String> {
        let message = message.to_vec();
        self.ask(PATIENCE, move |session| {
            session.sign(&object, algorithm, &message)
        })
    }

    /// Makes a key pair.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn generate(
        &self,
        algorithm: SigningAlgorithm,
        object: TokenObject,
    ) -> Result<Vec<u8>, String> {
        self.ask(PATIENCE_FOR_KEYS, move |session| {
            session.generate(algorithm, &object)
        })
    }

    /// The public half of a key.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn public_half(
        &self,
        object: TokenObject,
    ) -> Result<(SigningAlgorithm, Vec<u8>), String> {
        self.ask(PATIENCE, move |session| session.public_half(&object))
    }

    /// Has the thread do something, and waits for it.
    fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce(&mut TokenSession) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        if self.progress.is_stalled() {
            return Err(stalled());
        }
        let (reply, answer) = sync_channel(1);
        let number = self
            .progress
            .asked
            .fetch_add(1, Ordering::AcqRel)
            .wrapping_add(1);
        // Nobody may be waiting for the reply any more.
        let job: TokenJob = Box::new(move |session| drop(reply.send(job(session))));
        if self.jobs.try_send((number, job)).is_err() {
            return Err(stalled());
        }
        answer.recv_timeout(patience).unwrap_or_else(|_| {
            self.progress.given_up.fetch_max(number, Ordering::AcqRel);
            Err(stalled())
        })
    }
}

#[cold]
fn stalled() -> String {
    format!(
        "the token does not answer within {} s; look after it, and restart meridian if it stays so",
        PATIENCE.as_secs()
    )
}

/// The thread.
fn work(mut session: TokenSession, waiting: &Receiver<(u64, TokenJob)>, progress: &LineProgress) {
    for (number, job) in waiting {
        job(&mut session);
        progress.done.fetch_max(number, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn line(module: &str) -> TokenLine {
        let address = TokenAddress {
            module: module.into(),
            pin_file: None,
            selector: Default::default(),
        };
        TokenLine::to(address).unwrap()
    }

    #[test]
    fn a_token_that_hangs_costs_one_wait_and_is_asked_again_when_it_is_back() {
        let line = line("/nowhere/hangs.so");
        let (release, hold) = channel::<()>();
        let short = Duration::from_millis(50);
        let hanging = line.ask(short, move |_| {
            let _ = hold.recv();
            Ok(1)
        });
        assert!(hanging.unwrap_err().contains("does not answer"));
        // Nobody waits behind it, however patient.
        for _ in 0..1000 {
            let refused = line.ask(Duration::from_secs(3600), |_| Ok(2));
            assert!(refused.unwrap_err().contains("does not answer"));
        }
        release.send(()).unwrap();
        while line.progress.is_stalled() {
            thread::yield_now();
        }
        assert_eq!(line.ask(Duration::from_secs(60), |_| Ok(3)), Ok(3));
    }

    #[test]
    fn a_module_that_is_missing_is_named() {
        let line = line("/nowhere/missing.so");
        let algorithm = SigningAlgorithm::EcdsaP256Sha256;
        let error = line
            .sign(TokenObject::default(), algorithm, b"x")
            .unwrap_err();
        assert!(error.contains("/nowhere/missing.so"), "{error}");
    }
}
