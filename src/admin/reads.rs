//! What is looked up for people (status, explanations, shares, metrics): on threads of its own, so that no question holds
//! up an order or a sign of life. What is found is written out there, too: a large status takes a while.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;
use crate::control::worker::WorkerPool;

/// Threads: one for what takes long, one for what does not.
const THREADS: usize = 2;
/// Most questions that wait for a thread.
const MOST: usize = 64;

/// The threads that look things up.
#[derive(Clone)]
pub struct ReadThreads(Arc<WorkerPool>);

impl ReadThreads {
    /// Starts them.
    ///
    /// # Errors
    /// A sentence: the system makes no more threads.
    pub fn start() -> Result<ReadThreads, String> {
        Ok(ReadThreads(Arc::new(WorkerPool::start(
            "reads", THREADS, MOST,
        )?)))
    }

    /// Looks something up, unless whoever asked has left before its turn.
    ///
    /// # Errors
    /// Too many ask at once, or it ended early.
    pub async fn run<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        Ok(self.0.run_if_awaited(look).await?)
    }

    /// The same, answered as JSON.
    ///
    /// # Errors
    /// The same, and whatever was found instead.
    pub async fn json<T: Serialize>(
        &self,
        look: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let body = self.run(move || written(&look()?)).await??;
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

fn written(found: &impl Serialize) -> Result<Bytes, ApiError> {
    let text = serde_json::to_vec(found);
    text.map(Bytes::from)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
