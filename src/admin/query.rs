//! Queries of URLs: the parameters that a call knows, and the pairs that a client sends.
//!
//! Each call lists its parameters as a table of [`QueryParameter`], from which the OpenAPI document
//! is made too. [`QueryPairs`] is an axum extractor for `key=value&key=value`;
//! [`QueryPairs::check`] holds it to such a table.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::error::ApiError;
use super::forms::ParameterForm;

/// How often a parameter may be repeated, if it may.
pub const MOST: usize = 256;

/// A parameter that a call takes.
pub struct QueryParameter {
    /// Its key.
    pub name: &'static str,
    /// Whether the call is refused without it.
    pub needed: bool,
    /// Whether it may be repeated, up to [`MOST`] times.
    pub many: bool,
    /// What its values look like.
    pub form: ParameterForm,
    /// Its description.
    pub about: &'static str,
}

impl QueryParameter {
    /// A parameter that must be there.
    pub const fn needed(
        name: &'static str,
        form: ParameterForm,
        about: &'static str,
    ) -> QueryParameter {
        QueryParameter {
            needed: true,
            ..QueryParameter::optional(name, form, about)
        }
    }

    /// A parameter that may be there once.
    pub const fn optional(
        name: &'static str,
        form: ParameterForm,
        about: &'static str,
    ) -> QueryParameter {
        QueryParameter {
            name,
            needed: false,
            many: false,
            form,
            about,
        }
    }

    /// A parameter that may be there any number of times.
    pub const fn repeated(
        name: &'static str,
        form: ParameterForm,
        about: &'static str,
    ) -> QueryParameter {
        QueryParameter {
            many: true,
            ..QueryParameter::optional(name, form, about)
        }
    }
}

/// The pairs of a query, in their order.
pub struct QueryPairs(Vec<(String, String)>);

impl From<Vec<(String, String)>> for QueryPairs {
    fn from(pairs: Vec<(String, String)>) -> QueryPairs {
        QueryPairs(pairs)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryPairs {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<QueryPairs, ApiError> {
        match Query::from_request_parts(head, state).await {
            Ok(Query(pairs)) => Ok(QueryPairs(pairs)),
            Err(_) => Err(ApiError::bad_request(
                "the query must have the form key=value&key=value",
            )),
        }
    }
}

impl QueryPairs {
    /// The values of a key.
    pub fn all<'p>(&'p self, key: &'p str) -> impl Iterator<Item = &'p str> {
        let pairs = self.0.iter().filter(move |(known, _)| known == key);
        pairs.map(|(_, value)| value.as_str())
    }

    /// The first value of a key.
    pub fn first(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == key)?;
        Some(value)
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// A sentence.
    pub fn needed(&self, key: &str) -> Result<&str, String> {
        self.first(key).ok_or_else(|| format!("{key} is missing"))
    }

    /// Refuses keys that a call does not know, keys that are repeated too often, and names that are
    /// empty.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, known: &[QueryParameter]) -> Result<(), String> {
        for (key, _) in &self.0 {
            if known.iter().all(|parameter| parameter.name != key) {
                return Err(unknown_key(key, known));
            }
        }
        for parameter in known {
            let QueryParameter { name, many, .. } = parameter;
            let count = self.all(name).count();
            if count > 1 && !many {
                return Err(format!("{name} occurs more than once"));
            }
            if count > MOST {
                return Err(format!("{name} occurs more than {MOST} times"));
            }
            let is_named = matches!(parameter.form, ParameterForm::Named);
            if is_named && self.all(name).any(str::is_empty) {
                return Err(format!("{name} is empty"));
            }
        }
        Ok(())
    }
}

fn unknown_key(key: &str, known: &[QueryParameter]) -> String {
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
    format!("there is no parameter {key:?}; there {}", listing(&names))
}

/// `are a, b and c`, or `is a`.
fn listing(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("are {} and {last}", others.join(", "))
        }
        _ => format!("is {}", names.join("")),
    }
}
