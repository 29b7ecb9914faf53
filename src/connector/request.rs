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
    json_body,
    model::{Address, Base, Body, Call, Piece, UrlTemplate},
    placeholders::{BuildError, Placeholders, shown},
    sign::SigningKeys,
    template::{Part, Template},
    values::Values,
};
use crate::domain::{exchange::OutboundRequest, secret::SecretBytes};

/// What one call needs besides the manifest and the event.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    pub values: &'a Values,
    /// Empty unless the flow signs.
    pub signing: &'a SigningKeys,
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
    let mut form = match &call.body {
        Body::Form(entries) => Some(pairs(entries, names)?),
        Body::Empty | Body::Json(_) => None,
    };
    let mut json = match &call.body {
        Body::Json(template) => Some(json_body::render_body(template, names)?),
        Body::Empty | Body::Form(_) => None,
    };
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
    append_query(&mut url, &query);
    let body = write_body(form.as_deref(), json.as_ref(), &mut headers);
    if matches!(placed, Placed::Signature) {
        context.signing.sign(context.message_id, context.now, &body, &mut headers)?;
    }
    Ok(OutboundRequest { method: call.method.clone(), url, headers, body: SecretBytes::new(body) })
}

type Pairs = Vec<(String, Zeroizing<String>)>;

fn pairs(entries: &[(String, Piece)], names: &Placeholders<'_>) -> Result<Pairs, BuildError> {
    let mut pairs = Vec::new();
    for (name, piece) in entries {
        if let Some(value) = optional(piece, names)? {
            pairs.push((name.clone(), value));
        }
    }
    Ok(pairs)
}

fn optional(piece: &Piece, names: &Placeholders<'_>) -> Result<Option<Zeroizing<String>>, BuildError> {
    match names.render(&piece.template)? {
        None if piece.optional => Ok(None),
        None => Err(names.absent(&piece.template)),
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

fn append_query(url: &mut Url, pairs: &[(String, Zeroizing<String>)]) {
    if pairs.is_empty() {
        return;
    }
    let pair =
        |(name, value): &(String, Zeroizing<String>)| format!("{}={}", percent_encode(name), percent_encode(value));
    let own = url.query().map(str::to_owned);
    let query: Vec<String> = own.into_iter().chain(pairs.iter().map(pair)).collect();
    url.set_query(Some(&query.join("&")));
}

fn write_body(form: Option<&[(String, Zeroizing<String>)]>, json: Option<&Value>, headers: &mut HeaderMap) -> Vec<u8> {
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

/// The address of a call: its host is the manifest's or an address field's, whatever the values are.
fn build_url(template: &UrlTemplate, names: &Placeholders<'_>) -> Result<Url, BuildError> {
    let base = match &template.base {
        Base::Host(host) => format!("https://{}", render_host(host, names)?),
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
            Part::Literal(text) => rendered.push_str(text),
            Part::Value(name) => {
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
            Part::Literal(text) => rendered.push_str(text),
            Part::Value(name) => {
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
