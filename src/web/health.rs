//! For those who watch the process: alive, and ready.

use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{Shared, text};

/// How long the parts of the gateway may take to say that they are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// `/healthz`: the process answers.
pub(super) async fn alive() -> Response {
    text(StatusCode::OK, "ok")
}

/// `/readyz`: whether requests can be served now. What is not ready is said in words for anybody.
pub(super) async fn ready(State(state): State<Shared>) -> Response {
    let outcome = if state.shutdown.is_cancelled() {
        Err("the gateway is stopping".to_owned())
    } else {
        match tokio::time::timeout(READY_TIMEOUT, state.gateway.ready()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("the gateway did not find out in time".to_owned()),
        }
    };
    let (status, body) = match outcome {
        Ok(()) => (StatusCode::OK, json!({ "ready": true })),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "notReady": [what] })),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
