//! The OpenAPI document: the table of calls and the structures that they answer, written down.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::error::ErrorBody;
use super::routes::Route;

/// One parameter in a query.
pub struct Parameter {
    /// Its key.
    pub name: &'static str,
    /// The call cannot do without it.
    pub needed: bool,
    /// It may be there more than once.
    pub many: bool,
    /// What it says, for people.
    pub about: &'static str,
}

/// What a call answers when all goes well.
#[derive(Clone, Copy)]
pub enum Answer {
    /// Plain text.
    Text,
    /// A file of the console, with its media type.
    File(&'static str),
    /// Server-sent events, without an end.
    Events,
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
}

impl Answer {
    /// JSON of a structure.
    pub fn json<T: JsonSchema>() -> Answer {
        Answer::Json(|generator| generator.subschema_for::<T>())
    }

    fn content(self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Answer::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
            Answer::File(kind) => {
                let kind = kind.split(';').next().unwrap_or(kind);
                json!({ kind: { "schema": { "type": "string" } } })
            }
            Answer::Events => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
            Answer::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        }
    }
}

/// The document (OpenAPI 3.1) of these calls.
pub fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        paths.entry(route.path).or_default().insert(route.method.as_str().to_lowercase(), operation);
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meridian admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let error = Answer::json::<ErrorBody>().content(generator);
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "responses": {
            "200": { "description": "Done", "content": route.answer.content(generator) },
            "default": { "description": "It failed, and this says why", "content": error },
        },
    });
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = in_path.map(path_parameter).chain(route.parameters.iter().map(parameter)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        operation["requestBody"] = json!({ "content": body.content(generator) });
    }
    if route.changes {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

/// `get_v1_status`, `put_v1_orders_by_id`: unlike those of all other calls.
fn operation_id(route: &Route) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!("_by_{name}"),
        None => format!("_{}", part.replace(['.', '-'], "_")),
    };
    let path: String = route.path.split('/').filter(|part| !part.is_empty()).map(part).collect();
    format!("{}{}", route.method.as_str().to_lowercase(), if path.is_empty() { "_page".to_owned() } else { path })
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn parameter(parameter: &Parameter) -> Value {
    let text = json!({ "type": "string" });
    let schema = if parameter.many { json!({ "type": "array", "items": text }) } else { text };
    let Parameter { name, needed, about, .. } = parameter;
    json!({ "name": name, "in": "query", "required": needed, "description": about, "schema": schema })
}
