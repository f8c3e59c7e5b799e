//! Threads for calls that look something up: status, explanations, shares and metrics.
//!
//! The thread of the admin server must not block, so such calls run here. Two threads are enough:
//! one for a slow call and one for the quick ones. The result is also serialised here, because a
//! large status takes a while.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;
use crate::control::worker::WorkerPool;

/// Threads: one for a slow call, one for the others.
const THREADS: usize = 2;
/// Most calls that wait for a thread.
const MOST: usize = 64;

/// The threads that look things up.
#[derive(Clone)]
pub struct ReadThreads(Arc<WorkerPool>);

impl ReadThreads {
    /// Starts them.
    ///
    /// # Errors
    /// A sentence: the system has no more threads.
    pub fn start() -> Result<ReadThreads, String> {
        Ok(ReadThreads(Arc::new(WorkerPool::start(
            "reads", THREADS, MOST,
        )?)))
    }

    /// Runs `look`, unless the client has left before its turn.
    ///
    /// # Errors
    /// Too many calls wait, or `look` panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        Ok(self.0.run_if_awaited(look).await?)
    }

    /// Runs `look` and answers its result as JSON.
    ///
    /// # Errors
    /// Those of [`ReadThreads::run`] and of `look`.
    pub async fn json<T: Serialize>(
        &self,
        look: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let body = self.run(move || to_json(&look()?)).await??;
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

fn to_json(found: &impl Serialize) -> Result<Bytes, ApiError> {
    match serde_json::to_vec(found) {
        Ok(text) => Ok(Bytes::from(text)),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )),
    }
}
