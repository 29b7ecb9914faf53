//! The JSON Schema of a manifest, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Kind, MANIFEST, Need, PROVIDER, Shape,
    call::{MATCHER, SOURCE},
};

/// JSON Schema (2020-12) of manifests and providers. It knows what stands where; what belongs together is
/// checked when a manifest is loaded.
#[must_use]
pub fn manifest_schema() -> Value {
    let definitions: Map<String, Value> =
        shapes().into_iter().map(|(name, shape)| (name.to_lowercase(), table(shape))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A connector manifest, or a provider that several share",
        "if": { "required": ["name"] },
        "then": reference(&PROVIDER),
        "else": reference(&MANIFEST),
        "$defs": definitions,
    })
}

/// Every table by its name.
pub(super) fn shapes() -> BTreeMap<&'static str, &'static Shape> {
    let mut found = BTreeMap::new();
    for shape in [&MANIFEST, &PROVIDER, &MATCHER, &SOURCE] {
        collect(shape, &mut found);
    }
    found
}

fn collect(shape: &'static Shape, found: &mut BTreeMap<&'static str, &'static Shape>) {
    if found.insert(shape.name, shape).is_none() {
        for key in shape.keys {
            if let Kind::Table(below) | Kind::Tables(below) | Kind::Named(below) = key.kind {
                collect(below, found);
            }
        }
    }
}

fn reference(shape: &Shape) -> Value {
    json!({ "$ref": format!("#/$defs/{}", shape.name.to_lowercase()) })
}

fn table(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .keys
        .iter()
        .map(|key| {
            let mut schema = kind(key.kind);
            schema["description"] = Value::String(key.doc());
            (key.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = shape.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn kind(kind: Kind) -> Value {
    let text = || json!({ "type": "string" });
    let like = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let some = |item: Value| json!({ "anyOf": [item, { "type": "array", "items": item }] });
    match kind {
        Kind::Version => json!({ "const": 1 }),
        Kind::Text | Kind::Template | Kind::Pattern => text(),
        Kind::Identifier => like("^[a-z][a-z0-9_]{0,63}$"),
        Kind::HttpsAddress => like("^https://"),
        Kind::Day => like("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        Kind::MediaType => like("^[ -~]*/[ -~]*$"),
        Kind::Name => like("^[^{}]+$"),
        Kind::Pointer => like("^/"),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole => json!({ "type": "integer", "minimum": 1 }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Words(words) => some(json!({ "enum": words })),
        Kind::Texts | Kind::Templates => some(text()),
        Kind::Pointers => some(like("^/")),
        Kind::Table(shape) => reference(shape),
        Kind::Tables(shape) => json!({ "type": "array", "items": reference(shape) }),
        Kind::Named(shape) => json!({
            "type": "object",
            "propertyNames": like("^[a-z][a-z0-9_]{0,63}$"),
            "additionalProperties": reference(shape),
        }),
        Kind::Values => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "integer", "boolean", "object", "array"] },
        }),
        Kind::Headers => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "integer", "boolean"] },
        }),
        Kind::Choices => json!({ "type": "object", "minProperties": 1, "additionalProperties": text() }),
        Kind::Json => json!({}),
        Kind::JsonText => json!({ "type": ["object", "array", "string", "boolean"] }),
        Kind::Statuses => some(json!({
            "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 }, like("^[1-5]xx$")],
        })),
        Kind::Conditions => json!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": ["string", "number", "boolean", "array"] }, reference(&MATCHER)],
            },
        }),
        Kind::Sources => some(json!({ "anyOf": [text(), reference(&SOURCE)] })),
        Kind::Groups => json!({ "type": "array", "items": { "type": "array", "items": text() } }),
    }
}
