//! The history of reloads: how many succeeded or were refused, and the result of the last one.

use std::time::{Duration, SystemTime};

/// The reloads since the start.
#[derive(Debug, Clone, Default)]
pub struct ReloadHistory {
    /// How many succeeded.
    pub ok: u64,
    /// How many were refused.
    pub refused: u64,
    /// The last one.
    pub last: Option<ReloadResult>,
}

/// How a reload went.
#[derive(Debug, Clone)]
pub struct ReloadResult {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it succeeded. After a refused reload, the previous state is still served.
    pub ok: bool,
    /// Warnings if it succeeded, all mistakes if it was refused; each names its place.
    pub messages: Vec<String>,
}

impl ReloadResult {
    /// The result as a sentence.
    pub fn sentence(&self) -> String {
        let lines = self.messages.join("\n  ");
        match (self.ok, self.messages.is_empty()) {
            (true, true) => "reloaded".to_owned(),
            (true, false) => format!("reloaded, with warnings:\n  {lines}"),
            (false, _) => format!(
                "the reload was refused, what was served before is served still:\n  {lines}"
            ),
        }
    }

    /// Logs the result.
    pub fn log(&self) {
        let milliseconds = self.took.as_millis() as u64;
        match self.ok {
            true => tracing::info!(milliseconds, "{}", self.sentence()),
            false => tracing::error!(milliseconds, "{}", self.sentence()),
        }
    }
}
