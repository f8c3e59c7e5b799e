//! The OpenAPI document, made from the table of calls and the schemas of their types.
//!
//! [`document`] walks the same [`AdminRoute`]s that the router is made of, so it cannot leave out a
//! call. Schemas come from the types by `schemars`: bodies are described as they are read, answers
//! as they are written.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::error::ErrorBody;
use super::forms::ParameterForm;
use super::query::{MOST, QueryParameter};
use super::routes::AdminRoute;

/// The body of a call.
#[derive(Clone, Copy)]
pub struct RequestBody {
    /// Whether the call is refused without it.
    needed: bool,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl RequestBody {
    /// A required body.
    pub fn needed<T: JsonSchema>() -> RequestBody {
        RequestBody {
            needed: true,
            schema: |generator| generator.subschema_for::<T>(),
        }
    }

    /// An optional body.
    pub fn optional<T: JsonSchema>() -> RequestBody {
        RequestBody {
            needed: false,
            ..RequestBody::needed::<T>()
        }
    }
}

/// The body of a successful answer.
#[derive(Clone, Copy)]
pub enum ResponseKind {
    /// Plain text.
    Text,
    /// A file of the console, with its media type.
    File(&'static str),
    /// Server-sent events, without an end.
    Events,
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
}

impl ResponseKind {
    /// The JSON of a type.
    pub fn json<T: JsonSchema>() -> ResponseKind {
        ResponseKind::Json(|generator| generator.subschema_for::<T>())
    }

    fn content(self, generator: &mut SchemaGenerator) -> Value {
        let text = json!({ "type": "string" });
        match self {
            ResponseKind::Text => json!({ "text/plain; charset=utf-8": { "schema": text } }),
            ResponseKind::File(kind) if kind == "application/json" => {
                json!({ kind: { "schema": { "type": "object" } } })
            }
            ResponseKind::File(kind) => json!({ kind: { "schema": text } }),
            ResponseKind::Events => json!({ "text/event-stream": { "schema": text } }),
            ResponseKind::Json(schema) => {
                json!({ "application/json": { "schema": schema(generator) } })
            }
        }
    }
}

/// The OpenAPI 3.1 document of these calls.
pub fn document(routes: &[AdminRoute]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = SchemaGenerators {
        read: settings.clone().into_generator(),
        written: settings.for_serialize().into_generator(),
    };
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes {
        let method = route.method.as_str().to_lowercase();
        let operations = paths.entry(&route.path).or_default();
        operations.insert(method, schemas.operation(route));
    }
    let mut responses = BTreeMap::new();
    for (status, about) in ERRORS {
        responses.insert(status.to_string(), schemas.error(status, about));
    }
    let mut definitions = schemas.written.take_definitions(true);
    definitions.extend(schemas.read.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meridian admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": responses,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// What each status of an error means.
const ERRORS: [(u16, &str); 16] = [
    (
        400,
        "A parameter or the body is malformed, or the request is not HTTP",
    ),
    (401, "The token is missing or wrong"),
    (
        403,
        "No token file is configured, so changes are disabled; or a page of another site makes the request",
    ),
    (
        404,
        "There is no such region, service, endpoint or record type",
    ),
    (408, "The head or the body did not arrive in time"),
    (
        409,
        "It conflicts with the current state, or leaves clients without a live region: the key in `confirm` confirms it",
    ),
    (413, "The body is too long"),
    (414, "The URL is too long"),
    (421, "The Host is a name that is not this server's"),
    (
        422,
        "A reload was refused, or would be: the files have errors",
    ),
    (429, "Too many calls at once"),
    (431, "The head is too long, or has too many fields"),
    (500, "The server failed, or its token file cannot be used"),
    (
        503,
        "It takes too long, something is stuck, or the fleet takes no orders now",
    ),
    (
        504,
        "The fleet has not confirmed the order, which may still take effect; or its server has not answered",
    ),
    (507, "It is in force, but would not survive a restart"),
];

/// The errors of any call.
const OF_ALL: [u16; 5] = [400, 408, 414, 431, 503];
/// The errors of any call that looks something up, but of health checks.
const OF_READS: [u16; 4] = [403, 421, 429, 500];
/// The errors of any call that changes state.
const OF_CHANGES: [u16; 6] = [401, 403, 413, 421, 429, 500];

/// Two generators, because a key that may be left out of a body is always there in an answer.
struct SchemaGenerators {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl SchemaGenerators {
    fn error(&mut self, status: u16, about: &str) -> Value {
        let content = ResponseKind::json::<ErrorBody>().content(&mut self.written);
        let mut response = json!({ "description": about, "content": content });
        if status == 401 {
            let schema = json!({ "type": "string", "const": "Bearer" });
            response["headers"] =
                json!({ "WWW-Authenticate": { "required": true, "schema": schema } });
        }
        response
    }

    fn operation(&mut self, route: &AdminRoute) -> Value {
        let mut operation = json!({
            "operationId": route.operation_id(),
            "summary": route.summary,
            "responses": self.responses(route),
        });
        let parameters = route.parameters();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(RequestBody { needed, schema }) = route.body {
            let content = json!({ "application/json": { "schema": schema(&mut self.read) } });
            operation["requestBody"] = json!({ "required": needed, "content": content });
        }
        if route.changes {
            operation["security"] = json!([{ "token": [] }]);
        }
        operation
    }

    fn responses(&mut self, route: &AdminRoute) -> BTreeMap<String, Value> {
        let done = json!({
            "description": "Done",
            "content": route.answer.content(&mut self.written),
        });
        let mut responses = BTreeMap::from([("200".to_owned(), done)]);
        let of_kind: &[u16] = if route.changes {
            &OF_CHANGES
        } else if route.is_health_check() {
            &[]
        } else {
            &OF_READS
        };
        for statuses in [&OF_ALL, of_kind, route.errors] {
            for status in statuses {
                let reference = format!("#/components/responses/{status}");
                responses.insert(status.to_string(), json!({ "$ref": reference }));
            }
        }
        responses
    }
}

impl AdminRoute {
    /// A unique name of the call, such as `get_v1_status` or `put_v1_regions_by_region_drain`.
    fn operation_id(&self) -> String {
        let mut id = self.method.as_str().to_lowercase();
        if self.path == "/" {
            id += "_page";
        }
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            id += "_";
            match parameter_name(part) {
                Some(name) => {
                    id += "by_";
                    id += name;
                }
                None => id += &part.replace(['.', '-'], "_"),
            }
        }
        id
    }

    /// The parameters of the path, then those of the query.
    fn parameters(&self) -> Vec<Value> {
        let mut parameters = Vec::new();
        for name in self.path.split('/').filter_map(parameter_name) {
            let schema = self.path_form(name).schema();
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
        for parameter in self.parameters {
            parameters.push(parameter.schema());
        }
        parameters
    }

    fn path_form(&self, name: &str) -> ParameterForm {
        let stated = self.path_forms.iter().find(|(known, _)| *known == name);
        match stated {
            Some((_, form)) => *form,
            None => ParameterForm::Named,
        }
    }
}

/// The name in a part of a path such as `{region}`.
fn parameter_name(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

impl QueryParameter {
    fn schema(&self) -> Value {
        let one = self.form.schema();
        let schema = if self.many {
            json!({ "type": "array", "items": one, "maxItems": MOST })
        } else {
            one
        };
        json!({
            "name": self.name,
            "in": "query",
            "required": self.needed,
            "description": self.about,
            "schema": schema,
        })
    }
}
