//! Building a request: every value goes into its place in that place's own encoding, so that none can
//! break out of it.

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::{
    credential::{self, Placed},
    fields::address,
    grant::Grant,
    json_body,
    mail::boundary,
    model::{Address, Base, Body, Call, Part, PartBody, Piece, PieceValue, UrlTemplate},
    placeholders::{BuildError, Placeholders, shown},
    sign::{self, SigningKeys},
    template::{self, Template},
    values::Values,
};
use crate::domain::{exchange::OutboundRequest, secret::SecretBytes};

/// What one call needs besides the manifest and the event.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    pub values: &'a Values,
    /// Empty unless the flow signs.
    pub signing: &'a SigningKeys,
    /// Of an OAuth flow.
    pub grant: Option<&'a Grant>,
    /// The time of this attempt.
    pub now: DateTime<Utc>,
    /// Of the delivery, the same in every attempt; of a test, its own.
    pub message_id: &'a str,
}

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as it stands in a path segment or a query.
pub(super) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Builds a call of the manifest.
pub(super) fn build(
    call: &Call,
    names: &Placeholders<'_>,
    context: &CallContext<'_>,
) -> Result<OutboundRequest, BuildError> {
    build_with(call, names, context, Vec::new())
}

/// The same, with more members of a body that is a form, or JSON.
pub(super) fn build_with(
    call: &Call,
    names: &Placeholders<'_>,
    context: &CallContext<'_>,
    more: Pairs,
) -> Result<OutboundRequest, BuildError> {
    let placed = credential::place(call.credential.as_deref(), names)?;
    let names = &Placeholders { credential: placed.path(), ..*names };
    let mut url = build_url(&call.url, names)?;
    let mut query = pairs(&call.query, names)?;
    let mut headers = HeaderMap::new();
    for (name, piece) in &call.headers {
        if let Some(value) = optional(piece, names)? {
            headers.insert(name, header_value(name, &value)?);
        }
    }
    let (mut form, mut json, mut related) = (None, None, None);
    match &call.body {
        Body::Empty => {}
        Body::Form(entries) => form = Some(pairs(entries, names)?),
        Body::Json(template) => json = Some(json_body::render_body(template, names)?),
        Body::Related(parts) => related = Some(render_parts(parts, names)?),
    }
    match &placed {
        Placed::None | Placed::Path(_) | Placed::Signature => {}
        Placed::Header(name, value) => {
            let mut value = header_value(name, value)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Placed::Query(name, value) => query.push((name.clone(), value.clone())),
        Placed::Form(name, value) => form.get_or_insert_default().push((name.clone(), value.clone())),
        Placed::Json(pointer, value) => {
            let body = json.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
            json_body::insert(body, pointer, value)?;
        }
    }
    match (&mut json, more) {
        (_, more) if more.is_empty() => {}
        (Some(body), more) => {
            for (name, value) in more {
                json_body::insert(body, &[name], &value)?;
            }
        }
        (None, more) => form.get_or_insert_default().extend(more),
    }
    append_query(&mut url, &query);
    let body = match related {
        Some(parts) => write_parts(&parts, &mut headers),
        None => write_body(form.as_deref(), json.as_ref(), &mut headers),
    };
    if matches!(placed, Placed::Signature) {
        match names.mark {
            Some(mark) => sign::write(context.message_id, context.now, &format!("v1,{mark}"), &mut headers)?,
            None => context.signing.sign(context.message_id, context.now, &body, &mut headers)?,
        }
    }
    Ok(OutboundRequest { method: call.method.clone(), url, headers, body: SecretBytes::new(body) })
}

pub(super) type Pairs = Vec<(String, Zeroizing<String>)>;

pub(super) fn pairs(entries: &[(String, Piece)], names: &Placeholders<'_>) -> Result<Pairs, BuildError> {
    let mut pairs = Vec::new();
    for (name, piece) in entries {
        if let Some(value) = optional(piece, names)? {
            pairs.push((name.clone(), value));
        }
    }
    Ok(pairs)
}

pub(super) fn optional(piece: &Piece, names: &Placeholders<'_>) -> Result<Option<Zeroizing<String>>, BuildError> {
    let template = match &piece.value {
        PieceValue::Text(template) => template,
        PieceValue::Json(template) => {
            let json = json_body::render_optional(template, names, piece.optional)?;
            return Ok(json.map(|json| Zeroizing::new(json.to_string())));
        }
    };
    match names.render(template)? {
        None if piece.optional => Ok(None),
        None => Err(names.absent(template)),
        Some(value) => Ok(Some(value)),
    }
}

/// A header's value (RFC 9110, 5.5): no control characters, so no line can be added.
pub(super) fn header_value(name: &HeaderName, value: &str) -> Result<HeaderValue, BuildError> {
    let refused = || BuildError::new(format!("a value has characters that the header `{name}` cannot carry"));
    if value.chars().any(char::is_control) {
        return Err(refused());
    }
    HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| refused())
}

pub(super) fn append_query(url: &mut Url, pairs: &[(String, Zeroizing<String>)]) {
    if pairs.is_empty() {
        return;
    }
    let pair =
        |(name, value): &(String, Zeroizing<String>)| format!("{}={}", percent_encode(name), percent_encode(value));
    let own = url.query().map(str::to_owned);
    let query: Vec<String> = own.into_iter().chain(pairs.iter().map(pair)).collect();
    url.set_query(Some(&query.join("&")));
}

