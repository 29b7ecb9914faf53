//! What an operator's browser sees of an authorization: the page that begins it, and where the vendor sends it back.
//!
//! Both work without script, load nothing, and say nothing that a third party may not hear. A cookie binds the two: a
//! link that is passed on cannot bring somebody else's vendor account into a site.

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use url::{Url, form_urlencoded};

use super::{Shared, WebSettings};
use crate::{
    domain::{
        authorization::{Authorization, AuthorizationPurpose, AuthorizationStep, LIFETIME},
        secret::Secret,
    },
    service::{Failure, Returned, Sending},
};

/// The longest query of a callback that is read, in bytes.
const QUERY_MAX: usize = 16 * 1024;
/// The most parameters of a callback that are read.
const PARAMETERS_MAX: usize = 64;

/// What the pages may do. Where the button leads is the vendor's business, so no form is needed.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.5rem;\
    color:#1b1f24;background:#fff}h1{font-size:1.4rem}dt{color:#57606a;font-size:.875rem}dd{margin:0 0 .75rem}\
    a.go{display:inline-block;padding:.6rem 1.2rem;border-radius:6px;background:#0b57d0;color:#fff;\
    text-decoration:none}a.go:focus-visible{outline:3px solid #8ab4f8}@media(prefers-color-scheme:dark){\
    body{background:#14171a;color:#e6edf3}dt{color:#9da7b1}}";

/// The page that begins an authorization: `/oauth/start/<ticket>`.
pub(super) async fn start(State(state): State<Shared>, Path(ticket): Path<String>, headers: HeaderMap) -> Response {
    let opened = state.gateway.open_link(&ticket, |token| cookie(&headers, token)).await;
    match opened {
        Ok(sending) => sent(&state.settings, &sending),
        Err(Failure::NotFound(_)) => page(
            StatusCode::NOT_FOUND,
            "This link does not work any more",
            "<p>It can be opened once, within a minute. Go back and begin again.</p>",
        ),
        Err(Failure::Conflict(message)) => page(StatusCode::CONFLICT, "This cannot begin", &paragraph(&message)),
        Err(_) => broken(),
    }
}

/// Where vendors send browsers back to: `/oauth/callback`.
pub(super) async fn callback(State(state): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let parameters: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().take(PARAMETERS_MAX + 1).collect();
    if query.len() > QUERY_MAX || parameters.len() > PARAMETERS_MAX {
        return page(StatusCode::BAD_REQUEST, "This is not a callback", "<p>Its address is too long.</p>");
    }
    match state.gateway.returned(parameters, |token| cookie(&headers, token)).await {
        Ok(Returned::Unknown) => page(
            StatusCode::BAD_REQUEST,
            "Nothing waits for this",
            "<p>The authorization is unknown, has ended, or took longer than ten minutes. Go back and begin again.</p>",
        ),
        Ok(Returned::OtherBrowser) => page(
            StatusCode::BAD_REQUEST,
            "This was begun in another browser",
            "<p>An authorization ends where it was begun. Nothing has been connected. Go back and begin again.</p>",
        ),
        Ok(Returned::Ended { authorization, connector_name }) => {
            ended(&state.settings, &authorization, &connector_name)
        }
        Err(_) => broken(),
    }
}

fn sent(settings: &WebSettings, sending: &Sending) -> Response {
    let authorization = &sending.authorization;
    let who = authorization.operator_name.clone().unwrap_or_else(|| format!("operator {}", authorization.operator));
    let title = match authorization.purpose {
        AuthorizationPurpose::Connect => format!("Connect {}", sending.connector_name),
        AuthorizationPurpose::EditScopes => format!("Change what {} allows", sending.connector_name),
        AuthorizationPurpose::Reauthorize => format!("Authorize {} again", sending.connector_name),
    };
    let body = format!(
        "<dl><dt>Site</dt><dd>{}</dd><dt>Connector</dt><dd>{}</dd><dt>Asked for by</dt><dd>{}</dd></dl>\
         <p>Go on only if you began this yourself. You will be asked for your consent at the vendor.</p>\
         <p><a class=\"go\" href=\"{}\" rel=\"noreferrer\">Continue</a></p>",
        sending.site,
        escaped(&sending.connector_name),
        escaped(&who),
        escaped(sending.to.as_str()),
    );
    let mut response = page(StatusCode::OK, &title, &body);
    let secure = if settings.public_url.scheme() == "https" { "; Secure" } else { "" };
    let value = format!(
        "{}={}; Path={}/oauth/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(&authorization.token),
        sending.cookie.expose(),
        settings.base_path,
        LIFETIME.num_seconds(),
    );
    match HeaderValue::from_str(&value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            response.headers_mut().append(header::SET_COOKIE, value);
            response
        }
        Err(_) => broken(),
    }
}

fn ended(settings: &WebSettings, authorization: &Authorization, connector_name: &str) -> Response {
    let gone = format!(
        "{}=; Path={}/oauth/; Max-Age=0; HttpOnly; SameSite=Lax",
        cookie_name(&authorization.token),
        settings.base_path
    );
    let mut response = match authorization.return_to.as_deref().map(Url::parse) {
        Some(Ok(mut to)) => {
            // Only the id: what came of it is asked for by the API.
            let id = crate::graphql::authorization_id(&authorization.token);
            to.query_pairs_mut().append_pair("authorization", &id);
            match HeaderValue::from_str(to.as_str()) {
                Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
                Err(_) => broken(),
            }
        }
        _ => told(authorization, connector_name),
    };
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// How it ended, in words.
fn told(authorization: &Authorization, connector_name: &str) -> Response {
    if authorization.step == AuthorizationStep::Succeeded {
        let title = match authorization.purpose {
            AuthorizationPurpose::Connect => format!("{connector_name} is connected"),
            AuthorizationPurpose::EditScopes => format!("{connector_name} allows what was asked for"),
            AuthorizationPurpose::Reauthorize => format!("{connector_name} is authorized again"),
        };
        return page(StatusCode::OK, &title, "<p>You can close this page.</p>");
    }
    let why = authorization.error.as_deref().unwrap_or("It has not ended yet.");
    let body = format!("{}<p>Nothing has been changed. You can close this page and begin again.</p>", paragraph(why));
    page(StatusCode::OK, &format!("{connector_name} was not connected"), &body)
}

fn broken() -> Response {
    page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something broke inside the gateway",
        "<p>Its log has more under the id of this request (the header x-request-id).</p>",
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>\n"
    );
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (status, headers, html).into_response()
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

/// A text as it stands in HTML, in attributes too.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

/// Each authorization has a cookie of its own, so that two in one browser do not end each other.
fn cookie_name(token: &str) -> String {
    format!("authorization_{}", &token[..token.floor_char_boundary(16)])
}

fn cookie(headers: &HeaderMap, token: &str) -> Option<Secret> {
    let name = cookie_name(token);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| Secret::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_html() {
        assert_eq!(escaped("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn a_cookie_is_found_by_its_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; authorization_0123456789abcdef=one"));
        headers.append(header::COOKIE, HeaderValue::from_static("authorization_fedcba9876543210=other"));
        let found = |token| cookie(&headers, token).map(|cookie| cookie.expose().to_owned());
        assert_eq!(found("0123456789abcdef0000").as_deref(), Some("one"));
        assert_eq!(found("fedcba9876543210").as_deref(), Some("other"));
        assert_eq!(found("fedcba987654321"), None);
    }
}
