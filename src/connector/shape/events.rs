//! The event types that connectors share, as the reference shows them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::connector::{ANY_EVENT, Connector, Library};

/// What stands before and after the tables of event types.
const BEGIN: &str = "<!-- events -->";
const END: &str = "<!-- end -->";

/// Writes the tables of event types anew, between `<!-- events -->` and `<!-- end -->`.
///
/// # Errors
/// Where there is no such place.
pub fn event_reference(text: &str, library: &Library) -> Result<String, String> {
    let place = text.split_once(BEGIN).and_then(|(before, after)| Some((before, after.split_once(END)?.1)));
    let (before, after) = place.ok_or_else(|| format!("there is no `{BEGIN}` with its `{END}`"))?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", tables(library)))
}

fn tables(library: &Library) -> String {
    let mut known: BTreeMap<&str, (&Value, Vec<&Connector>)> = BTreeMap::new();
    for connector in library.list() {
        for operation in connector.operations.iter().filter(|operation| operation.event_type != ANY_EVENT) {
            let (_, takers) = known.entry(&operation.event_type).or_insert((&operation.payload_schema, Vec::new()));
            takers.push(connector);
        }
    }
    let tables: Vec<String> =
        known.iter().map(|(event_type, (schema, takers))| table(event_type, schema, takers)).collect();
    tables.join("\n")
}

fn table(event_type: &str, schema: &Value, takers: &[&Connector]) -> String {
    let names: Vec<&str> = takers.iter().map(|connector| connector.display_name.as_str()).collect();
    let mut rows = String::new();
    members(schema, "", &mut rows);
    let head = format!(
        "### `{event_type}`\n\nTaken by {}.\n\n| member | type | meaning |\n| --- | --- | --- |",
        names.join(", ")
    );
    format!("{head}\n{rows}")
}

fn members(schema: &Value, above: &str, rows: &mut String) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{name}");
        let meaning = member["description"].as_str().unwrap_or_default();
        for text in ["| `", &path, "` | ", &kind(member).replace('|', "\\|"), " | ", meaning, " |\n"] {
            rows.push_str(text);
        }
        members(member, &format!("{path}."), rows);
    }
}

/// The type and its bounds, in words.
fn kind(schema: &Value) -> String {
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).map(word).collect(),
        one => vec![one.as_str().map_or("any value", word)],
    };
    let mut words = types.join(" or ");
    for below in [&schema["items"], &schema["additionalProperties"]].into_iter().filter(|below| below.is_object()) {
        words = format!("{words} ({})", kind(below));
    }
    for key in ["format", "pattern"] {
        if let Some(text) = schema[key].as_str() {
            words = format!("{words}, {key} `{text}`");
        }
    }
    for (least, most, what) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " members"),
        ("minimum", "maximum", ""),
    ] {
        let bounds = match (schema[least].as_number(), schema[most].as_number()) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (None, None) => continue,
        };
        words = format!("{words}, {bounds}{what}");
    }
    words
}

fn word(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "array" => "list",
        "boolean" => "flag",
        "integer" => "whole number",
        other => other,
    }
}