pub(super) fn write_body(
    form: Option<&[(String, Zeroizing<String>)]>,
    json: Option<&Value>,
    headers: &mut HeaderMap,
) -> Vec<u8> {
    let (kind, body) = match (form, json) {
        (Some(pairs), _) => {
            let mut writer = url::form_urlencoded::Serializer::new(String::new());
            writer.extend_pairs(pairs.iter().map(|(name, value)| (name, value.as_str())));
            ("application/x-www-form-urlencoded", writer.finish().into_bytes())
        }
        (None, Some(json)) => ("application/json", json.to_string().into_bytes()),
        (None, None) => return Vec::new(),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    body
}

/// The parts of a body of several, each with its content type.
fn render_parts<'p>(parts: &'p [Part], names: &Placeholders<'_>) -> Result<Vec<(&'p str, Vec<u8>)>, BuildError> {
    let part = |part: &'p Part| {
        let body = match &part.body {
            PartBody::Text(template) => names.require(template)?.as_bytes().to_vec(),
            PartBody::Json(template) => json_body::render_body(template, names)?.to_string().into_bytes(),
        };
        Ok((part.content_type.as_str(), body))
    };
    parts.iter().map(part).collect()
}

/// `multipart/related` (RFC 2387), with a boundary that no part contains.
fn write_parts(parts: &[(&str, Vec<u8>)], headers: &mut HeaderMap) -> Vec<u8> {
    let bodies: Vec<&[u8]> = parts.iter().map(|(_, body)| body.as_slice()).collect();
    let boundary = boundary(&bodies);
    let mut whole = Vec::new();
    for (content_type, body) in parts {
        whole.extend_from_slice(format!("--{boundary}\r\nContent-Type: {content_type}\r\n\r\n").as_bytes());
        whole.extend_from_slice(body);
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    // Hexadecimal digits fit into any header.
    if let Ok(value) = HeaderValue::try_from(format!("multipart/related; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, value);
    }
    whole
}

/// The address of a call: its host is the manifest's or an address field's, whatever the values are.
pub(super) fn build_url(template: &UrlTemplate, names: &Placeholders<'_>) -> Result<Url, BuildError> {
    let base = match &template.base {
        Base::Host(host) => format!("https://{}", render_host(host, names)?),
        Base::Listed(name) => {
            let host = names.text(name)?.ok_or_else(|| BuildError::new(format!("`{}` is missing", shown(name))))?;
            if names.mark.is_none_or(|mark| *mark != **host) && !names.hosts.admit(&host) {
                let message =
                    format!("`{}` is none of the hosts that may be called: {}", shown(name), names.hosts.shown());
                return Err(BuildError::new(message));
            }
            format!("https://{}", *host)
        }
        Base::Own(origin) => origin.clone(),
        Base::Field(name) if let Some(mark) = names.sealed_address(name) => format!("https://{mark}"),
        Base::Field(name) => {
            let value = names.values.get(name).ok_or_else(|| BuildError::new(format!("`field.{name}` is missing")))?;
            let kind = names.flow.fields.iter().find(|field| field.name == *name).map_or(Address::Base, |f| f.address);
            address(value, kind, names.flow.allow_http)
                .map_err(|problem| BuildError::new(format!("`field.{name}` {problem}")))?
        }
    };
    let path = render_path(&template.path, names)?;
    let wrong = || BuildError::new("the values do not make an address");
    let url = Url::parse(&format!("{base}{path}")).map_err(|_| wrong())?;
    // The parser must not have understood anything else than was meant.
    let base = Url::parse(&base).map_err(|_| wrong())?;
    let expected =
        if path.is_empty() { base.path().to_owned() } else { format!("{}{path}", base.path().trim_end_matches('/')) };
    if url.origin() != base.origin()
        || url.path() != expected
        || url.query() != base.query()
        || url.fragment().is_some()
    {
        return Err(wrong());
    }
    Ok(url)
}

fn render_host(host: &Template, names: &Placeholders<'_>) -> Result<String, BuildError> {
    let mut rendered = String::new();
    for part in &host.parts {
        match part {
            template::Part::Literal(text) => rendered.push_str(text),
            template::Part::Value(name) => {
                let value = names.text(name)?.ok_or_else(|| names.absent(host))?;
                let label = !value.is_empty()
                    && value.len() <= 63
                    && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if !label {
                    return Err(BuildError::new(format!("`{}` is no part of a host's name", shown(name))));
                }
                rendered.push_str(&value);
            }
        }
    }
    Ok(rendered)
}

/// A path whose values stay within their segments: `/` is encoded, and no value makes a segment that
/// leads elsewhere (`..`) or vanishes.
fn render_path(path: &Template, names: &Placeholders<'_>) -> Result<String, BuildError> {
    let mut rendered = String::new();
    for part in &path.parts {
        match part {
            template::Part::Literal(text) => rendered.push_str(text),
            template::Part::Value(name) => {
                let value = names.text(name)?.ok_or_else(|| names.absent(path))?;
                if value.is_empty() {
                    return Err(BuildError::new(format!("`{}` is empty", shown(name))));
                }
                rendered.push_str(&percent_encode(&value));
            }
        }
    }
    if rendered.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(BuildError::new("a value would lead to another path"));
    }
    Ok(rendered)
}
