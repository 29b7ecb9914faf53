//! Calls: method, address, headers, query, body and which credential they carry.

use chrono::NaiveDate;
use http::{HeaderName, Method};

use super::{
    super::{
        fault::{Faults, suggestion},
        model::{Body, Call, Credential, Flow, JsonTemplate, Piece, PieceValue},
        reader::{Table, Text},
        template::{Name, Part, Template},
    },
    body::{self, marked, pieces},
    names::Names,
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
    request(&mut table, faults, names, base, DEFAULT_CREDENTIAL)
}

/// The same, of a call that carries no credential unless it names one, and has no `base_url`.
pub(super) fn read_bare(parent: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<Call> {
    let Some(mut table) = parent.table(faults, "request") else {
        if !parent.has("request") {
            parent.missing("request", "`request` is missing".to_owned());
        }
        return None;
    };
    request(&mut table, faults, names, None, NO_CREDENTIAL)
}

fn request(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    names: &Names<'_>,
    base: Option<&BaseUrl>,
    usual: &str,
) -> Option<Call> {
    let method = table.need_word(faults, "method", &METHODS);
    let credential = credential(table, faults, names, usual);
    let placed: Vec<&Credential> = names.flows.iter().filter_map(|flow| of(flow, credential.as_deref())).collect();
    let in_path = placed.iter().any(|credential| matches!(credential, Credential::Path { .. }));
    let names = &Names { credential: in_path, ..*names };
    let url = table.need_text(faults, "url");
    let url = url.and_then(|text| Some((url_template::read(faults, &text, base, names)?, text)));
    sunset(table, faults);
    let headers = headers(table, faults, names);
    let query = pieces(table, faults, "query", names);
    let body = body::read(table, faults, names);
    table.finish(faults);
    if in_path && url.as_ref().is_some_and(|(url, _)| !url.path.names().any(|name| *name == Name::Credential)) {
        faults.add(&table.span, "the credential belongs into the path: say where by `{credential}`");
    }
    for credential in placed {
        if !names.client && credential.templates().any(|template| template.names().any(is_client)) {
            faults.add(&table.span, "this credential proves the OAuth client, and is for the revocation only");
        }
        check_place(faults, table, credential, &headers, &query, &body);
    }
    Some(Call { method: method?.clone(), url: url?.0, headers, query, body, credential })
}

const fn is_client(name: &Name) -> bool {
    matches!(name, Name::ClientId | Name::ClientSecret)
}

/// The day on which the vendor switches the call off.
pub(super) fn sunset(table: &mut Table<'_, '_>, faults: &mut Faults<'_>) {
    let Some(text) = table.text(faults, "sunset") else { return };
    match NaiveDate::parse_from_str(&text.value, "%Y-%m-%d") {
        Ok(date) => faults.sunset(&text.span, date),
        Err(_) => faults.add(&text.span, "`sunset` must be a day, such as \"2027-02-16\""),
    }
}

fn of<'f>(flow: &'f Flow, name: Option<&str>) -> Option<&'f Credential> {
    flow.credentials.iter().find(|(known, _)| Some(known.as_str()) == name).map(|(_, credential)| credential)
}

fn credential(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>, usual: &str) -> Option<String> {
    let Some(text) = table.text(faults, "credential") else {
        let known = names.flows.iter().any(|flow| of(flow, Some(usual)).is_some());
        return known.then(|| usual.to_owned());
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
        (Credential::Form { .. }, Body::Json(_) | Body::Related(_))
        | (Credential::Json { .. }, Body::Form(_) | Body::Json(_) | Body::Related(_)) => {
            faults.add(&table.span, "the credential has no place in a body of this kind");
            return;
        }
        _ => false,
    };
    if taken {
        faults.add(&table.span, "the credential's own place is taken by the call");
    }
}

/// Whether the manifest's own part of a header's value fits there (RFC 9110, 5.5).
pub(super) fn fits_header(template: &Template) -> bool {
    template.parts.iter().all(|part| match part {
        Part::Literal(text) => !text.chars().any(char::is_control),
        Part::Value(_) => true,
    })
}

/// A header's name (RFC 9110, 5.1).
pub(super) fn header_name(faults: &mut Faults<'_>, text: &Text) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.value.as_bytes()).ok();
    if name.is_none() {
        faults.add(&text.span, format!("`{}` is no header's name", text.value));
    }
    name
}

pub(super) fn headers(
    table: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    names: &Names<'_>,
) -> Vec<(HeaderName, Piece)> {
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
        let Some(piece) = body::piece(faults, value, names, optional, false) else { continue };
        if let PieceValue::Text(template) = &piece.value
            && !fits_header(template)
        {
            faults.add(
                &value.span(),
                format!("the header `{header}` cannot carry a line break or another control character"),
            );
        }
        headers.push((header, piece));
    }
    headers
}
