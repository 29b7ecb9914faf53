//! The receiver of webhooks: `/sandbox/inbox`.
//!
//! It checks signatures by the Standard Webhooks text with code of its own.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use serde::Deserialize;

use super::inbox::{Inbox, RegisterError};

/// The largest body that is taken, in bytes; of a kept one, [`super::inbox::BODY_KEPT`] bytes are shown.
const BODY_MAX: usize = 1024 * 1024;
/// The longest secret that is taken, in bytes.
const SECRET_MAX: usize = 256;

pub(super) fn router<S: Clone + Send + Sync + 'static>(inbox: Inbox) -> Router<S> {
    Router::new()
        .route("/inbox", get(show).post(receive).delete(clear))
        .route("/inbox/secret", put(register).delete(forget))
        .with_state(inbox)
}

/// How the inbox shall answer.
#[derive(Deserialize)]
struct Answer {
    /// The status to answer with, 200 to 599; 204 where it is left out.
    answer: Option<u16>,
}

async fn receive(State(inbox): State<Inbox>, Query(wanted): Query<Answer>, parts: Parts, body: Body) -> Response {
    let status = match wanted.answer.map(StatusCode::from_u16) {
        None => StatusCode::NO_CONTENT,
        Some(Ok(status)) if (200..600).contains(&status.as_u16()) => status,
        Some(_) => return plain(StatusCode::BAD_REQUEST, "answer: a status from 200 to 599, such as 503\n"),
    };
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the inbox takes at most 1 MiB\n");
    };
    inbox.receive(&parts.method, &parts.headers, &body);
    status.into_response()
}

async fn show(State(inbox): State<Inbox>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, inbox.to_json()).into_response()
}

async fn clear(State(inbox): State<Inbox>) -> Response {
    inbox.clear();
    StatusCode::NO_CONTENT.into_response()
}

async fn register(State(inbox): State<Inbox>, body: Body) -> Response {
    let secret = to_bytes(body, SECRET_MAX).await.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    match inbox.register(secret.unwrap_or_default().trim()) {
        Ok(()) => plain(StatusCode::OK, "registered\n"),
        Err(RegisterError::Malformed) => {
            plain(StatusCode::BAD_REQUEST, "send the secret as it was shown: whsec_ and base64 of 24 to 64 bytes\n")
        }
        Err(RegisterError::Full) => {
            plain(StatusCode::CONFLICT, "too many secrets; DELETE /sandbox/inbox/secret forgets them\n")
        }
    }
}

async fn forget(State(inbox): State<Inbox>) -> Response {
    inbox.forget_secrets();
    StatusCode::NO_CONTENT.into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::Request;
    use chrono::{DateTime, Utc};
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::domain::clock::{BoxFuture, Clock};

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> DateTime<Utc> {
            DateTime::from_timestamp(1_649_367_553, 0).expect("a time")
        }

        fn sleep_until(&self, _: DateTime<Utc>) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    async fn ask(inbox: &Inbox, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk")
            .header("webhook-timestamp", "1649367553")
            .header("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let response = router::<()>(inbox.clone()).oneshot(request).await.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_registered_secret_makes_signatures_valid() {
        let inbox = Inbox::new(Arc::new(Fixed));
        let event = r#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(ask(&inbox, "POST", "/inbox", event).await.0, 204);
        let registered = ask(&inbox, "PUT", "/inbox/secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").await;
        assert_eq!(registered, (200, "registered\n".to_owned()));
        assert_eq!(ask(&inbox, "POST", "/inbox?answer=503", event).await.0, 503);
        assert_eq!(ask(&inbox, "POST", "/inbox", "{}").await.0, 204);
        let list: Value = serde_json::from_str(&ask(&inbox, "GET", "/inbox", "").await.1).expect("JSON");
        let found: Vec<_> = list.as_array().expect("a list").iter().map(|it| it["signature"].clone()).collect();
        assert_eq!(found, ["invalid", "valid", "unknown secret"]);
        assert_eq!(ask(&inbox, "DELETE", "/inbox/secret", "").await.0, 204);
        assert_eq!(ask(&inbox, "DELETE", "/inbox", "").await.0, 204);
        assert_eq!(ask(&inbox, "GET", "/inbox", "").await, (200, "[]\n".to_owned()));
    }

    #[tokio::test]
    async fn wrong_requests_are_refused_and_not_kept() {
        let inbox = Inbox::new(Arc::new(Fixed));
        for answer in ["100", "600", "x", "70000", ""] {
            assert_eq!(ask(&inbox, "POST", &format!("/inbox?answer={answer}"), "{}").await.0, 400, "{answer}");
        }
        assert_eq!(ask(&inbox, "POST", "/inbox", &"x".repeat(BODY_MAX + 1)).await.0, 413);
        for secret in ["", "hunter2", &"x".repeat(SECRET_MAX + 1)] {
            assert_eq!(ask(&inbox, "PUT", "/inbox/secret", secret).await.0, 400, "{secret}");
        }
        assert_eq!(ask(&inbox, "PATCH", "/inbox", "").await.0, 405);
        assert_eq!(inbox.to_json(), "[]\n");
    }
}
