//! Bodies of calls, and other places for values.

use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    super::{
        fault::Faults,
        model::{Body, JsonTemplate, Part as RelatedPart, PartBody, Piece, PieceValue},
        reader::{self, Table, Text},
        template::{Part, Template},
    },
    names::{Names, Place},
};

pub(super) fn pieces(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    key: &'static str,
    names: &Names<'_>,
) -> Vec<(String, Piece)> {
    let Some(all) = table.table(faults, key) else { return Vec::new() };
    let mut pieces = Vec::new();
    for (key, value) in all.entries() {
        let (name, optional) = marked(&key);
        pieces.extend(piece(faults, value, names, optional, true).map(|piece| (name.value, piece)));
    }
    pieces
}

/// A key that ends with `?` is left out where a value is absent.
pub(super) fn marked(key: &Text) -> (Text, bool) {
    match key.value.strip_suffix('?') {
        Some(name) => (Text { value: name.to_owned(), span: key.span.clone() }, true),
        None => (key.clone(), false),
    }
}

/// `structured`: whether an object or a list may stand here, as JSON in a text.
pub(super) fn piece(
    faults: &mut Faults<'_>,
    value: &Spanned<DeValue<'_>>,
    names: &Names<'_>,
    optional: bool,
    structured: bool,
) -> Option<Piece> {
    let value = match value.get_ref() {
        DeValue::Integer(_) | DeValue::Boolean(_) => {
            let text = reader::json(faults, value)?.to_string();
            PieceValue::Text(Template { parts: vec![Part::Literal(text)] })
        }
        DeValue::Table(_) | DeValue::Array(_) if structured => {
            PieceValue::Json(json_template(faults, value, names, optional)?)
        }
        _ => {
            let text = reader::text(faults, value, "a value")?;
            PieceValue::Text(names.template(faults, &text, Place { optional, ..Place::PLAIN })?)
        }
    };
    Some(Piece { value, optional })
}

pub(super) fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Body {
    let form = table.has("form").then(|| pieces(table, faults, "form", names));
    let json = table.any("json").map(|found| json_template(faults, found, names, false));
    let related = table.has("related").then(|| parts(table, faults, names));
    match (form, json, related) {
        (Some(form), None, None) => Body::Form(form),
        (None, Some(Some(json)), None) => Body::Json(json),
        (None, None, Some(parts)) => Body::Related(parts),
        (None, None | Some(None), None) => Body::Empty,
        _ => {
            faults.add(&table.span, "a call has one body: `form`, `json` or `related`");
            Body::Empty
        }
    }
}

/// The parts of a body of several.
fn parts(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Vec<RelatedPart> {
    let mut parts = Vec::new();
    for mut table in table.tables(faults, "related") {
        let content_type = table.need_text(faults, "content_type");
        let json = table.any("json").map(|found| json_template(faults, found, names, false));
        let text = table.text(faults, "text").map(|text| names.template(faults, &text, Place::PLAIN));
        let body = match (json, text) {
            (Some(json), None) => json.map(PartBody::Json),
            (None, Some(text)) => text.map(PartBody::Text),
            _ => {
                faults.add(&table.span, "a part is either `json` or `text`");
                None
            }
        };
        table.finish(faults);
        let Some(content_type) = content_type else { continue };
        if !content_type.value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || !content_type.value.contains('/') {
            faults.add(&content_type.span, "`content_type` must be a media type, such as application/json");
        }
        parts.extend(body.map(|body| RelatedPart { content_type: content_type.value, body }));
    }
    parts
}

fn json_template(
    faults: &mut Faults<'_>,
    found: &Spanned<DeValue<'_>>,
    names: &Names<'_>,
    optional: bool,
) -> Option<JsonTemplate> {
    match found.get_ref() {
        DeValue::String(_) => {
            let text = reader::text(faults, found, "a value")?;
            let template = names.template(faults, &text, Place { optional, structured: true, secret: false })?;
            Some(match template.parts.as_slice() {
                [] => JsonTemplate::Literal(Value::String(String::new())),
                [Part::Literal(text)] => JsonTemplate::Literal(Value::String(text.clone())),
                _ => JsonTemplate::Text(template),
            })
        }
        DeValue::Array(items) => {
            let read: Vec<Option<JsonTemplate>> =
                items.iter().map(|item| json_template(faults, item, names, optional)).collect();
            read.into_iter().collect::<Option<_>>().map(JsonTemplate::Array)
        }
        DeValue::Table(_) => {
            let table = reader::table(faults, found, "a body", None)?;
            let mut members = Vec::new();
            for (key, value) in table.entries() {
                let (name, own) = marked(&key);
                let member = json_template(faults, value, names, optional || own);
                members.extend(member.map(|member| (name.value, own, member)));
            }
            Some(JsonTemplate::Object(members))
        }
        _ => reader::json(faults, found).map(JsonTemplate::Literal),
    }
}
