//! The token for calls that change state.
//!
//! Over TCP, a client sends the content of the token file as `Authorization: Bearer TOKEN`. On the
//! unix socket no token is needed, since file permissions decide who can open it. The file is read
//! again at each such call, so a new token needs no restart. It is read on a thread of its own,
//! because the disk may hang.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::ApiError;
use crate::config::{AdminConfig, AdminListen};
use crate::control::private_file::{PrivateFileError, read_token};
use crate::control::worker::WorkerPool;

/// How long a call waits for the token file to be read.
const READ_TIME: Duration = Duration::from_millis(500);
/// Most calls that wait for it at a time.
const MOST_READS: usize = 64;

/// What a call that changes state must present.
pub enum TokenGate {
    /// Nothing: the permissions of the unix socket decide who can connect.
    Socket,
    /// No token is configured, so changes are refused.
    Closed,
    /// The token in this file.
    Token(TokenFile),
}

/// The file of the admin token. It is read again for calls, on a thread of its own.
pub struct TokenFile {
    path: PathBuf,
    /// Reads it, since its mount may hang.
    reader: WorkerPool,
    /// The result of the last reading.
    known: Arc<Mutex<Result<Token, String>>>,
}

type Token = Zeroizing<String>;

impl TokenGate {
    /// The gate of a configuration.
    ///
    /// # Errors
    /// The token file cannot be used, or the system has no more threads.
    pub fn of(admin: &AdminConfig) -> Result<TokenGate, String> {
        match (&admin.listen, &admin.token_file) {
            (AdminListen::Unix(_), _) => Ok(TokenGate::Socket),
            (AdminListen::Tcp(_), None) => Ok(TokenGate::Closed),
            (AdminListen::Tcp(_), Some(path)) => TokenFile::load(path).map(TokenGate::Token),
        }
    }

    /// Whether this is a unix socket, which browsers do not reach.
    pub fn is_socket(&self) -> bool {
        matches!(self, TokenGate::Socket)
    }

    /// Whether a call with this Authorization header may change something.
    pub async fn admit(&self, authorization: Option<&[u8]>) -> Result<(), ApiError> {
        let file = match self {
            TokenGate::Socket => return Ok(()),
            TokenGate::Closed => {
                let sentence = "changes are disabled, because [admin] has no token_file; \
                                state one, or listen on a unix socket";
                return Err(ApiError::new(StatusCode::FORBIDDEN, sentence));
            }
            TokenGate::Token(file) => file,
        };
        let Some(header) = authorization else {
            return Err(unauthorized(
                "this call needs the header Authorization: Bearer TOKEN",
            ));
        };
        let Some(shown) = bearer(header) else {
            return Err(unauthorized(
                "the Authorization header must be Bearer TOKEN",
            ));
        };
        match file.token().await {
            Ok(token) if bool::from(token.as_bytes().ct_eq(shown)) => Ok(()),
            Ok(_) => Err(unauthorized("the token is wrong")),
            Err(sentence) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)),
        }
    }
}

fn unauthorized(sentence: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, sentence)
}

impl TokenFile {
    /// Reads the file for the first time.
    fn load(path: &Path) -> Result<TokenFile, String> {
        let known = Arc::new(Mutex::new(Ok(read_token(path)?)));
        Ok(TokenFile {
            path: path.to_owned(),
            reader: WorkerPool::start("token", 1, MOST_READS)?,
            known,
        })
    }

    /// The token in the file now. If reading hangs, or fails for a reason that has nothing to do
    /// with the file, it is the token that was read last. So a change waits for no disk and does
    /// not fail for lack of descriptors.
    async fn token(&self) -> Result<Token, String> {
        let (path, known) = (self.path.clone(), self.known.clone());
        let reading = self.reader.run_if_awaited(move || {
            let token = read_token(&path);
            if token.as_ref().is_err_and(PrivateFileError::may_pass) {
                return;
            }
            *known.lock().unwrap_or_else(PoisonError::into_inner) = token.map_err(String::from);
        });
        let _ = tokio::time::timeout(READ_TIME, reading).await;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

/// The token of a `Bearer` header (RFC 6750 section 2.1). The case of the scheme does not matter.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return None;
    }
    Some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn token_file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn sentence(text: &str, mode: u32) -> String {
        let (_folder, path) = token_file(text, mode);
        let error = read_token(&path).expect_err("refused").to_string();
        error.replace(&path.display().to_string(), "token")
    }

    #[test]
    fn only_a_secret_is_a_token() {
        let (_folder, path) = token_file(&format!("  {TOKEN}\n"), 0o600);
        assert_eq!(read_token(&path).unwrap().as_str(), TOKEN);
        assert_eq!(
            sentence(TOKEN, 0o640),
            "token: others may read the token (mode 640); `chmod 600 token` keeps it a secret"
        );
        assert!(sentence(TOKEN, 0o604).contains("mode 604"));
        let short =
            "token: the token is shorter than 16 characters; `openssl rand -hex 32` makes one";
        assert_eq!(sentence("short\n", 0o400), short);
        let odd = "token: the file must hold one token of ASCII characters without blanks";
        assert_eq!(sentence("two tokens in one file", 0o400), odd);
        assert_eq!(
            sentence(&"x".repeat(9000), 0o400),
            "token: the token file is larger than 8 KiB"
        );
    }

    #[tokio::test]
    async fn the_gate_opens_for_the_token_alone() {
        let (_folder, path) = token_file(TOKEN, 0o600);
        let gate = TokenGate::Token(TokenFile::load(&path).unwrap());
        let status = async |header: Option<&str>| {
            gate.admit(header.map(str::as_bytes))
                .await
                .map_err(|error| error.status.as_u16())
        };
        assert_eq!(status(Some(&format!("Bearer {TOKEN}"))).await, Ok(()));
        assert_eq!(status(Some(&format!("bearer {TOKEN}"))).await, Ok(()));
        for wrong in [
            None,
            Some(""),
            Some(TOKEN),
            Some("Basic eDp5"),
            Some("Bearer "),
            Some("Bearer 0123456789abcdef"),
        ] {
            assert_eq!(status(wrong).await, Err(401), "{wrong:?}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(status(Some(&format!("Bearer {TOKEN}"))).await, Err(500));
    }

    #[tokio::test]
    async fn without_a_token_only_a_socket_opens() {
        assert_eq!(
            TokenGate::Closed
                .admit(Some(b"Bearer x"))
                .await
                .map_err(|error| error.status.as_u16()),
            Err(403)
        );
        assert_eq!(TokenGate::Socket.admit(None).await, Ok(()));
    }
}
