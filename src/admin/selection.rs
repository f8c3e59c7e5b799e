//! The query of `GET /v1/status`: which part of the status a client wants.
//!
//! It selects services, regions and endpoints, and pages through long lists by `limit` and `after`.
//! Pages are in the order of the names, and `after` is a name, which need not exist. So a reload
//! between two pages neither repeats a service nor leaves one out.

use super::error::ApiError;
use super::forms::{ParameterForm, read_whole};
use super::health::{REGION_STATES, ServiceStatus};
use super::query::{QueryPairs, QueryParameter};
use super::status::ServerStatus;
use crate::config::Config;
use crate::control::overrides::{find_region, find_service};

/// Most services of a page.
const MOST_PAGE: u64 = 10_000;
/// Services of a page for which no `limit` is given.
const USUAL_PAGE: usize = 1000;

/// The parameters of the query.
pub const PARAMETERS: &[QueryParameter] = &[
    QueryParameter::repeated(
        "service",
        ParameterForm::Named,
        "Only this service; can be repeated",
    ),
    QueryParameter::optional(
        "match",
        ParameterForm::Named,
        "Only services whose name contains this, in capital or small letters",
    ),
    QueryParameter::optional(
        "region",
        ParameterForm::Named,
        "Only this region of each service",
    ),
    QueryParameter::optional(
        "down",
        ParameterForm::Words(&["true", "false"]),
        "true: only services with problems",
    ),
    QueryParameter::optional(
        "state",
        ParameterForm::Words(REGION_STATES),
        "Only services with a region in this state",
    ),
    QueryParameter::optional(
        "endpoints",
        ParameterForm::Words(&["all", "troubled", "none"]),
        "Endpoints to list: all; troubled, those of services with problems; none. Default: all",
    ),
    QueryParameter::optional(
        "rules",
        ParameterForm::Words(&["true", "false"]),
        "true: also the rules of each service; only with `service`",
    ),
    QueryParameter::optional(
        "limit",
        ParameterForm::Whole {
            least: 1,
            most: MOST_PAGE,
        },
        "The most services to list. Default: 1000",
    ),
    QueryParameter::optional(
        "after",
        ParameterForm::Named,
        "List the services after this one: `next` of the last page",
    ),
];

/// The part of the status that a client selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSelection {
    services: Vec<String>,
    /// In small letters.
    matching: Option<String>,
    region: Option<String>,
    down: bool,
    state: Option<String>,
    endpoints: Endpoints,
    rules: bool,
    limit: Option<usize>,
    after: Option<String>,
}

/// The services whose endpoints are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Endpoints {
    #[default]
    All,
    Troubled,
    None,
}

impl StatusSelection {
    /// Reads the query.
    ///
    /// # Errors
    /// A sentence on what is wrong in it.
    pub fn read(pairs: &QueryPairs) -> Result<StatusSelection, String> {
        pairs.check(PARAMETERS)?;
        let services: Vec<String> = pairs.all("service").map(str::to_owned).collect();
        let down = read_flag("down", pairs.first("down"))?;
        let rules = read_flag("rules", pairs.first("rules"))? && !services.is_empty();
        let endpoints = match pairs.first("endpoints") {
            None | Some("all") => Endpoints::All,
            Some("troubled") => Endpoints::Troubled,
            Some("none") => Endpoints::None,
            Some(other) => {
                return Err(format!("endpoints is all, troubled or none, not {other:?}"));
            }
        };
        Ok(StatusSelection {
            services,
            matching: pairs.first("match").map(str::to_ascii_lowercase),
            region: pairs.first("region").map(str::to_owned),
            down,
            state: read_state(pairs.first("state"))?,
            endpoints,
            rules,
            limit: read_limit(pairs.first("limit"))?,
            after: pairs.first("after").map(str::to_owned),
        })
    }

    /// Whether the rules of each service are selected.
    pub fn has_rules(&self) -> bool {
        self.rules
    }

    /// Removes everything from `status` that is not selected.
    ///
    /// # Errors
    /// 404 if a service or region does not exist, with a suggestion of a similar name.
    pub fn apply(&self, status: &mut ServerStatus, config: &Config) -> Result<(), ApiError> {
        let mut names = Vec::with_capacity(self.services.len());
        for name in &self.services {
            names.push(service_name(config, name)?);
        }
        if let Some(region) = &self.region {
            find_region(config, region).map_err(ApiError::not_found)?;
        }
        let services = &mut status.services;
        if !names.is_empty() {
            services.retain(|service| names.contains(&service.name));
        }
        if let Some(region) = &self.region {
            for service in services.iter_mut() {
                keep_region(service, region);
            }
            services.retain(|service| !service.health.is_empty());
        }
        services.retain(|service| self.selects(service));
        status.services_matching = services.len();
        self.keep_page(status, config);
        self.drop_endpoints(&mut status.services);
        Ok(())
    }

