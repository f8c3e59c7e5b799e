//! The OpenAPI document: the table of calls and the structures that they answer, written down.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::error::ErrorBody;
use super::forms::ParameterForm;
use super::routes::AdminRoute;

/// One parameter in a query.
pub struct QueryParameter {
    /// Its key.
    pub name: &'static str,
    /// The call cannot do without it.
    pub needed: bool,
    /// It may be there more than once, [`MOST`] times.
    pub many: bool,
    /// What it looks like.
    pub form: ParameterForm,
    /// What it says, for people.
    pub about: &'static str,
}

/// How often a parameter may be there that may be there more than once.
pub const MOST: usize = 256;

/// What can stand in the body of a call.
#[derive(Clone, Copy)]
pub struct RequestBody {
    /// The call cannot do without it.
    needed: bool,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl RequestBody {
    /// A body that must be there.
    pub fn needed<T: JsonSchema>() -> RequestBody {
        RequestBody {
            needed: true,
            schema: |generator| generator.subschema_for::<T>(),
        }
    }

    /// A body that may be left out.
    pub fn optional<T: JsonSchema>() -> RequestBody {
        RequestBody {
            needed: false,
            ..RequestBody::needed::<T>()
        }
    }
}

/// What a call answers when all goes well.
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
    /// JSON of a structure.
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

/// The document (OpenAPI 3.1) of these calls.
pub fn document(routes: &[AdminRoute]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    // What is left out when it is read is there all the same when it is written.
    let mut read = settings.clone().into_generator();
    let mut written = settings.for_serialize().into_generator();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in routes {
        let operation = operation(route, &mut read, &mut written);
        paths
            .entry(&route.path)
            .or_default()
            .insert(route.method.as_str().to_lowercase(), operation);
    }
    let responses: BTreeMap<String, Value> = ERRORS
        .iter()
        .map(|(status, _)| (status.to_string(), error(*status, &mut written)))
        .collect();
    let mut schemas = written.take_definitions(true);
    schemas.extend(read.take_definitions(true));
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
            "responses": responses,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// What every error of a call means.
const ERRORS: [(u16, &str); 15] = [
    (
        400,
        "A parameter or the body is not as it should be, or the request is no HTTP",
    ),
    (401, "The token is missing or wrong"),
    (
        403,
        "Nothing can be changed here without a token file, or a page of another site asks",
    ),
    (
        404,
        "There is no such region, service, endpoint or record type",
    ),
    (408, "The head or the body did not come in time"),
    (
        409,
        "It does not fit what is there, or takes their last live region from clients: `confirm` is the key that does it",
    ),
    (413, "The body is too long"),
    (414, "The address is too long"),
    (421, "The Host is a name that is not this server's"),
    (
        422,
        "A reload was refused, or would be: the files hold mistakes",
    ),
    (429, "Too many calls at once"),
    (431, "The head is too long, or has too many fields"),
    (
        500,
        "A mistake of the server's, or its token file cannot be used",
    ),
    (503, "It takes too long, or something is stuck"),
    (507, "It is in force, and would not outlive a restart"),
];

/// What any call can come to.
const OF_ALL: [u16; 5] = [400, 408, 414, 431, 503];
/// What any call but signs of life can come to, that looks something up.
const OF_READS: [u16; 4] = [403, 421, 429, 500];
/// What any call can come to that changes something.
const OF_CHANGES: [u16; 6] = [401, 403, 413, 421, 429, 500];

fn error(status: u16, generator: &mut SchemaGenerator) -> Value {
    let about = ERRORS
        .iter()
        .find(|(known, _)| *known == status)
        .map_or("", |(_, about)| about);
    let mut response = json!({ "description": about, "content": ResponseKind::json::<ErrorBody>().content(generator) });
    if status == 401 {
        let schema = json!({ "type": "string", "const": "Bearer" });
        response["headers"] = json!({ "WWW-Authenticate": { "required": true, "schema": schema } });
    }
    response
}

fn operation(
    route: &AdminRoute,
    read: &mut SchemaGenerator,
    written: &mut SchemaGenerator,
) -> Value {
    let mut responses = BTreeMap::new();
    responses.insert(
        "200".to_owned(),
        json!({ "description": "Done", "content": route.answer.content(written) }),
    );
    let others: &[u16] = match (route.changes, route.is_sign_of_life()) {
        (true, _) => &OF_CHANGES,
        (false, false) => &OF_READS,
        (false, true) => &[],
    };
    for status in OF_ALL.iter().chain(others).chain(route.errors) {
        let reference = format!("#/components/responses/{status}");
        responses.insert(status.to_string(), json!({ "$ref": reference }));
    }
    let mut operation = json!({ "operationId": operation_id(route), "summary": route.summary, "responses": responses });
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| path_parameter(route, name));
    let parameters: Vec<Value> = in_path
        .chain(route.parameters.iter().map(parameter))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(RequestBody { needed, schema }) = route.body {
        let content = json!({ "application/json": { "schema": schema(read) } });
        operation["requestBody"] = json!({ "required": needed, "content": content });
    }
    if route.changes {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

/// `get_v1_status`, `put_v1_orders_by_id`: unlike those of all other calls.
fn operation_id(route: &AdminRoute) -> String {
    let part = |part: &str| match part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    {
        Some(name) => format!("_by_{name}"),
        None => format!("_{}", part.replace(['.', '-'], "_")),
    };
    let path: String = route
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(part)
        .collect();
    format!(
        "{}{}",
        route.method.as_str().to_lowercase(),
        if path.is_empty() {
            "_page".to_owned()
        } else {
            path
        }
    )
}

fn path_parameter(route: &AdminRoute, name: &str) -> Value {
    let form = route
        .path_forms
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(ParameterForm::Named, |(_, form)| *form);
    json!({ "name": name, "in": "path", "required": true, "schema": form.schema() })
}

fn parameter(parameter: &QueryParameter) -> Value {
    let QueryParameter {
        name,
        needed,
        many,
        form,
        about,
    } = parameter;
    let one = form.schema();
    let schema = if *many {
        json!({ "type": "array", "items": one, "maxItems": MOST })
    } else {
        one
    };
    json!({ "name": name, "in": "query", "required": needed, "description": about, "schema": schema })
}
