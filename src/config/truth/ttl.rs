//! `ttl`: a fixed number of seconds, or a range within which the TTL follows health.

use crate::config::document::ConfigReport;
use crate::config::tables::TtlEntry;

/// The TTL of a service.
#[derive(Debug, Clone, Copy)]
pub struct ServiceTtl {
    /// The TTL, or the most where it follows health.
    pub most: u32,
    /// The least where it follows health; `None`: it is fixed.
    pub least: Option<u32>,
}

/// Checks a TTL that stands at `at`.
pub fn resolve_ttl(stated: TtlEntry, at: usize, report: &mut ConfigReport) -> ServiceTtl {
    let range = match stated {
        TtlEntry::Fixed(seconds) => {
            return ServiceTtl {
                most: seconds.as_u32(),
                least: None,
            };
        }
        TtlEntry::Range(range) => range,
    };
    let most = range
        .max
        .required(at, "a ttl that follows health needs max", report);
    let least = range.min.value.as_u32();
    // Without a max there is a mistake already, and any will do.
    let most = most.map_or(least, |most| most.value.as_u32());
    match range.min.at() {
        None => ServiceTtl {
            most,
            least: Some(least.min(most)),
        },
        Some(at) => {
            if least > most {
                report.error(at, format!("min is more than the {most} of max"));
            }
            ServiceTtl {
                most,
                least: Some(least),
            }
        }
    }
}
