//! Calls: method, address, headers, query, body and which credential they carry.

use http::{HeaderName, Method};
use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    super::{
        fault::{Faults, suggestion},
        model::{Body, Call, Credential, Flow, JsonTemplate, Piece},
        reader::{self, Table, Text},
        template::{Name, Part, Template},
    },
    names::{Names, Place},
    url_template,
};

pub(super) use super::url_template::BaseUrl;

/// The credential that a call carries unless it says otherwise, if the flow has one of this name.
const DEFAULT_CREDENTIAL: &str = "default";
pub(super) const NO_CREDENTIAL: &str = "none";

const METHODS: [(&str, &Method); 5] = [
    ("GET", &Method::GET),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("DELETE", &Method::DELETE),
];

/// Headers that a manifest cannot set: they belong to the connection, or to a credential.
const RESERVED: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Reads the table `request`.
pub(super) fn read(
    parent: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    names: &Names<'_>,
    base: Option<&BaseUrl>,
) -> Option<Call> {
    let Some(mut table) = parent.table(faults, "request") else {
        if !parent.has("request") {
            parent.missing("request", "`request` is missing".to_owned());
        }
        return None;
    };
    let method = table.need_word(faults, "method", &METHODS);
    let credential = credential(&mut table, faults, names);
    let placed: Vec<&Credential> = names.flows.iter().filter_map(|flow| of(flow, credential.as_deref())).collect();
    let in_path = placed.iter().any(|credential| matches!(credential, Credential::Path { .. }));
    let names = &Names { credential: in_path, ..*names };
    let url = table.need_text(faults, "url");
    let url = url.and_then(|text| Some((url_template::read(faults, &text, base, names)?, text)));
    let headers = headers(&mut table, faults, names);
    let query = pieces(&mut table, faults, "query", names);
    let body = body(&mut table, faults, names);
    table.finish(faults);
    if in_path && url.as_ref().is_some_and(|(url, _)| !url.path.names().any(|name| *name == Name::Credential)) {
        faults.add(&table.span, "the credential belongs into the path: say where by `{credential}`");
    }
    for credential in placed {
        check_place(faults, &table, credential, &headers, &query, &body);
    }
    Some(Call { method: method?.clone(), url: url?.0, headers, query, body, credential })
}

fn of<'f>(flow: &'f Flow, name: Option<&str>) -> Option<&'f Credential> {
    flow.credentials.iter().find(|(known, _)| Some(known.as_str()) == name).map(|(_, credential)| credential)
}

fn credential(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<String> {
    let Some(text) = table.text(faults, "credential") else {
        let known = names.flows.iter().any(|flow| of(flow, Some(DEFAULT_CREDENTIAL)).is_some());
        return known.then(|| DEFAULT_CREDENTIAL.to_owned());
    };
    if text.value == NO_CREDENTIAL {
        return None;
    }
    for flow in names.flows.iter().filter(|flow| of(flow, Some(&text.value)).is_none()) {
        let known = flow.credentials.iter().map(|(name, _)| name.as_str()).chain([NO_CREDENTIAL]);
        let hint = suggestion(&text.value, known);
        faults.add(&text.span, format!("the flow {} has no credential `{}`{hint}", flow.flow, text.value));
    }
    Some(text.value)
}

/// A credential must find its place free, and in a body of its kind.
fn check_place(
    faults: &mut Faults<'_>,
    table: &Table<'_, '_>,
    credential: &Credential,
    headers: &[(HeaderName, Piece)],
    query: &[(String, Piece)],
    body: &Body,
) {
    let taken = match (credential, body) {
        (Credential::Header { name, .. }, _) => headers.iter().any(|(known, _)| known == name),
        (Credential::Query { name, .. }, _) => query.iter().any(|(known, _)| known == name),
        (Credential::Form { name, .. }, Body::Form(entries)) => entries.iter().any(|(known, _)| known == name),
        (Credential::Json { pointer, .. }, Body::Json(JsonTemplate::Object(members))) => {
            members.iter().any(|(known, _, member)| {
                Some(known) == pointer.first() && (pointer.len() == 1 || !matches!(member, JsonTemplate::Object(_)))
            })
        }
        (Credential::Form { .. }, Body::Json(_)) | (Credential::Json { .. }, Body::Form(_) | Body::Json(_)) => {
            faults.add(&table.span, "the credential has no place in a body of this kind");
            return;
        }
        _ => false,
    };
    if taken {
        faults.add(&table.span, "the credential's own place is taken by the call");
    }
}

/// A header's name (RFC 9110, 5.1).
pub(super) fn header_name(faults: &mut Faults<'_>, text: &Text) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.value.as_bytes()).ok();
    if name.is_none() {
        faults.add(&text.span, format!("`{}` is no header's name", text.value));
    }
    name
}

fn headers(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Vec<(HeaderName, Piece)> {
    let Some(all) = table.table(faults, "headers") else { return Vec::new() };
    let mut headers = Vec::new();
    for (key, value) in all.entries() {
        let (name, optional) = marked(&key);
        let Some(header) = header_name(faults, &name) else { continue };
        if RESERVED.contains(&header.as_str()) {
            faults.add(
                &name.span,
                format!("the header `{header}` is not a manifest's to set; credentials have their own place"),
            );
        }
        headers.extend(piece(faults, value, names, optional).map(|piece| (header, piece)));
    }
    headers
}

fn pieces(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    key: &'static str,
    names: &Names<'_>,
) -> Vec<(String, Piece)> {
    let Some(all) = table.table(faults, key) else { return Vec::new() };
    let mut pieces = Vec::new();
    for (key, value) in all.entries() {
        let (name, optional) = marked(&key);
        pieces.extend(piece(faults, value, names, optional).map(|piece| (name.value, piece)));
    }
    pieces
}

/// A key that ends with `?` is left out where a value is absent.
fn marked(key: &Text) -> (Text, bool) {
    match key.value.strip_suffix('?') {
        Some(name) => (Text { value: name.to_owned(), span: key.span.clone() }, true),
        None => (key.clone(), false),
    }
}

fn piece(faults: &mut Faults<'_>, value: &Spanned<DeValue<'_>>, names: &Names<'_>, optional: bool) -> Option<Piece> {
    let template = match value.get_ref() {
        DeValue::Integer(_) | DeValue::Boolean(_) => {
            let text = reader::json(faults, value)?.to_string();
            Template { parts: vec![Part::Literal(text)] }
        }
        _ => {
            let text = reader::text(faults, value, "a value")?;
            names.template(faults, &text, Place { optional, ..Place::PLAIN })?
        }
    };
    Some(Piece { template, optional })
}

fn body(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Body {
    let form = table.has("form").then(|| pieces(table, faults, "form", names));
    let json = table.any("json").map(|found| (found.span(), json_template(faults, found, names, false)));
    match (form, json) {
        (Some(_), Some((span, _))) => {
            faults.add(&span, "a call has one body: `form` or `json`");
            Body::Empty
        }
        (Some(form), None) => Body::Form(form),
        (None, Some((_, Some(json)))) => Body::Json(json),
        (None, Some((_, None)) | None) => Body::Empty,
    }
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
            let table = reader::table(faults, found, "a body")?;
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
