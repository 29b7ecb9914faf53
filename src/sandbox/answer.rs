//! What the vendor's answers have in common.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// What a page may do: show itself, in its own style. There is no `form-action`, since browsers hold it against the
/// redirects after a form too, and where the callback leads is not this vendor's to say.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// JSON, which nobody keeps.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    (status, [json, NO_STORE], value.to_string()).into_response()
}

/// Why a request is refused, as RFC 6749, section 5.2, writes it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    description: String,
    challenge: Option<String>,
    scope: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        Self { status, code, description: description.into(), challenge: None, scope: None }
    }

    /// With this as `WWW-Authenticate`.
    pub(super) fn challenging(self, challenge: impl Into<String>) -> Self {
        Self { challenge: Some(challenge.into()), ..self }
    }

    /// For want of this scope.
    pub(super) fn wanting(self, scope: &'static str) -> Self {
        Self { scope: Some(scope), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut said = json!({"error": self.code, "error_description": self.description});
        if let Some(scope) = self.scope {
            said["scope"] = json!(scope);
        }
        let mut response = json(self.status, &said);
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A page with this in its `main`, which is HTML already.
pub(super) fn page(status: StatusCode, path: &str, title: &str, main: &str) -> Response {
    let html = (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let (path, title) = (escape(path), escape(title));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"{path}/style.css\">\n<main>\n<h1>{title}</h1>\n{main}</main>\n</html>\n"
    );
    (status, [html, policy, NO_STORE], page).into_response()
}

/// Text as it stands in HTML, between tags and in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
