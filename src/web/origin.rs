//! From which origins a browser's page may call: the handshake of sockets, and CORS (Fetch standard).

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::WebSettings;

/// Whether this request may be served, as far as its `Origin` says where its page came from.
///
/// A request without one comes from no page. Tokens are never ambient here, as cookies would be; this
/// keeps a foreign page from using a token that it got hold of by other means, and from probing.
pub(super) fn allowed(headers: &HeaderMap, settings: &WebSettings) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            origin.to_str().is_ok_and(|origin| listed(origin, settings) || same_host(origin, headers))
        }
        (Some(_), Some(_)) => false,
    }
}

fn listed(origin: &str, settings: &WebSettings) -> bool {
    origin == settings.public_url.origin().ascii_serialization()
        || settings.return_origins.iter().any(|allowed| allowed == origin)
}

fn same_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some() && authority == host
}

/// Lets the page of an allowed origin read the answer.
pub(super) fn expose(headers: &HeaderMap, settings: &WebSettings, response: &mut Response) {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| allowed(headers, settings)) {
        let exposed = HeaderValue::from_static("x-request-id");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// The answer to a preflight: what the page of an allowed origin may send.
pub(super) fn preflight(headers: &HeaderMap, settings: &WebSettings) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if headers.contains_key(header::ORIGIN) && allowed(headers, settings) {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, accept"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> WebSettings {
        WebSettings {
            public_url: "https://gateway.example/base".parse().expect("a URL"),
            base_path: "/base".to_owned(),
            max_body: 1,
            max_subscriptions: 1,
            return_origins: vec!["https://console.example".to_owned()],
            trusted_proxies: Vec::new(),
            timeouts: crate::web::Timeouts::default(),
        }
    }

    #[test]
    fn own_and_listed_origins_are_allowed() {
        for (origin, host, expected) in [
            (None, "gateway.example", true),
            (Some("https://gateway.example"), "inner:8080", true),
            (Some("https://console.example"), "inner:8080", true),
            (Some("http://127.0.0.1:8080"), "127.0.0.1:8080", true),
            (Some("http://gateway.example"), "inner:8080", false),
            (Some("https://gateway.example:444"), "inner:8080", false),
            (Some("https://gateway.example.evil"), "inner:8080", false),
            (Some("https://evil.example"), "inner:8080", false),
            (Some("http://127.0.0.1:8081"), "127.0.0.1:8080", false),
            (Some("null"), "inner:8080", false),
            (Some("null"), "null", false),
            (Some(""), "inner:8080", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a header"));
            }
            assert_eq!(allowed(&headers, &settings()), expected, "{origin:?} at {host}");
        }
    }
}
