//! Certificates: when the leaf expires.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_cert::der::Decode;

/// Whole days until a DER certificate expires; negative when it has. `None` for what is no certificate.
pub fn expires_in_days(der: &[u8], now: SystemTime) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let not_after = certificate
        .tbs_certificate
        .validity
        .not_after
        .to_unix_duration()
        .as_secs();
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some((i64::try_from(not_after).ok()? - i64::try_from(now).ok()?).div_euclid(86_400))
}