    /// Whether a service with the regions that it is left with is selected by its name and state.
    fn selects(&self, service: &ServiceStatus) -> bool {
        let is_wanted = !self.down || !service.well;
        is_wanted && self.selects_name(service) && self.selects_state(service)
    }

    fn selects_name(&self, service: &ServiceStatus) -> bool {
        match &self.matching {
            Some(part) => service.sort_key().contains(part),
            None => true,
        }
    }

    fn selects_state(&self, service: &ServiceStatus) -> bool {
        match &self.state {
            Some(state) => service.health.iter().any(|region| region.state == *state),
            None => true,
        }
    }

    /// Leaves one page of the services. A list with several pages is in the order of the names,
    /// one without keeps the order of the configuration.
    fn keep_page(&self, status: &mut ServerStatus, config: &Config) {
        let services = &mut status.services;
        let limit = self.limit.unwrap_or(USUAL_PAGE);
        if self.after.is_none() && services.len() <= limit {
            return;
        }
        services.sort_by_cached_key(ServiceStatus::sort_key);
        if let Some(after) = &self.after {
            let last = place_of(config, after);
            services.retain(|service| service.sort_key() > last);
        }
        if limit < services.len() {
            services.truncate(limit);
            status.next = services.last().map(|service| service.name.clone());
        }
    }

    /// Removes the endpoints of services that are to be listed without them.
    fn drop_endpoints(&self, services: &mut [ServiceStatus]) {
        for service in services {
            let listed = match self.endpoints {
                Endpoints::All => true,
                Endpoints::Troubled => !service.well,
                Endpoints::None => false,
            };
            if !listed {
                for region in &mut service.health {
                    region.endpoints.clear();
                }
            }
        }
    }
}

/// The full name of a configured service; 404 if there is none.
fn service_name(config: &Config, name: &str) -> Result<String, ApiError> {
    let service = find_service(config, name).map_err(ApiError::not_found)?;
    Ok(service.name.to_string())
}

/// The place of a name in the order of the names. A text that is no service of the configuration
/// any more has one, too.
fn place_of(config: &Config, name: &str) -> String {
    let name = service_name(config, name).unwrap_or_else(|_| name.to_owned());
    name.to_ascii_lowercase()
}

fn read_state(value: Option<&str>) -> Result<Option<String>, String> {
    match value {
        Some(state) if !REGION_STATES.contains(&state) => {
            let known = REGION_STATES.join(", ");
            Err(format!("state is one of {known}, not {state:?}"))
        }
        known => Ok(known.map(str::to_owned)),
    }
}

fn read_limit(value: Option<&str>) -> Result<Option<usize>, String> {
    let Some(text) = value else {
        return Ok(None);
    };
    match read_whole(text, 1, MOST_PAGE) {
        Some(limit) => Ok(usize::try_from(limit).ok()),
        None => Err(format!(
            "limit is a number from 1 to {MOST_PAGE}, not {text:?}"
        )),
    }
}

fn read_flag(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("{key} is true or false, not {other:?}")),
    }
}

/// Removes all regions of a service except one.
fn keep_region(service: &mut ServiceStatus, region: &str) {
    service.health.retain(|listed| listed.region == region);
    service.regions.retain(|listed| listed == region);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<StatusSelection, String> {
        let pairs: Vec<(String, String)> = query
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        StatusSelection::read(&pairs.into())
    }

    #[test]
    fn a_query_reads_or_says_what_is_wrong() {
        assert_eq!(read(&[]), Ok(StatusSelection::default()));
        let wanted = StatusSelection {
            down: true,
            limit: Some(10),
            endpoints: Endpoints::None,
            ..StatusSelection::default()
        };
        assert_eq!(
            read(&[("down", "true"), ("limit", "10"), ("endpoints", "none")]),
            Ok(wanted)
        );
        for (key, value) in [
            ("down", "yes"),
            ("limit", "0"),
            ("limit", "10001"),
            ("endpoints", "some"),
            ("page", "2"),
            ("rules", "yes"),
            ("state", "dead"),
            ("match", ""),
        ] {
            let sentence = read(&[(key, value)]).unwrap_err();
            assert!(sentence.contains(key), "{sentence}");
        }
        let many = vec![("service", "x"); 257];
        assert!(read(&many).unwrap_err().contains("256"));
    }
}
