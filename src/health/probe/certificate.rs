//! Certificate expiry.
//!
//! Probes report how many days the endpoint's leaf certificate has left, and `control` reports the
//! same of the server's own certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_cert::der::Decode;

/// Whole days until a DER certificate expires, negative if it has. `None` if it cannot be parsed.
pub fn expires_in_days(der: &[u8], now: SystemTime) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let not_after = certificate.tbs_certificate.validity.not_after;
    let expiry = i64::try_from(not_after.to_unix_duration().as_secs()).ok()?;
    let now = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    Some((expiry - now).div_euclid(86_400))
}
