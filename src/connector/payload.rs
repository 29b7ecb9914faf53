//! Payloads and their schemas (JSON Schema 2020-12): checked when an event is handed over, and asked, when
//! a manifest is loaded, what a payload is sure to contain.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::{answer::clean, model::Operation};

/// The most violations that are reported of one payload.
pub const VIOLATIONS_MAX: usize = 50;
/// The longest message, in bytes.
const MESSAGE_MAX: usize = 300;
/// The largest compiled pattern of a schema, in bytes.
const PATTERN_SIZE_LIMIT: usize = 256 * 1_024;
/// How many references in a row are followed.
const REFERENCES_MAX: usize = 8;

/// What is wrong in a payload, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadViolation {
    /// RFC 6901; empty for the payload itself.
    pub pointer: String,
    /// Quotes no value of the payload.
    pub message: String,
}

/// Checks a payload against the operation's schema; the first [`VIOLATIONS_MAX`] violations.
#[must_use]
pub fn check_payload(operation: &Operation, payload: &Value) -> Vec<PayloadViolation> {
    match operation.validator.get_or_init(|| compile(&operation.payload_schema)) {
        Ok(validator) => violations(validator, payload),
        Err(problem) => vec![PayloadViolation { pointer: String::new(), message: problem.clone() }],
    }
}

pub(super) fn violations(validator: &Validator, payload: &Value) -> Vec<PayloadViolation> {
    let errors = validator.iter_errors(payload).take(VIOLATIONS_MAX);
    errors
        .map(|error| PayloadViolation {
            pointer: error.instance_path().to_string(),
            message: clean(&error.masked_with("the value").to_string(), MESSAGE_MAX),
        })
        .collect()
}

/// Compiles a schema. Nothing is fetched, and patterns run in linear time.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    foreign_reference(schema)?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE_LIMIT))
        .build(schema)
        .map_err(|error| format!("is no JSON Schema: {}", clean(&error.to_string(), MESSAGE_MAX)))
}

fn foreign_reference(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value.as_str()) {
                    ("$ref" | "$dynamicRef", Some(target)) if !target.starts_with('#') => {
                        return Err(format!("may refer to itself only (`#...`), not to `{}`", clean(target, 100)));
                    }
                    ("$id" | "$schema", Some(_)) => {
                        return Err(format!("must not have `{key}`: it is 2020-12, and stands alone"));
                    }
                    _ => foreign_reference(value)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(foreign_reference),
        _ => Ok(()),
    }
}

/// What a schema says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// It may be absent, or null.
    pub(super) optional: bool,
    /// It is a text, a number, or true or false.
    pub(super) scalar: bool,
}

/// What the schema says of the member at this path; where it knows none, the names that it knows there.
pub(super) fn member<'s>(schema: &'s Value, path: &[String]) -> Result<Member, Vec<&'s str>> {
    let mut node = resolve(schema, schema);
    let mut optional = false;
    for step in path {
        let properties = node.get("properties").and_then(Value::as_object);
        let Some(next) = properties.and_then(|known| known.get(step)) else {
            return Err(properties.into_iter().flat_map(serde_json::Map::keys).map(String::as_str).collect());
        };
        let required =
            node.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|n| n == step));
        optional |= !required || types(node) != ["object"];
        node = resolve(schema, next);
    }
    let types = types(node);
    optional |= !path.is_empty() && (types.is_empty() || types.contains(&"null"));
    let single = |kind: &&str| matches!(*kind, "string" | "integer" | "number" | "boolean" | "null");
    Ok(Member { optional, scalar: !types.is_empty() && types.iter().all(single) })
}

fn types(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn resolve<'s>(root: &'s Value, node: &'s Value) -> &'s Value {
    let mut node = node;
    for _ in 0..REFERENCES_MAX {
        let target = node.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(found) => node = found,
            None => break,
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn knows_what_a_payload_is_sure_to_contain() {
        let schema = json!({
            "type": "object",
            "required": ["a", "o", "n", "r"],
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "integer"},
                "n": {"type": ["string", "null"]},
                "o": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}, "y": {}}},
                "p": {"type": "object", "required": ["x"], "properties": {"x": {"type": "boolean"}}},
                "r": {"$ref": "#/$defs/name"},
            },
            "$defs": {"name": {"type": "string"}},
        });
        let of = |path: &str| member(&schema, &path.split('.').map(str::to_owned).collect::<Vec<_>>());
        let member = |optional, scalar| Ok(Member { optional, scalar });
        assert_eq!(of("a"), member(false, true));
        assert_eq!(of("b"), member(true, true));
        assert_eq!(of("n"), member(true, true));
        assert_eq!(of("o"), member(false, false));
        assert_eq!(of("o.x"), member(false, true));
        assert_eq!(of("o.y"), member(true, false));
        assert_eq!(of("p.x"), member(true, true));
        assert_eq!(of("r"), member(false, true));
        assert_eq!(of("o.z"), Err(vec!["x", "y"]));
        assert_eq!(of("a.b"), Err(vec![]));
        assert_eq!(super::member(&json!({}), &[]), member(false, false));
    }

    #[test]
    fn schemas_stand_alone_and_know_their_formats() {
        for schema in [
            json!({"$ref": "https://example.com/other.json"}),
            json!({"properties": {"a": {"$ref": "other.json"}}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            json!({"type": "text"}),
            json!({"format": "emial"}),
            json!({"pattern": "(?=a)"}),
        ] {
            assert!(compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn violations_are_bounded_and_quote_nothing() {
        let validator = compile(&json!({"type": "array", "items": {"type": "string", "maxLength": 3}})).unwrap();
        let found = violations(&validator, &json!(vec!["hunter2"; 80]));
        assert_eq!(found.len(), VIOLATIONS_MAX);
        assert_eq!(found[7].pointer, "/7");
        assert!(found.iter().all(|violation| !violation.message.contains("hunter2")), "{}", found[0].message);
    }
}
