//! What every request and every answer has around it: an id, a span in the log, headers for safety, and a
//! net under panics.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::{accept::Media, answer};
use crate::domain::clock::{Entropy, SharedEntropy, random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What stands behind this in a path is worth as much as a password.
const LINK: &str = "/oauth/start/";

/// Under which id the log speaks of a request. Made here, never taken from the client.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub String);

impl RequestId {
    /// A new id: 128 random bits in hexadecimal digits.
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random(entropy))))
    }
}

/// What an answer allows a browser unless its handler says otherwise: nothing at all.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The middleware around all routes.
pub(super) async fn wrap(State(entropy): State<SharedEntropy>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(&*entropy);
    // The path only: a query string may hold what must not be in a log, and so may the path of a link.
    let path = request.uri().path();
    let path = path.find(LINK).map_or(path, |at| &path[..at + LINK.len()]);
    let span = tracing::info_span!("request", id = %id.0, method = %request.method(), path);
    request.extensions_mut().insert(id.clone());
    let mut response = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| span.in_scope(|| broken(&id)));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, NOTHING),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// The answer in place of a handler that panicked. What it said went to the panic hook, not to the client.
fn broken(id: &RequestId) -> Response {
    tracing::error!("a handler panicked");
    answer::internal(id, StatusCode::INTERNAL_SERVER_ERROR, Media::Json)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        }
    }

    async fn panics() -> StatusCode {
        panic!("planted")
    }

    async fn ask(path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
        let entropy: SharedEntropy = Arc::new(Counting);
        let own = [(header::CONTENT_SECURITY_POLICY, "default-src 'self'")];
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/own", get(move || async move { own }))
            .layer(axum::middleware::from_fn_with_state(entropy, wrap));
        let request = Request::builder().uri(path).header("x-request-id", "theirs").body(Body::empty());
        let response = router.oneshot(request.expect("a request")).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.expect("a body");
        (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_panic_becomes_an_internal_error_under_the_requests_id() {
        let (status, headers, body) = ask("/panics").await;
        let id = "0102030405060708090a0b0c0d0e0f10";
        assert_eq!((status, headers[&REQUEST_ID].as_bytes()), (StatusCode::INTERNAL_SERVER_ERROR, id.as_bytes()));
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["errors"][0]["extensions"], serde_json::json!({ "code": "INTERNAL", "requestId": id }));
        assert!(!body.to_string().contains("planted"));
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], NOTHING);
    }

    #[tokio::test]
    async fn a_handlers_own_policy_stays() {
        let (_, headers, _) = ask("/own").await;
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
